#!/bin/bash
# Prometheus's own check of the configuration and its evaluation of every rule. `promtool` is the one on the
# PATH, else the one in Debian's package, which is unpacked here and installed nowhere: that needs
# no root, and the network once.
set -euo pipefail
cd "$(dirname "$0")"

tool=$(command -v promtool || true)
if [ -z "$tool" ]; then
  kept="${XDG_CACHE_HOME:-$HOME/.cache}/router-extproc/prometheus"
  tool="$kept/usr/bin/promtool"
  if [ ! -x "$tool" ]; then
    command -v apt-get dpkg-deb > /dev/null || {
      echo "alerts: no promtool here, and no Debian to get it from; install Prometheus and run this again" >&2
      exit 1
    }
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    echo "alerts: fetching Debian's package prometheus (19 MB)"
    (cd "$fresh" && apt-get download -qq prometheus 2> apt.log) || {
      cat "$fresh/apt.log" >&2
      echo "alerts: apt-get has no package prometheus; run \`apt-get update\` as root, or install Prometheus" >&2
      exit 1
    }
    mkdir -p "$kept"
    dpkg-deb -x "$fresh"/prometheus_*.deb "$kept"
  fi
fi
"$tool" check config prometheus.yml
"$tool" test rules tests/*.yml
