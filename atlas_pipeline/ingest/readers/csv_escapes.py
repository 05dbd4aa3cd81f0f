"""CSV whose special characters have a backslash before them, brought to the form of RFC 4180 before it is read.

Belongs here: the escapes of MySQL's `SELECT … INTO OUTFILE` and of Postgres's text format, which are also those of
programs that escape only quotes and delimiters. Does not belong here: other departures (`csv_options.py`), and records
(`csv_records.py`).

A field `\\N` is null, `\\t`, `\\n`, `\\r`, `\\b`, `\\0` and `\\Z` are the characters that they stand for, and any other
character stands for itself. A line break that comes of `\\n` is a stand-in until rows are made, so that the numbers of
lines stay those of the file.
"""

import re

from atlas_pipeline.ingest.readers.compression import Source

LINE_BREAK = "\ufdd0n\ufdd1".encode()
"""What stands for the line break of an escape: code points that no text has."""
ESCAPES = ("\\",)
_BLOCK_BYTES = 1 << 20
_LONGEST_FIELD = 1 << 20
_SPECIAL = {
    b"n": LINE_BREAK,
    b"t": b"\t",
    b"r": b"\r",
    b"b": b"\b",
    b"0": b"\0",
    b"Z": b"\x1a",
}
_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_NULL_FIELD = re.compile(r"(?m)(?:^|[,;\t|])\"?\\N\"?(?=[,;\t|\r]|$)")
_QUOTE_WITHIN = re.compile(r"[^\\](?:\\\\)*\\\"(?![,;\t|\r\n]|$)")


def unescaped(source: Source, delimiter: str) -> Source:
    """The text with quotes doubled in place of escapes.

    Args:
        source: text in UTF-8 with `"` as its quote.
        delimiter: that parts the fields.
    """
    return Source(_Fields(source, delimiter.encode()).chunk)


class _Fields:
    """Goes through a text field by field; where a part of it has no backslash, at once."""

    def __init__(self, source: Source, delimiter: bytes):
        self._source = source
        self._delimiter = delimiter
        end = re.escape(delimiter)
        self._field = re.compile(
            rb'(?:"((?:[^"\\]++|\\.|"")*+)"|((?!")(?:[^%b\r\n\\]++|\\.|\r(?!\n))*+))(%b|\r?\n)' % (end, end), re.DOTALL
        )
        self._rest = b""
        self._last = False

    def chunk(self, size: int) -> bytes:
        """About `size` bytes, none at the end."""
        while not (self._last and not self._rest):
            data = b"" if self._last else self._source.read(max(size, _BLOCK_BYTES))
            self._last = self._last or not data
            done, self._rest = self._converted(self._rest + data)
            if done:
                return done
        return b""

    def _converted(self, text: bytes) -> tuple[bytes, bytes]:
        """What is done of a text that begins with a field, and what has to wait for more."""
        if b"\\" not in text and b'"' not in text:
            end = len(text) if self._last else text.rfind(b"\n") + 1
            return text[:end], text[end:]
        added = self._last and not text.endswith(b"\n")
        text += b"\n" if added else b""
        parts: list[bytes] = []
        at = 0
        while at < len(text):
            field = self._field.match(text, at)
            if field:
                parts.append(self._plain(field))
                at = field.end()
            elif self._last or len(text) - at > _LONGEST_FIELD:  # no field: the reader says what is wrong with the line
                end = text.find(b"\n", at) + 1 or len(text)
                parts.append(text[at:end])
                at = end
            else:
                break
        done = b"".join(parts)
        return (done[:-1] if added and at == len(text) else done), text[at:]

    def _plain(self, field: re.Match[bytes]) -> bytes:
        quoted, bare, end = field.groups()
        if quoted is not None:
            return b'"' + _PAIR.sub(_quoted, quoted) + b'"' + end
        if b"\\" not in bare:
            return field[0]
        if bare == rb"\N":
            return end
        value = _PAIR.sub(lambda pair: _SPECIAL.get(pair[1], pair[1]), bare)
        return b'"' + value.replace(b'"', b'""') + b'"' + end


def _quoted(pair: re.Match[bytes]) -> bytes:
    return b'""' if pair[1] == b'"' else _SPECIAL.get(pair[1], pair[1])


def without_escapes(text: str) -> str:
    """A text that has the same fields, for a look at how it is written: escaped characters are left out."""
    return re.sub(r"\\(.)", "", text)


def has_escapes(text: str) -> bool:
    """Whether a backslash in a text can only be that of an escape: a field `\\N`, or before a quote within a field.

    A path of Windows has backslashes, too.
    """
    return bool(_NULL_FIELD.search(text) or _QUOTE_WITHIN.search(text))
