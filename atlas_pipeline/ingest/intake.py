"""How the files of a dataset come into bronze: how they are read, and what a new one takes the place of.

Belongs here: these options as plain data, and their fingerprint. Does not belong here: reading YAML (`components/`) and
acting on the options (`bronze.py`).
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from atlas_pipeline.ingest.limits import LIMIT_RULES, Limits
from atlas_pipeline.ingest.readers.csv_options import CsvOptions
from atlas_pipeline.ingest.readers.options import ReadOptions

Mode = Literal["append", "upsert", "snapshot"]
OnMissing = Literal["delete", "keep", "flag"]


@dataclass(frozen=True)
class Intake:
    """What is done with a file that is new.

    Attributes:
        reading: how files of each format are read.
        snapshot: a load is the whole state of the dataset, or of its partition, and takes the place of the one before.
            Else it takes the place of older versions of the same file.
        keep_missing: nothing is superseded: rows that a snapshot lacks stay.
        flag_missing: with `keep_missing`, rows that the newest snapshot lacks are flagged.
        skip_equal_files: a file that holds what another one does is not loaded.
        declared: the columns of the dataset; a file that has none of them is refused. Empty for any.
        limits: how much a file may turn into; null for what the settings say.
    """

    reading: ReadOptions = field(default_factory=ReadOptions)
    snapshot: bool = False
    keep_missing: bool = False
    skip_equal_files: bool = False
    flag_missing: bool = False
    declared: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)

    @property
    def states(self) -> bool:
        """Whether a row is there because the newest snapshot has it."""
        return self.snapshot and (self.flag_missing or not self.keep_missing)

    def within(self, default: Limits) -> "Intake":
        """The same, with these limits where it has none of its own."""
        return replace(self, limits=self.limits.or_else(default))

    def fingerprint(self, name: str, rule: str | None = None) -> str:
        """Tells the reading options of a file of that name from others; it is read again under others.

        Args:
            name: of the file.
            rule: by which it was refused; of one that exceeded a limit, the limits are options too.

        Returns:
            A hash, empty for the defaults.
        """
        options = self._options(name)
        return f"{options} within {self.limits.fingerprint()}" if rule in LIMIT_RULES else options

    def _options(self, name: str) -> str:
        options: Any = None
        if _ending(name, "csv", "tsv", "txt", "dat") and (self.reading.csv != CsvOptions() or self.reading.fixed_width):
            options = asdict(self.reading.csv)
            for option in ("escape", "skip_below"):  # hashes that are in ledgers were made without them
                if not options[option]:
                    del options[option]
            if self.reading.fixed_width:
                options["fixed"] = self.reading.fixed_width
        elif _ending(name, "json", "jsonl", "ndjson") and self.reading != ReadOptions(self.reading.csv):
            options = [asdict(self.reading.shape), self.reading.records]
        elif _ending(name, "xlsx", "xlsm", "xls", "ods") and self.reading != ReadOptions():
            csv = self.reading.csv
            options = [self.reading.sheet, csv.skip_lines, csv.footer, csv.names]
        return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16] if options else ""


def _ending(name: str, *endings: str) -> bool:
    return re.search(rf"\.(?:{'|'.join(endings)})(?:\.gz|\.zst)?\Z", name, re.IGNORECASE) is not None
