"""JSON Lines to batches: one object a line, each value as the text it is written as.

Belongs here: blocks of whole lines, what makes a line a row, columns from keys. Does not belong here: JSON itself
(`json_text.py`), encodings (`text.py`), the rules of column names (`columns.py`).
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import numpy as np
import pyarrow as pa

from atlas_pipeline.ingest.batch import Batch, FileRefused, Reject
from atlas_pipeline.ingest.readers import json_text, text
from atlas_pipeline.ingest.readers.columns import MAX_COLUMNS, name_fault, too_many_columns
from atlas_pipeline.ingest.readers.compression import Source
from atlas_pipeline.ingest.readers.json_shape import NotAnArray, Shape
from atlas_pipeline.ingest.readers.lines import lines_array

_SPACE = " \t\r"
_MAX_BATCH_ROWS = 50_000
_MAX_BATCH_CELLS = 2_000_000
_ROW = dict[str, object]
_BOOLEANS: dict[object, object] = {True: "true", False: "false"}
# Escapes that may stand for what no text may hold: NUL, surrogates.
_DOUBTFUL = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
# Stands between lines decoded at once. Not to be guessed: no line may pass for two, or two for one.
_SEPARATOR = secrets.token_hex(8)


class _Rejected(Exception):
    def __init__(self, rule: str, reason: str):
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


class _TooWide(Exception):
    """The rows have so many columns that fewer of them make a batch."""


def read_jsonl(source: Source, block_bytes: int, shape: Shape) -> Iterator[Batch]:
    """Yield the rows of a JSON Lines file in batches of about `block_bytes` of text, at most 50,000 rows.

    A batch's columns are the keys met in it, in order of first appearance. Memory is bounded by a few blocks as Python
    objects, or by the longest line (up to 64 MiB) where that is larger. Raises FileRefused as `readers.read` says.
    """
    source = text.as_utf8(source, "JSON Lines")
    head = source.peek(text.HEAD_BYTES)
    _check_head(head)
    if b"\r" in head and b"\n" not in head:
        plain = source
        source = Source(lambda size: plain.read(size).replace(b"\r", b"\n"))
    parser = _Parser(shape)
    for first_line, block, too_long in _blocks(source, block_bytes):
        if too_long:
            yield parser.too_long(block, first_line)
        else:
            yield from parser.parse(block, first_line)
    if not parser.found:
        raise FileRefused("empty", "The file is empty. One JSON object a line was expected.")


def _blocks(source: Source, block_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield whole lines as (number of the first, bytes, whether it is the beginning of a single line too long)."""
    block, line, last = b"", 1, False
    while not last:
        data = source.read(text.more_bytes(block, block_bytes))
        last = not data
        block += data
        size = len(block) if last else block.rfind(b"\n") + 1
        if size:
            yield line, block[:size], False
            line += block.count(b"\n", 0, size)
            block = block[size:]
        elif len(block) > text.MAX_LINE_BYTES:
            yield line, block, True
            block, line = text.after_line(source, block_bytes), line + 1


def _check_head(head: bytes) -> None:
    """Refuse what is not JSON Lines at all: binary data, or one JSON array."""
    first, newline, rest = head.lstrip().partition(b"\n")
    if b"\0" in first[:2] or (b"\0" in first[:1024] and not first.startswith(b"{")):
        raise text.looks_binary("JSON Lines")
    if not first.startswith(b"["):
        return
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        alone = True
    else:
        alone = not newline or not rest.strip()
    if alone:
        raise FileRefused(
            "wrong_format",
            "The file is one JSON array. JSON Lines was expected: write one object per line, without brackets around "
            "or commas between them.",
        )


class _Parser:
    """Turns lines into batches; knows the column names of the whole file."""

    def __init__(self, shape: Shape) -> None:
        self.found = False
        self._shape = shape
        self._known: set[str] = set()

    def parse(self, block: bytes, first_line: int) -> Iterator[Batch]:
        """Yield the batches of a block of whole lines; none when all are blank."""
        try:
            lines: list[str | bytes] = [*block.decode("utf-8").split("\n")]
        except UnicodeDecodeError:
            lines = [*block.split(b"\n")]
        start = 0
        while start < len(lines):
            some = lines[start : start + self._most_rows()]
            try:
                batch = self._batch(some, first_line + start)
            except _TooWide:  # fewer are taken now that more columns are known
                continue
            start += len(some)
            if batch.rows.num_rows or batch.rejects:
                self.found = True
                yield batch

    def _batch(self, lines: list[str | bytes], first_line: int) -> Batch:
        if self._shape != Shape():
            return self._shaped(lines, first_line)
        return self._at_once(lines, first_line) or self._one_by_one(lines, first_line)

    def _most_rows(self) -> int:
        """How many rows make a batch: fewer where keys are many, since each row gets a cell of each."""
        return min(_MAX_BATCH_ROWS, _MAX_BATCH_CELLS // max(len(self._known), 1))

    def _check_width(self, rows: list[_ROW]) -> None:
        if len(rows) > self._most_rows():
            raise _TooWide

    def _at_once(self, lines: list[str | bytes], first_line: int) -> Batch | None:
        """Return the batch of lines that all are rows; None when that is in doubt."""
        texts = [line for line in lines if isinstance(line, str) and line.strip(_SPACE)]
        joined = f',"{_SEPARATOR}",'.join(texts)
        if not texts or not isinstance(lines[0], str) or "\0" in joined or _DOUBTFUL.search(joined):
            return None
        try:
            rows = _separated(json_text.flat, joined, len(texts))
            if rows is None or not all(rows):
                return None
            for row in rows:
                if not self._known.issuperset(row):
                    self._learn(row)
            self._check_width(rows)
            table = _table(rows, lambda: _separated(json_text.exact, joined, len(texts)) or [])
        except (ValueError, RecursionError, _Rejected):
            return None
        if len(texts) == len(lines):
            numbers = np.arange(first_line, first_line + len(lines))
        else:
            numbers = first_line + np.flatnonzero([bool(line.strip(_SPACE)) for line in lines if isinstance(line, str)])
        types = partial(_types, joined, len(texts))
        return Batch(table, lines_array(numbers), types=types)

    def _one_by_one(self, lines: list[str | bytes], first_line: int) -> Batch:
        rows: list[_ROW] = []
        numbers: list[int] = []
        rejects: list[Reject] = []
        kept: list[str | bytes] = []
        for number, line in enumerate(lines, start=first_line):
            try:
                row = self._row(line)
            except _Rejected as fault:
                raw = line if isinstance(line, bytes) else line.encode()
                raw = raw.removesuffix(b"\r")[: text.RAW_KEPT_BYTES]
                rejects.append(Reject(number, fault.rule, fault.reason, raw))
            else:
                if row is not None:
                    kept.append(line)
                    rows.append(row)
                    numbers.append(number)
        self._check_width(rows)
        return Batch(_table(rows, list), lines_array(np.array(numbers, np.int64)), rejects, partial(_types_of, kept))

    def _shaped(self, lines: list[str | bytes], first_line: int) -> Batch:
        """Return the batch of lines whose objects are not rows as they stand: one may be many rows, or none."""
        rows: list[_ROW] = []
        numbers: list[int] = []
        rejects: list[Reject] = []
        for number, line in enumerate(lines, start=first_line):
            try:
                shaped = self._rows_of(line)
            except _Rejected as fault:
                raw = line if isinstance(line, bytes) else line.encode()
                rejects.append(Reject(number, fault.rule, fault.reason, raw.removesuffix(b"\r")[: text.RAW_KEPT_BYTES]))
            else:
                self.found |= bool(line.strip())
                rows += shaped
                numbers += [number] * len(shaped)
        texts: list[_ROW] = [{key: json_text.text(value) for key, value in row.items()} for row in rows]
        types = partial(json_text.types_of, rows)
        return Batch(_table(texts, list), lines_array(np.array(numbers, np.int64)), rejects, types)

    def _rows_of(self, line: str | bytes) -> list[_ROW]:
        """Return the rows of a line, numbers told apart. Raises _Rejected."""
        text = self._checked(line)
        if not text:
            return []
        found = self._decoded(json_text.flat, text)
        if _DOUBTFUL.search(text):
            _check_characters(found)
        try:
            rows = self._shape.rows(self._decoded(json_text.exact, text))
        except NotAnArray:
            raise _Rejected(
                "not_an_array", "The value under the key that `explode` names is no array. Correct it, or `explode`."
            ) from None
        except ValueError:
            raise _Rejected(
                "bad_column_name", "Two fields would have the name of one column once they are flat. Rename one."
            ) from None
        except RecursionError:
            raise _too_deep() from None
        for row in rows:
            if not self._known.issuperset(row):
                self._learn(row)
        return rows

    def too_long(self, block: bytes, line: int) -> Batch:
        """Return the batch of one reject for a line longer than the bound, whose beginning is `block`."""
        self.found = True
        return Batch(_table([], list), lines_array(np.empty(0, np.int64)), [text.line_too_long(block, line)])

    def _row(self, line: str | bytes) -> _ROW | None:
        """Return the row of a line, None for a blank one. Raises _Rejected."""
        line = self._checked(line)
        if not line:
            return None
        row = self._decoded(json_text.flat, line)
        if _DOUBTFUL.search(line):
            _check_characters(row)
        if not self._known.issuperset(row):
            self._learn(row)
        if {dict, list, bool}.isdisjoint(map(type, row.values())):
            return row
        exact = self._decoded(json_text.exact, line)
        try:
            return {key: json_text.text(value) for key, value in exact.items()}
        except RecursionError:
            raise _too_deep() from None

    def _checked(self, line: str | bytes) -> str:
        """Return the text of a line, without space around it. Raises _Rejected."""
        if isinstance(line, bytes):
            try:
                line = line.decode("utf-8")
            except UnicodeDecodeError:
                raise _Rejected("encoding", "The line is not valid UTF-8. Save the file as UTF-8.") from None
        if "\0" in line:
            raise _Rejected("nul_byte", "The line holds a NUL byte, which no text may. Remove it.")
        return line.strip(_SPACE)

    def _decoded(self, decoder: json.JSONDecoder, line: str) -> _ROW:
        try:
            row, end = decoder.raw_decode(line)
        except json_text.DuplicateKey:
            raise _Rejected(
                "duplicate_key", "An object has a key twice, so that a value is lost. Rename one."
            ) from None
        except ValueError:
            raise _Rejected("not_json", "The line is not valid JSON. Write one complete object per line.") from None
        except RecursionError:
            raise _too_deep() from None
        if end != len(line):
            raise _Rejected("not_json", "Text follows the JSON value. Write one object per line.")
        if type(row) is not dict:
            raise _Rejected("not_an_object", "The line holds JSON, but not an object. Write one object per line.")
        if not row:
            raise _Rejected("empty_object", "The object has no keys, so the line has no values. Remove the line.")
        return row

    def _learn(self, row: _ROW) -> None:
        """Check the column names not met before."""
        new = [key for key in row if key not in self._known]
        for key in new:
            fault = name_fault(key)
            if fault is not None:
                raise _Rejected("bad_column_name", f"A key of the object {fault[1]}. Give it another name.")
        self._known.update(new)
        if len(self._known) > MAX_COLUMNS:
            raise too_many_columns(len(self._known))


def _check_characters(row: _ROW) -> None:
    """Reject a row with an escape that stands for what no text may hold."""
    try:
        for string in json_text.strings(row):
            if "\0" in string:
                raise _Rejected("nul_byte", "A key or value holds an escaped NUL character. Remove it.")
            string.encode("utf-8")
    except UnicodeEncodeError:
        raise _Rejected(
            "encoding", "A key or value holds half of a surrogate pair (an escape from \\ud800 to \\udfff) alone."
        ) from None
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> _Rejected:
    return _Rejected("not_json", "The object is nested too deeply to be read. Flatten it.")


def _types(joined: str, expected: int) -> dict[str, str]:
    """The types of the columns of lines that were decoded at once."""
    return json_text.types_of(_separated(json_text.exact, joined, expected) or [])


def _types_of(lines: list[str | bytes]) -> dict[str, str]:
    """The types of the columns of lines that all are rows."""
    texts = (line if isinstance(line, str) else line.decode("utf-8") for line in lines)
    return json_text.types_of(json_text.exact.raw_decode(line.strip(_SPACE))[0] for line in texts)


def _separated(decoder: json.JSONDecoder, joined: str, expected: int) -> list[_ROW] | None:
    """Decode objects joined by the separator; None when they are not one object a line."""
    values, end = decoder.raw_decode(f"[{joined}]")
    rows = values[::2]
    alternate = values[1::2] == [_SEPARATOR] * (expected - 1) and set(map(type, rows)) == {dict}
    return rows if alternate and len(rows) == expected and end == len(joined) + 2 else None


def _table(rows: list[_ROW], exact: Callable[[], list[_ROW]]) -> pa.Table:
    """Return the rows as columns; `exact` gives the same rows with numbers told apart, for nested values."""
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    columns: list[list[object]] = [[row.get(name) for row in rows] for name in names]
    kinds = [set(map(type, column)) for column in columns]
    nested = [not found.isdisjoint((dict, list)) for found in kinds]
    exact_rows = exact() if any(nested) else []
    for i, name in enumerate(names):
        if nested[i]:
            columns[i] = [json_text.text(row.get(name)) for row in exact_rows]
        elif bool in kinds[i]:
            columns[i] = [_BOOLEANS.get(value, value) for value in columns[i]]
    arrays = [pa.array(column, pa.string()) for column in columns]
    return pa.table(arrays, schema=pa.schema([(name, pa.string()) for name in names]))
