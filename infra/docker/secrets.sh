#!/bin/sh
# Make the secrets of compose.yaml that are missing, in secrets/ beside this file; what is there stays as it is:
#
#     sudo sh infra/docker/secrets.sh
#
# Whoever may enter the folder may read them: its owner. The files themselves are readable by all, for containers, each
# under a user of its own, see single files of it alone. The key that seals personal data belongs to the functions' user.
set -eu
user=10001
folder=$(dirname "$0")/secrets
if [ "$(id -u)" != 0 ]; then
    echo "secrets.sh: must be run as root, for the key-encryption key belongs to the containers' user $user" >&2
    exit 2
fi
mkdir -p "$folder"
chmod 0700 "$folder"
cd "$folder"

random() { od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# Whole or not at all: what is cut short is not taken for a secret by the next run.
keep() { [ -e "$1" ] || { printf %s "$2" > ".new" && mv .new "$1"; }; }

keep postgres_password "$(random)"
keep database_url "postgresql+psycopg://loancheck:$(cat postgres_password)@postgresql:5432/loancheck"
keep grafana_password "$(random)"
# Empty is as good as not set. Put in what you have; scheduler_key and metrics_token are keys that the product makes.
for name in gemini_api_key smtp_url notice_webhook_secret scheduler_key metrics_token smtp_password webhook_token; do
    keep "$name" ""
done
[ -e key-encryption-key ] || { head -c 32 /dev/urandom > .new && mv .new key-encryption-key; }

chmod 0644 -- *
chown -R "${SUDO_UID:-0}:${SUDO_GID:-0}" .
chmod 0400 key-encryption-key
chown "$user:$user" key-encryption-key
