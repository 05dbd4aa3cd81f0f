"""The support tickets feed: one Parquet file with free text in subject and body, and the labels of that text.

Does not belong here: how a text is composed (`text.py`), and the expected result of a load (`truth.py`).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

from atlas_pipeline.sample.chance import DAY, UNIX_OFFSET, Dice, Draws, early, moment, schedule, sparse
from atlas_pipeline.sample.files import Staging, TextFile
from atlas_pipeline.sample.people import FIRST_CUSTOMER, People
from atlas_pipeline.sample.text import Composer, Text
from atlas_pipeline.sample.truth import Truth
from atlas_pipeline.sample.words import AGENTS

FILE = "support_tickets/support_tickets-2024-01.parquet"
SPANS = "labels/spans.jsonl"
FIRST_TICKET = 500_001
COLUMNS = (
    "ticket_id",
    "customer_id",
    "opened_at",
    "closed_at",
    "channel",
    "priority",
    "subject",
    "body",
    "agent",
    "satisfaction",
)
EVENTS = {
    "missing_body": 50,
    "missing_subject": 50,
    "spaces_around": 50,
    "emoji": 100,
    "right_to_left": 50,
    "combining_marks": 50,
    "exact_duplicate": 50,
    "newer_in_same_file": 50,
    "older_in_same_file": 20,
    "missing_key": 10,
}
"""Flaws of a ticket's text (the first six) and additional rows about a ticket, per 10,000 tickets."""

_SCHEMA = pa.schema(
    [
        ("ticket_id", pa.int64()),
        ("customer_id", pa.int64()),
        ("opened_at", pa.timestamp("us", tz="UTC")),
        ("closed_at", pa.timestamp("us", tz="UTC")),
        ("channel", pa.string()),
        ("priority", pa.string()),
        ("subject", pa.string()),
        ("body", pa.string()),
        ("agent", pa.string()),
        ("satisfaction", pa.int32()),
    ]
)
_BATCH = 10_000
_CHANNELS = ("email", "email", "chat", "phone", "web_form", "email", "chat", "letter")
_PRIORITIES = ("normal", "normal", "low", "high", "normal", "urgent", "low", "normal")
_STARTS, _ENDS = moment(2024, 1, 1), moment(2024, 2, 1)


def _microseconds(time: int) -> int:
    return (time + UNIX_OFFSET) * 1_000_000


class Tickets:
    """Writes the file and its labels, and keeps its ground truth.

    Args:
        rows: Number of customers; there is one ticket for two of them.
        seed: Seed of the sample.
        people: The people of the sample.
    """

    def __init__(self, rows: int, seed: int, people: People) -> None:
        self._customers = rows
        self._total = rows // 2
        self._people = people
        self._strangers = People(seed, "strangers")
        self._at = Draws(seed, "tickets").at
        self._composer = Composer(Dice(seed, "ticket texts"))
        watched = early(self._total, EVENTS) | sparse(self._total)
        self.truth = Truth("support_tickets", "ticket_id", "opened_at", "priority", self._total, frozenset(watched))
        self._columns: list[list[object]] = [[] for _ in COLUMNS]

    def write(self, staging: Staging, progress: Callable[[int], None]) -> None:
        """Write the file and its labels.

        Args:
            staging: Where they are staged.
            progress: Called now and then with the number of tickets written.
        """
        self.truth.begin(FILE)
        with (
            TextFile(staging.path(SPANS)) as spans,
            pq.ParquetWriter(staging.path(FILE), _SCHEMA, compression="zstd") as parquet,
        ):
            events = schedule(self._total, EVENTS)
            position, kind = next(events)
            for number in range(1, self._total + 1):
                kinds = []
                while position == number:
                    kinds.append(kind)
                    position, kind = next(events, (0, ""))
                self._ticket(number, kinds, spans)
                if len(self._columns[0]) >= _BATCH:
                    self._flush(parquet)
                    progress(number)
            self._flush(parquet)
        self.truth.end()

    def report(self) -> dict[str, object]:
        """The ground truth of the dataset, as in labels/expected.json."""
        return self.truth.report((number, FIRST_TICKET - 1 + number) for number in sorted(self.truth.watched))

    def _ticket(self, number: int, kinds: list[str], spans: TextFile) -> None:
        draw = self._at(number)
        customer = (draw[0] << 16 | draw[1]) % self._customers + 1
        person = self._people.person(customer)
        agent = AGENTS[draw[2] % len(AGENTS)]
        subject, body = self._composer.ticket(person, self._strangers.person(number), agent)
        opened = _STARTS + 7200 + (number - 1) * (_ENDS - _STARTS - DAY) // self._total
        priority = _PRIORITIES[draw[3] & 7]
        texts: list[Text | None] = [subject, body]
        for kind in kinds:
            self.truth.dirt[kind] += 1
            if kind == "missing_subject":
                texts[0] = None
            elif kind == "missing_body":
                texts[1] = None
            elif kind == "right_to_left":
                self._composer.foreign_line(body, person)
            elif kind == "emoji":
                body = texts[1] = _prefixed("😡 👩‍👩‍👧 ", body)
            elif kind == "combining_marks":
                body = texts[1] = _prefixed(unicodedata.normalize("NFD", "Déjà vu à la crème: "), body)
            elif kind == "spaces_around":
                body = texts[1] = _prefixed("  ", body)
                body.add(" \n")
        record: list[object] = [
            FIRST_TICKET - 1 + number,
            FIRST_CUSTOMER - 1 + customer,
            _microseconds(opened),
            _microseconds(opened + 600 + draw[4] * 8) if draw[5] % 5 else None,
            _CHANNELS[draw[6] & 7],
            priority,
            texts[0] and texts[0].text,
            texts[1] and texts[1].text,
            agent,
            1 + draw[7] % 5 if draw[8] & 1 else None,
        ]
        self._row(record, texts, spans)
        self.truth.accept(number, opened, priority)
        for kind in kinds:
            other = list(record)
            if kind == "missing_key":
                other[0] = None
                self._row(other, texts, spans)
                self.truth.reject("missing_key")
            elif kind in ("exact_duplicate", "newer_in_same_file", "older_in_same_file"):
                time = opened
                if kind != "exact_duplicate":
                    time += 3600 if kind == "newer_in_same_file" else -3600
                    other[2] = _microseconds(time)
                    other[5] = "escalated"
                self._row(other, texts, spans)
                self.truth.accept(number, time, str(other[5]))

    def _row(self, record: list[object], texts: list[Text | None], spans: TextFile) -> None:
        for column, value in zip(self._columns, record, strict=True):
            column.append(value)
        row = self.truth.rows + 1
        for name, text in zip(("subject", "body"), texts, strict=True):
            if text is None:
                continue
            for start, end, kind in text.spans:
                spans.write(
                    f'{{"dataset":"support_tickets","row":{row},"ticket_id":{json.dumps(record[0])},'
                    f'"column":"{name}","start":{start},"end":{end},"kind":"{kind}"}}\n'
                )

    def _flush(self, parquet: pq.ParquetWriter) -> None:
        if self._columns[0]:
            arrays = [pa.array(values, field.type) for values, field in zip(self._columns, _SCHEMA, strict=True)]
            parquet.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
            self._columns = [[] for _ in COLUMNS]


def _prefixed(piece: str, text: Text) -> Text:
    """The text with a piece before it, and its spans shifted."""
    return Text(piece + text.text, [(start + len(piece), end + len(piece), kind) for start, end, kind in text.spans])
