#!/bin/sh
# nginx in its container. Without arguments it starts, with a copy of its configuration that can be changed. With some, it
# sends the requests of a function to another instance, and returns when none is left at the one before:
#
#     nginx.sh query loancheck-query-2:8080
set -eu
from=${NGINX_CONFIGURATION:-/etc/loancheck} state=${NGINX_STATE:-/run/loancheck}
upstreams=$state/conf/site/upstreams.conf
asked() { nginx -p "$state/" -c "$state/conf/nginx.conf" "$@"; }

if [ $# = 0 ]; then
    mkdir -p "$state/conf"
    cp -r "$from/nginx.conf" "$from/generated" "$from/site" "$state/conf/"
    exec nginx -p "$state/" -c "$state/conf/nginx.conf" -g "daemon off;"
fi

name=$(printf %s "$1" | tr - _)
grep -q "^upstream $name {" "$upstreams" || { echo "nginx.sh: $1: there is no such function" >&2; exit 2; }
cp "$upstreams" "$upstreams.before"
sed -i "/^upstream $name {/,/^}/s/server [^;]*;/server $2;/" "$upstreams"
if ! asked -t -q; then
    mv "$upstreams.before" "$upstreams"
    exit 1
fi
# A master that has not read the signal yet has no worker that shuts down: so wait for new ones first.
workers() { pgrep -P "$(cat "$state/nginx.pid")" | sort; }
old=$(workers)
asked -s reload
for worker in $old; do
    while workers | grep -qx "$worker"; do sleep 0.2; done
done
