"""Where the records of a CSV block begin and end, and which physical lines have quotes that cannot be right.

Belongs here: RFC 4180 quoting over bytes, with no notion of values. Does not belong here: turning records into rows
(`csv.py`).

A quote opens a quoted field only where a field begins; anywhere else outside quotes it is an ordinary character. In a
block that is well formed, quotes alternate between opening and closing, so a newline ends a record exactly when an
even number of quotes comes before it. That is computed for the whole block at once; only at a quote that fits neither
role is its record looked at alone, after which the alternation starts anew.
"""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAX_MULTILINE_BYTES = 1 << 20

UNTERMINATED = ("unterminated_quote", "A quote opens on this line and is not closed. Close it, or double it as data.")
STRAY = ("stray_quote", "Text follows a closing quote. Quotes inside a quoted field must be doubled.")

_QUOTE, _LF, _CR = 0x22, 0x0A, 0x0D
_CLOSING = re.compile(rb'(?:[^"]++|"")*+"')

Positions = NDArray[np.intp]
Fault = tuple[str, str]


@dataclass(frozen=True)
class Scan:
    """One record read alone: the position of its ending newline, its number of fields, text after a closing quote."""

    end: int
    fields: int
    stray: bool


@dataclass(frozen=True)
class Layout:
    """The complete records at the beginning of a block.

    `size` is how many bytes they take. `ends` are the positions of the newlines that end them, or None when every
    newline does. `faults` maps the start of each record that cannot be one to its (rule, reason).
    """

    size: int
    ends: Positions | None
    faults: dict[int, Fault] = field(default_factory=dict)


class Dialect:
    """The scanner for one delimiter."""

    def __init__(self, delimiter: str):
        """Take a delimiter: one ASCII character. Raises ValueError for a quote, a line break or anything longer."""
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
            raise ValueError("a delimiter is one ASCII character, neither a quote, a line break nor NUL")
        self.delimiter = delimiter
        self._code = ord(delimiter)
        self._field_end = re.compile(b"[%b\n]" % re.escape(delimiter.encode()))
        self._opening = re.compile(b'%b"' % re.escape(delimiter.encode()))

    def scan(self, block: bytes, start: int, limit: int) -> Scan | None:
        """Read the record that begins at `start`; None when it does not end before `limit`."""
        fields, stray, at = 0, False, start
        while True:
            fields += 1
            if block[at : at + 1] == b'"':
                closing = _CLOSING.match(block, at + 1, limit)
                if closing is None:
                    return None
                at = closing.end()
                stray = stray or not self._ends_field(block, at)
            field_end = self._field_end.search(block, at, limit)
            if field_end is None:
                return None
            at = field_end.end()
            if block[field_end.start()] == _LF:
                return Scan(field_end.start(), fields, stray)

    def line_fault(self, block: bytes, start: int, end: int) -> Fault | None:
        """Return the fault of the physical line from `start` to its newline at `end`, read alone."""
        if not self._has_opening(block, start, end):
            return None
        scan = self.scan(block, start, end + 1)
        if scan is None:
            return UNTERMINATED
        return STRAY if scan.stray else None

    def layout(self, block: bytes, columns: int, last: bool) -> Layout:
        """Find the records of a block that begins at a record's start.

        `columns` is the number of fields a record should have, which decides whether a record in doubt may span lines.
        With `last`, the block ends with a newline and nothing follows; otherwise a record that is not complete, or
        that what follows might complete, is left out.
        """
        quotes: Positions = np.empty(0, np.intp)
        if b'"' in block:
            codes = np.frombuffer(block, np.uint8)
            quotes = np.flatnonzero(codes == _QUOTE)
            before = np.where(quotes > 0, codes[quotes - 1], _LF)
            opens = (before == self._code) | (before == _LF)
            if opens.any():
                return self._quoted_layout(block, columns, last, codes, quotes, opens)
        return Layout(block.rfind(b"\n") + 1, None)

    def _quoted_layout(
        self,
        block: bytes,
        columns: int,
        last: bool,
        codes: NDArray[np.uint8],
        quotes: Positions,
        opens: NDArray[np.bool_],
    ) -> Layout:
        newlines = np.flatnonzero(codes == _LF)
        quotes_before = np.searchsorted(quotes, newlines)
        alone: list[int] = []
        misfits = self._misfits(codes, quotes, opens)
        ends: list[Positions] = []
        faults: dict[int, Fault] = {}
        start = first_quote = first_newline = 0
        while True:
            candidates = misfits[first_quote % 2]
            at = int(candidates.searchsorted(first_quote))
            stop = int(quotes[candidates[at]]) if at < len(candidates) else len(block)
            span = slice(first_newline, int(newlines.searchsorted(stop)))
            outside = newlines[span][(quotes_before[span] - first_quote) % 2 == 0]
            if len(outside):
                ends.append(outside)
                start = int(outside[-1]) + 1
            waits = not last and len(block) - start <= MAX_MULTILINE_BYTES
            if at == len(candidates) and (waits or (len(quotes) - first_quote) % 2 == 0):
                break
            line_end = block.find(b"\n", start)
            if line_end < 0:
                break
            end = line_end
            if self._has_opening(block, start, line_end):
                scan = self.scan(block, start, max(line_end + 1, min(len(block), start + MAX_MULTILINE_BYTES)))
                if scan is None and waits:
                    break
                if scan is None or (scan.end > line_end and (scan.stray or scan.fields != columns)):
                    faults[start] = UNTERMINATED
                elif scan.stray:
                    faults[start] = STRAY
                else:
                    end = scan.end
            alone.append(end)
            start = end + 1
            first_quote = int(quotes.searchsorted(start))
            first_newline = int(newlines.searchsorted(start))
        ends.append(np.array(alone, np.intp))
        return Layout(start, np.sort(np.concatenate(ends)), faults)

    def _misfits(
        self, codes: NDArray[np.uint8], quotes: Positions, opens: NDArray[np.bool_]
    ) -> tuple[Positions, Positions]:
        """Return the quotes (by index) that do not fit when even ones open, and when odd ones do."""
        padded = np.concatenate((codes, np.array([_LF, _LF], np.uint8)))
        after = padded[quotes + 1]
        closes = (after == self._code) | (after == _LF) | ((after == _CR) & (padded[quotes + 2] == _LF))
        doubled = np.diff(quotes) == 1
        not_open, not_close = ~opens, ~closes
        not_open[1:] &= ~doubled
        not_close[:-1] &= ~doubled
        odd = np.arange(len(quotes)) % 2 == 1
        return np.flatnonzero(np.where(odd, not_close, not_open)), np.flatnonzero(np.where(odd, not_open, not_close))

    def _has_opening(self, block: bytes, start: int, end: int) -> bool:
        return block[start] == _QUOTE or self._opening.search(block, start, end) is not None

    def _ends_field(self, block: bytes, at: int) -> bool:
        after = block[at : at + 2]
        return not after or after[0] in (self._code, _LF) or after == b"\r\n"
