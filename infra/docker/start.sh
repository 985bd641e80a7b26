#!/bin/sh
# Start a function or the command line. Secrets come as files, in /run/secrets and each by the name of its setting in
# small letters, so that they stand in no compose file and no inspection of the container; settings are read from the
# environment, and from there on they are this process's alone.
set -eu
for file in "${SECRETS_DIR:-/run/secrets}"/*; do
    name=${file##*/}
    case $name in
        '*' | *[!a-z_]*) ;; # no secrets at all, or a file that is no setting's
        *)
            value=$(cat "$file")
            export "$name=$value"
            ;;
    esac
done
exec "$@"
