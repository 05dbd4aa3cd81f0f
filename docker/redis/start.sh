#!/bin/sh
# Starts Redis in the foreground: a password from its secret, every write on disk within a second. The configuration goes in
# through standard input, so the password is on no command line and in no file but its own.
set -eu

secret=${REDIS_PASSWORD_FILE:-/run/secrets/redis_password}
if [ ! -s "$secret" ]; then
    echo "start.sh: the secret $secret is missing or empty: \`make docker-up\` makes it" >&2
    exit 1
fi
password=$(sed 's/[\"]/\\&/g' "$secret")
case $password in
    *"
"*) echo "start.sh: the secret $secret has more than one line" >&2; exit 1 ;;
esac

# What waits to be worked on is not dropped when memory ends: the writer gets an error.
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
