"""Workbooks as other programs write them: .xlsx by XlsxWriter, .xls by xlwt, .ods by odfpy."""

import datetime as dt
import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import xlsxwriter
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

Sheets = dict[str, Sequence[Sequence[Any]]]
_FORMATS = {dt.datetime: "yyyy-mm-dd hh:mm:ss", dt.date: "dd.mm.yyyy", dt.time: "hh:mm:ss", dt.timedelta: "[h]:mm:ss"}


def xlsx(sheets: Sheets, edit: Callable[[Any], None] | None = None) -> bytes:
    """The bytes of an .xlsx file; `edit` is given the workbook before it is closed."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        formats = {kind: book.add_format({"num_format": code}) for kind, code in _FORMATS.items()}
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for i, row in enumerate(rows):
                for j, value in enumerate(row):
                    if type(value) in formats:
                        sheet.write_datetime(i, j, value, formats[type(value)])
                    elif isinstance(value, str):
                        sheet.write_string(i, j, value)
                    elif value is not None:
                        sheet.write(i, j, value)
        if edit:
            edit(book)
    return out.getvalue()


def xls(sheets: Sheets) -> bytes:
    """The bytes of an old .xls file."""
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if value is None:
                    continue
                code = _FORMATS.get(type(value))
                sheet.write(i, j, value, xlwt.easyxf(num_format_str=code) if code else xlwt.Style.default_style)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def ods(sheets: Sheets) -> bytes:
    """The bytes of an OpenDocument spreadsheet."""
    document = OpenDocumentSpreadsheet()
    for name, rows in sheets.items():
        table = Table(name=name)
        for row in rows:
            line = TableRow()
            for value in row:
                line.addElement(_ods_cell(value))
            table.addElement(line)
        document.spreadsheet.addElement(table)
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def _ods_cell(value: Any) -> TableCell:
    if value is None:
        return TableCell()
    if isinstance(value, bool):
        return TableCell(valuetype="boolean", booleanvalue="true" if value else "false")
    if isinstance(value, int | float):
        return TableCell(valuetype="float", value=repr(value))
    if isinstance(value, dt.date):
        return TableCell(valuetype="date", datevalue=value.isoformat())
    cell = TableCell(valuetype="string")
    cell.addElement(P(text=str(value)))
    return cell


def with_part(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """A zipped workbook with one of its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.namelist():
            new.writestr(one, change(old.read(one)) if one == name else old.read(one))
    return out.getvalue()
