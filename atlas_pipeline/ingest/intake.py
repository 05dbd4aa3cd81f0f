"""How the files of a dataset come into bronze: how they are read, and what a new one takes the place of.

Belongs here: these options as plain data, and their fingerprint. Does not belong here: reading YAML (`components/`) and
acting on the options (`bronze.py`).
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.options import ReadOptions

Mode = Literal["append", "upsert", "snapshot"]
OnMissing = Literal["delete", "keep"]


@dataclass(frozen=True)
class Intake:
    """What is done with a file that is new.

    Attributes:
        reading: how files of each format are read.
        snapshot: a load is the whole state of the dataset, or of its partition, and takes the place of the one before.
            Else it takes the place of older versions of the same file.
        keep_missing: nothing is superseded: rows that a snapshot lacks stay.
        skip_equal_files: a file that holds what another one does is not loaded.
        declared: the columns of the dataset; a file that has none of them is refused. Empty for any.
    """

    reading: ReadOptions = field(default_factory=ReadOptions)
    snapshot: bool = False
    keep_missing: bool = False
    skip_equal_files: bool = False
    declared: frozenset[str] = frozenset()

    def fingerprint(self, name: str) -> str:
        """Hash of the reading options of a file of that name; it is read again under others. Empty for the defaults."""
        options: Any = None
        if _ending(name, "csv", "tsv") and self.reading.csv != CsvOptions():
            options = asdict(self.reading.csv)
        elif _ending(name, "xlsx", "xlsm", "xls", "ods") and self.reading != ReadOptions():
            csv = self.reading.csv
            options = [self.reading.sheet, csv.skip_lines, csv.footer, csv.names]
        return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16] if options else ""


def _ending(name: str, *endings: str) -> bool:
    return re.search(rf"\.(?:{'|'.join(endings)})(?:\.gz|\.zst)?\Z", name, re.IGNORECASE) is not None
