"""Files as a source: a glob in the landing folder, of objects in a store, or of files on an SFTP server.

Belongs here: which files are of which partition, and which scheme of an address is read by what. Does not belong here:
listing and opening them, in folders (`folders.py`), stores (`s3.py`, `gcs.py`, `azure.py`) and over SFTP (`sftp.py`).
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from atlas_pipeline.ingest.sources import SourceFile, azure, gcs, s3, sftp
from atlas_pipeline.ingest.sources.folders import matching
from atlas_pipeline.ingest.sources.patterns import PARTITION, partition_key
from atlas_pipeline.settings import Settings

Listing = Callable[[str, Settings], Iterator[tuple[str, SourceFile]]]

_SCHEMES: Mapping[str, tuple[Callable[[str], object], Listing]] = {
    s3.SCHEME: (s3.split_url, s3.objects),
    sftp.SCHEME: (sftp.split_url, sftp.matching),
    gcs.SCHEME: (gcs.split_url, gcs.objects),
    **dict.fromkeys(azure.SCHEMES, (azure.split_url, azure.objects)),
}


def is_remote(pattern: str) -> bool:
    """Whether it is an address on a server, not a path."""
    return pattern.startswith(tuple(_SCHEMES))


def check_address(pattern: str) -> None:
    """Raises SourceError when a pattern begins with a scheme, and is not an address of that scheme."""
    for scheme, (split, _) in _SCHEMES.items():
        if pattern.startswith(scheme):
            split(pattern)


@dataclass(frozen=True)
class FileSource:
    """A glob of local files (relative to the landing folder), of objects in a store, or of files on an SFTP server.

    `{partition}` stands for the key. Implements Source.
    """

    pattern: str

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        wildcard = self.pattern.replace(PARTITION, "*")
        remote = next((listed for scheme, (_, listed) in _SCHEMES.items() if wildcard.startswith(scheme)), None)
        found = remote(wildcard, settings) if remote else matching(wildcard, settings.landing_path)
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
