"""The files under `deploy/kubernetes` and `deploy/helm` that follow from a router's configuration.

`python -m deploy.kubernetes.generate` writes them; with `--check` it says which are not current, and ends
with 1 then.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from deploy.kubernetes import envoy_gateway, istio
from deploy.kubernetes.rendered import Message, read

FOLDER: Final = Path(__file__).parent
CHART: Final = FOLDER.parent / "helm" / "router-extproc"
HEADER: Final = "# Written by `python -m deploy.kubernetes.generate`; do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Without anchors: people read and copy parts."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what is to be in it. Raises ConfigError."""
    alone = read(FOLDER / "base" / "router.yaml")
    yield FOLDER / "overlays" / "sidecar" / "envoy.yaml", read(FOLDER / "overlays/sidecar/router.yaml").text
    policies, routes = envoy_gateway.resources(alone), istio.resources(alone)
    yield FOLDER / "overlays" / "envoy-gateway" / "generated.yaml", _text(policies)
    yield FOLDER / "overlays" / "istio" / "generated.yaml", _text(routes)
    yield from _chart(policies, routes)


def _chart(policies: Sequence[Message], routes: Sequence[Message]) -> Iterator[tuple[Path, str]]:
    """What a chart needs beside the models, which are in its values."""
    parts = {
        "extension-policy": _of("EnvoyExtensionPolicy", policies),
        "client-policy": _of("ClientTrafficPolicy", policies),
        "traffic-policy": _of("BackendTrafficPolicy", policies),
        "several-servers": envoy_gateway.retry_elsewhere(),
        "envoy-filter": _of("EnvoyFilter", routes),
        "ext-proc-destination": _of("DestinationRule", routes),
        "model-destination": _of("DestinationRule", routes[2:]),
        "retries": _of("VirtualService", routes)["http"][0]["retries"],
    }
    for name, part in parts.items():
        yield CHART / "files" / f"{name}.yaml", _text([part])
    yield CHART / "files" / "drain.sh", (FOLDER / "overlays" / "sidecar" / "drain.sh").read_text()


def _of(kind: str, listed: Sequence[Message]) -> Message:
    """The first of its kind, without what it is about."""
    found: Message = next(each["spec"] for each in listed if each["kind"] == kind)
    return {key: value for key, value in found.items() if key not in ("targetRefs", "host")}


def _text(documents: Sequence[Message]) -> str:
    return HEADER + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110)


def main(
    arguments: Sequence[str] | None = None, made: Callable[[], Iterable[tuple[Path, str]]] = files
) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; tell what is not current")
    check = parser.parse_args(arguments).check
    old = [(path, text) for path, text in made() if not path.exists() or path.read_text() != text]
    for path, text in old:
        if check:
            sys.stderr.write(
                f"{os.path.relpath(path)} is not current; run python -m deploy.kubernetes.generate\n"
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
