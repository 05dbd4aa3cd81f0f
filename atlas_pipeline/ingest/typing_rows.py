"""From rows of text to rows that silver takes: typed, personal data treated, and those that do not fit set apart.

Belongs here: the pure step between bronze and staging, on one block of rows. Does not belong here: the database.
"""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.identifiers import is_named
from atlas_pipeline.ingest.types import NUMBERS, cast
from atlas_pipeline.pii.apply import apply_column
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.sweep import personal_cells

MISSING_KEY = "missing_key"
KEY_TOO_LONG = "key_too_long"
PERSONAL_DATA = "personal_data"
REWRITTEN_KEY = "rewritten_key"
TRAILING_ZERO = r"\.(?:[0-9]*[1-9])?0+0$|\.[0-9]*[1-9]0$"
_MEANING = {
    "wrong_type": "is not of type {type}",
    "out_of_range": "is out of range for {type}",
    MISSING_KEY: "is missing, which is part of the key",
    REWRITTEN_KEY: "names something, and as {type} it could name something else",
    KEY_TOO_LONG: "is too long to be part of the key",
    PERSONAL_DATA: "seems to hold personal data, which its plan says is not there: declare its `pii`, or `pii: none`",
}
_MISFITS = ("wrong_type", "out_of_range")
# A row of a Postgres index, which the key gets, ends at 2,704 bytes.
_KEY_BYTES = 2500


@dataclass(frozen=True)
class TypingReject:
    """A record that does not fit: where it is, the rule of its first fault, the columns, a reason without values.

    `misfits` are those of the columns whose text is not of their type, `rewritten` those that identify something and
    would lose a part of it.
    """

    file_id: int
    line: int
    rule: str
    columns: tuple[str, ...]
    reason: str
    misfits: tuple[str, ...]
    rewritten: tuple[str, ...] = ()


def typed_rows(
    dataset: Dataset, rows: pa.Table, keys: Keys, set_apart: Collection[str] = ()
) -> tuple[pa.Table, list[TypingReject]]:
    """Split a block of bronze rows into what silver takes and what goes to quarantine.

    Args:
        dataset: with a plan in each column.
        rows: the declared columns as strings, then file id and line.
        keys: of hashed and encrypted columns.
        set_apart: columns of which rows with personal data are rejected.

    Returns:
        The rows that fit: the published columns as the text that Postgres parses into their types, then file id and
        line; and the rejects.

    Raises KeyMissing.
    """
    faults: list[tuple[str, str, pa.Array]] = []
    out: dict[str, pa.Array] = {}
    for column in dataset.columns:
        done = cast(
            rows[column.name],
            column.type,
            column.format,
            dataset.timezone,
            column.null_values,
            dataset.notation,
            column.digits,
        )
        for rule, mask in zip(_MISFITS, (done.wrong_type, done.out_of_range), strict=True):
            if pc.any(mask).as_py():
                faults.append((rule, column.name, mask))
        values = done.values
        changed = _rewritten(dataset, column, rows[column.name].combine_chunks(), values)
        if changed is not None and pc.any(changed).as_py():
            faults.append((REWRITTEN_KEY, column.name, changed))
        if column.name in set_apart:
            personal = personal_cells(values, dataset.policy.rules)
            if pc.any(personal).as_py():
                faults.append((PERSONAL_DATA, column.name, personal))
        if column.name in dataset.key:
            blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True)
            missing = pc.and_not(blank, done.bad)
            if pc.any(missing).as_py():
                faults.append((MISSING_KEY, column.name, missing))
            if column.treatment == "keep":
                too_long = pc.greater(pc.binary_length(values), _KEY_BYTES // len(dataset.key))
                too_long = pc.fill_null(too_long, False)
                if pc.any(too_long).as_py():
                    faults.append((KEY_TOO_LONG, column.name, too_long))
        out[column.name] = values
    bad = _any([mask for _, _, mask in faults], rows.num_rows)
    good = pc.invert(bad) if faults else None
    places = {FILE_ID: rows[FILE_ID], LINE: rows[LINE]}
    table = pa.table({c.name: out[c.name] for c in dataset.staged_columns} | places)
    if good is not None:
        table = table.filter(good)
    table = _treated(dataset, table, keys)
    return table, _rejects(dataset, rows, faults, bad) if faults else []


def _treated(dataset: Dataset, table: pa.Table, keys: Keys) -> pa.Table:
    """The rows with personal data treated as planned."""
    rules = dataset.policy.rules
    for column in dataset.published_columns:
        if column.plan and column.treatment != "keep":
            values = table[column.name].combine_chunks()
            values = apply_column(values, column.plan, keys, rules, as_json=column.stays_json)
            table = table.set_column(table.column_names.index(column.name), column.name, values)
    return table


def _rewritten(dataset: Dataset, column: Column, texts: pa.Array, values: pa.Array) -> pa.Array | None:
    """Which identifiers would lose a part of their text as numbers; null for a column that has none.

    Args:
        dataset: whose row it is.
        column: of a number, or of something else.
        texts: as bronze has them.
        values: after the cast.
    """
    in_key = column.name in dataset.key
    if column.type not in NUMBERS or not (in_key or (column.type == "integer" and is_named(column.name))):
        return None
    written = dataset.notation.plain(pc.utf8_trim_whitespace(texts), column.type)
    if in_key and column.type == "integer":
        changed = pc.not_equal(written, values)
    else:  # 7.0 is what a table with a gap makes of 7; of decimal(10,2) it is declared that 7.1 is 7.10
        ended = TRAILING_ZERO if in_key and column.digits is None else "$^"
        changed = pc.and_(pc.is_valid(values), pc.match_substring_regex(written, rf"^[+-]?0[0-9]|^\+|{ended}"))
    return pc.fill_null(changed, False)


def _any(masks: list[pa.Array], length: int) -> pa.Array:
    if not masks:
        return pa.repeat(pa.scalar(False), length)
    result = masks[0]
    for mask in masks[1:]:
        result = pc.or_(result, mask)
    return result


def _rejects(
    dataset: Dataset, rows: pa.Table, faults: list[tuple[str, str, pa.Array]], bad: pa.Array
) -> list[TypingReject]:
    types = {column.name: column.type for column in dataset.columns}
    file_ids = rows[FILE_ID].filter(bad).to_pylist()
    lines = rows[LINE].filter(bad).to_pylist()
    masks = [(rule, name, mask.filter(bad).to_pylist()) for rule, name, mask in faults]
    rejects = []
    for index, (file_id, line) in enumerate(zip(file_ids, lines, strict=True)):
        broken = [(rule, name) for rule, name, mask in masks if mask[index]]
        reasons = [f"{name!r} {_MEANING[rule].format(type=types[name])}" for rule, name in broken]
        columns = tuple(name for _, name in broken)
        misfits = tuple(name for rule, name in broken if rule in _MISFITS)
        lost = tuple(name for rule, name in broken if rule == REWRITTEN_KEY)
        rejects.append(TypingReject(file_id, line, broken[0][0], columns, "; ".join(reasons), misfits, lost))
    return rejects
