#!/bin/sh
# Creates the roles and databases of the platform. The Postgres image runs it once, when its data folder is new. It can be
# run again, and then sets the passwords from changed secrets. docs/operations.md has the same for an external server.
# Passwords go from files through psql to the server, never onto a command line, and a failed statement is not logged.
# There is no role for restores: they need a superuser, for as long as the restore lasts.
set -eu

secrets=${ATLAS_SECRETS:-/run/secrets}
for name in atlas_database_password atlas_backup_password atlas_monitor_password; do
    if [ ! -s "$secrets/$name" ]; then
        echo "10-atlas.sh: the secret $secrets/$name is missing or empty: \`make docker-up\` generates it" >&2
        exit 1
    fi
done
export secrets

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
SET password_encryption = 'scram-sha-256';
\set owner `cat "$secrets/atlas_database_password"`
\set backup `cat "$secrets/atlas_backup_password"`
\set monitor `cat "$secrets/atlas_monitor_password"`

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['atlas_owner', 'atlas_analyst', 'atlas_backup', 'atlas_monitor']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE atlas_owner PASSWORD :'owner';
ALTER ROLE atlas_backup PASSWORD :'backup';
ALTER ROLE atlas_monitor PASSWORD :'monitor';
GRANT pg_read_all_data TO atlas_backup;
GRANT pg_monitor TO atlas_monitor;

SELECT format('CREATE DATABASE %I OWNER atlas_owner', name)
FROM unnest(ARRAY['atlas', 'dagster']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
REVOKE CONNECT ON DATABASE atlas, dagster FROM PUBLIC;
GRANT CONNECT ON DATABASE atlas TO atlas_analyst, atlas_backup, atlas_monitor;
GRANT CONNECT ON DATABASE dagster TO atlas_backup, atlas_monitor;

ALTER ROLE atlas_analyst CONNECTION LIMIT 30;
ALTER ROLE atlas_analyst SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE atlas_analyst SET statement_timeout = '30min';
ALTER ROLE atlas_analyst SET temp_file_limit = '10GB';
SQL

for database in atlas dagster; do
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname="$database" <<'SQL'
-- Readers cannot stop a backup or the pipeline: no large objects, no locks that others wait for, no temporary tables.
DO $$
DECLARE called regprocedure;
BEGIN
    FOR called IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '^(lo_(create|creat|from_bytea)|pg_(try_)?advisory_(xact_)?(lock|unlock)(_shared|_all)?)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', called);
        IF called::text ~ 'advisory' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO atlas_owner, atlas_backup', called);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
SQL
done
