"""How a dataset's files are read, and what a new one takes the place of, from its declaration.

Belongs here: what is wrong with these fields. Does not belong here: the fields themselves (`dataset.py`), and reading
(`ingest/`).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.dataset import MISSING_SINCE, VALID_FROM, VALID_TO, Column, Dataset, Tombstone, history_name
from atlas_pipeline.ingest.intake import Intake
from atlas_pipeline.ingest.limits import Limits
from atlas_pipeline.ingest.planning import decided
from atlas_pipeline.ingest.readers.columns import check_names
from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.fixed_width import fields_of
from atlas_pipeline.ingest.readers.json_shape import Shape
from atlas_pipeline.ingest.readers.options import ReadOptions
from atlas_pipeline.ingest.types import ColumnType, Digits, Notation, check_type, split_type
from atlas_pipeline.pii.kinds import KEY_COLUMN_ACTIONS
from atlas_pipeline.sql.conditions import ConditionError, read_condition


def intake_of(declared: Any, key: tuple[str, ...], columns: Sequence[str], *, is_table: bool) -> Intake:
    """How files come into bronze.

    Args:
        declared: the dataset.
        key: the columns of the key.
        columns: the names of the declared columns, in order.
        is_table: the source is a table.

    Raises:
        DeclarationError: options that do not go together, or cannot be.
    """
    mode = declared.mode or ("snapshot" if is_table else "upsert" if key else "append")
    if is_table and mode == "append":
        raise declared.fail("mode append is for files; a table is read whole: choose snapshot or upsert", "mode")
    if mode == "append" and key:
        raise declared.fail("mode append keeps every row, and `key` keeps one of each key: choose one", "mode")
    if mode == "upsert" and not key:
        raise declared.fail("mode upsert needs a `key`: it tells which rows are the same", "mode")
    if declared.on_missing != "delete" and (mode != "snapshot" or not key):
        raise declared.fail(f"on_missing is for mode snapshot, and `{declared.on_missing}` needs a `key`", "on_missing")
    flag = declared.on_missing == "flag"
    if flag and MISSING_SINCE in columns:
        raise declared.fail(f"on_missing: flag adds the column {MISSING_SINCE}, which is declared", "on_missing")
    reading = reading_of(declared, columns)
    if not declared.reads_files and reading != ReadOptions():
        raise declared.fail("options of files do not apply to a table or an API", "source")
    # A table is read whole: where each key is to stay, nothing that it lacks by now may be deleted.
    keep = declared.on_missing != "delete" or (is_table and mode == "upsert")
    return Intake(
        reading=reading if isinstance(declared.source, str) else ReadOptions(),
        snapshot=mode == "snapshot" or is_table,
        keep_missing=keep,
        skip_equal_files=declared.skip_equal_files,
        flag_missing=flag,
        declared=frozenset(columns),
        limits=Limits(declared.max_file_rows, declared.max_expansion),
    )


def reading_of(declared: Any, columns: Sequence[str]) -> ReadOptions:
    """How each file is read.

    Args:
        declared: the dataset.
        columns: the names of the declared columns, in order.

    Raises:
        DeclarationError: options that cannot be.
    """
    names = () if declared.header is True else tuple(declared.header or columns)
    try:
        check_names(names)
        csv = CsvOptions(
            declared.delimiter,
            declared.quote,
            declared.encoding,
            declared.skip_lines,
            declared.comment,
            declared.footer,
            names,
            declared.escape,
            declared.skip_below,
        )
    except FileRefused as refusal:
        raise declared.fail(refusal.reason, "header") from None
    except ValueError as error:
        raise declared.fail(str(error), str(error).split()[0]) from None
    return replace(_shape_of(declared), csv=csv, sheet=declared.sheet)


def tombstone_of(declared: Any, columns: Sequence[Column]) -> Tombstone | None:
    """Which rows say that their key is deleted. Raises DeclarationError."""
    if declared.deleted_by is None:
        return None
    try:
        condition = read_condition(declared.deleted_by, {column.name: column.type for column in columns})
    except ConditionError as error:
        raise declared.fail(f"deleted_by: {error}", "deleted_by") from None
    return Tombstone(condition.sql, condition.columns)


def check_order(declared: Any, dataset: Dataset) -> None:
    """What is declared for key columns and `latest_by` must leave them able to tell rows apart and order them.

    Raises DeclarationError.
    """
    plans = decided(dataset, {})
    for index, column in enumerate(dataset.columns):
        action = plans[column.name].action
        if column.name in dataset.key and action not in KEY_COLUMN_ACTIONS:
            raise declared.fail(
                f"key column {column.name!r} cannot have the action {action}: rows could no longer be told apart. "
                f"Expected {' or '.join(KEY_COLUMN_ACTIONS)}",
                "columns",
                index,
            )
        if column.name == dataset.latest_by and action != "keep":
            raise declared.fail(f"latest_by column {column.name!r} must be kept", "columns", index)
        asked = dataset.deleted_by.columns if dataset.deleted_by else ()
        if column.name in asked and action not in ("keep", "drop"):
            raise declared.fail(
                f"deleted_by reads column {column.name!r}, which has the action {action}: expected keep or drop",
                "columns",
                index,
            )


def check_history(declared: Any, key: tuple[str, ...], columns: Sequence[str], names: Collection[str]) -> None:
    """Whether there can be a table of history.

    Args:
        declared: the dataset.
        key: the columns of the key.
        columns: the names of the declared columns.
        names: of the tables of all datasets.

    Raises:
        DeclarationError: it has no key, or a name is taken.
    """
    if not declared.history:
        return
    if not key:
        raise declared.fail("history needs a `key`: it tells which rows are versions of one", "history")
    taken = sorted({VALID_FROM, VALID_TO}.intersection(columns))
    if taken:
        raise declared.fail(f"history adds the column {taken[0]}, which is declared already", "history")
    table = history_name(declared.table)
    if table in names:
        raise declared.fail(f"history makes silver.{table}, which is a dataset already", "history")


def _shape_of(declared: Any) -> ReadOptions:
    """How nested JSON and fields of fixed positions become columns. Raises DeclarationError."""
    try:
        fixed = fields_of(declared.fixed_width)
        check_names(name for name, _, _ in fixed)
    except ValueError as error:
        raise declared.fail(str(error), "fixed_width") from None
    except FileRefused as refusal:
        raise declared.fail(refusal.reason, "fixed_width") from None
    return ReadOptions(shape=Shape(declared.flatten, declared.explode), records=declared.records, fixed_width=fixed)


def type_of(declared: Any, index: int) -> tuple[ColumnType, Digits | None]:
    """The type of the column at `index` of a dataset, and the digits of a decimal. Raises DeclarationError."""
    column = declared.columns[index]
    if column.format and column.type not in ("date", "timestamp", "local_timestamp", "time"):
        message = f"format is for date, timestamp and time, not {column.type}"
        raise declared.fail(message, "columns", index, "format")
    field = "type"
    try:
        type, digits = split_type(column.type)
        field = "format"
        check_type(type, column.format)
    except ValueError as error:
        raise declared.fail(f"column {column.name!r}: {error}", "columns", index, field) from None
    return type, digits


def notation_of(declared: Any) -> Notation:
    """How numbers and booleans are written. Raises DeclarationError."""
    if len(declared.thousands) > 1 or declared.thousands == declared.decimal or declared.thousands.isalnum():
        raise declared.fail(
            f"thousands {declared.thousands!r}: expected one character other than the decimal mark", "thousands"
        )
    if declared.booleans and len({word.lower() for word in declared.booleans}) != 2:
        raise declared.fail("booleans: expected two words, for true and for false", "booleans")
    words = (declared.booleans[0], declared.booleans[1]) if declared.booleans else None
    return Notation(declared.decimal, declared.thousands, words)
