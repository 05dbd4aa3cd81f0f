"""A JSON column stays JSON also when something in it is masked: from JSON Lines to silver."""

from typing import Any

import pytest

from atlas_pipeline.ingest.dataset import Column
from atlas_pipeline_tests.integration.conftest import Feed, MakeFeed

MAIL = "ada.lovelace@example.com"
PROSE = Column("body", "json", pii="FREE_TEXT", action="redact")
MASKED = Column("body", "json", pii="PHONE_NUMBER", action="mask")


def built(make_feed: MakeFeed, column: Column, *lines: str) -> Feed:
    """Silver of these JSON texts, numbered from 1."""
    feed = make_feed((Column("id", "integer"), column), source="*.jsonl", key=("id",))
    feed.land("a.jsonl", "".join(f'{{"id": {n}, "body": {line}}}\n' for n, line in enumerate(lines, 1)))
    result = feed.run()
    assert result.published
    assert result.audited.leaks.clean
    assert "body" in result.audited.leaks.columns
    return feed


def bodies(feed: Feed) -> list[Any]:
    """The column in silver, which is jsonb."""
    rows = feed.query("SELECT pg_typeof(body)::text, body FROM silver.things ORDER BY id")
    assert {kind for kind, _ in rows} == {"jsonb"}
    return [body for _, body in rows]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            f'{{"user": {{"mails": ["{MAIL}", "none"]}}, "n": 3}}',
            {"user": {"mails": ["<EMAIL_ADDRESS>", "none"]}, "n": 3},
        ),
        (f'[["{MAIL}"], [true, null, 1.50]]', [["<EMAIL_ADDRESS>"], [True, None, 1.5]]),
        (r'{"to": "ada.lovelace\u0040example.com"}', {"to": "<EMAIL_ADDRESS>"}),
        (r'{"to": "\ud83d\ude00 ada.lovelace@example.com \"quoted\""}', {"to": '😀 <EMAIL_ADDRESS> "quoted"'}),
        ('{"card": 4111111111111111, "n": 7}', {"card": "<CREDIT_CARD>", "n": 7}),
        ('{"card": 4.111111111111111e15}', {"card": "<CREDIT_CARD>"}),
        ('{"phone": 14155552671}', {"phone": "<PHONE_NUMBER>"}),
        ('{"phone": "+1 415 555 2671"}', {"phone": "<PHONE_NUMBER>"}),
        (f'{{"{MAIL}": {{"seen": 2}}}}', {"<EMAIL_ADDRESS>": {"seen": 2}}),
        (f'{{"{MAIL}": 1, "b.b@example.com": 2, "n": 3}}', {"<EMAIL_ADDRESS>": 1, "<EMAIL_ADDRESS>_2": 2, "n": 3}),
        (f'{{"<EMAIL_ADDRESS>": 0, "{MAIL}": 1}}', {"<EMAIL_ADDRESS>": 0, "<EMAIL_ADDRESS>_2": 1}),
        ('{"Paris": 1, "name": 2, "address_1": 3}', {"Paris": 1, "name": 2, "address_1": 3}),
        (r'{"x": "{\"to\": \"ada.lovelace@example.com\"}"}', {"x": '{"to": "<EMAIL_ADDRESS>"}'}),
        ("[]", []),
    ],
)
def test_what_is_cut_out_of_json_leaves_json(make_feed: MakeFeed, written: str, expected: Any) -> None:
    assert bodies(built(make_feed, PROSE, written)) == [expected]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1", 1),
        ("4111111111111111", "<CREDIT_CARD>"),
        ('"ada.lovelace@example.com"', "<EMAIL_ADDRESS>"),
        (r'"ada.lovelace\u0040example.com"', "<EMAIL_ADDRESS>"),
    ],
)
def test_a_value_alone_is_json_too(make_feed: MakeFeed, cell: str, expected: Any) -> None:
    feed = make_feed((Column("id", "integer"), PROSE))
    quoted = cell.replace('"', '""')
    feed.land("a.csv", f'id,body\n1,"{quoted}"\n2,"{{""n"": 1}}"\n3,\n')
    feed.run()
    assert bodies(feed) == [expected, {"n": 1}, None]


def test_the_longest_number_is_kept_as_it_is(make_feed: MakeFeed) -> None:
    digits = "7" * 1_000
    feed = built(make_feed, PROSE, f'{{"big": {digits}, "{MAIL}": "to {MAIL}"}}')
    row = feed.query("SELECT body -> 'big' = %s::jsonb, body ->> '<EMAIL_ADDRESS>' FROM silver.things", [digits])
    assert row == [(True, "to <EMAIL_ADDRESS>")]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            '{"phone": "+1 415 555 2671", "more": [14155552671, "abc", ""], "ok": true, "none": null}',
            {"phone": "***********2671", "more": ["*******2671", "***", ""], "ok": True, "none": None},
        ),
        ('{"homePhone": {"x_y": 1.5}}', {"homePhone": {"x_y": "***"}}),
        (r'{"phone": "\u002b1 415 555 2671"}', {"phone": "***********2671"}),
        ("[]", []),
    ],
)
def test_mask_is_applied_within_json(make_feed: MakeFeed, written: str, expected: Any) -> None:
    assert bodies(built(make_feed, MASKED, written)) == [expected]


@pytest.mark.parametrize("key", [MAIL, "+14155552671", "Ada", "Ada Lovelace", "4111111111111111"])
def test_json_whose_keys_may_be_personal_is_masked_whole(make_feed: MakeFeed, key: str) -> None:
    (body, other) = bodies(built(make_feed, MASKED, f'{{"calls": {{"{key}": "x"}}}}', '{"phone": "x"}'))
    assert isinstance(body, str)
    assert set(body[:-4]) == {"*"}
    assert other == {"phone": "*"}


def test_redact_of_one_kind_replaces_the_whole_value_by_a_json_string(make_feed: MakeFeed) -> None:
    column = Column("body", "json", pii="PERSON", action="redact")
    assert bodies(built(make_feed, column, '{"Ada": ["Lovelace"]}', "[]")) == ["<PERSON>", "<PERSON>"]


@pytest.mark.parametrize("action", ["hash", "encrypt"])
def test_tokens_of_json_are_text(make_feed: MakeFeed, action: Any) -> None:
    feed = built(make_feed, Column("body", "json", pii="EMAIL_ADDRESS", action=action), f'{{"a": "{MAIL}"}}')
    assert feed.query("SELECT pg_typeof(body)::text FROM silver.things") == [("text",)]


def test_what_is_found_without_a_declaration_leaves_json(make_feed: MakeFeed) -> None:
    lines = [f'{{"kind": "order", "n": {n}, "by": {{"mail": "person{n}@example.com"}}}}' for n in range(200)]
    feed = built(make_feed, Column("body", "json", action=None), *lines)
    expected = [{"kind": "order", "n": n, "by": {"mail": "<EMAIL_ADDRESS>"}} for n in range(200)]
    assert bodies(feed) == expected


def test_rows_that_come_later_are_added_to_the_same_column(make_feed: MakeFeed) -> None:
    feed = built(make_feed, PROSE, f'{{"to": "{MAIL}"}}')
    feed.land("b.jsonl", '{"id": 2, "body": {"to": "b.b@example.com"}}\n')
    feed.run()
    assert bodies(feed) == [{"to": "<EMAIL_ADDRESS>"}] * 2


def test_a_column_that_was_published_as_text_is_built_anew_as_json(make_feed: MakeFeed) -> None:
    feed = built(make_feed, PROSE, f'{{"to": "{MAIL}"}}')
    feed.connection.execute("ALTER TABLE silver.things ALTER body TYPE text")
    feed.outdate()
    feed.land("b.jsonl", '{"id": 2, "body": {"to": "b.b@example.com"}}\n')
    feed.run()
    assert bodies(feed) == [{"to": "<EMAIL_ADDRESS>"}] * 2


def test_personal_data_that_gets_into_masked_json_is_found(make_feed: MakeFeed) -> None:
    feed = built(make_feed, MASKED, '{"phone": "x"}')
    feed.connection.execute("UPDATE silver.things SET body = %s", [f'{{"phone": ["{MAIL}"]}}'])
    feed.connection.commit()
    result = feed.build()
    assert result.audited.leaks.found == {"body": {"EMAIL_ADDRESS": 1}}
