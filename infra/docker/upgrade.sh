#!/bin/sh
# Bring the functions to the revision that .env names, one after the other, without a request that fails: the database
# first, then beside each function its successor, to which nginx goes over once it is healthy.
#
#     sh infra/docker/upgrade.sh [SERVICE...]     # all functions that nginx knows, without one
set -eu
cd "$(dirname "$0")"
profile=$(sed -n 's/^COMPOSE_PROFILES=//p' .env)
services=${*:-$(sed -n 's/^ *server \([a-z-]*\):8080;$/\1/p' "generated/upstreams-$profile.conf")}

# Of a revision that was built before nothing is built: going back, the checkout holds the code of the newer one.
if ! docker compose config --images | grep '^loancheck/' | sort -u | xargs docker image inspect > /dev/null 2>&1; then
    docker compose build --quiet
fi
docker compose run --rm --no-deps -T migrate
for service in $services; do
    old=$(docker compose ps --all --quiet "$service")
    if [ "$(printf %s "$old" | wc -w)" != 1 ]; then
        echo "upgrade.sh: $service: must have one container; docker compose ps --all $service shows what there is" >&2
        exit 1
    fi
    others() { docker compose ps --all --quiet "$service" | grep --invert-match --fixed-strings "$old"; }
    if ! docker compose up --detach --no-deps --no-recreate --scale "$service=2" --wait "$service"; then
        others | xargs -r docker rm --force
        echo "upgrade.sh: $service: its new revision did not become healthy and is gone; the one before serves on" >&2
        exit 1
    fi
    new=$(others)
    docker compose exec -T nginx sh /etc/loancheck/nginx.sh "$service" "$(docker inspect --format '{{slice .Name 1}}' "$new"):8080"
    docker stop "$old"
    docker rm "$old"
    echo "$service: requests go to the new revision"
done
docker compose up --detach --no-deps scheduler
