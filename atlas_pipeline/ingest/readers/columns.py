"""The rules a column's name and the number of columns obey, whatever the format.

Belongs here: what makes a name usable as a column of a table. Does not belong here: how names are read from a file.
"""

from collections.abc import Iterable

from atlas_pipeline.ingest.batch import FileRefused

MAX_COLUMNS = 1500
MAX_NAME_BYTES = 63
RESERVED_PREFIX = "_atlas"
SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


def name_fault(name: str) -> tuple[str, str] | None:
    """Return (rule, what is wrong) of a column's name, or None when it can be used."""
    if not name.strip():
        return "empty_column_name", "is empty"
    if "\0" in name:
        return "nul_byte", "holds a NUL character"
    if len(name.encode("utf-8", errors="surrogatepass")) > MAX_NAME_BYTES:
        return "column_name_too_long", f"is longer than {MAX_NAME_BYTES} bytes in UTF-8"
    if name.startswith(RESERVED_PREFIX):
        return "reserved_column_name", f"begins with {RESERVED_PREFIX}, which is reserved"
    if name in SYSTEM_COLUMNS:
        return "reserved_column_name", "is a name that every Postgres table has for itself"
    return None


def check_names(names: Iterable[str]) -> None:
    """Check the column names of a file.

    Raises FileRefused: `too_many_columns`, `empty_column_name`, `nul_byte`, `column_name_too_long`,
    `reserved_column_name`, `duplicate_columns`.
    """
    names = list(names)
    if len(names) > MAX_COLUMNS:
        raise too_many_columns(len(names))
    before: set[str] = set()
    for position, name in enumerate(names, start=1):
        fault = name_fault(name)
        if fault is not None:
            rule, wrong = fault
            raise FileRefused(rule, f"The name of column {position} {wrong}. Give the column another name.")
        if name in before:
            raise FileRefused(
                "duplicate_columns", f"Column {position} has the name of one before it; names must differ. Rename one."
            )
        before.add(name)


def too_many_columns(found: int) -> FileRefused:
    """Return the refusal of a file that has `found` columns."""
    return FileRefused(
        "too_many_columns",
        f"The file has {found:,} columns; at most {MAX_COLUMNS:,} can be loaded. Split it or drop columns.",
    )
