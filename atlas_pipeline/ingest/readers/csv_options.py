"""How a CSV file departs from RFC 4180, and its text brought back to that form before it is read.

Belongs here: the reading options, and a stream in which lines that hold no data are blank and quotes are `"`. Does not
belong here: guessing the options (`csv_sniffer.py`), records and rows (`csv_records.py`, `csv.py`).

Lines that are left out become blank lines, so that line numbers stay those of the file.
"""

import codecs
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.readers.compression import Source
from atlas_pipeline.ingest.readers.csv_escapes import ESCAPES, unescaped

QUOTES = ('"', "'")
_MAX_FOOTER = 100
_SEPARATOR_LINE = re.compile(rb"\Asep=(.)(?:\r?\n|\r|\Z)", re.IGNORECASE)
_CLOSING = re.compile(rb'(?:[^"]++|"")*+"')
_BLOCK_BYTES = 1 << 20
_MAX_LINE_BYTES = 64 << 20


@dataclass(frozen=True)
class CsvOptions:
    """Reading options of a CSV file; the defaults are RFC 4180 in UTF-8 with a header row.

    `delimiter` is None for the format's own: a comma, a tab for .tsv; a first line `sep=;` (Excel's) then decides.
    `encoding` is a Python codec, None for UTF-8 or what a byte order mark says. `skip_lines` physical lines at the
    beginning, lines that begin with `comment`, and the last `footer` lines that are not blank are left out. With
    `names` the file has no header row; else `skip_below` lines below it, as those of units, are left out. `escape` is
    the backslash where it stands before special characters, as MySQL exports them, None where it is a character as any.
    """

    delimiter: str | None = None
    quote: str = '"'
    encoding: str | None = None
    skip_lines: int = 0
    comment: str | None = None
    footer: int = 0
    names: tuple[str, ...] = ()
    escape: str | None = None
    skip_below: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError, naming the option, what was found and what was expected."""
        for name, value in (("delimiter", self.delimiter), ("comment", self.comment), ("quote", self.quote)):
            if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n\0"):
                raise ValueError(f"{name} {value!r}: expected one ASCII character that is not a line break")
        if self.quote not in QUOTES:
            raise ValueError(f"quote {self.quote!r}: expected one of {' '.join(QUOTES)}")
        if self.escape not in (None, *ESCAPES):
            raise ValueError(f"escape {self.escape!r}: expected a backslash")
        if self.delimiter in QUOTES or self.delimiter == self.comment is not None:
            raise ValueError(f"delimiter {self.delimiter!r} is also a quote or the comment mark")
        if self.skip_below < 0 or (self.skip_below and self.names):
            raise ValueError("skip_below must be 0 or more, and is for files with a header row")
        if self.skip_lines < 0 or not 0 <= self.footer <= _MAX_FOOTER:
            raise ValueError(f"skip_lines must be 0 or more, footer 0 to {_MAX_FOOTER}")
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)  # refuses codecs that are not text encodings, such as hex
            except (LookupError, UnicodeError):
                raise ValueError(
                    f"encoding {self.encoding!r} is not known: expected a name such as utf-8, cp1252 or utf-16"
                ) from None


def separator_line(head: bytes) -> str | None:
    """The delimiter that a first line `sep=;` names, None when there is none."""
    found = _SEPARATOR_LINE.match(head)
    return found[1].decode("ascii") if found and found[1].isascii() and found[1] not in b"\"'\r\n" else None


def decoded(source: Source, encoding: str | None) -> Source:
    """The text of `source` in UTF-8, read as `encoding`. Raises FileRefused `encoding`, here or from a later read."""
    if encoding is None or codecs.lookup(encoding).name in ("utf-8", "ascii"):
        return source
    decoder = codecs.getincrementaldecoder(encoding)()
    begun = False

    def chunk(size: int) -> bytes:
        nonlocal begun
        while True:
            data = source.read(max(size, 16))
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeError:
                raise FileRefused(
                    "encoding", f"The file cannot be read as {encoding}, which its dataset declares as `encoding`."
                ) from None
            if text and not begun:
                text, begun = text.removeprefix("\ufeff"), True
            if text or not data:
                return text.encode("utf-8", errors="surrogatepass")

    return Source(chunk)


def arranged(source: Source, options: CsvOptions, delimiter: str = ",") -> Source:
    """The text in UTF-8 with `"` as its quote and blank lines in place of those that hold no data.

    Args:
        source: text in UTF-8, without a byte order mark.
        options: what departs from RFC 4180.
        delimiter: that parts the fields.
    """
    head = source.peek(_BLOCK_BYTES)
    skip = options.skip_lines
    if not skip and separator_line(head):
        skip = 1
    if options.quote != '"':
        plain, swap = source, bytes.maketrans(b"\"'", b"'\"")
        source = Source(lambda size: plain.read(size).translate(swap))
    if options.escape is not None:
        source = unescaped(source, delimiter)
    if not skip and not options.footer and options.comment is None:
        return source
    kept = _without_footer(_without_lines(_lines(source), skip, options.comment, delimiter), options.footer)
    return Source(_pieces(kept))


def _lines(source: Source) -> Iterator[bytes]:
    """Physical lines with their ends; a CR alone ends a line only in a file that has no LF."""
    old_mac = b"\n" not in source.peek(_BLOCK_BYTES)
    end = b"\r" if old_mac else b"\n"
    rest = b""
    while data := source.read(_BLOCK_BYTES):
        lines = (rest + data).split(end)
        rest = lines.pop()
        yield from (line + end for line in lines)
        if len(rest) > _MAX_LINE_BYTES:  # passed on in pieces: the reader rejects it
            yield rest
            rest = b""
    if rest:
        yield rest


def _without_lines(lines: Iterator[bytes], skip: int, comment: str | None, delimiter: str) -> Iterator[bytes]:
    """Blank the first `skip` lines, and those that begin with `comment` outside of quotes."""
    mark = comment.encode() if comment is not None else None
    begins = rb'(?:\A|%s)"' % re.escape(delimiter.encode())
    whole, opening = re.compile(begins + rb'(?:[^"]++|"")*+"'), re.compile(begins)
    quoted = False
    for number, line in enumerate(lines):
        if number < skip or (mark is not None and not quoted and line.startswith(mark)):
            yield line[len(line.rstrip(b"\r\n")) :]
            continue
        if mark is not None and b'"' in line:
            closing = _CLOSING.match(line) if quoted else None
            if not quoted or closing:
                rest = line[closing.end() - 1 :].replace(b'"', b"'", 1) if closing else line
                quoted = bool(opening.search(whole.sub(b"", rest)))
        yield line


def _without_footer(lines: Iterator[bytes], footer: int) -> Iterator[bytes]:
    """Leave out the last `footer` lines that are not blank."""
    if not footer:
        yield from lines
        return
    held: deque[bytes] = deque()
    filled = 0
    for line in lines:
        held.append(line)
        filled += bool(line.strip())
        while filled > footer:
            first = held.popleft()
            filled -= bool(first.strip())
            yield first


def _pieces(lines: Iterator[bytes]) -> Callable[[int], bytes]:
    def chunk(size: int) -> bytes:
        parts, length = [], 0
        while length < size and (line := next(lines, None)) is not None:
            parts.append(line)
            length += len(line)
        return b"".join(parts)

    return chunk
