"""A REST API: pages, cursors, limits, failures, hostile answers, and credentials that are never shown."""

import datetime as dt
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas_pipeline.ingest.connectors import Paging, RestApi, rest
from atlas_pipeline.ingest.connectors.http import retry_after
from atlas_pipeline.ingest.connectors.isolation import isolated
from atlas_pipeline.ingest.connectors.tally import Tally
from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError
from atlas_pipeline_tests.connectors.api import TOKEN, Api, serving
from atlas_pipeline_tests.connectors.conftest import Read, Run, problem

NONE = Paging()
COLUMNS = """
columns:
- {name: id, type: integer}
- {name: name, pii: none}
"""


@pytest.fixture
def api() -> Iterator[Api]:
    """The server."""
    with serving() as one:
        one.rows = [{"id": i, "name": f"n{i}", "at": f"2024-01-{i + 1:02d}T00:00:00Z"} for i in range(8)]
        yield one


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def yaml(api: Api, path: str, more: str = "pages: none") -> str:
    lines = "".join(f"    {line}\n" for line in more.strip("\n").splitlines())
    return f"source:\n  rest_api:\n    url: {api.url}\n    path: {path}\n{lines}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "pages", "requests"),
    [
        ("numbered", "{type: page_number}", 4),
        ("numbered", "{type: offset, size: 3, total: total}", 3),
        ("cursor", "{type: cursor, next: next}", 3),
        ("linked", "link_header", 3),
        ("linked", "{type: json_link, next: next}", 3),
    ],
)
def test_every_page_is_loaded_once(path: str, pages: str, requests: int, api: Api, run: Run, read: Read) -> None:
    assert run(yaml(api, path, f"pages: {pages}\nrecords: data") + "key: id" + COLUMNS).success
    assert read("SELECT id, name FROM silver.things ORDER BY id") == [(i, f"n{i}") for i in range(8)]
    assert len(api.asked) == requests
    assert read("SELECT rows, requests, retries, failed FROM atlas.connectors") == [(8, requests, 0, 0)]


@pytest.mark.slow
def test_only_what_is_new_is_asked_for(api: Api, run: Run, read: Read) -> None:
    attributes = yaml(api, "whole", "pages: none\ncursor: {column: at, param: since, initial: '2024-01-03T00:00:00Z'}")
    assert run(attributes + COLUMNS).success
    assert read("SELECT count(*), min(id) FROM silver.things") == [(6, 2)]
    api.rows += [
        {"id": 8, "name": "n8", "at": api.rows[-1]["at"]},
        {"id": 9, "name": "n9", "at": "2024-02-01T00:00:00Z"},
    ]
    assert run(attributes + COLUMNS).success
    assert run(attributes + COLUMNS).success
    assert read("SELECT count(*), max(id) FROM silver.things") == [(8, 9)]
    assert [path.partition("since=")[2][:10] for path in api.asked] == ["2024-01-03", "2024-01-08", "2024-02-01"]


@pytest.mark.slow
def test_values_arrive_as_they_were_sent(api: Api, run: Run, read: Read) -> None:
    api.raw = (
        '[{"id": 1, "name": "007", "n": 1.10, "big": 123456789012345678901234567890.123, "ok": true,'
        ' "o": {"a": [1.50, null]}},'
        ' {"id": 2, "name": "x\\u0000y", "late": "2024-01-01T00:00:00Z"}, {"id": 3, "name": "\\ud800"},'
        ' {"id": 4, "name": null, "n": "text"}]'
    )
    result = run(yaml(api, "whole") + "key: id" + COLUMNS)
    assert result.success
    assert read("SELECT id, name, n, big, ok, o, late FROM bronze.things ORDER BY id") == [
        ("1", "007", "1.10", "123456789012345678901234567890.123", "true", '{"a":[1.50,null]}', None),
        ("4", None, "text", None, None, None, None),
    ]
    assert sorted(read("SELECT rule, count(*) FROM quarantine.things GROUP BY rule")) == [
        ("encoding", 1),
        ("nul_byte", 1),
    ]


def rows_of(api: Api, path: str, paging: Paging = NONE, **more: object) -> list[dict[str, object]]:
    """What the connector alone makes of an endpoint."""
    with isolated(Path("/nonexistent"), {}):
        connector = RestApi(api.url, path, paging=paging, **more)  # type: ignore[arg-type]
        return [row for block in rest.rows(connector, Tally()) for row in block]


def test_a_limit_is_waited_for_as_long_as_the_server_says(api: Api, waits: list[float]) -> None:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)
    api.failures = [
        (429, {"Retry-After": "7"}, ""),
        (503, {"Retry-After": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")}, ""),
        (500, {}, ""),
        ("cut", {}, ""),
        ("drop", {}, ""),
    ]
    assert len(rows_of(api, "whole")) == 8
    assert waits[0] == 7
    assert 50 < waits[1] <= 60
    assert len(waits) == 5


def test_a_server_that_goes_on_failing_is_given_up(api: Api, waits: list[float]) -> None:
    api.failures = [(502, {}, "hunter2")] * 9
    with pytest.raises(ServiceUnavailable, match=r"/v1/whole: answered 502, 6 times") as caught:
        rows_of(api, "whole")
    assert "hunter2" not in str(caught.value)
    assert len(waits) == 5


@pytest.mark.parametrize(
    ("header", "seconds"), [("0", 0), ("120", 120), (None, None), ("soon", None), ("Wed, 01 Jan 2020 00:00:00 GMT", 0)]
)
def test_what_a_pause_says(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds


def test_requests_keep_to_a_rate(api: Api, waits: list[float]) -> None:
    rows_of(api, "numbered", Paging("page_number"), records="data", per_second=2.0)
    assert len(waits) == 3
    assert all(0 < wait <= 1.5 for wait in waits)


@pytest.mark.parametrize(
    ("path", "paging", "said"),
    [
        ("stuck", Paging("page_number"), "gives the same page again"),
        ("elsewhere", Paging("json_link", next="next"), "leads to another server"),
        ("redirect", Paging(), "leads to another server"),
    ],
)
def test_pages_that_lead_in_a_circle_or_elsewhere(path: str, paging: Paging, said: str, api: Api) -> None:
    api.rows = [{"id": i, "name": "n" * 100} for i in range(8)]
    with pytest.raises(SourceError, match=said):
        rows_of(api, path, paging, records=None if path == "redirect" else "data")


@pytest.mark.parametrize("body", ["<html>hunter2</html>", "", '["hunter2"]', '{"id": NaN', "[[1]]", "[" * 100_000])
def test_an_answer_that_is_no_rows(body: str, api: Api) -> None:
    api.raw = body
    with pytest.raises(SourceError) as caught:
        rows_of(api, "whole")
    assert "hunter2" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "auth",
    [
        "{bearer: SHOP_API_TOKEN}",
        "{api_key: SHOP_API_TOKEN}",
        "{api_key: SHOP_API_TOKEN, in: query, name: key}",
        "{basic: {user: SHOP_API_USER, password: SHOP_API_TOKEN}}",
        "{oauth2: {url: URL, client_id: SHOP_API_USER, client_secret: SHOP_API_SECRET}}",
    ],
)
def test_credentials_come_from_settings_and_are_never_shown(
    auth: str, api: Api, run: Run, read: Read, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    attributes = (
        yaml(api, "secret", f"pages: none\nauth: {auth.replace('URL', api.url + 'token')}") + "key: id" + COLUMNS
    )
    assert "is not set" in problem(run(attributes))
    for name, value in (("USER", "me"), ("TOKEN", TOKEN), ("SECRET", "s3cret")):
        monkeypatch.setenv(f"SHOP_API_{name}", value)
    assert run(attributes).success
    assert read("SELECT count(*) FROM silver.things") == [(8,)]
    monkeypatch.setenv("SHOP_API_TOKEN", "wrong-hunter2")
    monkeypatch.setenv("SHOP_API_SECRET", "wrong-hunter2")
    said = problem(run(attributes))
    assert "answered 40" in said
    shown = said + "".join(capfd.readouterr()) + str(read("SELECT problem FROM atlas.connectors"))
    assert not [text for text in (TOKEN, "hunter2", "s3cret") if text in shown]


@pytest.mark.slow
def test_a_dead_server_is_left_alone_and_asked_again_later(
    api: Api, run: Run, read: Read, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = yaml(api, "whole") + "key: id" + COLUMNS
    api.failures = [(503, {}, "")] * 100
    assert "answered 503, 6 times" in problem(run(attributes))
    asked = len(api.asked)
    assert re.search("is left alone until 2.*answered 503", problem(run(attributes)))
    assert len(api.asked) == asked
    read("UPDATE atlas.connectors SET open_until = clock_timestamp() RETURNING dataset")
    api.failures = []
    assert run(attributes).success
    assert read("SELECT failures, open_until, failed, problem FROM atlas.connectors") == [(0, None, 3, None)]


@pytest.mark.slow
def test_a_long_pause_opens_the_circuit_at_once(api: Api, run: Run, read: Read) -> None:
    api.failures = [(429, {"Retry-After": "3600"}, "")]
    assert "not before 3,600 s" in problem(run(yaml(api, "whole") + "key: id" + COLUMNS))
    assert read("SELECT open_until > clock_timestamp() + interval '50 minutes' FROM atlas.connectors") == [(True,)]


@pytest.mark.slow
def test_other_columns_under_each_contract(api: Api, run: Run, read: Read) -> None:
    def attributes(contract: str) -> str:
        return yaml(api, "whole", f"pages: none\nschema: {contract}") + "key: id" + COLUMNS

    api.rows = [{"id": 1, "name": "a"}]
    assert run(attributes("freeze")).success
    api.rows = [{"id": 1, "name": "b", "ann@example.org": 1}]
    said = problem(run(attributes("freeze")))
    assert "1 columns that it did not have before (column 3)" in said
    assert "ann@" not in said
    assert run(attributes("discard")).success
    assert read("SELECT name FROM silver.things") == [("b",)]
    columns = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'things' AND table_schema = 'bronze'"
    )
    assert ("ann@example.org",) not in read(columns)
    api.rows = [{"id": 1, "name": 5}]
    assert "column 2 of the source was text and is number now" in problem(run(attributes("freeze")))
    api.rows = [{"id": 1, "name": "c", "extra": "x"}]
    assert run(attributes("evolve")).success
    assert ("extra",) in read(columns)


@pytest.mark.slow
def test_columns_that_turn_up_on_later_pages(api: Api, run: Run, read: Read) -> None:
    api.rows = [{"id": i, "name": "n", **({"late": str(i)} if i > 5 else {})} for i in range(8)]
    assert run(yaml(api, "numbered", "pages: {type: page_number}\nrecords: data") + "key: id" + COLUMNS).success
    assert read("SELECT late FROM bronze.things ORDER BY id") == [(None,)] * 6 + [("6",), ("7",)]


@pytest.mark.slow
def test_an_increment_that_lacks_a_column_in_all_its_rows(api: Api, run: Run, read: Read) -> None:
    attributes = yaml(api, "whole", "pages: none\ncursor: at") + "key: id" + COLUMNS
    assert run(attributes).success
    api.rows = [{"id": 9, "at": "2025-01-01"}]
    assert run(attributes).success
    assert read("SELECT name FROM silver.things WHERE id = 9") == [(None,)]
