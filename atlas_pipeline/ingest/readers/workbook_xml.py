"""A workbook's own XML: what its cells do not tell.

Belongs here: cells that hold an error, numbers shown with leading zeros. Does not belong here: what a small file may
grow to (`workbook_process.py`), sheets and rows (`workbook.py`), values as text (`workbook_cells.py`).

The library that reads workbooks takes a cell with an error for an empty one, and has no formats of numbers.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from posixpath import join, normpath
from typing import IO
from xml.etree import ElementTree

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.readers.workbook_process import corrupt

Overlay = dict[int, list[tuple[int, str]]]
"""Texts that cells show, by row and column, both from 0, where the value alone does not tell them."""

_SMALL_PART_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20
_LONGEST_ROW_BYTES = 64 << 20

_CELL = re.compile(rb"<(?:\w+:)?c\s([^<>]*[^<>/])>(.*?)</(?:\w+:)?c>", re.DOTALL)
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]*)</")
_ATTRIBUTE = re.compile(rb"\b(r|s|t)\s*=\s*[\"']([^\"']*)[\"']")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ZEROS = re.compile(r"0{2,20}\Z")


def overlay(stream: IO[bytes], sheet: str) -> Overlay:
    """What the cells of a sheet of an .xlsx file show and do not hold; empty for other kinds of workbooks.

    Args:
        stream: the file, which can seek.
        sheet: name of the sheet.

    Raises:
        FileRefused: `corrupt`.
    """
    with _opened(stream) as parts:
        entries = {name.lower().replace("\\", "/"): name for name in parts.namelist()}
        if "xl/workbook.xml" not in entries:
            return {}
        part = _part_of(parts, entries, sheet)
        padded = _padded_styles(parts, entries)
        found: Overlay = {}
        for piece in _whole_rows(_pieces(parts, parts.getinfo(part))):
            if padded or b't="e"' in piece or b"t='e'" in piece:
                _add_cells(found, piece, padded)
        return found


def _opened(stream: IO[bytes]) -> zipfile.ZipFile:
    stream.seek(0)
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError):
        raise corrupt() from None


def _pieces(parts: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a part. Its checksum is wrong where the archive states another size."""
    if entry.flag_bits & 1:
        raise FileRefused("password_protected", "The workbook is protected by a password. Send it without one.")
    try:
        with parts.open(entry) as part:
            while piece := part.read(_PIECE_BYTES):
                yield piece
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError):
        raise corrupt() from None


def _small(parts: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """A part that is a list, such as that of the sheets."""
    entry = parts.getinfo(name)
    if entry.file_size > _SMALL_PART_BYTES:
        raise corrupt()
    try:
        return ElementTree.fromstring(b"".join(_pieces(parts, entry)))  # noqa: S314 — expat refuses to expand entities
    except ElementTree.ParseError:
        raise corrupt() from None


def _part_of(parts: zipfile.ZipFile, entries: dict[str, str], sheet: str) -> str:
    """Name of the part that holds a sheet."""
    names = {
        one.get("name"): next((value for key, value in one.items() if key.endswith("}id")), None)
        for one in _small(parts, entries["xl/workbook.xml"]).iter()
        if one.tag.endswith("}sheet")
    }
    relations = entries.get("xl/_rels/workbook.xml.rels")
    targets = {one.get("Id"): one.get("Target", "") for one in _small(parts, relations)} if relations else {}
    target = targets.get(names.get(sheet), "").replace("\\", "/")
    part = entries.get(normpath(target.lstrip("/") if target.startswith("/") else join("xl", target)).lower())
    if part is None:
        raise corrupt()
    return part


def _padded_styles(parts: zipfile.ZipFile, entries: dict[str, str]) -> dict[bytes, int]:
    """The styles that show a number with leading zeros, and how many digits they show."""
    if "xl/styles.xml" not in entries:
        return {}
    root = _small(parts, entries["xl/styles.xml"])
    codes = {
        one.get("numFmtId"): len(one.get("formatCode", ""))
        for one in root.iter()
        if one.tag.endswith("}numFmt") and _ZEROS.match(one.get("formatCode", ""))
    }
    formats = next((one for one in root if one.tag.endswith("}cellXfs")), ())
    return {
        str(index).encode(): codes[one.get("numFmtId")]
        for index, one in enumerate(formats)
        if one.get("numFmtId") in codes
    }


def _whole_rows(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The XML of a sheet in pieces that end with a row."""
    rest = b""
    first = True
    for piece in pieces:
        if first and piece[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise corrupt()  # XML in UTF-16, which no spreadsheet program writes, would hide its cells
        first = False
        rest += piece
        end = rest.rfind(b"row>") + 4
        if end >= 4:
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > _LONGEST_ROW_BYTES:
            raise corrupt()
    yield rest


def _add_cells(found: Overlay, piece: bytes, padded: dict[bytes, int]) -> None:
    for attributes, content in _CELL.findall(piece):
        known = dict(_ATTRIBUTE.findall(attributes))
        kind, digits = known.get(b"t", b"n"), padded.get(known.get(b"s", b""))
        error = kind == b"e"
        if not error and not (digits and kind == b"n"):
            continue
        value, reference = _VALUE.search(content), known.get(b"r", b"")
        row = reference.lstrip(_LETTERS)
        if value is None or not row.isdigit():
            continue
        text = value[1].decode("utf-8", "replace")
        if error or (text.isascii() and text.isdigit() and digits):
            shown = text if error else text.zfill(digits or 0)
            found.setdefault(int(row) - 1, []).append((_column(reference) - 1, shown))


def _column(reference: bytes) -> int:
    """Number of the column of a cell: 1 for A, 27 for AA."""
    number = 0
    for letter in reference.rstrip(b"0123456789").upper()[:8]:
        number = number * 26 + letter - 64
    return number
