"""How a dataset's files are to be read, whatever their format.

Belongs here: one value that holds the options of all formats, and which of them matter for which. Does not belong here:
what an option of CSV means (`csv_options.py`), and reading YAML (`components/reading.py`).
"""

from dataclasses import dataclass, field

from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.json_shape import Shape


@dataclass(frozen=True)
class ReadOptions:
    """Reading options of a dataset's files; the defaults are those of each format.

    Attributes:
        csv: of CSV; of these, `skip_lines`, `footer` and `names` are for workbooks too.
        shape: how objects of JSON become rows.
        records: where the array of a JSON file is, keys with dots between them; None for the file itself.
        fixed_width: name, first and last position of each field of files whose fields have fixed positions.
        sheet: name of a workbook's sheet, or its number from 1; None for the first one that is not hidden.
    """

    csv: CsvOptions = field(default_factory=CsvOptions)
    sheet: str | int | None = None
    shape: Shape = field(default_factory=Shape)
    records: str | None = None
    fixed_width: tuple[tuple[str, int, int], ...] = ()
