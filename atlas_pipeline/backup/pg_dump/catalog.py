"""What the catalogs of a database say about it: the queries.

Belongs here: SQL over pg_catalog. Does not belong here: what is made of the answers (`state.py`, `roles.py`).

Each query of OBJECTS gives rows of name, owner, access list, the access list that is the default, and a definition.
Members of extensions come with their extension and are left out, as pg_dump leaves them out.
"""

# ruff: noqa: S608 — all that is put into these queries is in this file.

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NO_ACCESS = "NULL, NULL::text[], NULL::text[]"


def _own(catalog: str, row: str) -> str:
    """A condition: the object is not a member of an extension."""
    member = f"e.classid = '{catalog}'::regclass AND e.objid = {row}.oid AND e.deptype = 'e'"
    return f"NOT EXISTS (SELECT FROM pg_depend e WHERE {member})"


def _access(kind: str, owner: str, acl: str) -> str:
    return f"pg_get_userbyid({owner}), {acl}::text[], acldefault({kind}, {owner})::text[]"


def _sorted(array: str) -> str:
    return f"(SELECT string_agg(i::text, ',' ORDER BY i::text COLLATE \"C\") FROM unnest({array}) i)"


_DUMPED_INDEX = "(i.indisready AND (i.indisvalid OR c.relkind = 'p'))"
_MAPPING = """format('user mapping for %s on server %I',
    CASE WHEN u.umuser = 0 THEN 'public' ELSE quote_ident(u.usename) END, u.srvname)"""
_SUPERUSER = "(SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)"
_COLUMNS = f"""(
    SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        (SELECT quote_ident(l.collname) FROM pg_collation l WHERE l.oid = a.attcollation),
        CASE WHEN a.attnotnull THEN 'not null' END, 'i' || a.attidentity::text, 'g' || a.attgenerated::text,
        pg_get_expr(d.adbin, d.adrelid), a.attstorage, 'c' || a.attcompression::text, nullif(a.attstattarget, -1),
        a.attoptions::text, a.attfdwoptions::text, {_sorted("a.attacl")}
    ), E'\\n' ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"""

_RELATION = f"""concat_ws(E'\\n',
    c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispopulated,
    (SELECT amname FROM pg_am WHERE oid = c.relam), (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
    {_sorted("c.reloptions")}, (SELECT {_sorted("t.reloptions")} FROM pg_class t WHERE t.oid = c.reltoastrelid),
    CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
    pg_get_expr(c.relpartbound, c.oid), CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
    (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i
     WHERE i.inhrelid = c.oid),
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
    (SELECT concat_ws(' ', s.srvname, f.ftoptions::text) FROM pg_foreign_table f
     JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid),
    (SELECT concat_ws(' ', format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmax, q.seqmin, q.seqcache,
                      q.seqcycle) FROM pg_sequence q WHERE q.seqrelid = c.oid),
    (SELECT string_agg(d.refobjid::regclass::text || '.' || a.attname, ',') FROM pg_depend d
     JOIN pg_attribute a ON (a.attrelid, a.attnum) = (d.refobjid, d.refobjsubid)
     WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
       AND d.refclassid = 'pg_class'::regclass),
    CASE WHEN c.relkind <> 'S' THEN {_COLUMNS} END)"""

_KIND = """CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
    WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence'
    ELSE 'composite type' END"""
_ACL_KIND = """(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char\""""

_TABLE = "JOIN pg_class c ON c.oid = {} JOIN pg_namespace n ON n.oid = c.relnamespace"

OBJECTS = {
    "schemas": f"""
        SELECT format('schema %I', n.nspname), {_access("'n'", "n.nspowner", "n.nspacl")}, ''
        FROM pg_namespace n WHERE {_OURS} AND {_own("pg_namespace", "n")}""",
    "relations": f"""
        SELECT {_KIND} || format(' %I.%I', n.nspname, c.relname), {_access(_ACL_KIND, "c.relowner", "c.relacl")},
               {_RELATION}
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND {_OURS}
          AND {_own("pg_class", "c")}""",
    "indexes": f"""
        SELECT format('index %I.%I', n.nspname, x.relname), {_NO_ACCESS},
               concat_ws(E'\\n', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident,
                         (SELECT spcname FROM pg_tablespace WHERE oid = x.reltablespace),
                         (SELECT string_agg(concat(a.attnum, ' ', nullif(a.attstattarget, -1)), ',' ORDER BY a.attnum)
                          FROM pg_attribute a WHERE a.attrelid = x.oid))
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid {_TABLE.format("i.indrelid")}
        WHERE {_OURS} AND {_own("pg_class", "c")} AND {_DUMPED_INDEX}""",
    "constraints": f"""
        SELECT format('constraint %I on %s', k.conname, CASE WHEN k.contypid <> 0 THEN format_type(k.contypid, NULL)
                      ELSE format('%I.%I', n.nspname, c.relname) END), {_NO_ACCESS},
               concat_ws(E'\\n', pg_get_constraintdef(k.oid), k.convalidated)
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
        LEFT JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.contype NOT IN ('n', 't') AND {_OURS} AND {_own("pg_constraint", "k")}
          AND {_own("pg_class", "c")}""",
    "triggers": f"""
        SELECT format('trigger %I on %I.%I', t.tgname, n.nspname, c.relname), {_NO_ACCESS},
               concat_ws(E'\\n', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger t {_TABLE.format("t.tgrelid")}
        WHERE NOT t.tgisinternal AND {_OURS} AND {_own("pg_trigger", "t")} AND {_own("pg_class", "c")}""",
    "rules": f"""
        SELECT format('rule %I on %I.%I', r.rulename, n.nspname, c.relname), {_NO_ACCESS},
               concat_ws(E'\\n', pg_get_ruledef(r.oid), r.ev_enabled)
        FROM pg_rewrite r {_TABLE.format("r.ev_class")}
        WHERE r.rulename <> '_RETURN' AND {_OURS} AND {_own("pg_rewrite", "r")} AND {_own("pg_class", "c")}""",
    "policies": f"""
        SELECT format('policy %I on %I.%I', p.polname, n.nspname, c.relname), {_NO_ACCESS},
               concat_ws(E'\\n', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                         pg_get_expr(p.polwithcheck, p.polrelid),
                         {
        _sorted("ARRAY(SELECT CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END FROM unnest(p.polroles) r)")
    })
        FROM pg_policy p {_TABLE.format("p.polrelid")} WHERE {_OURS}""",
    "statistics": f"""
        SELECT format('statistics %I.%I', n.nspname, s.stxname), pg_get_userbyid(s.stxowner), NULL::text[],
               NULL::text[], pg_get_statisticsobjdef(s.oid)
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {_OURS}""",
    "functions": f"""
        SELECT format('function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
               {_access("'f'", "p.proowner", "p.proacl")},
               CASE WHEN p.prokind = 'a' THEN
                    (SELECT concat_ws(' ', g.aggtransfn, g.aggfinalfn, format_type(g.aggtranstype, NULL), g.agginitval)
                     FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
               ELSE pg_get_functiondef(p.oid) END
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE {_OURS} AND {_own("pg_proc", "p")}
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.deptype = 'i')""",
    "types": f"""
        SELECT format('type %I.%I', n.nspname, t.typname), {_access("'T'", "t.typowner", "t.typacl")},
               concat_ws(E'\\n', t.typtype,
                    (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e
                     WHERE e.enumtypid = t.oid),
                    CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                         t.typnotnull, t.typdefault, t.typcollation::regcollation) END,
                    (SELECT concat_ws(' ', format_type(r.rngsubtype, NULL), format_type(r.rngmultitypid, NULL),
                                      r.rngcanonical, r.rngsubdiff) FROM pg_range r WHERE r.rngtypid = t.oid),
                    CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typinput, t.typoutput, t.typlen, t.typalign) END)
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('b', 'd', 'e', 'r', 'p') AND t.typelem = 0 AND {_OURS} AND {_own("pg_type", "t")}""",
    "default access": """
        SELECT format('default privileges of %I %s %s', pg_get_userbyid(a.defaclrole), a.defaclobjtype,
                      coalesce(quote_ident(n.nspname), '')), NULL, a.defaclacl::text[], NULL::text[], ''
        FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace""",
    "comments": """
        SELECT 'comment on ' || o.type || ' ' || o.identity, NULL, NULL::text[], NULL::text[], d.description
        FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) o
        WHERE (d.objoid >= 16384 OR o.type = 'schema' AND o.identity = 'public') AND o.identity IS NOT NULL
          AND coalesce(o.schema, '') !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_depend e
              WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')
          AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
              WHERE d.classoid = 'pg_class'::regclass AND i.indexrelid = d.objoid AND NOT {dumped})""".replace(
        "{dumped}", _DUMPED_INDEX
    ),
    "labels": """
        SELECT format('security label of %s on %s %s', l.provider, l.objtype, l.objname), NULL, NULL::text[],
               NULL::text[], l.label
        FROM pg_seclabels l WHERE l.objtype NOT IN ('role', 'database', 'tablespace')""",
    "event triggers": """
        SELECT format('event trigger %I', t.evtname), pg_get_userbyid(t.evtowner), NULL::text[], NULL::text[],
               concat_ws(' ', t.evtevent, t.evtfoid::regproc, t.evtenabled, t.evttags::text)
        FROM pg_event_trigger t""",
    "foreign servers": f"""
        SELECT format('server %I', s.srvname), {_access("'S'", "s.srvowner", "s.srvacl")},
               concat_ws(' ', s.srvtype, s.srvversion, s.srvoptions::text,
                    (SELECT string_agg(u.usename, ',' ORDER BY u.usename::text COLLATE "C") FROM pg_user_mappings u
                     WHERE u.srvid = s.oid))
        FROM pg_foreign_server s""",
    "user mappings": f"""
        SELECT {_MAPPING}, NULL, NULL::text[], NULL::text[], {_sorted("u.umoptions")} FROM pg_user_mappings u""",
    "subscriptions": f"""
        SELECT format('subscription %I', s.subname), pg_get_userbyid(s.subowner), NULL::text[], NULL::text[],
               {_sorted("s.subpublications")}
        FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
        WHERE d.datname = current_database() AND {_SUPERUSER}""",
}
SINCE_FORMAT_2 = ("user mapping ", "subscription ")
"""Beginnings of names in OBJECTS that manifests of format 1 do not have."""

UNRESTORABLE = f"""
SELECT format('index %I.%I is not valid: REINDEX INDEX or DROP INDEX', n.nspname, x.relname)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid {_TABLE.format("i.indrelid")}
WHERE {_OURS} AND {_own("pg_class", "c")} AND NOT {_DUMPED_INDEX}
UNION ALL
SELECT format('comment on %s %s: it is of an extension', o.type, o.identity)
FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) o
WHERE d.objoid >= 16384 AND EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid
      AND e.deptype = 'e' AND e.xmin <> d.xmin)
UNION ALL
SELECT format('%s %I on %I.%I: the table is of an extension', own.kind, own.name, n.nspname, c.relname)
FROM (SELECT 'trigger', t.tgname, t.tgrelid, 'pg_trigger'::regclass, t.oid FROM pg_trigger t WHERE NOT t.tgisinternal
      UNION ALL SELECT 'rule', r.rulename, r.ev_class, 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r
      WHERE r.rulename <> '_RETURN'
      UNION ALL SELECT 'index', x.relname, i.indrelid, 'pg_class'::regclass, x.oid
      FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
      UNION ALL SELECT 'constraint', k.conname, k.conrelid, 'pg_constraint'::regclass, k.oid FROM pg_constraint k
      WHERE k.conrelid <> 0) own (kind, name, relation, class, oid)
{_TABLE.format("own.relation")}
WHERE c.oid >= 16384 AND {_OURS} AND NOT {_own("pg_class", "c")} AND own.oid > (
      SELECT max(e.objid) FROM pg_depend e JOIN pg_depend m ON (m.refclassid, m.refobjid) = (e.refclassid, e.refobjid)
      WHERE e.deptype = 'e' AND m.deptype = 'e' AND m.classid = 'pg_class'::regclass AND m.objid = c.oid)
UNION ALL
SELECT format('subscription %I: only a superuser can back it up', s.subname)
FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
WHERE d.datname = current_database() AND NOT {_SUPERUSER}
UNION ALL
SELECT {_MAPPING} || ': only a superuser can back its options up'
FROM pg_user_mappings u WHERE NOT {_SUPERUSER} AND u.umoptions IS NULL
ORDER BY 1
"""
"""What is in the database and not in a dump, so that a restore lacks it. What the script of an extension did in the
transaction that made the member comes with the extension."""

# What is rarer is compared by name, owner and kind.
OBJECTS["others"] = (
    """
    SELECT o.type || ' ' || o.identity, {owner}, NULL::text[], NULL::text[], ''
    FROM (%s) listed (class, oid, owner), pg_identify_object(listed.class, listed.oid, 0) o
    WHERE listed.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = listed.class
          AND e.objid = listed.oid AND e.deptype IN ('e', 'i'))
""".replace("{owner}", "CASE WHEN listed.owner <> 0 THEN pg_get_userbyid(listed.owner) END")
    % "\n UNION ALL ".join(
        f"SELECT '{catalog}'::regclass::oid, oid, {owner} FROM {catalog}"
        for catalog, owner in {
            "pg_operator": "oprowner",
            "pg_opclass": "opcowner",
            "pg_opfamily": "opfowner",
            "pg_cast": "0::oid",
            "pg_collation": "collowner",
            "pg_conversion": "conowner",
            "pg_language": "lanowner",
            "pg_transform": "0::oid",
            "pg_am": "0::oid",
            "pg_ts_config": "cfgowner",
            "pg_ts_dict": "dictowner",
            "pg_ts_parser": "0::oid",
            "pg_ts_template": "0::oid",
            "pg_publication": "pubowner",
            "pg_foreign_data_wrapper": "fdwowner",
        }.items()
    )
)

TABLES = f"""
SELECT c.oid, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname), c.relkind = 'p',
       pg_table_is_visible(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_OURS}
  AND ({_own("pg_class", "c")}
       OR EXISTS (SELECT FROM pg_extension x, unnest(x.extconfig, x.extcondition) f (oid, condition)
                  WHERE f.oid = c.oid AND f.condition = ''))
ORDER BY c.relpages DESC, c.oid
"""
"""Tables whose rows a dump holds, the biggest first."""

COLUMNS = """
SELECT a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v' ORDER BY a.attnum
"""

SEQUENCES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {_OURS} AND {_own("pg_class", "c")} ORDER BY 1, 2
"""

EXTENSIONS = """
SELECT format('%I', e.extname), concat_ws(' ', e.extversion, n.nspname)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
"""

# Pages that hold nothing but zeros are as good as none: a copy writes out the holes.
LARGE_OBJECTS = """
SELECT (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT sum(hashtextextended(concat_ws(' ', m.oid, pg_get_userbyid(m.lomowner), {acl}), 0))
        FROM pg_largeobject_metadata m),
       (SELECT sum(hashint8extended(hash_record_extended(ROW(loid::int8, pageno, rtrim(data, '\\x00'::bytea)), 0), 0))
        FROM {pages} WHERE rtrim(data, '\\x00'::bytea) <> ''),
       (SELECT sum(hashint8extended(hash_record_extended(ROW(loid::int8, size), 0), 0))
        FROM (SELECT loid, max(pageno::int8 * 2048 + length(data)) size FROM {pages} GROUP BY loid) ends)
""".replace("{acl}", _sorted("m.lomacl"))
UNREADABLE_LARGE_OBJECTS = f"""
SELECT count(*) FROM pg_largeobject_metadata m
WHERE NOT {_SUPERUSER} AND NOT pg_has_role(m.lomowner, 'USAGE') AND NOT EXISTS (
      SELECT FROM aclexplode(m.lomacl) a
      WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
"""
PAGES = "pg_largeobject"
PAGES_OF_OTHERS = """(
    SELECT m.oid AS loid, p.pageno, lo_get(m.oid, p.pageno::int8 * 2048, 2048) AS data
    FROM pg_largeobject_metadata m, lo_lseek64(lo_open(m.oid, 262144), 0, 2) AS size,
         generate_series(0, ((size - 1) / 2048)::int) AS p (pageno) WHERE size > 0) pages"""
"""For roles that may not read the table of pages, but the objects."""

DATABASE = """
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       to_jsonb(d) ->> 'daticurules' AS icu_rules, d.datconnlimit::text AS connections,
       pg_get_userbyid(d.datdba) AS owner, d.datacl::text[] AS acl, acldefault('d', d.datdba)::text[] AS default_acl,
       shobj_description(d.oid, 'pg_database') AS comment
FROM pg_database d WHERE d.datname = current_database()
"""

CONFIGURATION = """
SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END, s.setconfig
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
"""

ROLES = """
WITH RECURSIVE here AS (
    SELECT s.refobjid AS oid FROM pg_shdepend s JOIN pg_database d ON d.datname = current_database()
    WHERE s.refclassid = 'pg_authid'::regclass
      AND (s.dbid = d.oid OR s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid)
    UNION SELECT datdba FROM pg_database WHERE datname = current_database()
    UNION SELECT relowner FROM pg_class WHERE oid >= 16384
    UNION SELECT nspowner FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'
    UNION SELECT proowner FROM pg_proc WHERE oid >= 16384
    UNION SELECT s.setrole FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database() AND s.setrole <> 0
    UNION SELECT m.roleid FROM pg_auth_members m JOIN here ON here.oid = m.member
)
SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
       r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
       (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0),
       (SELECT jsonb_agg(jsonb_build_array(g.rolname, m.admin_option, to_jsonb(m) -> 'inherit_option',
                                           to_jsonb(m) -> 'set_option') ORDER BY g.rolname, m.grantor)
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
FROM pg_roles r JOIN here ON here.oid = r.oid WHERE r.rolname !~ '^pg_' ORDER BY r.rolname
"""
