-- Atlas's own tables. The schemas of the layers are made by bootstrap.py, their tables by the datasets.
CREATE SCHEMA IF NOT EXISTS atlas;

CREATE TABLE IF NOT EXISTS atlas.setup (
    version integer PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT now()
);

-- Which installation this is. With the server's system identifier it tells whose backups are whose.
CREATE TABLE IF NOT EXISTS atlas.installation (id uuid NOT NULL);
INSERT INTO atlas.installation
SELECT gen_random_uuid()
WHERE NOT EXISTS (SELECT FROM atlas.installation);

-- The ledger: one row for each file, or extract of a source table, that was ever looked at.
CREATE TABLE IF NOT EXISTS atlas.files (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    partition text,
    uri text NOT NULL,
    version text NOT NULL,              -- size and change time, or ETag: tells a known file without reading it
    sha256 text,                        -- of the bytes as they lie in the source
    bytes bigint NOT NULL DEFAULT 0,
    status text NOT NULL CHECK (status IN ('loaded', 'duplicate', 'refused', 'forgotten')),
    rule text,                          -- why it was refused
    reason text,
    rows bigint NOT NULL DEFAULT 0,     -- records loaded into bronze
    rejected bigint NOT NULL DEFAULT 0, -- lines that are no records, kept in atlas.rejected_lines
    columns text[] NOT NULL DEFAULT '{}',
    batch text NOT NULL,                -- the run that loaded it
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    silver_at timestamptz               -- when its rows were first published in silver
);
-- Versions of a file: a newer one supersedes those before it. `options` is the fingerprint of how it was read, null
-- when loaded before that was recorded. Altered only where needed, since altering waits for everyone who reads the
-- table.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.files'::regclass AND attname = 'superseded_by'
    ) THEN
        ALTER TABLE atlas.files
            ADD COLUMN options text,
            ADD COLUMN superseded_by bigint,    -- the entry that took its place
            ADD COLUMN superseded_at timestamptz,
            DROP CONSTRAINT files_status_check,
            ADD CONSTRAINT files_status_check CHECK (status IN ('loaded', 'duplicate', 'refused', 'forgotten'));
        DROP INDEX IF EXISTS atlas.files_content;
    END IF;
END $$;
-- The order of files. `position` is the entry in whose place this one stands, null for its own: a corrected file stays
-- where it was. `history_at` is when its rows were first published in a table of history.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'atlas.files'::regclass AND attname = 'position') THEN
        ALTER TABLE atlas.files ADD COLUMN position bigint, ADD COLUMN history_at timestamptz;
    END IF;
END $$;
-- What values its rows have in bronze: the sum of their hashes, null when loaded before that was noted.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'atlas.files'::regclass AND attname = 'digest') THEN
        ALTER TABLE atlas.files ADD COLUMN digest numeric;
    END IF;
END $$;
CREATE INDEX IF NOT EXISTS files_sha256 ON atlas.files (dataset, sha256) WHERE status = 'loaded';
CREATE INDEX IF NOT EXISTS files_uri ON atlas.files (dataset, uri);

-- What readers see: one row for each table that was ever published, updated in the transaction that publishes it.
CREATE TABLE IF NOT EXISTS atlas.publications (
    layer text NOT NULL,
    name text NOT NULL,
    rows bigint NOT NULL,
    quarantined bigint NOT NULL,
    definition text NOT NULL,           -- hash of what the table was built by; another one means a full rebuild
    batch text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (layer, name)
);
-- Rows that gave way to a later one of their key; null when published before this was counted. Altered only where it is
-- missing, since altering waits for everyone who reads the table.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.publications'::regclass AND attname = 'duplicates'
    ) THEN
        ALTER TABLE atlas.publications ADD COLUMN IF NOT EXISTS duplicates bigint;
    END IF;
END $$;

-- Each publication has a number greater than those before it; a gold table keeps the numbers of the tables it read, so
-- that it is due when one of them has another. `reads` is null for silver, and for gold that was built before this was
-- recorded.
CREATE SEQUENCE IF NOT EXISTS atlas.publication_versions;
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.publications'::regclass AND attname = 'version'
    ) THEN
        ALTER TABLE atlas.publications
            ADD COLUMN version bigint NOT NULL DEFAULT nextval('atlas.publication_versions'),
            ADD COLUMN reads jsonb;
    END IF;
END $$;

-- What is new in a table: `anew` is the number of the publication that it was last built anew with, since when rows
-- were put into it, and `silver_version` of a file that of the publication its rows came with. Null where published
-- before this was recorded.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.publications'::regclass AND attname = 'anew'
    ) THEN
        ALTER TABLE atlas.publications ADD COLUMN anew bigint;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.files'::regclass AND attname = 'silver_version'
    ) THEN
        ALTER TABLE atlas.files ADD COLUMN silver_version bigint;
    END IF;
END $$;

-- All publications, so that it can be said since when a table is newer than what was made from it.
CREATE TABLE IF NOT EXISTS atlas.publication_history (
    layer text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL,
    rows bigint NOT NULL,
    batch text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (layer, name, version)
);

-- Gold tables that a run was asked for: what it was to bring, how often it was asked for, and when last.
CREATE TABLE IF NOT EXISTS atlas.gold_requests (
    name text PRIMARY KEY,
    wanted text NOT NULL,               -- hash of the definition and of the versions to read
    times int NOT NULL,
    asked_at timestamptz NOT NULL
);

-- Lines that a reader could not take as records, as they were.
CREATE TABLE IF NOT EXISTS atlas.rejected_lines (
    dataset text NOT NULL,
    file_id bigint NOT NULL REFERENCES atlas.files,
    line bigint NOT NULL,
    raw bytea NOT NULL,
    PRIMARY KEY (file_id, line)
);

-- What was decided about personal data in each column of each published table, and on what evidence: counts, no values.
CREATE TABLE IF NOT EXISTS atlas.column_plans (
    layer text NOT NULL,
    name text NOT NULL,
    position int NOT NULL,
    column_name text NOT NULL,
    class text NOT NULL CHECK (class IN ('typed', 'free_text', 'clean', 'uncertain')),
    entity text,                        -- kind of personal data
    confidence real NOT NULL,
    evidence jsonb NOT NULL,
    action text NOT NULL,
    key_domain text NOT NULL,           -- names the key of hash and encrypt
    declared boolean NOT NULL,          -- by a person, in YAML
    rules text NOT NULL,                -- hash of the recognisers that found it
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (layer, name, column_name)
);
-- Version of the canonical forms that the column's tokens are made of; 1 before there was another.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.column_plans'::regclass AND attname = 'form'
    ) THEN
        ALTER TABLE atlas.column_plans ADD COLUMN IF NOT EXISTS form int NOT NULL DEFAULT 1;
    END IF;
END $$;
-- Version of the recognisers that the column was planned with; 1 before there was another.
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'atlas.column_plans'::regclass AND attname = 'recognisers'
    ) THEN
        ALTER TABLE atlas.column_plans ADD COLUMN IF NOT EXISTS recognisers int NOT NULL DEFAULT 1;
    END IF;
END $$;

-- What was measured of how well persons are hidden in a table, each time: numbers, no values of rows.
CREATE TABLE IF NOT EXISTS atlas.privacy_measures (
    layer text NOT NULL,
    name text NOT NULL,
    measure text NOT NULL,              -- the check that measured it
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run text NOT NULL,
    passed boolean NOT NULL,
    published boolean NOT NULL,         -- whether readers see what was measured
    numbers jsonb NOT NULL,
    PRIMARY KEY (layer, name, measure, measured_at)
);
-- How many persons were in each group of a gold table when it was last published; `key` is a hash of the group's keys.
-- Nobody but the pipeline reads it.
CREATE TABLE IF NOT EXISTS atlas.group_counts (
    name text NOT NULL,
    key bigint NOT NULL,
    persons bigint NOT NULL,
    PRIMARY KEY (name, key)
);

-- Which columns of silver hold the same values: the smallest keyed hashes of each column's values, no values.
-- Nobody but the pipeline reads it.
CREATE TABLE IF NOT EXISTS atlas.join_sketches (
    name text NOT NULL,
    column_name text NOT NULL,
    key text NOT NULL,                  -- id of the key; hashes of different keys do not compare
    counters boolean NOT NULL,          -- most values are small numbers
    sketch bigint[] NOT NULL,
    PRIMARY KEY (name, column_name)
);
CREATE INDEX IF NOT EXISTS join_sketches_sketch ON atlas.join_sketches USING gin (sketch);

-- How good each table was each time its checks were evaluated: one row for each dimension that has checks, and one for
-- all of them. A run that is retried keeps its id, so that one run may have several times.
CREATE TABLE IF NOT EXISTS atlas.quality_scores (
    layer text NOT NULL,
    name text NOT NULL,
    run text NOT NULL,
    measured_at timestamptz NOT NULL,
    published boolean NOT NULL,         -- whether readers see the rows that were measured
    dimension text NOT NULL,            -- one of the six, or overall
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    checks int NOT NULL,
    failed int NOT NULL,                -- checks that did not pass, warnings too
    PRIMARY KEY (layer, name, measured_at, run, dimension)
);
CREATE INDEX IF NOT EXISTS quality_scores_newest ON atlas.quality_scores (layer, name, measured_at DESC, run)
WHERE dimension = 'overall';

-- What came of each check each time: counts and words of the contract, no values of rows.
CREATE TABLE IF NOT EXISTS atlas.check_outcomes (
    layer text NOT NULL,
    name text NOT NULL,
    run text NOT NULL,
    measured_at timestamptz NOT NULL,
    path text NOT NULL,                 -- the check's place in the contract
    title text NOT NULL,
    dimension text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('error', 'warn')),
    status text NOT NULL CHECK (status IN ('passed', 'warned', 'failed', 'not evaluated')),
    measured double precision,          -- what was compared with the threshold
    threshold text NOT NULL,
    rows_tested bigint,                 -- null when the check is not about single rows
    rows_failed bigint,
    problem text,
    PRIMARY KEY (layer, name, measured_at, run, path)
);

-- What was counted of each published table for its contract, so that a merge counts only the rows that come and go.
-- Sums and outermost values are among the counts: nobody but the pipeline reads it.
CREATE TABLE IF NOT EXISTS atlas.check_counts (
    layer text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL,            -- the publication whose rows were counted
    counts jsonb NOT NULL,              -- by the hash of what is counted
    settings text NOT NULL,             -- of the session that counted, which conditions depend on
    carried int NOT NULL,               -- publications since all rows were counted
    counted_at timestamptz NOT NULL,    -- when all rows were
    PRIMARY KEY (layer, name)
);

-- What was measured of each publication, to compare the next one with: numbers about many rows, no values.
CREATE TABLE IF NOT EXISTS atlas.table_measures (
    layer text NOT NULL,
    name text NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run text NOT NULL,
    scope text NOT NULL,                -- what was measured: new rows, or the whole table
    about timestamptz NOT NULL,         -- the day that its rows are of
    numbers jsonb NOT NULL,
    PRIMARY KEY (layer, name, measured_at)
);

-- Alerting. Where it is in Dagster's event log, and what it remembers of runs and of channels; one row.
CREATE TABLE IF NOT EXISTS atlas.alert_cursor (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL,           -- all events up to this id were read
    recent bigint[] NOT NULL,           -- ids after it that were read: an id may become visible after a greater one
    memory jsonb NOT NULL,
    saves bigint NOT NULL,              -- how often it was moved: who saves says what it had loaded
    moved_at timestamptz NOT NULL
);

-- Each alert that lasts, and those that ended not long ago: names and counts, no values of rows.
CREATE TABLE IF NOT EXISTS atlas.alerts (
    policy text NOT NULL,
    subject text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'firing', 'resolved')),
    severity text NOT NULL,
    since timestamptz NOT NULL,
    resolved_at timestamptz,
    document jsonb NOT NULL,
    PRIMARY KEY (policy, subject)
);

CREATE TABLE IF NOT EXISTS atlas.alert_silences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    selection text NOT NULL,
    until timestamptz NOT NULL,
    why text NOT NULL,
    by text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The outbox: written in the transaction that moves the cursor, sent afterwards, in order for each channel.
CREATE TABLE IF NOT EXISTS atlas.alert_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text NOT NULL,
    dedupe text NOT NULL,
    document jsonb NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts int NOT NULL DEFAULT 0,
    sending_at timestamptz,             -- set before it is sent, cleared when its answer is known
    maybe_sent boolean NOT NULL DEFAULT false,  -- an attempt ended without an answer, or its process did
    next_at timestamptz,                -- not before this
    delivered_at timestamptz,
    given_up_at timestamptz,            -- the receiver will never take it, or its channel is gone
    problem text,
    UNIQUE (channel, dedupe)
);
CREATE INDEX IF NOT EXISTS alert_messages_waiting ON atlas.alert_messages (channel, id)
WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX IF NOT EXISTS alert_messages_over ON atlas.alert_messages (coalesce(delivered_at, given_up_at));

-- Messages that were deleted from the outbox long after they were done with, so that their number never falls.
CREATE TABLE IF NOT EXISTS atlas.alert_messages_deleted (
    channel text PRIMARY KEY,
    delivered bigint NOT NULL,
    given_up bigint NOT NULL
);

-- The circuit breaker of each channel.
CREATE TABLE IF NOT EXISTS atlas.alert_channels (
    channel text PRIMARY KEY,
    failures int NOT NULL,              -- in a row
    open_until timestamptz,             -- nothing is sent before this
    problem text,
    changed_at timestamptz NOT NULL
);

-- Telemetry: totals of what was counted, beside the place up to which it was; written in one transaction.
CREATE TABLE IF NOT EXISTS atlas.telemetry_cursor (
    source text PRIMARY KEY,            -- events, or ticks
    position bigint NOT NULL,           -- all ids up to this one were counted
    recent bigint[] NOT NULL,           -- ids after it that were counted
    memory jsonb NOT NULL,              -- what is known of runs that have not ended
    moved_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS atlas.telemetry_totals (
    family text NOT NULL,
    labels jsonb NOT NULL,              -- values by name of label; buckets of a histogram have le
    value double precision NOT NULL,
    PRIMARY KEY (family, labels)
);

-- Connectors: where the next extract of a dataset begins. Moved in the transaction that loads an extract. Cursors are
-- values of the source, so nobody but the pipeline reads them.
CREATE TABLE IF NOT EXISTS atlas.connector_cursors (
    dataset text PRIMARY KEY,
    source text NOT NULL,               -- fingerprint of what is extracted
    extracts bigint NOT NULL,           -- that were loaded, of this source
    cursor text,                        -- state of the cursor as JSON
    columns jsonb NOT NULL,             -- kinds of values by name of column, as they were loaded
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- How extracting goes: counts and moments, and the circuit breaker of each connector.
CREATE TABLE IF NOT EXISTS atlas.connectors (
    dataset text PRIMARY KEY,
    kind text NOT NULL,
    extracts bigint NOT NULL DEFAULT 0, -- that were made
    failed bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0, -- requests, connections or statements
    retries bigint NOT NULL DEFAULT 0,
    seconds double precision NOT NULL DEFAULT 0,
    last_seconds double precision,
    failures int NOT NULL DEFAULT 0,    -- in a row
    open_until timestamptz,             -- the server is not asked before this
    problem text,                       -- of the last attempt
    attempted_at timestamptz,
    succeeded_at timestamptz
);
