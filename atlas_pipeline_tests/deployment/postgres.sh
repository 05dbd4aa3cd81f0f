#!/bin/sh
# What the entry point of the official Postgres image does, with the Postgres that is installed here: make a cluster in an
# empty volume, run what is in /docker-entrypoint-initdb.d against a server that only this container reaches, serve.
set -eu
PATH="$POSTGRES_BIN:$PATH"
export PGDATA=/var/lib/postgresql/18/docker PGUSER=postgres PGHOST=/tmp
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    # shellcheck disable=SC2086  # several arguments, as in the image
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 \
        $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c unix_socket_directories=/tmp" -w start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        # shellcheck source=/dev/null
        if [ -x "$script" ]; then "$script"; else . "$script"; fi
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
