#!/bin/bash
# Says which Go is needed, and how to get it, when the one in PATH is missing or older than go.mod's go line.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
need=$(awk '$1 == "go" { print $2; exit }' "$root/go.mod")
suggest=1.26.8 # newest patch release this tree was built with; at least $need

have=none
if command -v go >/dev/null 2>&1; then
	# Outside the module, or an older Go would fetch a newer one, or refuse, before it tells its own version.
	have=$(cd / && GOTOOLCHAIN=local GOFLAGS= go env GOVERSION 2>/dev/null || echo unknown)
	have=${have#go}
	have=${have%% *}
fi
case $have in
devel* | *-*) exit 0 ;; # whoever builds Go from source knows what it is
esac
if [ "$have" != none ] && [ "$have" != unknown ] && [ "$(printf '%s\n' "$need" "$have" | sort -V | head -n 1)" = "$need" ]; then
	exit 0
fi
case $(uname -m) in
aarch64) arch=arm64 ;;
*) arch=amd64 ;;
esac
cat >&2 <<TEXT
Flotilla needs Go $need or newer; found: $have.
Debian 12 ships an older one. As root:

  apt-get install -y --no-install-recommends curl ca-certificates
  curl -fsSL https://go.dev/dl/go$suggest.linux-$arch.tar.gz -o /tmp/go.tar.gz
  rm -rf /usr/local/go && tar -C /usr/local -xzf /tmp/go.tar.gz
  export PATH=/usr/local/go/bin:\$PATH

Then run make again.
TEXT
exit 2
