"""The customers feed in CSV: a full delivery and a later one with changes, with the flaws of real feeds.

Belongs here: what a customer's record looks like, and its flaws. Does not belong here: the people (`people.py`), and
the expected result of a load (`truth.py`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from atlas_pipeline.sample.chance import DAY, amounts, early, iso, moment, schedule, sparse
from atlas_pipeline.sample.files import Staging, TextFile, csv_line
from atlas_pipeline.sample.people import FIRST_CUSTOMER, People, Person
from atlas_pipeline.sample.truth import Truth
from atlas_pipeline.sample.words import RIGHT_TO_LEFT, SEGMENT_AFTER, SEGMENTS

BASE = "customers/customers-2024-01-01.csv"
LATER = "customers/customers-2024-02-01.csv"
COLUMNS = (
    "customer_id",
    "full_name",
    "email",
    "phone",
    "date_of_birth",
    "street_address",
    "city",
    "postcode",
    "country",
    "segment",
    "marketing_opt_in",
    "created_at",
    "updated_at",
)
_ID, _NAME, _EMAIL, _PHONE, _BORN, _STREET, _CITY, _POSTCODE = range(8)
_SEGMENT, _OPT_IN, _CREATED, _UPDATED = 9, 10, 11, 12
_OPTIONAL = (_PHONE, _BORN, _CITY, _POSTCODE, _OPT_IN)

IN_PLACE = {
    "missing_value": 200,
    "spaces_around": 100,
    "mixed_case_email": 200,
    "emoji": 30,
    "right_to_left": 30,
    "combining_marks": 30,
    "full_width": 30,
}
"""Flaws of a record in the base file, per 10,000 customers."""
EXTRA = {
    "exact_duplicate": 50,
    "newer_in_same_file": 50,
    "older_in_same_file": 20,
    "bad_date_known_key": 10,
    "bad_date_new_key": 10,
    "blank_key": 10,
    "too_few_fields": 2,
    "too_many_fields": 2,
}
"""Additional lines in the base file, per 10,000 customers."""
LATER_LINES = {"update": 200, "late_update": 30, "equal_time": 10, "redelivered": 20, "new_customer": 100}
"""Lines of the later file, per 10,000 customers."""

_BASE_EVENTS = {**IN_PLACE, **EXTRA}
_FIRST = moment(2019, 1, 1)
_LAST = moment(2023, 12, 10)


def fields(person: Person, number: int) -> tuple[list[str], int, int]:
    """A customer's record in the base file.

    Args:
        person: The customer.
        number: Position of the customer, from 1.

    Returns:
        The fields in the order of `COLUMNS`, and the times of creation and last change on the sample's clock.
    """
    draw = person.draws
    created = _FIRST + (draw[24] << 16 | draw[25]) % (_LAST - 30 * DAY - _FIRST)
    updated = created + DAY + (draw[26] << 16 | draw[27]) % (_LAST - created - DAY)
    name = person.name
    if draw[28] % 32 == 0:
        name = f"{person.family}, {person.given}"
    elif draw[28] % 32 == 1:
        name = f"{person.family.upper()} {person.given}"
    record = [
        str(FIRST_CUSTOMER - 1 + number),
        name,
        person.email,
        person.phone,
        person.born.isoformat(),
        person.street,
        person.town,
        person.postcode,
        person.locale.country,
        SEGMENTS[draw[29] % len(SEGMENTS)],
        "true" if draw[30] % 3 else "false",
        iso(created),
        iso(updated),
    ]
    return record, created, updated


def _flaw(record: list[str], kind: str, turn: int) -> None:
    """Apply one of the flaws of `IN_PLACE` to a record."""
    if kind == "missing_value":
        record[_OPTIONAL[turn % len(_OPTIONAL)]] = ""
    elif kind == "spaces_around":
        column = (_NAME, _EMAIL, _CITY)[turn % 3]
        record[column] = (f"  {record[column]}", f"{record[column]} ", f" {record[column]}  ")[turn // 3 % 3]
    elif kind == "mixed_case_email":
        record[_EMAIL] = (record[_EMAIL].title(), record[_EMAIL].upper())[turn % 2]
    elif kind == "emoji":
        record[_NAME] += (" 🌻", " 👩‍👩‍👧", " 🇪🇺")[turn % 3]
    elif kind == "right_to_left":
        record[_NAME] = RIGHT_TO_LEFT[turn % len(RIGHT_TO_LEFT)]
    elif kind == "combining_marks":
        record[_NAME] = unicodedata.normalize("NFD", f"{record[_NAME]} André")
    else:
        record[_STREET] = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in record[_STREET])


class Customers:
    """Writes both deliveries, and keeps their ground truth.

    Args:
        rows: Number of customers in the base file.
        people: The people of the sample.
    """

    def __init__(self, rows: int, people: People) -> None:
        self._rows = rows
        self._people = people
        new = amounts(rows, LATER_LINES)["new_customer"]
        watched = early(rows, _BASE_EVENTS) | early(rows, LATER_LINES) | sparse(rows + new)
        self.truth = Truth("customers", "customer_id", "updated_at", "segment", rows + new, frozenset(watched))

    def write(self, staging: Staging, progress: Callable[[int], None]) -> None:
        """Write both files.

        Args:
            staging: Where they are staged.
            progress: Called now and then with the number of customers written.
        """
        with TextFile(staging.path(BASE)) as file:
            self._base(file, progress)
        with TextFile(staging.path(LATER)) as file:
            self._later(file)

    def report(self) -> dict[str, object]:
        """The ground truth of the dataset, as in labels/expected.json."""
        return self.truth.report((number, FIRST_CUSTOMER - 1 + number) for number in sorted(self.truth.watched))

    def _base(self, file: TextFile, progress: Callable[[int], None]) -> None:
        truth = self.truth
        truth.begin(BASE)
        file.write(csv_line(COLUMNS))
        events = schedule(self._rows, _BASE_EVENTS)
        position, kind = next(events)
        for number in range(1, self._rows + 1):
            record, created, updated = fields(self._people.person(number), number)
            extras = []
            while position == number:
                if kind in IN_PLACE:
                    _flaw(record, kind, truth.dirt[kind])
                else:
                    extras.append(kind)
                truth.dirt[kind] += 1
                position, kind = next(events, (0, ""))
            file.write(csv_line(record))
            truth.accept(number, updated, record[_SEGMENT])
            for extra in extras:
                self._extra(file, extra, number, list(record), created, updated)
            if number % 5000 == 0:
                progress(number)
        truth.end()

    def _extra(self, file: TextFile, kind: str, number: int, record: list[str], created: int, updated: int) -> None:
        """Write an additional line after the record of `number`."""
        truth = self.truth
        if kind == "too_few_fields":
            file.write(csv_line(record[:4]))
            truth.broken()
            return
        if kind == "too_many_fields":
            file.write(csv_line([*record, "true", "n/a"]))
            truth.broken()
            return
        if kind == "blank_key":
            record[_ID] = ""
            truth.reject("missing_key")
        elif kind == "bad_date_new_key":
            record[_ID] = str(FIRST_CUSTOMER + 2 * self._rows + number)
            record[_BORN] = "1987-02-30"
            truth.reject("out_of_range")
        elif kind == "bad_date_known_key":
            record[_BORN] = "1987-02-30"
            record[_UPDATED] = iso(updated + DAY)
            truth.reject("out_of_range")
        else:
            time = updated
            if kind == "newer_in_same_file":
                time = updated + 3 * DAY + number % 5000
            elif kind == "older_in_same_file":
                time = created + 7200
            if time != updated:
                record[_SEGMENT] = SEGMENT_AFTER[record[_SEGMENT]]
                record[_UPDATED] = iso(time)
            truth.accept(number, time, record[_SEGMENT])
        file.write(csv_line(record))

    def _later(self, file: TextFile) -> None:
        truth = self.truth
        truth.begin(LATER)
        file.write(csv_line(COLUMNS))
        newest = self._rows
        for position, kind in schedule(self._rows, LATER_LINES):
            number = position
            if kind == "new_customer":
                newest += 1
                number = newest
            person = self._people.person(number)
            record, created, time = fields(person, number)
            if kind == "new_customer":
                created = moment(2024, 1, 2) + number % (20 * DAY)
                time = created + number % 5000
                record[_CREATED] = iso(created)
            elif kind == "update":
                time = moment(2024, 1, 3) + person.draws[31] * 36
                moved = self._people.person(-number)
                if person.draws[31] % 2 and moved.locale is person.locale:
                    record[_STREET], record[_CITY], record[_POSTCODE] = moved.street, moved.town, moved.postcode
                record[_OPT_IN] = "false"
                record[_SEGMENT] = SEGMENT_AFTER[record[_SEGMENT]]
            elif kind == "late_update":
                time = created + 3600
                record[_SEGMENT] = SEGMENT_AFTER[record[_SEGMENT]]
            elif kind == "equal_time":
                time = truth.times[number]
                record[_SEGMENT] = SEGMENT_AFTER[record[_SEGMENT]]
            record[_UPDATED] = iso(time)
            file.write(csv_line(record))
            truth.accept(number, time, record[_SEGMENT])
            truth.dirt[kind] += 1
        truth.end()
