"""A condition in a declaration: what is taken, as what, and what is refused."""

import pytest

from atlas_pipeline.sql.conditions import ConditionError, read_condition

COLUMNS = {"op": "text", "deleted": "boolean", "at": "timestamp", "n": "integer", 'odd "x': "text", "doc": "json"}

TAKEN = {
    "deleted": '"deleted"',
    "at": '("at" IS NOT NULL)',
    "op = 'D'": "(\"op\" = 'D')",
    "OP in ('D', 'd') or at is not null": "((\"op\" IN ('D', 'd')) OR (\"at\" IS NOT NULL))",
    "op not in ('a')": "(NOT (\"op\" IN ('a')))",
    "op not like 'x%'": "(\"op\" NOT LIKE 'x%')",
    "not deleted": '(NOT "deleted")',
    "deleted is not true": '(NOT ("deleted" IS TRUE))',
    "n between 1 and 3": '("n" BETWEEN 1 AND 3)',
    "n = -1": '("n" = -1)',
    "at > '2024-01-01'::date": "(\"at\" > '2024-01-01'::date)",
    "op is not distinct from 'D'": "(\"op\" IS NOT DISTINCT FROM 'D')",
    "lower(op) like 'd%' and length(op) > 3": '((lower("op") LIKE \'d%\') AND (length("op") > 3))',
    "coalesce(op, 'x') = 'D'": "(coalesce(\"op\", 'x') = 'D')",
    "op = 'it''s'": "(\"op\" = 'it''s')",
    '"odd ""x" = \'y\'': '("odd ""x" = \'y\')',
    "op = '%s {} $1' -- a comment": "(\"op\" = '%s {} $1')",
}

REFUSED = [
    *("op", "n", "", "true", "1 = 1", "nope = 'x'", "n + 1", "n / 0 = 1", "op || 'x' = 'y'"),
    *("op = 1", "n = 'x'", "n = 'NaN'", "deleted = 1", "lower(n) = 'x'", "n like 'x'"),
    *("(select 1) = 1", "exists(select 1)", "op in (select 1)", "op = any(array['x'])", "n <= all(array[1])"),
    *("op = 'a'; drop table x", "drop table x", "select 1", "op = 'D' union select 1", "op = 'D') or (true"),
    *("pg_sleep(1) is null", "now() > at", "current_user = 'x'", "coalesce(at, now()) is null", "nextval('s') = 1"),
    *("op::int = 1", "cast(op as date) is null", "op = 'D' collate \"C\"", "op ~ 'x'", "op similar to 'x'"),
    *("op like 'x' escape '!'", "n between symmetric 1 and 2", "trim(both 'x' from op) = 'D'", "length(op, 'x') = 1"),
    *("op = E'a\\'b'", "op = $$x$$", "op = U&'\\0041'", "op = 'D' /* x", "op = 'unclosed", "op = 'a\0b'"),
    *("x.op = 'D'", "$1 = op", ":x = op", "%s = op", "op[1] = 'x'", "(op, n) = ('D', 1)", "array[op] is null"),
    *(
        "count(op) over () = 1",
        "lower(op) filter (where true) = 'x'",
        "case when true then true end",
        "doc -> 'a' = '1'",
    ),
    *("(" * 900 + "op = 'D'" + ")" * 900, "op = '" + "x" * 3_000 + "'", "not " * 400 + "deleted"),
]


@pytest.mark.parametrize(("text", "written"), TAKEN.items(), ids=range(len(TAKEN)))
def test_what_is_taken_is_written_anew(text: str, written: str) -> None:
    assert read_condition(text, COLUMNS).sql == written


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_could_be_more_than_a_condition_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        read_condition(text, COLUMNS)


def test_it_says_which_columns_are_read() -> None:
    assert read_condition("op = 'D' or (n > 1 and op is null)", COLUMNS).columns == ("op", "n")
