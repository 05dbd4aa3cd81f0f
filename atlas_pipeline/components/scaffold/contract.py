"""The first contract of a dataset, in Soda's language, from the data that was read.

Belongs here: which checks the data gives reason for, and their text. Does not belong here: what the data holds
(`ingest/infer.py`), what becomes of personal data (`pii/`), and the files that a scaffold writes (`dataset.py`).

All checks hold for the rows that were seen, and are meant to hold for the next ones: a bound is what a name means
(`ingest/usual.py`), not how far a sample went. No value of a column that holds personal data is in the text, and of a
table of persons no length either. What must hold for any such table is an error; what is only a guess is a warning.
Each check says why it is there.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import yaml

from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.identifiers import is_named, names_quantity
from atlas_pipeline.ingest.infer import FEWEST_ROWS, ColumnInference, Inference
from atlas_pipeline.ingest.types import MOMENTS, NUMBERS
from atlas_pipeline.ingest.usual import has_closed_list, may_be_negative, may_be_open, may_lie_ahead, span_of
from atlas_pipeline.pii.columns.decide import names_persons

_UNCHECKABLE = ("${", '"')  # in a name or value: Soda evaluates the first, and takes the second for the end of a name
_SODA_TYPE = {
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
}
_DAY = dt.timedelta(days=1)
_LIKELY_YEARS = (1990, 1900)  # before which a moment is more likely a mistake, unless the data has earlier ones
_MANY_TEXTS = 1000  # rows in which a text is never missing before that is worth a warning
_FEW_TIMES = 3  # how often each value of a closed list occurs
_FEW_PERSONS = 10  # how often, in a table that holds persons: a rarer value could tell one
_FEW_FLAGS, _SHORT = 4, 2  # values and characters of what is a flag whatever its name
_SLACK = {1: 2, 7: 3}  # days over the longest gap after which a feed of this rhythm is late
_SLACK_OF_MONTHS = 9
_ALIVE = 7  # days over that within which a first file may be old already


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
        fields = {"allow_extra_columns": "true", "allow_other_column_order": "true"}
        checks += _check("schema", "readers rely on the columns below; more may come", fields)
    checks += _check("row_count", "an empty table is a fault", threshold=["must_be_greater_than: 0"])
    if len(dataset.key) > 1 and all(map(_checkable, dataset.key)):
        named = {"name": _sentence(f"{', '.join(dataset.key)} are unique together")}
        checks += _check("duplicate", "this is the key", named | {"columns": _list(dataset.key)})
    checks += _freshness(dataset, columns, now)
    lines += [f"  {line}" for line in checks]
    lines += ["", "columns:" if columns else "columns: []"]
    for column, found in columns:
        type, _, _ = column.postgres_type.partition("(")
        digits = column.digits if type == "numeric" else None
        lines += [
            f"  - name: {_quoted(column.name)}",
            f"    data_type: {_SODA_TYPE.get(type, type)}",
        ]
        if digits:
            lines += [f"    numeric_precision: {digits[0]}", f"    numeric_scale: {digits[1]}"]
        checks = _presence(dataset, found, guess.rows, complete)
        if not _personal(column):
            checks += [
                *_values(found, of_persons=_of_persons(dataset)),
                *_range(dataset, found, guess.rows),
                *_moments(found, now),
            ]
            checks += _order(dataset, guess, found.name)
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


def _of_persons(dataset: Dataset) -> bool:
    """Whether rows are about persons: some column is personal, or the key is one such as `patient_id`."""
    return any(map(_personal, dataset.columns)) or any(map(names_persons, dataset.key))


def _presence(dataset: Dataset, found: ColumnInference, rows: int, complete: bool) -> list[str]:
    """That a value is there: of keys and identifiers an error; of others a warning, once enough rows show it."""
    checks: list[str] = []
    if found.name in dataset.key:
        checks += _check("missing", "part of the key")
    elif not found.nullable and is_named(found.name):
        checks += _check("missing", f"it names something, and none of {rows:,} rows lacks it", warn=not complete)
    elif (
        not found.nullable
        and not may_be_open(found.name)
        and rows >= (FEWEST_ROWS if found.type != "text" or found.values else _MANY_TEXTS)
    ):
        checks += _check("missing", f"none of {rows:,} rows lacks it", warn=True)
    if dataset.key == (found.name,):
        checks += _check("duplicate", "this is the key")
    return checks


def _values(found: ColumnInference, *, of_persons: bool) -> list[str]:
    """The texts of a list that is closed, each of which is there several times, else the length that codes have. Of a
    table of persons only texts that many of them share, and no length, which could tell who has a code of another."""
    if _is_closed(found, _FEW_PERSONS if of_persons else _FEW_TIMES):
        name = _sentence(f"{found.name} is one of the values known")
        why = f"a short list; each value is there {found.rarest:,} times or more"
        return _check("invalid", why, {"name": name, "valid_values": _list(found.values or ())}, warn=True)
    if (
        not of_persons
        and found.length
        and found.code
        and found.distinct > 1
        and (is_named(found.name) or not found.values)
    ):
        characters = "1 character" if found.length == 1 else f"{found.length:,} characters"
        name = _sentence(f"{found.name} has {characters}")
        why = f"codes of one length, {found.distinct:,} of them"
        return _check("invalid", why, {"name": name, "valid_length": str(found.length)}, warn=True)
    return []


def _is_closed(found: ColumnInference, fewest: int) -> bool:
    """Whether a column's values are a list that is not expected to grow: its name says so, or they are a few codes."""
    if not found.values or len(found.values) < 2 or any(_UNCHECKABLE[0] in value for value in found.values):
        return False
    named = has_closed_list(found.name)
    flags = found.code and len(found.values) <= _FEW_FLAGS and all(len(value) <= _SHORT for value in found.values)
    return found.rarest >= fewest and (named or (named is None and flags and not is_named(found.name)))


def _range(dataset: Dataset, found: ColumnInference, rows: int) -> list[str]:
    """The range that a name means; else that what is never negative stays so. An open end gets no bound."""
    if found.type not in NUMBERS or found.name in dataset.key or found.minimum is None or found.maximum is None:
        return []
    least, greatest = Decimal(found.minimum), Decimal(found.maximum)
    if span := span_of(found.name, least, greatest):
        fields = {
            "name": _sentence(f"{found.name} is from {span.low} to {span.high}"),
            "valid_min": str(span.low),
            "valid_max": str(span.high),
        }
        return _check("invalid", f"what {span.of} can be", fields, warn=True)
    certain = names_quantity(found.name) or rows >= FEWEST_ROWS
    if least < 0 or not certain or may_be_negative(found.name) or is_named(found.name):
        return []
    fields = {"name": _sentence(f"{found.name} is 0 or more"), "valid_min": "0"}
    return _check("invalid", f"none of {rows:,} rows is below zero; how far it goes is open", fields, warn=True)


def _moments(found: ColumnInference, now: dt.datetime) -> list[str]:
    """Plausible dates: Soda's ranges are of numbers, so this is an expression."""
    if found.type not in MOMENTS or found.minimum is None:
        return []
    column, latest = f'"{found.name}"', _moment(found.maximum)
    # A day's margin: Postgres reads the text in the time zone of the session.
    years = _LIKELY_YEARS if found.rhythm else _LIKELY_YEARS[1:]
    year = next((year for year in years if found.minimum >= f"{year}-01-02"), None)
    bad, good = [], []
    if year:
        bad.append(f"{column} < '{year}-01-01'")
        good.append(f"not before {year}")
    if latest and latest <= now and not may_lie_ahead(found.name):
        bad.append(f"{column} > " + ("current_date + 1" if found.type == "date" else "now() + interval '1 day'"))
        good.append("not in the future")
    if not bad:
        return []
    fields = {"name": _sentence(f"{found.name} is {' and '.join(good)}"), "expression": _expression(" OR ".join(bad))}
    why = "what lies elsewhere is more likely a slip or a placeholder"
    return _check("failed_rows", why, fields, warn=True)


def _order(dataset: Dataset, guess: Inference, name: str) -> Iterator[str]:
    """That a column does not come before the one that it follows."""
    kept = {column.name for column in dataset.published_columns if not _personal(column)}
    for first, second in guess.ordered:
        if second == name and first in kept and _checkable(first):
            fields = {
                "name": _sentence(f"{second} is not before {first}"),
                "qualifier": f"after_{re.sub('[^a-z0-9]+', '_', first.lower())}",
                "expression": _expression(f'"{second}" < "{first}"'),
            }
            yield from _check("failed_rows", "so it is in every row", fields, warn=True)


def _freshness(dataset: Dataset, columns: Sequence[tuple[Column, ColumnInference]], now: dt.datetime) -> list[str]:
    """That a feed with a rhythm goes on: only of a column whose newest moment is as new as its rhythm lets expect."""
    late = {
        found: days
        for column, found in columns
        if not _personal(column)
        and found.rhythm
        and not may_lie_ahead(found.name)
        and _stays(dataset, column.name, columns)
        and (moment := _moment(found.newest))
        and (days := _late_after(*found.rhythm, now - moment)) is not None
    }
    if not late:
        return []
    column = min(late, key=lambda one: (one.name != dataset.latest_by, late[one], one.type == "date"))
    days, (usual, most) = late[column], column.rhythm or (0, 0)
    often = {1: "every day", 7: "every week"}.get(usual, "every month")
    fields = {
        "name": _sentence(f"The newest {column.name} is at most {days:,} days old"),
        "column": _quoted(column.name),
    }
    limits = ["unit: day", f"must_be_less_than_or_equal: {days}"]
    why = f"rows come {often}, at most {most:,} days apart"
    return _check("freshness", why, fields, threshold=limits, warn=True)


def _late_after(usual: int, most: int, age: dt.timedelta) -> int | None:
    """The age in days at which a feed is late; null for one that has ended, or begins tomorrow.

    Args:
        usual: days between two days with rows.
        most: the longest such gap.
        age: of the newest row.
    """
    slack = _SLACK.get(usual, _SLACK_OF_MONTHS)
    if age < -_DAY or age > (most + slack + _ALIVE) * _DAY:
        return None
    return max(most, math.ceil(age / _DAY)) + slack


def _stays(dataset: Dataset, name: str, columns: Sequence[tuple[Column, ColumnInference]]) -> bool:
    """Whether the row with the greatest value of a column is sure to be in silver: of rows with one key, one stays."""
    keys = [found for _, found in columns if found.name in dataset.key]
    if len(keys) < len(dataset.key):
        return False
    unique = len(keys) == 1 and keys[0].unique
    kept = (name == dataset.latest_by or name in dataset.key) and not any(
        found.nullable or found.blank for found in keys
    )
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
    kind: str, why: str, fields: Mapping[str, str] | None = None, *, threshold: Sequence[str] = (), warn: bool = False
) -> list[str]:
    """The lines of a check.

    Args:
        kind: of the check.
        why: it is there; no value is in it.
        fields: of its body, as YAML.
        threshold: lines of YAML.
        warn: whether it only warns.
    """
    if warn:
        threshold = [*(threshold or ["must_be: 0"]), "level: warn"]
    lines = [f"- {kind}:  # {why}", *(f"    {name}: {text}" for name, text in (fields or {}).items())]
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
