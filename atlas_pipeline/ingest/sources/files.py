"""Files as a source: a glob in the landing folder, of objects in S3, or of files on an SFTP server.

Belongs here: which files are of which partition. Does not belong here: listing and opening them, in folders
(`folders.py`), in S3 (`s3.py`) and over SFTP (`sftp.py`).
"""

import os
from dataclasses import dataclass, replace

from atlas_pipeline.ingest.sources import SourceFile, s3, sftp
from atlas_pipeline.ingest.sources.folders import matching
from atlas_pipeline.ingest.sources.patterns import PARTITION, partition_key
from atlas_pipeline.settings import Settings


@dataclass(frozen=True)
class FileSource:
    """A glob of local files (relative to the landing folder), of S3 objects, or of files on an SFTP server.

    `{partition}` stands for the key. Implements Source.
    """

    pattern: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        wildcard = self.pattern.replace(PARTITION, "*")
        if s3.is_s3(wildcard):
            found = s3.objects(wildcard, settings)
        elif sftp.is_sftp(wildcard):
            found = sftp.matching(wildcard, settings)
        else:
            found = matching(wildcard, settings.landing_path)
        key = partition_key(self.pattern)
        if key:
            matches = [(file, key.match(path)) for path, file in found]
            files = [replace(file, partition=match["key"]) for file, match in matches if match]
            files += [file for file, match in matches if file.problem and not match]
        else:
            files = [file for _, file in found]
        wanted = [file for file in files if partition in (None, file.partition) or file.problem]
        return sorted(map(_named, wanted), key=lambda file: file.uri)


def _named(file: SourceFile) -> SourceFile:
    """The file, its names fit for the ledger: bytes of a name that are not UTF-8 are written as `\\xff`."""
    if (file.uri + file.name).isascii():
        return file
    uri, name = (os.fsencode(text).decode("utf-8", "backslashreplace") for text in (file.uri, file.name))
    return replace(file, uri=uri, name=name)
