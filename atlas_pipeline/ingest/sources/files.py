"""Files as a source: a glob in the landing folder, or of objects in S3.

Belongs here: listing and opening local files, and which files are of which partition. Does not belong here: S3
(`s3.py`). Names of files are data: they are listed and opened, never joined to a path of ours.
"""

import glob
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from atlas_pipeline.ingest.sources import SourceFile, s3
from atlas_pipeline.ingest.sources.patterns import PARTITION, UNFINISHED, partition_key
from atlas_pipeline.settings import Settings


@dataclass(frozen=True)
class FileSource:
    """A glob of local files (relative to the landing folder) or of S3 objects; `{partition}` stands for the key.

    Implements Source.
    """

    pattern: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        wildcard = self.pattern.replace(PARTITION, "*")
        found = s3.objects(wildcard, settings) if s3.is_s3(wildcard) else _local_files(wildcard, settings.landing_path)
        key = partition_key(self.pattern)
        if key:
            matches = [(file, key.match(path)) for path, file in found]
            files = [replace(file, partition=match["key"]) for file, match in matches if match]
        else:
            files = [file for _, file in found]
        wanted = [file for file in files if partition in (None, file.partition)]
        return sorted(wanted, key=lambda file: file.uri)


def _local_files(pattern: str, base: Path) -> Iterator[tuple[str, SourceFile]]:
    """Each file that matches, with its path as the pattern sees it."""
    literal = pattern.replace("[", "[[]")  # only * and ? are wild, here as in S3
    for relative in glob.glob(literal, root_dir=base, recursive=True):  # noqa: PTH207 — Path.glob takes no absolute
        path = base / relative
        try:
            state = path.stat()
        except FileNotFoundError:  # deleted since it was listed
            continue
        if not stat.S_ISREG(state.st_mode) or path.name.endswith(UNFINISHED):
            continue
        file = SourceFile(
            uri=str(path),
            name=path.name,
            version=f"{state.st_size} bytes, changed {state.st_mtime_ns}",
            bytes=state.st_size,
            modified=state.st_mtime,
            open=partial(_open_file, path),
        )
        yield relative, file


def _open_file(path: Path) -> BinaryIO:
    return path.open("rb")
