"""The fields of a dataset that say how its files are written.

Belongs here: their names, types and descriptions. Does not belong here: what is wrong with them (`reading.py`), and the
other fields (`dataset.py`).
"""

from typing import Literal

from pydantic import Field

from atlas_pipeline.components.declaration import Declared


class FileOptions(Declared):
    """How files are read."""

    delimiter: str | None = Field(
        None, description="Field separator of CSV files. Default: comma; tab for .tsv; what a line `sep=` says."
    )
    quote: Literal['"', "'"] = Field('"', description="Quote of CSV files.")
    encoding: str | None = Field(
        None, description="Encoding of CSV files, such as cp1252. Default: UTF-8, or what a byte order mark says."
    )
    escape: Literal["\\"] | None = Field(
        None,
        description="Backslash that stands before special characters of CSV files, as in exports of MySQL: `\\N` is no "
        "value. Default: none.",
    )
    sheet: str | int | None = Field(
        None, description="Sheet of workbooks: its name, or its number from 1. Default: the first that is not hidden."
    )
    records: str | None = Field(
        None, description="Where the array of a JSON file is, if in an object: its keys with dots, such as data.items."
    )
    flatten: bool = Field(
        False, description="Whether fields of objects in JSON are columns: `city` of `address` as `address_city`."
    )
    explode: str | None = Field(
        None,
        description="Key of an array in JSON whose items are the rows: their fields as `items_sku`, their position as "
        "`items_index`, beside the other fields of the object. A table of its own over the same files.",
    )
    fixed_width: dict[str, str] = Field(
        {}, description="Positions of the columns of text files without delimiters: `{id: 1-6, name: 7-26}`."
    )
    skip_lines: int = Field(0, description="Lines of CSV files, or rows of a sheet, left out above the header.")
    skip_below: int = Field(0, description="Lines of CSV files left out right below the header: units, as `[kg]`.")
    comment: str | None = Field(None, description="Lines of CSV files that begin with this character are left out.")
    footer: int = Field(0, description="Lines of CSV files, or rows of a sheet, at the end that are left out: totals.")
    header: bool | list[str] = Field(
        True,
        description="Whether CSV files and sheets have a header row. Without one, the names of all columns in order; "
        "`false` for the declared columns.",
    )
    null_values: list[str] = Field([], description="Words that mean no value in every column, such as `[NULL, '-']`.")
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of numbers.")
    thousands: str = Field("", description="Mark between groups of three digits in numbers. Default: none.")
    booleans: list[str] = Field(
        [],
        description="Words for true and false, such as `[ja, nein]`, besides true, yes, t, y, 1 and their opposites.",
    )
    max_file_rows: int | None = Field(
        None, ge=0, description="Most rows of one file. Default: `ATLAS_MAX_FILE_ROWS`; 0 for no limit."
    )
    max_expansion: float | None = Field(
        None,
        ge=0,
        description="How many times its size a file may turn into. Default: `ATLAS_MAX_EXPANSION`; 0 for no limit.",
    )
