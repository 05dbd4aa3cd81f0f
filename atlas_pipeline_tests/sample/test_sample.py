"""The sample against an independent reading of it: same bytes, exact labels, the promised dirt, the right counts.

Readers here are deliberately simple and share no code with the package, apart from what is under test.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from atlas_pipeline.sample import SampleSummary, generate
from atlas_pipeline.sample.chance import amounts, early, schedule
from atlas_pipeline.sample.sentences import GREETINGS, NEUTRAL, PERSONAL, SIGN_OFFS, SUBJECTS
from atlas_pipeline.sample.sentences_abroad import ABROAD, FAREWELLS, RIGHT_TO_LEFT

SMALL, LARGE = 100, 1_500
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
Record = dict[str, Any]


@pytest.fixture(scope="module", params=[20, SMALL, LARGE])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return generate(tmp_path_factory.mktemp("sample"), rows=request.param)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return generate(tmp_path_factory.mktemp("large"), rows=LARGE)


def expected(sample: SampleSummary) -> dict[str, Record]:
    return dict(json.loads((sample.out / "labels/expected.json").read_text(encoding="utf-8"))["datasets"])


def csv_rows(path: Path) -> tuple[list[Record], int]:
    """The records of a CSV file, and how many lines have another number of fields than the header."""
    header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    return [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)], sum(
        len(line) != len(header) for line in lines
    )


def json_rows(path: Path) -> tuple[list[Record], int]:
    records, broken = [], 0
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        try:
            records.append(json.loads(line, parse_float=Decimal))
        except ValueError:
            broken += 1
    return records, broken


def ticket_rows(path: Path) -> list[Record]:
    return list(pq.read_table(path).to_pylist())


def load(sample: SampleSummary, dataset: str) -> Iterator[tuple[str, list[Record], int]]:
    for name in sample.datasets[dataset].files:
        if name.endswith(".csv"):
            yield name, *csv_rows(sample.out / name)
        elif name.endswith(".gz"):
            yield name, *json_rows(sample.out / name)
        else:
            yield name, ticket_rows(sample.out / name), 0


def customer_fault(record: Record) -> str | None:
    if not record["customer_id"].strip():
        return "missing_key"
    int(record["customer_id"])
    assert record["marketing_opt_in"] in ("true", "false", "")
    assert all(STAMP.fullmatch(record[column]) for column in ("created_at", "updated_at"))
    try:
        if record["date_of_birth"]:
            date.fromisoformat(record["date_of_birth"])
    except ValueError:
        return "out_of_range"
    return None


def order_fault(record: Record) -> str | None:
    if not record["order_id"]:
        return "missing_key"
    assert isinstance(record["customer_id"], int)
    assert record["items"]
    assert all(set(item) == {"sku", "quantity"} for item in record["items"])
    try:
        assert Decimal(record["amount"]).as_tuple().exponent == -2
    except InvalidOperation:
        return "wrong_type"
    return None


def ticket_fault(record: Record) -> str | None:
    return "missing_key" if record["ticket_id"] is None else None


@pytest.mark.parametrize(
    ("dataset", "key", "order_by", "value", "fault"),
    [
        ("customers", "customer_id", "updated_at", "segment", customer_fault),
        ("orders", "order_id", "updated_at", "status", order_fault),
        ("support_tickets", "ticket_id", "opened_at", "priority", ticket_fault),
    ],
)
def test_expected_counts_are_those_of_an_independent_load(
    sample: SampleSummary, dataset: str, key: str, order_by: str, value: str, fault: Any
) -> None:
    truth = expected(sample)[dataset]
    rejected: Counter[str] = Counter()
    winners: dict[str, Record] = {}
    rows = accepted = broken = 0
    files = []
    for name, records, broken_here in load(sample, dataset):
        files.append({"path": name, "rows": len(records), "broken_lines": broken_here})
        rows += len(records)
        broken += broken_here
        for record in records:
            rule = fault(record)
            if rule:
                rejected[rule] += 1
                continue
            accepted += 1
            before = winners.get(str(record[key]))
            if before is None or record[order_by] >= before[order_by]:
                winners[str(record[key])] = record
    assert truth["files"] == files
    assert truth["rows_in_files"] == rows == sample.datasets[dataset].rows
    assert truth["broken_lines"] == broken
    assert truth["rows_rejected"] == rejected.total()
    assert truth["rows_rejected_by_rule"] == dict(rejected)
    assert truth["rows_published"] == len(winners)
    assert truth["duplicates_dropped"] == accepted - len(winners) > 0
    assert len(truth["checksums"]) >= (8 if sample.rows < SMALL else 15)
    for check in truth["checksums"]:
        winner = winners[str(check[key])]
        stamp = winner[order_by]
        assert check[order_by] == (stamp if isinstance(stamp, str) else stamp.strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert check[value] == winner[value]


def test_sizes_are_as_asked_for(sample: SampleSummary) -> None:
    truth = expected(sample)
    new = max(1, sample.rows // 100)
    assert truth["customers"]["rows_published"] == sample.rows + new
    assert truth["orders"]["rows_published"] == 5 * sample.rows
    assert truth["support_tickets"]["rows_published"] == sample.rows // 2
    for dataset in sample.datasets.values():
        assert dataset.bytes == sum((sample.out / name).stat().st_size for name in dataset.files)
    assert not [path for path in sample.out.rglob(".*") if path.is_file()], "nothing temporary is left"


def test_orders_of_unknown_customers_are_counted(sample: SampleSummary) -> None:
    known = {row["customer_id"] for _, rows, _ in load(sample, "customers") for row in rows}
    strange = {
        row["order_id"]
        for _, rows, _ in load(sample, "orders")
        for row in rows
        if order_fault(row) is None and str(row["customer_id"]) not in known
    }
    assert len(strange) == expected(sample)["orders"]["published_with_unknown_customer"] > 0


def test_every_kind_of_dirt_is_there_even_when_small(tmp_path: Path) -> None:
    sample = generate(tmp_path, rows=SMALL)
    for truth in expected(sample).values():
        assert all(count >= 1 for count in truth["dirt"].values())
    (_, base, broken), (_, later, _) = load(sample, "customers")
    assert broken == 2
    assert set(expected(sample)["customers"]["dirt"]) >= {"too_few_fields", "too_many_fields"}
    names = " ".join(row["full_name"] for row in base)
    assert re.search("[\U0001f300-\U0001faff]", names), "emoji"
    assert re.search("[\u0590-\u06ff]", names), "right to left"
    assert re.search("[\u0300-\u036f]", names), "combining marks"
    assert any(re.search("[\uff10-\uff5e]", row["street_address"]) for row in base), "full width"
    assert any(row["email"].strip() != row["email"].strip().lower() for row in base)
    assert any(value != value.strip() for row in base for value in row.values())
    assert any(row["date_of_birth"] == "1987-02-30" for row in base)
    assert any(row["customer_id"] == "" for row in base)
    assert any(row["phone"] == "" for row in base)
    assert any(count > 1 for count in Counter(tuple(row.values()) for row in base).values())
    newest = {row["customer_id"]: row["updated_at"] for row in base if customer_fault(row) is None}
    compared = [(row["updated_at"], newest.get(row["customer_id"], "")) for row in later]
    assert any(ours < theirs for ours, theirs in compared), "a late update, to lose"
    assert any(ours > theirs > "" for ours, theirs in compared), "an update"
    assert any(theirs == "" for _, theirs in compared), "a new customer"
    orders = [row for _, rows, _ in load(sample, "orders") for row in rows]
    assert {row["order_id"] for row in orders} >= {"", None}
    assert any(row["amount"] == "twelve" for row in orders)
    assert any(row["ip_address"] is None for row in orders)
    tickets = ticket_rows(sample.out / sample.datasets["support_tickets"].files[0])
    assert all(any(row[column] is None for row in tickets) for column in ("subject", "body"))
    assert any(row["body"] and re.search("[\u0590-\u06ff]", row["body"]) for row in tickets)


def test_dirt_grows_with_the_rows(large: SampleSummary) -> None:
    dirt = expected(large)["customers"]["dirt"]
    assert (dirt["update"], dirt["missing_value"], dirt["exact_duplicate"]) == (30, 30, 7)


def test_spans_name_exactly_the_personal_data(sample: SampleSummary) -> None:
    tickets = ticket_rows(sample.out / sample.datasets["support_tickets"].files[0])
    kinds: Counter[str] = Counter()
    ends: dict[tuple[int, str], int] = {}
    for line in (sample.out / "labels/spans.jsonl").read_text(encoding="utf-8").splitlines():
        span = json.loads(line)
        ticket = tickets[span["row"] - 1]
        assert span["dataset"] == "support_tickets"
        assert span["ticket_id"] == ticket["ticket_id"]
        text = ticket[span["column"]]
        piece = text[span["start"] : span["end"]]
        assert piece == piece.strip() != ""
        place = (span["row"], span["column"])
        assert span["start"] >= ends.get(place, 0), "spans do not overlap"
        ends[place] = span["end"]
        kinds[span["kind"]] += 1
        check_piece(span["kind"], piece)
    if sample.rows >= LARGE:
        assert len(kinds) == 8, "every kind occurs"


def check_piece(kind: str, piece: str) -> None:
    if kind == "EMAIL_ADDRESS":
        assert re.fullmatch(r"[^@\s]+@([a-z]+\.)?example\.(com|org|net)", piece), piece
    elif kind == "CREDIT_CARD":
        assert luhn(re.sub("[ -]", "", piece)), piece
    elif kind == "IBAN_CODE":
        compact = piece.replace(" ", "")
        assert int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1, piece
        lengths = {"DE": 22, "FR": 27, "ES": 24, "IT": 27, "NL": 18, "PL": 28, "GB": 22}
        assert len(compact) == lengths[compact[:2]]
    elif kind == "PHONE_NUMBER":
        assert 9 <= len(re.sub(r"\D", "", piece)) <= 14, piece


def luhn(number: str) -> bool:
    digits = [int(char) for char in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def test_pieces_do_not_stand_unlabelled_in_the_text(large: SampleSummary) -> None:
    """Whatever looks like an e-mail address or a valid card number in the text is labelled."""
    tickets = ticket_rows(large.out / large.datasets["support_tickets"].files[0])
    labelled = set()
    for line in (large.out / "labels/spans.jsonl").read_text(encoding="utf-8").splitlines():
        span = json.loads(line)
        labelled.add((span["row"], span["column"], span["start"]))
    decoys = 0
    for row, ticket in enumerate(tickets, start=1):
        for column in ("subject", "body"):
            text = ticket[column] or ""
            for match in re.finditer(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9.]+[a-z]", text, re.IGNORECASE):
                assert (row, column, match.start()) in labelled, match.group()
            for match in re.finditer(r"(?<![\w-])\d{16}(?!\w)", text):
                assert luhn(match.group()) == ((row, column, match.start()) in labelled)
                decoys += not luhn(match.group())
    assert decoys > 5


def test_cards_and_emails_of_the_columns(large: SampleSummary) -> None:
    cards = [row["payment_card"] for _, rows, _ in load(large, "orders") for row in rows]
    assert all(luhn(re.sub("[ -]", "", number)) for number in cards)
    assert {len(re.sub("[ -]", "", number)) for number in cards} == {14, 15, 16}
    for _, rows, _ in load(large, "customers"):
        for row in rows:
            check_piece("EMAIL_ADDRESS", row["email"].strip().lower())
    postcodes = {row["postcode"] for _, rows, _ in load(large, "customers") for row in rows}
    assert any(code.startswith("0") for code in postcodes)


def test_columns_are_labelled_completely(sample: SampleSummary) -> None:
    labels = json.loads((sample.out / "labels/columns.json").read_text(encoding="utf-8"))
    for dataset in sample.datasets:
        _, records, _ = next(load(sample, dataset))
        assert list(labels[dataset]) == list(records[0])
    assert labels["customers"]["email"] == {"kind": "EMAIL_ADDRESS", "free_text": False}
    assert labels["orders"]["status"] == {"kind": None, "free_text": False}
    assert labels["support_tickets"]["body"] == {"kind": None, "free_text": True}


def test_same_parameters_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate(tmp_path / name, rows=SMALL, seed=11)
    generate(tmp_path / "c", rows=SMALL, seed=12)
    ours, again, other = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b", "c")
    )
    assert ours == again
    assert len(ours) == 9
    differing = {path.name for path in ours if ours[path] != other[path]}
    assert differing == {path.name for path in ours} - {"columns.json"}


def test_bytes_are_those_of_every_other_machine(tmp_path: Path) -> None:
    """The content (before compression, whose bytes are pyarrow's) is pinned; a change needs a new run.FORMAT."""
    sample = generate(tmp_path, rows=SMALL)
    digest = hashlib.sha256()
    for dataset in ("customers", "orders"):
        for name in sample.datasets[dataset].files:
            content = (tmp_path / name).read_bytes()
            digest.update(gzip.decompress(content) if name.endswith(".gz") else content)
    for ticket in ticket_rows(tmp_path / sample.datasets["support_tickets"].files[0]):
        digest.update(repr([str(value) for value in ticket.values()]).encode())
    digest.update((tmp_path / "labels/spans.jsonl").read_bytes())
    assert digest.hexdigest() == "2b02f70ebcb7aa682bece164038e97dccf4567623f288f9b1bad3c35c7e8d95a"


def test_gzip_header_holds_nothing_of_the_machine(large: SampleSummary) -> None:
    for name in large.datasets["orders"].files:
        header = (large.out / name).read_bytes()[:10]
        assert header[3:8] + header[9:] == bytes(5) + b"\xff", "no file name, no time, no operating system"


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    first = generate(tmp_path, rows=SMALL)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    calls: list[str] = []
    assert generate(tmp_path, rows=SMALL, progress=lambda dataset, done, total: calls.append(dataset)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert calls == []


def test_another_sample_is_never_overwritten(tmp_path: Path) -> None:
    generate(tmp_path, rows=SMALL, seed=7)
    with pytest.raises(FileExistsError, match=r"rows=100, seed=7 .*rows=100, seed=8 .*another folder"):
        generate(tmp_path, rows=SMALL, seed=8)
    with pytest.raises(FileExistsError, match="rows=200"):
        generate(tmp_path, rows=200, seed=7)
    victim = tmp_path / "customers/customers-2024-02-01.csv"
    victim.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"customers-2024-02-01\.csv is missing or was changed"):
        generate(tmp_path, rows=SMALL, seed=7)
    (tmp_path / "labels/manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(FileExistsError, match=r"manifest\.json cannot be read"):
        generate(tmp_path, rows=SMALL, seed=7)
    (tmp_path / "labels/manifest.json").unlink()
    with pytest.raises(FileExistsError, match="exists without"):
        generate(tmp_path, rows=SMALL, seed=7)
    assert victim.read_text(encoding="utf-8") == "mine"


def test_a_failed_run_leaves_no_files(tmp_path: Path) -> None:
    def fail(dataset: str, done: int, total: int) -> None:
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")]
        if dataset == "support_tickets":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, rows=SMALL, progress=fail)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert generate(tmp_path, rows=SMALL).rows == SMALL


def test_progress_ends_with_everything_done(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    generate(tmp_path, rows=SMALL, progress=lambda *call: calls.append(call))
    assert {call for call in calls if call[1] == call[2]} == {
        ("customers", 100, 100),
        ("orders", 500, 500),
        ("support_tickets", 50, 50),
    }
    assert all(0 <= done <= total for _, done, total in calls)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 20"):
        generate(tmp_path, rows=3)
    assert list(tmp_path.iterdir()) == []


def test_there_are_many_sentences_without_repetition() -> None:
    sentences = [*GREETINGS, *SIGN_OFFS, *PERSONAL, *NEUTRAL, *FAREWELLS.values(), *RIGHT_TO_LEFT]
    sentences += [sentence for own in ABROAD.values() for sentence in own]
    assert len(sentences) == len(set(sentences)) >= 150
    assert len(set(SUBJECTS)) == len(SUBJECTS)
    assert set(FAREWELLS) == set(ABROAD)


def test_the_schedule_keeps_its_amounts_and_order() -> None:
    rates = {"often": 500, "seldom": 20, "never less than once": 1}
    for total in (1, 7, 100, 4_321):
        events = list(schedule(total, rates))
        assert events == sorted(events)
        assert all(1 <= position <= total for position, _ in events)
        assert Counter(kind for _, kind in events) == Counter(amounts(total, rates))
        assert early(total, rates, total) == {position for position, _ in events}
