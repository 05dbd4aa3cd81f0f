"""Text files before their rows: what the first bytes say they are, their encoding, and how long a line may be.

Belongs here: signatures of binary files, byte order marks, UTF-16 and UTF-32 to UTF-8. Does not belong here: rows and
fields (`csv.py`, `jsonl.py`) or compression (`compression.py`).
"""

import codecs
from collections.abc import Callable

from atlas_pipeline.ingest.batch import FileRefused, Reject
from atlas_pipeline.ingest.readers.compression import Source

HEAD_BYTES = 1 << 16
MAX_LINE_BYTES = 64 << 20
RAW_KEPT_BYTES = 1 << 16
_MOST_AT_A_TIME = 16 << 20

_SIGNATURES = {
    b"PAR1": "a Parquet file (name it .parquet)",
    b"PARE": "an encrypted Parquet file",
    b"\x1f\x8b": "gzip data (add .gz to the name)",
    b"\x28\xb5\x2f\xfd": "zstd data (add .zst to the name)",
    b"PK\x03\x04": "a zip archive or an Office document (export its sheet as CSV)",
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Office document (export its sheet as CSV)",
    b"BZh": "bzip2 data (use gzip or zstd)",
    b"\xfd7zXZ\x00": "xz data (use gzip or zstd)",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"SQLite format 3\x00": "an SQLite database",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
}
# UTF-32's mark begins with UTF-16's: the longer is tried first.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def as_utf8(source: Source, expected: str) -> Source:
    """Return the text of `source` in UTF-8 without a byte order mark; `expected` names the format in reasons.

    Bytes that are not valid UTF-8 pass unchanged (the row that has them is rejected later), as do lone surrogates of
    UTF-16, in their three-byte form. Raises FileRefused `wrong_format` for a binary file, `encoding` (here or from a
    later read) for UTF-16 or UTF-32 that cannot be decoded.
    """
    head = source.peek(HEAD_BYTES)
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature) and not (signature.isalnum() and _looks_like_text(head)):
            raise FileRefused("wrong_format", f"The file is named as {expected} but its content is {what}.")
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            source.read(len(mark))
            return source if encoding == "utf-8" else Source(_transcoder(source, encoding))
    return source


def looks_binary(expected: str) -> FileRefused:
    """Return the refusal of a file whose beginning holds NUL bytes."""
    return FileRefused(
        "wrong_format",
        f"The file is named as {expected} but its beginning holds NUL bytes: it is a binary file, or UTF-16 text "
        "without a byte order mark. Save it as UTF-8 text.",
    )


def line_too_long(beginning: bytes, line: int) -> Reject:
    """Return the reject of a line longer than `MAX_LINE_BYTES`, keeping the first 64 KiB of it."""
    reason = f"The line is longer than {MAX_LINE_BYTES:,} bytes; only its beginning is kept. Split the line."
    return Reject(line, "line_too_long", reason, beginning[:RAW_KEPT_BYTES])


def more_bytes(rest: bytes, block_bytes: int) -> int:
    """How much to read after a line that has not ended: ever more, so that long lines are not copied too often."""
    return max(block_bytes, min(len(rest), _MOST_AT_A_TIME))


def after_line(source: Source, block_bytes: int) -> bytes:
    """Skip to the end of the current line; return what was read beyond it."""
    while data := source.read(block_bytes):
        _, newline, rest = data.partition(b"\n")
        if newline:
            return rest
    return b""


def _looks_like_text(head: bytes) -> bool:
    """Tell whether a head that begins with a signature of letters only ("ORC", "BZh") is text all the same."""
    return not any(byte < 9 or 13 < byte < 32 for byte in head[:512])


def _transcoder(source: Source, encoding: str) -> Callable[[int], bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogatepass")

    def chunk(size: int) -> bytes:
        while True:
            data = source.read(max(size, 16))
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError:
                raise FileRefused(
                    "encoding",
                    f"The file's byte order mark says {encoding.upper()} but its bytes cannot be decoded as such, or "
                    "the file was cut. Save it as UTF-8 and send it again.",
                ) from None
            if text or not data:
                return text.encode("utf-8", errors="surrogatepass")

    return chunk
