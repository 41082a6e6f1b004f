#!/bin/bash
# What Envoy does before it is stopped: `drain.sh ADMIN-PORT SECONDS`. Its listeners tell clients to go elsewhere, and
# it returns when no request is under way any more, after SECONDS at most. Bash alone: the image has no curl.
set -u

ask() {  # METHOD PATH -> the answer
	exec 3<> "/dev/tcp/127.0.0.1/$port" || return 1
	printf '%s %s HTTP/1.1\r\nHost: envoy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
	local answer line
	answer=
	while IFS= read -r -t 5 line <&3 || [ -n "$line" ]; do
		answer+="$line"$'\n'
	done
	exec 3>&-
	printf '%s' "$answer"
}

port=$1
end=$((SECONDS + $2))
ask POST '/drain_listeners?graceful&skip_exit' > /dev/null || exit 0   # no Envoy: nothing to wait for
while [ "$SECONDS" -lt "$end" ]; do
	active=$(ask GET '/stats?filter=^http.router.downstream_rq_active$') || exit 0
	[[ $active == *'downstream_rq_active: 0'* ]] && exit 0
	sleep 0.5
done
