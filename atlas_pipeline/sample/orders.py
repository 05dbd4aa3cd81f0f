"""The orders feed: two monthly files of compressed JSON Lines, with late changes, duplicates and broken records.

This is the largest feed, so a line is formatted as text rather than by a JSON encoder; every value is a number or has
no character that needs an escape. Does not belong here: the expected result of a load (`truth.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from atlas_pipeline.sample.chance import DAY, Draws, early, iso, moment, schedule, sparse
from atlas_pipeline.sample.files import Staging, TextFile
from atlas_pipeline.sample.identifiers import card, grouped, ip_address
from atlas_pipeline.sample.people import FIRST_CUSTOMER, People
from atlas_pipeline.sample.truth import Truth
from atlas_pipeline.sample.words import CURRENCY

JANUARY = "orders/orders-2024-01.jsonl.gz"
FEBRUARY = "orders/orders-2024-02.jsonl.gz"
PER_CUSTOMER = 5
COLUMNS = (
    "order_id",
    "customer_id",
    "ordered_at",
    "status",
    "currency",
    "amount",
    "items",
    "payment_card",
    "shipping_country",
    "ip_address",
    "updated_at",
)

EVENTS = {
    "exact_duplicate": 30,
    "newer_in_same_file": 50,
    "older_in_same_file": 20,
    "bad_amount_known_key": 5,
    "bad_amount_new_key": 5,
    "blank_key": 5,
    "null_key": 5,
    "broken_json": 1,
    "missing_value": 50,
    "spaces_around": 20,
}
"""Additional lines, and (the last two) flaws of a record, per 10,000 orders of one file."""
FEBRUARY_LINES = {"update": 200, "late_update": 30, "equal_time": 10}
"""Lines in February's file that change orders of January, per 10,000 orders of January."""
_STRANGER_EVERY, _STRANGER = 997, 23
"""One order in 997, the 23rd, refers to a customer that does not exist."""

_STATUS = ("delivered",) * 9 + ("shipped",) * 3 + ("paid", "cancelled", "returned", "refunded")
_STATUS_AFTER = {
    "paid": "shipped",
    "shipped": "delivered",
    "delivered": "returned",
    "returned": "refunded",
    "cancelled": "refunded",
    "refunded": "delivered",
}
_ITEMS = tuple(
    f'{{"sku":"{("KTL", "LMP", "BAG", "TEA", "CHR", "RTR", "SHO", "BOX")[n % 8]}-{1000 + n // 8 * 7}'
    f'-{("BLK", "WHT", "RED", "XL")[n // 8 % 4]}","quantity":{1 + (n * 5 // 11) % 4}}}'
    for n in range(4096)
)
_JANUARY_STARTS, _FEBRUARY_STARTS, _MARCH_STARTS = moment(2024, 1, 1), moment(2024, 2, 1), moment(2024, 3, 1)


class Orders:
    """Writes both files, and keeps their ground truth.

    Args:
        rows: Number of customers; there are five orders for each.
        seed: Seed of the sample.
        people: The people of the sample.
    """

    def __init__(self, rows: int, seed: int, people: People) -> None:
        self._customers = rows
        self._total = rows * PER_CUSTOMER
        self._january = self._total // 2
        self._at = Draws(seed, "orders").at
        self._locale = people.locale
        watched = early(self._january, EVENTS) | early(self._january, FEBRUARY_LINES) | sparse(self._total)
        self.truth = Truth("orders", "order_id", "updated_at", "status", self._total, frozenset(watched))

    def write(self, staging: Staging, progress: Callable[[int], None]) -> None:
        """Write both files.

        Args:
            staging: Where they are staged.
            progress: Called now and then with the number of orders written.
        """
        self.truth.dirt["unknown_customer"] = len(range(_STRANGER, self._total + 1, _STRANGER_EVERY))
        with TextFile(staging.path(JANUARY), gzip=True) as file:
            self._month(file, JANUARY, 0, self._january, progress)
        with TextFile(staging.path(FEBRUARY), gzip=True) as file:
            self._month(file, FEBRUARY, self._january, self._total - self._january, progress)

    def report(self) -> dict[str, object]:
        """The ground truth of the dataset, as in labels/expected.json."""
        report = self.truth.report((number, order_id(number)) for number in sorted(self.truth.watched))
        report["published_with_unknown_customer"] = self.truth.dirt["unknown_customer"]
        return report

    def _month(self, file: TextFile, name: str, before: int, count: int, progress: Callable[[int], None]) -> None:
        """Write one month's orders, those numbered before + 1 to before + count."""
        truth = self.truth
        truth.begin(name)
        start, end = (_FEBRUARY_STARTS, _MARCH_STARTS) if name == FEBRUARY else (_JANUARY_STARTS, _FEBRUARY_STARTS)
        step = end - start
        events = schedule(count, EVENTS)
        event_at, kind = next(events)
        changes = schedule(self._january, FEBRUARY_LINES) if name == FEBRUARY else iter(())
        change_at, change = next(changes, (0, ""))
        write, accept, line = file.write, truth.accept, self._line
        for position in range(1, count + 1):
            number = before + position
            ordered = start + (position - 1) * step // count
            text, updated, status = line(number, ordered)
            if event_at != position:
                write(text)
                accept(number, updated, status)
            else:
                kinds = []
                while event_at == position:
                    kinds.append(kind)
                    event_at, kind = next(events, (0, ""))
                self._flawed(file, kinds, number, ordered)
            while change_at == position:
                self._change(file, change, change_at)
                change_at, change = next(changes, (0, ""))
            if not number & 8191:
                progress(number)
        truth.end()

    def _line(
        self,
        number: int,
        ordered: int,
        *,
        updated: int = 0,
        changed: bool = False,
        key: str | None = None,
        amount: str = "",
        flaws: tuple[str, ...] = (),
    ) -> tuple[str, int, str]:
        """The JSON line of an order, its time of change and its status."""
        draw = self._at(number)
        customer = (draw[0] << 16 | draw[1]) % self._customers + 1
        country = self._locale(customer).country
        if number % _STRANGER_EVERY == _STRANGER:
            customer += 9 * self._customers
        status = _STATUS[draw[2] & 15]
        if changed:
            status = _STATUS_AFTER[status]
        if not updated:
            updated = ordered + 7200 + draw[3] * 2
        if not amount:
            cents = 199 + draw[4] * (1 + (draw[5] & 3)) // 4
            amount = f"{cents // 100}.{cents % 100:02d}"
        more = draw[6] & 7
        items = _ITEMS[draw[7] & 4095]
        if more > 3:
            items += "," + _ITEMS[draw[8] & 4095]
            if more > 5:
                items += "," + _ITEMS[draw[9] & 4095]
        paid_with = card(draw[10], draw[11], draw[12])
        look = draw[13] & 15
        if look > 9:
            paid_with = grouped(paid_with, " " if look > 11 else "-")
        address = f'"{ip_address(draw[14], draw[15])}"'
        if flaws:
            if "spaces_around" in flaws:
                paid_with = f" {paid_with} "
            if "missing_value" in flaws:
                address = "null"
        name = f'"{order_id(number)}"' if key is None else key
        return (
            f'{{"order_id":{name},"customer_id":{FIRST_CUSTOMER - 1 + customer},"ordered_at":"{iso(ordered)}",'
            f'"status":"{status}","currency":"{CURRENCY.get(country, "EUR")}","amount":{amount},"items":[{items}],'
            f'"payment_card":"{paid_with}","shipping_country":"{country}","ip_address":{address},'
            f'"updated_at":"{iso(updated)}"}}\n',
            updated,
            status,
        )

    def _flawed(self, file: TextFile, kinds: list[str], number: int, ordered: int) -> None:
        """Write an order with flaws, and additional lines about it."""
        truth = self.truth
        flaws = tuple(kind for kind in kinds if kind in ("missing_value", "spaces_around"))
        text, updated, status = self._line(number, ordered, flaws=flaws)
        file.write(text)
        truth.accept(number, updated, status)
        for kind in kinds:
            truth.dirt[kind] += 1
            if kind == "exact_duplicate":
                file.write(text)
                truth.accept(number, updated, status)
            elif kind in ("newer_in_same_file", "older_in_same_file"):
                time = updated + DAY if kind == "newer_in_same_file" else ordered + 60
                other, _, status_then = self._line(number, ordered, updated=time, changed=True)
                file.write(other)
                truth.accept(number, time, status_then)
            elif kind == "broken_json":
                file.write(text[: len(text) // 2] + "\n")
                truth.broken()
            elif kind not in flaws:
                file.write(self._rejected(kind, number, ordered, updated))
                truth.reject("missing_key" if kind in ("blank_key", "null_key") else "wrong_type")

    def _rejected(self, kind: str, number: int, ordered: int, updated: int) -> str:
        """A line that parses and must be rejected."""
        if kind == "blank_key":
            return self._line(number, ordered, key='""')[0]
        if kind == "null_key":
            return self._line(number, ordered, key="null")[0]
        key = None if kind == "bad_amount_known_key" else f'"{order_id(self._total * 2 + number)}"'
        return self._line(number, ordered, updated=updated + DAY, key=key, amount='"twelve"')[0]

    def _change(self, file: TextFile, kind: str, number: int) -> None:
        """Write a line to February's file that changes an order of January."""
        truth = self.truth
        ordered = _JANUARY_STARTS + (number - 1) * (_FEBRUARY_STARTS - _JANUARY_STARTS) // self._january
        time = {
            "update": _FEBRUARY_STARTS + 6 * DAY + number * 7919 % (20 * DAY),
            "late_update": ordered + 60,
            "equal_time": truth.times[number],
        }[kind]
        text, _, status = self._line(number, ordered, updated=time, changed=True)
        file.write(text)
        truth.accept(number, time, status)
        truth.dirt[kind] += 1


def order_id(number: int) -> str:
    """An order's key in the file."""
    return f"ORD-{number:09d}"
