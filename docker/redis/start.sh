#!/bin/sh
# Starts Redis in the foreground, with the password from its secret, and every write synced to disk within a second. The
# configuration is passed on standard input, so that the password is on no command line and in no other file.
set -eu

secret=${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}
if [ ! -s "$secret" ]; then
    echo "start.sh: the secret $secret is missing or empty: \`make docker-up\` generates it" >&2
    exit 1
fi
password=$(sed 's/[\"]/\\&/g' "$secret")
case $password in
    *"
"*) echo "start.sh: the secret $secret has more than one line" >&2; exit 1 ;;
esac

# Nothing is evicted when memory is full: writes fail instead.
exec redis-server - <<CONFIGURATION
requirepass "$password"
protected-mode yes
bind ${REDIS_BIND:-* -::*}
port ${REDIS_PORT:-6379}
dir ${REDIS_DATA:-/data}
appendonly yes
appendfsync everysec
maxmemory ${REDIS_MEMORY:-160mb}
maxmemory-policy noeviction
CONFIGURATION
