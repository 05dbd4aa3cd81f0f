"""The leak check reads every type: a canary for each form in which personal data could be published."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from atlas_pipeline.pii.gold_audit import GoldAudit
from atlas_pipeline.pii.leaks import sweep_table
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.record import record_plans
from atlas_pipeline.pii.rules import Rules
from atlas_pipeline.sql.lineage import column_lineage, disguises, read_model
from atlas_pipeline.warehouse.embedded import SUPERUSER

MAIL, CARD, PHONE = "'zq.canary@mail.example'", "4111111111111111", "493023125016"
LEAKS = {
    "text": (f"{MAIL}::text", "EMAIL_ADDRESS"),
    "name": (f"{MAIL}::name", "EMAIL_ADDRESS"),
    "varchar[]": (f"ARRAY['x', {MAIL}]::varchar[]", "EMAIL_ADDRESS"),
    "text[][]": (f"ARRAY[ARRAY['x', {MAIL}]]", "EMAIL_ADDRESS"),
    "json": (f"json_build_object('a', {MAIL})", "EMAIL_ADDRESS"),
    "jsonb[]": (f"ARRAY[jsonb_build_object('a', {MAIL})]", "EMAIL_ADDRESS"),
    "bytea": (f"convert_to({MAIL}, 'UTF8')", "EMAIL_ADDRESS"),
    "bytea[]": (f"ARRAY[convert_to({MAIL}, 'UTF8')]", "EMAIL_ADDRESS"),
    "tsvector": (f"to_tsvector('simple', {MAIL})", "EMAIL_ADDRESS"),
    "composite": (f"ROW(1, {MAIL})::leak_pair", "EMAIL_ADDRESS"),
    "composite of bytea": (f"ROW(1, convert_to({MAIL}, 'UTF8'))::leak_raw", "EMAIL_ADDRESS"),
    "composite[]": (f"ARRAY[ROW(1, {MAIL})::leak_pair]", "EMAIL_ADDRESS"),
    "domain": (f"{MAIL}::leak_mail", "EMAIL_ADDRESS"),
    "range": (f"leak_span({MAIL}, NULL)", "EMAIL_ADDRESS"),
    "enum": (f"{MAIL}::leak_enum", "EMAIL_ADDRESS"),
    "base64": (f"encode(convert_to({MAIL}, 'UTF8'), 'base64')", "EMAIL_ADDRESS"),
    "hex": (f"encode(convert_to({MAIL}, 'UTF8'), 'hex')", "EMAIL_ADDRESS"),
    "inet": ("'203.0.113.7'::inet", "IP_ADDRESS"),
    "cidr": ("'203.0.113.7/32'::cidr", "IP_ADDRESS"),
    "macaddr": ("'8c:72:60:45:53:6c'::macaddr", "MAC_ADDRESS"),
    "bigint": (f"{CARD}::bigint", "CREDIT_CARD"),
    "numeric": (f"{CARD}.00::numeric(20, 2)", "CREDIT_CARD"),
    "double": (f"{CARD}::double precision", "CREDIT_CARD"),
    "money": (f"{CARD}::numeric::money", "CREDIT_CARD"),
    "bigint[]": (f"ARRAY[1, {CARD}::bigint]", "CREDIT_CARD"),
    "int8range": (f"int8range({CARD}, NULL)", "CREDIT_CARD"),
    "int8multirange": (f"int8multirange(int8range({CARD}, NULL))", "CREDIT_CARD"),
    "negative bigint": (f"-{CARD}::bigint", "CREDIT_CARD"),
    "negative numeric": (f"-{CARD}.50::numeric(20, 2) + 0.50", "CREDIT_CARD"),
    "numeric[]": (f"ARRAY[{CARD}.00::numeric(20, 2)]", "CREDIT_CARD"),
    "money[]": (f"ARRAY[{CARD}::numeric::money]", "CREDIT_CARD"),
    "numrange": (f"numrange({CARD}.00, NULL)", "CREDIT_CARD"),
    "composite of numeric": (f"ROW(1, {CARD}.00)::leak_amount", "CREDIT_CARD"),
    "jsonb of numeric": (f"jsonb_build_object('n', {CARD}.00)", "CREDIT_CARD"),
    "json of an escape": ("""'{"a": "zq.canary\\u0040mail.example"}'::json""", "EMAIL_ADDRESS"),
    "jsonpath": ("""'$."zq.canary@mail.example"'::jsonpath""", "EMAIL_ADDRESS"),
    "tsquery": (f"plainto_tsquery('simple', {MAIL})", "EMAIL_ADDRESS"),
    "range[]": (f"ARRAY[leak_span({MAIL}, NULL)]", "EMAIL_ADDRESS"),
    "base64 among others": (f"concat_ws(';', 'a', encode(convert_to({MAIL}, 'UTF8'), 'base64'))", "EMAIL_ADDRESS"),
    "base64 of several lines": (f"encode(convert_to(repeat('-', 50) || {MAIL}, 'UTF8'), 'base64')", "EMAIL_ADDRESS"),
    "base64 for URLs": (
        f"translate(encode(convert_to('~~' || {MAIL}, 'UTF8'), 'base64'), '+/=', '-_')",
        "EMAIL_ADDRESS",
    ),
    "hex in capitals": (f"upper(encode(convert_to({MAIL}, 'UTF8'), 'hex'))", "EMAIL_ADDRESS"),
    "entity": ("'zq.canary&#64;mail.example'", "EMAIL_ADDRESS"),
    "inet[]": ("ARRAY['203.0.113.7'::inet]", "IP_ADDRESS"),
    "register": (
        "(ARRAY['52998224725', '11144477735', '39053344705', '16899535009', '71428793860', '98765432100',"
        " '12345678909', '87748248800'])[n]",
        "NATIONAL_ID",
    ),
    "register beside its word": ("'cpf ' || 52998224725", "NATIONAL_ID"),
    "phone as bigint": (f"{PHONE}::bigint + n", "PHONE_NUMBER"),
}
TYPES = (
    "CREATE TYPE leak_pair AS (n int, v text)",
    "CREATE TYPE leak_raw AS (n int, v bytea)",
    "CREATE TYPE leak_amount AS (n int, v numeric(20, 2))",
    "CREATE DOMAIN leak_mail AS text",
    "CREATE TYPE leak_span AS RANGE (subtype = text)",
    f"CREATE TYPE leak_enum AS ENUM ({MAIL})",
)
OPAQUE = (
    "CREATE TYPE opaque",
    "CREATE FUNCTION opaque_in(cstring) RETURNS opaque AS 'textin' LANGUAGE internal IMMUTABLE STRICT",
    "CREATE FUNCTION opaque_out(opaque) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT",
    "CREATE TYPE opaque (INPUT = opaque_in, OUTPUT = opaque_out, LIKE = text)",
    "GRANT USAGE ON TYPE opaque TO PUBLIC",
)
HARMLESS = {
    "int": "n::int",
    "bigint": "n * 1000003::bigint",
    "numeric": "n * 1.25",
    "double": "n / 7.0::double precision",
    "money": "(n * 3)::money",
    "uuid": "md5(n::text)::uuid",
    "timestamptz": "now() + n * interval '1 day'",
    "date[]": "ARRAY[current_date + n::int]",
    "text[]": "ARRAY['a', n::text]",
    "bytea": "decode(md5(n::text), 'hex')",
    "tsvector": "to_tsvector('simple', 'row ' || n)",
    "int4range": "int4range(n::int, n::int + 5)",
    "digest": "md5(n::text)",
    "words": "'Warehouse' || n",
    "inet": "'10.0.0.0/24'::cidr",
    "jsonb": "jsonb_build_object('n', n)",
    "counter": "100000000000 + n * 7919",
    "negative": "-100000000000 - n * 7919",
    "path": "'/srv/reports/' || n || '/SomeRatherLongFileNameOfNobody'",
    "long word": "'Donaudampfschifffahrtsgesellschaft ' || n",
    "version": "'00 12 ' || n || '.4.1'",
}


@pytest.fixture
def types(warehouse: psycopg.Connection) -> psycopg.Connection:
    for statement in TYPES:
        warehouse.execute(statement)
    return warehouse


@pytest.mark.parametrize("name", LEAKS)
def test_personal_data_is_found_in_every_type(types: psycopg.Connection, name: str) -> None:
    expression, rule = LEAKS[name]
    types.execute(f"CREATE TABLE leaky AS SELECT {expression} AS c, true AS ok FROM generate_series(1, 8) AS n")
    report = sweep_table(types, "public", "leaky", {}, Rules())
    assert rule in report.found.get("c", {}), report
    assert "canary" not in str(report)


def test_what_is_nobodys_is_not_called_a_leak(types: psycopg.Connection) -> None:
    columns = ", ".join(f'{expression} AS "{name}"' for name, expression in HARMLESS.items())
    types.execute(f"CREATE TABLE plain AS SELECT {columns} FROM generate_series(1, 300) AS n")
    report = sweep_table(types, "public", "plain", {}, Rules())
    assert report.found == {}
    assert report.unreadable == {}
    assert report.rows == 300


def test_a_type_that_cannot_be_read_is_refused_unless_allowed(types: psycopg.Connection) -> None:
    info = types.info
    with psycopg.connect(host=info.host, dbname=info.dbname, user=SUPERUSER, autocommit=True) as superuser:
        for statement in OPAQUE:
            superuser.execute(statement)
    types.execute("CREATE TABLE closed (c opaque)")
    report = sweep_table(types, "public", "closed", {}, Rules())
    assert report.unreadable == {"c": "opaque"}
    assert not report.clean
    assert "cast it to text" in str(report)
    assert sweep_table(types, "public", "closed", {}, Rules(), allowed=["c"]).clean


PEOPLE = {
    "id": ColumnPlan("id", "clean", None, 0.9, {}, "keep"),
    "amount": ColumnPlan("amount", "clean", None, 0.9, {}, "keep"),
    "mailbox": ColumnPlan("mailbox", "clean", None, 0.9, {}, "keep"),
    "host": ColumnPlan("host", "clean", None, 0.9, {}, "keep"),
    "email": ColumnPlan("email", "typed", "EMAIL_ADDRESS", 1.0, {}, "hash", "EMAIL_ADDRESS"),
    "phone": ColumnPlan("phone", "typed", "PHONE_NUMBER", 1.0, {}, "mask"),
}


def audit(connection: psycopg.Connection, select: str, allowed: tuple[str, ...] = ()) -> GoldAudit:
    """The leak check of a model over silver.people, with nothing in its table."""
    record_plans(connection, "silver", "people", PEOPLE.values(), "rules")
    connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS public.made (c text)"))
    connection.commit()
    model = read_model(select, Path("gold/made/model.sql"))
    catalog = {("silver", "people"): list(PEOPLE)}
    lineage, hidden = column_lineage(model, catalog), disguises(model, catalog)
    made = GoldAudit(connection, "made", lineage, allowed, Rules(), hidden)
    made.passes("public", "made")
    return made


@pytest.mark.parametrize(
    "call",
    [
        "md5(mailbox || '@' || host)",
        "encode(sha256((mailbox || '@' || host)::bytea), 'hex')",
        "encode((mailbox || '@' || host)::bytea, 'base64')",
        "reverse(mailbox || '@' || host)",
        "translate(mailbox || '@' || host, '@', '#')",
        "md5(phone)",
        "to_hex(phone::bigint)",
        "upper(md5(concat_ws('@', mailbox, host)))",
        "md5(xmlelement(name a, mailbox || '@' || host)::text)",
        "md5(string_agg(mailbox || '@' || host, ','))",
        "crc32((mailbox || '@' || host)::bytea)",
        "replace(format('%s@%s', mailbox, host), '@', ' at ')",
        "overlay(mailbox || '@' || host placing 'x' from 1 for 1)",
        "regexp_replace(mailbox || '@' || host, '@', ' at ')",
        "array_to_string(string_to_array(mailbox || '@' || host, NULL), ' ')",
    ],
)
def test_a_persons_parts_behind_a_function_without_a_key_are_refused(warehouse: psycopg.Connection, call: str) -> None:
    select = f"SELECT id, {call} AS c FROM silver.people"
    refused = audit(warehouse, select)
    assert refused.problem is not None
    assert "'c' by " in refused.problem
    assert "action: hash" in refused.problem
    assert audit(warehouse, select, ("c",)).problem is None


def test_a_persons_parts_are_followed_through_queries(warehouse: psycopg.Connection) -> None:
    select = "WITH p AS (SELECT mailbox || '@' || host AS who FROM silver.people) SELECT md5('x@' || who) AS c FROM p"
    assert audit(warehouse, select).problem is not None


@pytest.mark.parametrize(
    "call",
    [
        "md5(id::text || '-' || amount::text)",
        "md5(email)",
        "md5(id::text)",
        "email",
        "replace(phone, '*', 'x')",
        "replace(id || ' ' || amount, ' ', '-')",
    ],
)
def test_keys_made_of_nobodys_columns_and_tokens_pass(warehouse: psycopg.Connection, call: str) -> None:
    assert audit(warehouse, f"SELECT {call} AS c FROM silver.people").problem is None
