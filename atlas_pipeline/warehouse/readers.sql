-- What readers may not do in a database. Run by a superuser in each; roles' limits are in reader_limits.sql.
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
