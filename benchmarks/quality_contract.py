"""A shop's order lines, a contract of 200 checks of all types on them, and hand-written SQL for each.

`quality.py` runs this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKS = 200
TYPES = {
    **{"line_id": "text", "order_id": "integer", "position": "integer", "customer_id": "integer", "sku": "text"},
    **{"quantity": "integer", "unit_price": "decimal", "discount": "decimal", "tax": "decimal", "amount": "decimal"},
    **{"currency": "text", "country": "text", "status": "text", "channel": "text", "warehouse": "text"},
    **{"gift": "boolean", "ordered_on": "date", "shipped_on": "date"},
    **{"created_at": "timestamp", "updated_at": "timestamp"},
}
_POSTGRES = {"integer": "bigint", "decimal": "numeric", "timestamp": "timestamp with time zone"}
_COUNTRIES = {"DE": 19, "FR": 20, "IT": 22, "ES": 21, "NL": 21, "PL": 23, "SE": 25, "AT": 20}
_CURRENCIES = {"PL": "PLN", "SE": "SEK"}
_STATUSES, _CHANNELS = ("new", "paid", "shipped", "returned"), ("web", "app", "shop")
_VALUES = {
    "currency": ["EUR", "PLN", "SEK"],
    "country": list(_COUNTRIES),
    "status": list(_STATUSES),
    "channel": list(_CHANNELS),
    "warehouse": [f"W{number:02}" for number in range(20)],
}
_LENGTHS = {"line_id": (11, 11), "sku": (9, 9), "currency": (3, 3), "country": (2, 2), "status": (3, 8)}
_LENGTHS |= {"channel": (3, 4), "warehouse": (3, 3)}
_FORMATS = {"line_id": "^L-[0-9]{9}$", "sku": "^SKU-[0-9]{5}$", "warehouse": "^W[0-9]{2}$"}
_RANGES = {"order_id": (0, 10**9), "position": (1, 3), "customer_id": (0, 10**6), "quantity": (1, 9)}
_RANGES |= {"unit_price": (0.5, 1000), "discount": (0, 500), "tax": (0, 5000), "amount": (0, 15000)}
_USUAL = {"order_id": 10**8, "position": 2, "customer_id": 200_000, "quantity": 8, "unit_price": 600, "discount": 100}
_USUAL |= {"tax": 500, "amount": 2500}
_ACROSS = {
    "amount": "abs(amount - (quantity * unit_price - coalesce(discount, 0) + tax)) > 0.01",
    "discount": "discount > quantity * unit_price",
    "tax": "tax > amount",
    "shipped_late": "shipped_on > ordered_on + 60",
    "shipped_early": "shipped_on < ordered_on",
    "updated_early": "updated_at < created_at",
    "created_then": "(created_at AT TIME ZONE 'UTC')::date <> ordered_on",
    "shipped_when": "status = 'shipped' AND shipped_on IS NULL",
    "new_not_shipped": "status = 'new' AND shipped_on IS NOT NULL",
    "gift_paid": "gift AND amount > 20000",
    "gift_in_shop": "gift AND channel = 'shop' AND shipped_on < ordered_on",
    "other_euro": "currency = 'EUR' AND country IN ('PL', 'SE')",
    "other_crown": "currency = 'SEK' AND country <> 'SE'",
    "other_zloty": "currency = 'PLN' AND country <> 'PL'",
    "customer_of_order": "customer_id IS NULL AND order_id IS NOT NULL",
}
_SOMETIMES = ("discount", "shipped_on")
_NOW = "2027-01-02T00:00:00+00:00"
_ANY = {"must_be_greater_than_or_equal": 0}
_MOSTLY = {"metric": "percent", "must_be_less_than": 50}
Entry = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Declared:
    """A check: its column, its YAML in the contract, and hand-written SQL for it."""

    column: str | None
    entry: Entry
    sql: str

    @property
    def path(self) -> str:
        """Its path, as in Soda and Atlas."""
        ((kind, body),) = self.entry.items()
        place = f"columns.{self.column}.checks" if self.column else "checks"
        return f"{place}.{kind}" + (f".{body['qualifier']}" if "qualifier" in body else "")


def checks(table: str, database: str) -> Iterator[Declared]:
    """The 200 checks. SQL that starts with SELECT is a query; any other is an aggregate, selected with the rest."""
    yield _of_table("schema", _schema(table), {"allow_extra_columns": True})
    yield _of_table("row_count", "count(*)", {"threshold": {"must_be_greater_than": 0}})
    fresh = {"column": "updated_at", "now_variable": "now", "threshold": {"unit": "day", "must_be_less_than": 3}}
    yield _of_table("freshness", f"extract(epoch FROM '{_NOW}' - max(updated_at)) / 86400", fresh)
    twice = f"SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT order_id, position FROM {table}) d) FROM {table}"
    yield _of_table("duplicate", twice, {"columns": ["order_id", "position"]})
    mixed = f"SELECT order_id FROM {table} GROUP BY order_id HAVING count(DISTINCT currency) > 1"
    yield _of_table("failed_rows", f"SELECT count(*) FROM ({mixed}) q", {"query": mixed, "qualifier": "one_currency"})
    for name, rule in _ACROSS.items():
        yield _failed(None, name, rule)
    for country, percent in _COUNTRIES.items():
        of = f"country = '{country}'"
        yield _failed(None, f"currency_{country}", f"{of} AND currency <> '{_CURRENCIES.get(country, 'EUR')}'")
        yield _failed(None, f"tax_{country}", f"{of} AND abs(tax - {percent} * (amount - tax) / 100) > 0.02")
        yield _failed(None, f"late_{country}", f"{of} AND shipped_on > ordered_on + 30")
        yield _metric(f"worth_{country}", f"avg(amount) FILTER (WHERE {of})")
    for status in _STATUSES:
        yield _failed(None, f"worthless_{status}", f"status = '{status}' AND amount <= 0")
        yield _metric(f"share_{status}", f"avg((status = '{status}')::int)")
    for channel in _CHANNELS:
        yield _failed(None, f"gifts_{channel}", f"channel = '{channel}' AND gift AND quantity > 9")
        yield _metric(f"most_{channel}", f"max(quantity) FILTER (WHERE channel = '{channel}')")
    for currency in _VALUES["currency"]:
        yield _metric(f"sold_{currency}", f"sum(amount) FILTER (WHERE currency = '{currency}')")
    for warehouse in _VALUES["warehouse"]:
        yield _metric(f"lines_{warehouse}", f"count(*) FILTER (WHERE warehouse = '{warehouse}')")
    yield _metric("gifts", "avg(gift::int)")
    for column, kind in TYPES.items():
        some = {"threshold": {"metric": "percent", "must_be_less_than": 60}} if column in _SOMETIMES else {}
        missing = f"count(*) FILTER (WHERE {column} IS NULL)"
        yield Declared(column, {"missing": some}, f"100.0 * {missing} / count(*)" if some else missing)
        if kind == "text":
            yield from _of_text(column)
        elif kind in ("integer", "decimal"):
            yield from _of_number(column)
        elif kind != "boolean":
            yield _failed(column, "too_early", f"{column} < '2020-01-01'")
            yield _failed(column, "too_late", f"{column} > '2100-01-01'")
    yield Declared("line_id", {"duplicate": {}}, f"SELECT count(*) - count(DISTINCT line_id) FROM {table}")
    known = {"dataset": f"atlas/{database}/silver/products", "column": "sku"}
    reference = {"qualifier": "known", "valid_reference_data": known}
    unknown = f"SELECT count(*) FROM {table} t WHERE sku IS NOT NULL AND NOT EXISTS"
    yield Declared("sku", {"invalid": reference}, f"{unknown} (SELECT FROM silver.products p WHERE p.sku = t.sku)")


def _of_table(kind: str, sql: str, body: dict[str, Any]) -> Declared:
    return Declared(None, {kind: body}, sql)


def _metric(name: str, sql: str) -> Declared:
    return _of_table("metric", sql, {"qualifier": name, "expression": sql, "threshold": _ANY})


def _failed(column: str | None, name: str, rule: str) -> Declared:
    body = {"qualifier": name, "expression": rule}
    return Declared(column, {"failed_rows": body}, f"count(*) FILTER (WHERE {rule})")


def _invalid(column: str, name: str, rule: str, **valid: Any) -> Declared:
    return Declared(column, {"invalid": {"qualifier": name, **valid}}, f"count(*) FILTER (WHERE {rule})")


def _aggregate(column: str, function: str, sql: str) -> Declared:
    return Declared(column, {"aggregate": {"qualifier": function, "function": function, "threshold": _ANY}}, sql)


def _of_text(column: str) -> Iterator[Declared]:
    shortest, longest = _LENGTHS[column]
    if shortest == longest:
        yield _invalid(column, "length", f"length({column}) <> {longest}", valid_length=longest)
    else:
        rule = f"length({column}) < {shortest} OR length({column}) > {longest}"
        yield _invalid(column, "length", rule, valid_min_length=shortest, valid_max_length=longest)
    placeholders = ["", "-", "n/a", "null", "unknown"]
    yield _invalid(column, "placeholder", f"{column} IN ({_list(placeholders)})", invalid_values=placeholders)
    if column in _VALUES:
        rule = f"{column} NOT IN ({_list(_VALUES[column])})"
        yield _invalid(column, "allowed", rule, valid_values=_VALUES[column])
    if column in _FORMATS:
        regex = _FORMATS[column]
        yield _invalid(column, "format", f"{column} !~ '{regex}'", valid_format={"regex": regex, "name": column})
    for function in ("avg", "max"):
        yield _aggregate(column, f"{function}_length", f"{function}(length({column}))")


def _of_number(column: str) -> Iterator[Declared]:
    least, most = _RANGES[column]
    rule = f"{column} < {least} OR {column} > {most}"
    yield _invalid(column, "range", rule, valid_min=least, valid_max=most)
    usual = _invalid(column, "usual", "", valid_max=_USUAL[column], threshold=_MOSTLY)
    yield Declared(column, usual.entry, f"100.0 * count(*) FILTER (WHERE {column} > {_USUAL[column]}) / count(*)")
    for function in ("min", "max") if column.endswith("_id") else ("min", "max", "avg", "sum"):
        yield _aggregate(column, function, f"{function}({column})")


def _list(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _schema(table: str) -> str:
    declared = ", ".join(f"('{name}', '{_POSTGRES.get(kind, kind)}')" for name, kind in TYPES.items())
    found = "SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns"
    found += f" WHERE table_schema || '.' || table_name = '{table}'"
    join = f"(VALUES {declared}) d (name, type) LEFT JOIN ({found}) f USING (name, type)"
    return f"SELECT count(*) FROM {join} WHERE f IS NULL"


def statements(table: str, database: str) -> list[tuple[list[str], str]]:
    """The hand-written SQL, and the checks whose numbers each statement selects."""
    every = list(checks(table, database))
    together = [one for one in every if not one.sql.startswith("SELECT")]
    first = f"SELECT {', '.join(one.sql for one in together)} FROM {table}"
    return [([one.path for one in together], first), *(([one.path], one.sql) for one in every if one not in together)]


def contract(table: str, database: str) -> str:
    """The contract as a YAML document."""
    every = list(checks(table, database))
    if len(every) != CHECKS:
        raise RuntimeError(f"the contract has {len(every)} checks instead of {CHECKS}")
    columns = [
        {
            "name": name,
            "data_type": _POSTGRES.get(kind, kind),
            "checks": [one.entry for one in every if one.column == name],
        }
        for name, kind in TYPES.items()
    ]
    document = {
        "dataset": f"atlas/{database}/{table.replace('.', '/')}",
        "variables": {"now": {"default": _NOW}},
        "checks": [one.entry for one in every if one.column is None],
        "columns": columns,
    }
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)


class _Plain(yaml.SafeDumper):
    """A YAML dumper without anchors and aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_file(path: Path, rows: int, every: int = 1) -> None:
    """Write order lines, three to an order; every thousandth has no discount.

    Args:
        path: of the file.
        rows: lines that are counted.
        every: one of so many is written.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(TYPES) + "\n")
        file.writelines(map(_row, range(0, rows, every)))


def _row(i: int) -> str:
    order, mixed = i // 3, i // 3 * 2654435761 % (1 << 32)
    other = i * 2246822519 % (1 << 32)
    country = list(_COUNTRIES)[mixed % 8]
    status, month, day = _STATUSES[mixed // 8 % 4], mixed % 12 + 1, mixed % 24 + 1
    quantity, price, discount = other % 9 + 1, 100 + other % 90_000, other % 100 if i % 1000 else 0
    net = quantity * price - discount
    tax = round(net * _COUNTRIES[country] / 100)
    shipped = f"2026-{month:02}-{day + 3:02}" if status in ("shipped", "returned") else ""
    then = f"2026-{month:02}-{day:02}"
    return (
        f"L-{i:09},{order},{i % 3 + 1},{mixed % 200_003},SKU-{other % 5000:05},{quantity},{_money(price)},"
        f"{_money(discount) if i % 1000 else ''},{_money(tax)},{_money(net + tax)},{_CURRENCIES.get(country, 'EUR')},"
        f"{country},{status},{_CHANNELS[mixed // 32 % 3]},W{other % 20:02},{'false' if other % 7 else 'true'},"
        f"{then},{shipped},{then}T{mixed % 24:02}:{mixed % 60:02}:00Z,2027-01-01T00:{mixed % 60:02}:00Z\n"
    )


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
