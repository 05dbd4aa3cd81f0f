"""When files came, as a relation that SQL can join: the place of each, and when the next snapshot took over.

Belongs here: that relation. Does not belong here: what is made of it (`missing.py`, `history.py`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from psycopg import sql

from atlas_pipeline.warehouse.ledger import LoadedFile

FILE, PLACE, PARTITION, AT, GONE = map(
    sql.Identifier, ("_atlas_file", "_atlas_place", "_atlas_partition", "_atlas_at", "_atlas_gone")
)


def timeline(files: Sequence[LoadedFile], following: Collection[int], *, states: bool) -> sql.Composed:
    """The files as a relation with the columns FILE, PLACE, PARTITION, AT and GONE.

    Args:
        files: all that are asked for.
        following: ids of those that may end what earlier ones of their partition say.
        states: each file is the whole state of its partition; else none ends what another one says.
    """
    gone = _ends(files, following) if states else {}
    columns = [
        [file.file_id for file in files],
        [file.position for file in files],
        [file.partition if states else None for file in files],
        [file.arrived_at for file in files],
        [gone.get(file.file_id) for file in files],
    ]
    kinds = ("bigint", "bigint", "text", "timestamptz", "timestamptz")
    arrays = [sql.SQL("{}::{}[]").format(sql.Literal(c), sql.SQL(k)) for c, k in zip(columns, kinds, strict=True)]
    names = sql.SQL(", ").join((FILE, PLACE, PARTITION, AT, GONE))
    return sql.SQL("(SELECT * FROM unnest({}) AS f ({}))").format(sql.SQL(", ").join(arrays), names)


def _ends(files: Sequence[LoadedFile], following: Collection[int]) -> dict[int, datetime]:
    """When the next one of `following` came after each file, in its partition."""
    ends: dict[int, datetime] = {}
    next_at: dict[str | None, datetime] = {}
    for file in sorted(files, key=lambda file: (file.position, file.file_id), reverse=True):
        if file.partition in next_at:
            ends[file.file_id] = next_at[file.partition]
        if file.file_id in following:
            next_at[file.partition] = file.arrived_at
    return ends
