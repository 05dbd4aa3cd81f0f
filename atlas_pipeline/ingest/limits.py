"""How much a file may turn into: rows, and bytes beside its own size.

Belongs here: the limits, and the meter that a file is read under. Does not belong here: where they are set
(`settings.py`, `components/`), and how a format keeps what it holds at a time small (`readers/`).

A few kilobytes can stand for gigabytes: compressed zeros, a dictionary whose one long value each row names. The meter
counts what comes out while it comes out, so that the file is refused long before its end.
"""

from dataclasses import dataclass

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.settings import Settings

LIMIT_RULES = frozenset(("too_many_rows", "expands_too_much"))
"""What is refused by these is read again once the limits are others."""
FREE_BYTES = 64 << 20
"""A file may always turn into this much, whatever its size: small ones are often very regular."""


@dataclass(frozen=True)
class Limits:
    """The most rows of a file, and the most bytes that one byte of it may turn into; null for no limit."""

    rows: int | None = None
    expansion: float | None = None

    def or_else(self, default: "Limits") -> "Limits":
        """These limits, and those of `default` where there are none; 0 lifts a limit."""
        rows = default.rows if self.rows is None else self.rows
        expansion = default.expansion if self.expansion is None else self.expansion
        return Limits(rows or None, expansion or None)

    def fingerprint(self) -> str:
        """Tells these limits from others."""
        return f"{self.rows or 0} rows, {self.expansion or 0:g} times"


def limits_of(settings: Settings) -> Limits:
    """The limits of files whose dataset has none of its own."""
    return Limits(settings.max_file_rows or None, settings.max_expansion or None)


class Meter:
    """Counts what one file turns into, and refuses it past its limits.

    Args:
        limits: of the file.
        file_bytes: its size as it lies in the source; 0 where that is unknown, and no expansion is measured.
    """

    def __init__(self, limits: Limits = Limits(), file_bytes: int = 0):
        self._rows_allowed = limits.rows
        self._expansion = limits.expansion
        self._file_bytes = file_bytes
        self._rows = 0
        self._unpacked = 0
        self._text = 0

    def rows(self, count: int) -> None:
        """Count rows. Raises FileRefused `too_many_rows`."""
        self._rows += count
        self.expect_rows(self._rows)

    def unpacked(self, size: int) -> None:
        """Count bytes that came out of compressed ones. Raises FileRefused `expands_too_much`."""
        self._unpacked += size
        self.expect_bytes(self._unpacked)

    def text(self, size: int) -> None:
        """Count bytes of rows as text. Raises FileRefused `expands_too_much`."""
        self._text += size
        self.expect_bytes(self._text)

    def expect_rows(self, total: int) -> None:
        """Refuse a file that says, or has shown, to have so many rows. Raises FileRefused `too_many_rows`."""
        if self._rows_allowed is not None and total > self._rows_allowed:
            raise FileRefused(
                "too_many_rows",
                f"The file has more than {self._rows_allowed:,} rows. If that is right, raise `max_file_rows` of its "
                "dataset, or ATLAS_MAX_FILE_ROWS; else have it sent again, or split it.",
            )

    def expect_bytes(self, total: int) -> None:
        """Refuse a file that says, or has shown, to turn into so many bytes. Raises FileRefused `expands_too_much`."""
        if self._expansion is None or not self._file_bytes:
            return
        if total > max(FREE_BYTES, self._expansion * self._file_bytes):
            raise FileRefused(
                "expands_too_much",
                f"The file has {self._file_bytes:,} bytes and turns into more than {self._expansion:g} times as many. "
                "If that is right, raise `max_expansion` of its dataset, or ATLAS_MAX_EXPANSION; else have it sent "
                "again.",
            )
