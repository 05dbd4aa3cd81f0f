-- A bit of everything that a database may hold. Run as a superuser; roles are {owner}, {reader} and {group}.
CREATE SCHEMA "we ird.ß ""x""" AUTHORIZATION {owner};
CREATE SCHEMA other;
CREATE EXTENSION vector SCHEMA other;
SET search_path = "we ird.ß ""x""", public, other;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s', 'größer');
CREATE DOMAIN positive AS numeric(10,2) DEFAULT 1 CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, "b c" text, f float8);
CREATE TYPE spans AS RANGE (subtype = float8);
CREATE TYPE shell_only;
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * i';
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    RETURN NEW;
END $$;
CREATE PROCEDURE "do it"(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE CAST (mood AS int) WITH INOUT;

CREATE TABLE kinds (
    id bigint GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 3) PRIMARY KEY,
    n numeric, f4 float4, f8 float8, t text, v varchar(20) CHECK (v IN ('a', 'b', '')), c char(5), "n""ame" name,
    b bytea, d date, ts timestamp, tz timestamptz, ti time, tt timetz, iv interval, u uuid, j json, jb jsonb,
    m mood, p positive, pr pair, sp spans, ia int[], ta text[], ma mood[], ip inet, mac macaddr, pt point, bo box,
    bit4 bit(4), vb varbit, q tsquery, tv tsvector, money money, oid oid, lsn pg_lsn, bool bool, e vector(3),
    r int4range, mr int4multirange, rc regclass, jp jsonpath, "char" "char",
    doubled int GENERATED ALWAYS AS (twice(length(t))) STORED,
    seen numeric GENERATED ALWAYS AS (n + 1) VIRTUAL
);
INSERT INTO kinds (n, f4, f8, t, v, c, "n""ame", b, d, ts, tz, ti, tt, iv, u, j, jb, m, p, pr, sp, ia, ta, ma, ip,
    mac, pt, bo, bit4, vb, q, tv, money, oid, lsn, bool, e, r, mr, rc, jp, "char")
VALUES
('NaN', 'NaN', '-Infinity', E'tab\t nl\n back\\slash NULL \\N ß 漢字 ''quote''', 'a', 'x', 'n', '\x00ff00', '4714-11-24 BC',
 '0044-03-15 12:00:00.123456 BC', '0044-03-15 12:00:00+00 BC', '24:00', '12:00+05:30', '1 mon -30 days 00:00:01', gen_random_uuid(),
 '{"b": 1,  "a": [1, 1.00]}', '{"b": 1.00, "a": null}', 'it''s', 2.50, '(1,"a, ""b""",NaN)', '[1.5,2.25)',
 '{{1,NULL},{3,4}}', '[5:6]={"a b",NULL}', '{sad,größer}', '10.0.0.1/8', '08:00:2b:01:02:03', '(1e-10,-0)', '(1,2),(3,4)',
 '1010', '1', 'a & b:*', 'a:1 b:2A', 12.34, 4000000000, '16/B374D848', true, '[1,2.5,-3]', '[1,5)', '{[1,2),[4,5)}',
 'kinds', '$.a[*] ? (@ > 1)', E'\001'),
('Infinity', '-0', '-0', '', '', '', '', '', 'infinity', '-infinity', 'infinity', '00:00', '00:00-15:59', '-1 year', NULL,
 'null', 'null', 'sad', 0.01, '(,,)', 'empty', '{}', '{""}', '{}', '::1', NULL, NULL, NULL, NULL, '', NULL, '',
 -1, 0, '0/0', false, NULL, 'empty', '{}', 'pg_class', NULL, ''),
(1.10, 1e-45, 5e-324, 'e', 'b', 'a b', NULL, NULL, '2024-02-29', '2024-02-29', now(), now(), now(), '30 days', NULL,
 NULL, '[1e2, "\u00df"]', NULL, NULL, NULL, NULL, '[0:0]={1}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
-- What is no number, in the form that a processor makes.
INSERT INTO kinds (f8) SELECT 'Infinity'::float8 - 'Infinity'::float8;
INSERT INTO kinds DEFAULT VALUES;

CREATE TABLE "Ta ble ""q"" ü" (
    "i d" serial PRIMARY KEY, kind bigint NOT NULL DEFAULT 5 REFERENCES kinds DEFERRABLE, "Text" text COLLATE plain,
    dropped int, at timestamptz DEFAULT now(), UNIQUE NULLS NOT DISTINCT ("Text", kind),
    EXCLUDE USING btree ("i d" WITH =)
);
ALTER TABLE "Ta ble ""q"" ü" DROP COLUMN dropped;
INSERT INTO "Ta ble ""q"" ü" (kind, "Text") SELECT 5, 'value ' || i FROM generate_series(1, 2000) i;
CREATE INDEX "in dex" ON "Ta ble ""q"" ü" (lower("Text")) INCLUDE (kind) WHERE "i d" > 3 AND "Text" IN ('a', 'b');
ALTER TABLE "Ta ble ""q"" ü" ALTER "Text" SET STATISTICS 50, ALTER "Text" SET STORAGE EXTERNAL, SET (fillfactor = 70);
ALTER TABLE "Ta ble ""q"" ü" ADD CONSTRAINT "not yet" CHECK (length("Text") > 1) NOT VALID;
CREATE TRIGGER "tri gger" BEFORE UPDATE ON "Ta ble ""q"" ü" FOR EACH ROW WHEN (OLD.kind > 1) EXECUTE FUNCTION noted();
ALTER TABLE "Ta ble ""q"" ü" ENABLE ALWAYS TRIGGER "tri gger", ENABLE ROW LEVEL SECURITY;
CREATE POLICY "po licy" ON "Ta ble ""q"" ü" FOR SELECT TO {reader} USING (kind = 5 AND "Text" IN ('a', 'b'));
CREATE STATISTICS both_of_them (dependencies) ON kind, "Text" FROM "Ta ble ""q"" ü";

CREATE TABLE parts (day date NOT NULL, n int, name varchar(30)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) PARTITION BY HASH (n);
CREATE TABLE parts_2_0 PARTITION OF parts_2 FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE parts_2_1 PARTITION OF parts_2 FOR VALUES WITH (modulus 2, remainder 1);
CREATE INDEX ON parts (day);
INSERT INTO parts SELECT date '2023-12-01' + i % 60, i, 'n' || i FROM generate_series(1, 5000) i;
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);
CREATE TABLE empty_columns ();
INSERT INTO empty_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE unlogged AS SELECT 1 a;
CREATE TABLE twin (a int, b int);
INSERT INTO twin VALUES (1, 2), (1, 2), (NULL, 3), (3, NULL);

CREATE VIEW "vi ew" WITH (security_barrier) AS
    SELECT k.*, t."Text" FROM kinds k JOIN "Ta ble ""q"" ü" t ON t.kind = k.id WHERE k.v IN ('a', 'b') AND (1 + 2) * 3 > 1;
CREATE RULE never AS ON DELETE TO "vi ew" DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW mat AS SELECT n, count(*) FROM parts GROUP BY n;
CREATE UNIQUE INDEX ON mat (n);
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 a WITH NO DATA;

CREATE SEQUENCE never_used START 7; CREATE SEQUENCE "us ed 'q'" AS smallint MINVALUE -5 CYCLE;
SELECT nextval('"us ed ''q''"'), setval('"us ed ''q''"', -3, true);

SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex')), lo_from_bytea(0, ''), lo_from_bytea(0, '\x0000');
SELECT lo_put(lo_create(4242), 10000, 'after a hole');
ALTER LARGE OBJECT 4242 OWNER TO {owner};
GRANT SELECT ON LARGE OBJECT 4242 TO {reader};

COMMENT ON SCHEMA other IS 'sch''ema';
COMMENT ON TABLE kinds IS E'comm\nent';
COMMENT ON COLUMN kinds.t IS 'column ß';
COMMENT ON CONSTRAINT "not yet" ON "Ta ble ""q"" ü" IS 'later';
COMMENT ON FUNCTION twice(int) IS 'f';

ALTER TABLE kinds OWNER TO {owner};
ALTER TABLE "Ta ble ""q"" ü" OWNER TO {owner};
ALTER FUNCTION twice OWNER TO {owner};
ALTER TYPE mood OWNER TO {owner};
GRANT USAGE ON SCHEMA "we ird.ß ""x""" TO {reader}, PUBLIC;
GRANT SELECT, UPDATE ("Text") ON "Ta ble ""q"" ü" TO {reader} WITH GRANT OPTION;
SET ROLE {reader};
GRANT SELECT ON "we ird.ß ""x"""."Ta ble ""q"" ü" TO {group};
RESET ROLE;
GRANT INSERT ON kinds TO PUBLIC;
GRANT USAGE ON SEQUENCE never_used TO {reader};
REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA other GRANT SELECT ON TABLES TO {reader};

CREATE FUNCTION "on ddl"() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER "ev ent" ON ddl_command_end EXECUTE FUNCTION "on ddl"();
COMMENT ON EVENT TRIGGER "ev ent" IS 'e';
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER "ser ver" FOREIGN DATA WRAPPER wrapper OPTIONS (host 'h');
CREATE USER MAPPING FOR {owner} SERVER "ser ver" OPTIONS (password 'secret');
CREATE FOREIGN TABLE far (a int OPTIONS (x 'y')) SERVER "ser ver" OPTIONS (t 'u');
CREATE PUBLICATION pub FOR TABLE twin;
CREATE TEXT SEARCH DICTIONARY dict (template = simple);
