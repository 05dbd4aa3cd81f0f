"""The first contract of a dataset, in Soda's language, from the data that was read.

Belongs here: which checks the data gives reason for, and their text. Does not belong here: what the data holds
(`ingest/infer.py`), what becomes of personal data (`pii/`), and the files that a scaffold writes (`dataset.py`).

All checks hold for the rows that were seen, and no value of a column that holds personal data is in the text. What must
hold for any such table is an error; what is only a guess, such as a range, is a warning.
"""

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import yaml

from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.infer import FEWEST_ROWS, ColumnInference, Inference, looks_like_id
from atlas_pipeline.ingest.types import MOMENTS, NUMBERS

_UNCHECKABLE = ("${", '"')  # in a name or value: Soda evaluates the first, and takes the second for the end of a name
_SODA_TYPE = {
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
}
_DAY = dt.timedelta(days=1)
_FEWEST_DAYS = 2
_LIKELY_YEARS = (1990, 1900)  # before which a date is more likely a mistake, unless the data has earlier ones
_MOST = 10**18  # beyond which a number is not a quantity
_HUNDREDTHS = re.compile(r"(?:^|[^a-z])(?:percent|percentage|pct)(?:$|[^a-z])", re.IGNORECASE)
_PARTS = re.compile(r"(?:^|[^a-z])(?:share|ratio|fraction|probability)(?:$|[^a-z])", re.IGNORECASE)


def contract(dataset: Dataset, guess: Inference, *, complete: bool, now: dt.datetime) -> str:
    """The text of a contract for silver of a dataset.

    Args:
        dataset: with the plans of its columns.
        guess: what was inferred from its rows.
        complete: whether all rows were read.
        now: when they were read.
    """
    columns = [(c, _seen(guess, c.name)) for c in dataset.published_columns if _checkable(c.name)]
    seen = f"{guess.rows:,} rows" if complete else f"the first {guess.rows:,} rows"
    lines = [f"# From {seen}. Checks with `level: warn` are guesses at what is usual: review them."]
    lines += [f"dataset: atlas/atlas/silver/{dataset.name}", "", "checks:"]
    checks = []
    if columns:
        checks += _check("schema", {"allow_extra_columns": "true", "allow_other_column_order": "true"})
    checks += _check("row_count", threshold=["must_be_greater_than: 0"])
    if len(dataset.key) > 1 and all(map(_checkable, dataset.key)):
        named = {"name": _sentence(f"{', '.join(dataset.key)} are unique together")}
        checks += _check("duplicate", named | {"columns": _list(dataset.key)})
    checks += _freshness(dataset, columns, now)
    lines += [f"  {line}" for line in checks]
    lines += ["", "columns:" if columns else "columns: []"]
    for column, found in columns:
        lines += [
            f"  - name: {_quoted(column.name)}",
            f"    data_type: {_SODA_TYPE.get(column.postgres_type, column.postgres_type)}",
        ]
        checks = _presence(dataset, found, complete)
        if not _personal(column):
            checks += [*_values(found), *_range(dataset, found, guess.rows), *_moments(found, now)]
        if checks:
            lines += ["    checks:", *(f"      {line}" for line in checks)]
    return "\n".join(lines) + "\n"


def count_checks(text: str) -> tuple[int, int]:
    """How many checks a contract has, and how many of them only warn."""
    document = yaml.safe_load(text)
    checks = [*document["checks"], *(check for c in document["columns"] for check in c.get("checks", []))]
    bodies = [body or {} for check in checks for body in check.values()]
    return len(checks), sum(body.get("threshold", {}).get("level") == "warn" for body in bodies)


def _seen(guess: Inference, name: str) -> ColumnInference:
    return next(column for column in guess.columns if column.name == name)


def _checkable(text: str) -> bool:
    return not any(mark in text for mark in _UNCHECKABLE)


def _personal(column: Column) -> bool:
    return column.treatment != "keep" or (column.plan is not None and column.plan.personal)


def _presence(dataset: Dataset, found: ColumnInference, complete: bool) -> list[str]:
    checks: list[str] = []
    if found.name in dataset.key or not found.nullable:
        checks += _check("missing", warn=found.name not in dataset.key and not complete)
    if dataset.key == (found.name,):
        checks += _check("duplicate")
    return checks


def _values(found: ColumnInference) -> list[str]:
    """The few texts that a column has, else the length that all of them have."""
    if found.values and not any(_UNCHECKABLE[0] in value for value in found.values):
        name = _sentence(f"{found.name} is one of the values known")
        return _check("invalid", {"name": name, "valid_values": _list(found.values)}, warn=True)
    if found.length:
        characters = "1 character" if found.length == 1 else f"{found.length:,} characters"
        name = _sentence(f"{found.name} has {characters}")
        return _check("invalid", {"name": name, "valid_length": str(found.length)}, warn=True)
    return []


def _range(dataset: Dataset, found: ColumnInference, rows: int) -> list[str]:
    if found.type not in NUMBERS or found.name in dataset.key or looks_like_id(found.name):
        return []
    if found.minimum is None or found.maximum is None:
        return []
    low, high = _bounds(found.name, Decimal(found.minimum), Decimal(found.maximum), rows)
    if low is not None and high is not None:
        name = f"{found.name} is from {low:,} to {high:,}"
    elif low is not None:
        name = f"{found.name} is {low:,} or more"
    elif high is not None:
        name = f"{found.name} is {high:,} or less"
    else:
        return []
    ends = {"valid_min": low, "valid_max": high}
    fields = {"name": _sentence(name)} | {end: str(value) for end, value in ends.items() if value is not None}
    return _check("invalid", fields, warn=True)


def _bounds(name: str, least: Decimal, greatest: Decimal, rows: int) -> tuple[int | None, int | None]:
    """Round numbers that leave room for what new rows may bring; null for an end that too few rows tell of."""
    if least >= 0 and greatest <= 100 and _HUNDREDTHS.search(name):
        return 0, 100
    if least >= 0 and greatest <= 1 and _PARTS.search(name):
        return 0, 1
    few = rows < FEWEST_ROWS
    low = _beyond(-least) if least < 0 and not few else None
    high = _beyond(greatest) if not few else None
    return (0 if least >= 0 else None if low is None else -low), high


def _beyond(number: Decimal) -> int | None:
    """The power of ten, or zero, that is at least twice a number; null for one that is not a quantity."""
    if number < 0:
        return 0
    bound = 1 if 0 < number * 2 <= 1 else 10
    while bound < number * 2 and bound <= _MOST:
        bound *= 10
    return bound if bound <= _MOST else None


def _moments(found: ColumnInference, now: dt.datetime) -> list[str]:
    """Plausible dates: Soda's ranges are of numbers, so this is an expression."""
    if found.type not in MOMENTS or found.minimum is None:
        return []
    column, latest = f'"{found.name}"', _moment(found.maximum)
    # A day's margin: Postgres reads the text in the time zone of the session.
    year = next((year for year in _LIKELY_YEARS if found.minimum >= f"{year}-01-02"), None)
    bad, good = [], []
    if year:
        bad.append(f"{column} < '{year}-01-01'")
        good.append(f"not before {year}")
    if latest and latest <= now:
        bad.append(f"{column} > " + ("current_date + 1" if found.type == "date" else "now() + interval '1 day'"))
        good.append("not in the future")
    if not bad:
        return []
    fields = {"name": _sentence(f"{found.name} is {' and '.join(good)}"), "expression": _expression(" OR ".join(bad))}
    return _check("failed_rows", fields, warn=True)


def _freshness(dataset: Dataset, columns: Sequence[tuple[Column, ColumnInference]], now: dt.datetime) -> list[str]:
    """The age of the newest moment may double, and be two days at least."""
    newest = {
        found: moment
        for column, found in columns
        if not _personal(column)
        and _stays(dataset, column.name, columns)
        and (moment := _moment(found.newest))
        and moment <= now + _DAY
    }
    if not newest:
        return []
    column = max(newest, key=lambda one: (one.name == dataset.latest_by, one.type != "date", newest[one]))
    days = max(_FEWEST_DAYS, math.ceil(2 * (now - newest[column]) / _DAY))
    fields = {
        "name": _sentence(f"The newest {column.name} is at most {days:,} days old"),
        "column": f"{_quoted(column.name)}  # the newest was {column.newest}",
    }
    return _check("freshness", fields, threshold=["unit: day", f"must_be_less_than_or_equal: {days}"], warn=True)


def _stays(dataset: Dataset, name: str, columns: Sequence[tuple[Column, ColumnInference]]) -> bool:
    """Whether the row with the greatest value of a column is sure to be in silver: of rows with one key, one stays."""
    keys = [found for _, found in columns if found.name in dataset.key]
    if len(keys) < len(dataset.key):
        return False
    unique = len(keys) == 1 and keys[0].unique
    kept = name == dataset.latest_by and not any(found.nullable or found.blank for found in keys)
    return not keys or unique or kept


def _moment(text: str | None) -> dt.datetime | None:
    """A date's midnight or a timestamp, in UTC; null for what Python has no room for."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


# YAML.


def _check(
    kind: str, fields: Mapping[str, str] | None = None, *, threshold: Sequence[str] = (), warn: bool = False
) -> list[str]:
    """The lines of a check. What `fields` and `threshold` hold is YAML already."""
    if warn:
        threshold = [*(threshold or ["must_be: 0"]), "level: warn"]
    lines = [f"- {kind}:", *(f"    {name}: {text}" for name, text in (fields or {}).items())]
    return [*lines, "    threshold:", *(f"      {line}" for line in threshold)] if threshold else lines


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _expression(text: str) -> str:
    """As it is, under its key, unless a name in it has characters that YAML would not keep."""
    return f">-\n            {text}" if text.isprintable() else _quoted(text)


def _quoted(text: str, plain: str = "_ ") -> str:
    """As YAML of any version: Soda's parser takes more words for numbers than the one that writes here."""
    if re.fullmatch(rf"[A-Za-z](?:[A-Za-z0-9{plain}]*[A-Za-z0-9])?", text) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', width=10**6, allow_unicode=True).strip()


def _sentence(text: str) -> str:
    """The name of a check, which is in no list: a comma needs no quotes."""
    return _quoted(text, "_ ,-")
