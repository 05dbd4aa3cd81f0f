"""How a dataset's files are to be read, whatever their format.

Belongs here: one value that holds the options of all formats, and which of them matter for which. Does not belong here:
what an option of CSV means (`csv_options.py`), and reading YAML (`components/reading.py`).
"""

from dataclasses import dataclass, field

from atlas_pipeline.ingest.readers.csv_options import CsvOptions


@dataclass(frozen=True)
class ReadOptions:
    """Reading options of a dataset's files; the defaults are those of each format.

    Attributes:
        csv: of CSV; of these, `skip_lines`, `footer` and `names` are for workbooks too.
        sheet: name of a workbook's sheet, or its number from 1; None for the first one that is not hidden.
    """

    csv: CsvOptions = field(default_factory=CsvOptions)
    sheet: str | int | None = None
