-- Atlas's own tables. The schemas of the layers are made by bootstrap.py, their tables by the datasets.
CREATE SCHEMA IF NOT EXISTS atlas;

CREATE TABLE IF NOT EXISTS atlas.setup (
    version integer PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT now()
);

-- The ledger: one row for each file, or extract of a source table, that was ever looked at.
CREATE TABLE IF NOT EXISTS atlas.files (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    partition text,
    uri text NOT NULL,
    version text NOT NULL,              -- size and change time, or ETag: tells a known file without reading it
    sha256 text,                        -- of the bytes as they lie in the source
    bytes bigint NOT NULL DEFAULT 0,
    status text NOT NULL CHECK (status IN ('loaded', 'duplicate', 'refused')),
    rule text,                          -- why it was refused
    reason text,
    rows bigint NOT NULL DEFAULT 0,     -- records loaded into bronze
    rejected bigint NOT NULL DEFAULT 0, -- lines that are no records, kept in atlas.rejected_lines
    columns text[] NOT NULL DEFAULT '{}',
    batch text NOT NULL,                -- the run that loaded it
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    silver_at timestamptz               -- when its rows were first published in silver
);
CREATE UNIQUE INDEX IF NOT EXISTS files_content ON atlas.files (dataset, sha256) WHERE status = 'loaded';
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
