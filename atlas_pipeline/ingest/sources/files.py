"""Files as a source: a glob in the landing folder, of objects in a store, or of files on an SFTP server.

Belongs here: which files are of which partition, and which scheme of an address is read by what. Does not belong here:
listing and opening them, in folders (`folders.py`), stores (`s3.py`, `gcs.py`, `azure.py`) and over SFTP (`sftp.py`).
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from atlas_pipeline.ingest.sources import SourceFile, azure, gcs, s3, sftp
from atlas_pipeline.ingest.sources.deliveries import Together, folder_of, grouped
from atlas_pipeline.ingest.sources.folders import matching
from atlas_pipeline.ingest.sources.patterns import DELIVERY, PARTITION, placeholders
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

    `{partition}` stands for the key of a partition. Files with one `{delivery}` are one file, as are, `together`, those
    of a folder, or all that match. Implements Source.
    """

    pattern: str
    together: Together = "file"

    @property
    def grouped(self) -> bool:
        """Whether it is said which files belong together."""
        return self.together != "file" or DELIVERY in self.pattern

    def list(self, settings: Settings, partition: str | None = None) -> list[SourceFile]:
        wildcard = self.pattern.replace(PARTITION, "*").replace(DELIVERY, "*")
        remote = next((listed for scheme, (_, listed) in _SCHEMES.items() if wildcard.startswith(scheme)), None)
        found = remote(wildcard, settings) if remote else matching(wildcard, settings.landing_path)
        key = placeholders(self.pattern)
        addresses: dict[str, str] = {}
        files: list[SourceFile] = []
        for path, file in map(_named, found):
            match = key.match(path) if key else None
            groups = match.groupdict() if match else {}
            if "partition" in groups:
                file = replace(file, partition=groups["partition"])
            if match or not key or file.problem:
                files.append(file)
                addresses[file.uri] = file.uri.removesuffix(path) + self._address(groups)
        wanted = [file for file in files if partition in (None, file.partition) or file.problem]
        files = sorted(wanted, key=lambda file: file.uri)
        if self.grouped:
            address = folder_of if self.together == "folder" else lambda file: addresses[file.uri]
            files = sorted(grouped(files, address), key=lambda file: file.uri)
        return files

    def _address(self, groups: Mapping[str, str]) -> str:
        """The pattern with what its placeholders stand for, which is the address of files that belong together."""
        address = self.pattern
        for name, value in groups.items():
            address = address.replace(f"{{{name}}}", value)
        return address


_LIKE_BYTES = re.compile(rb"\\x[0-9a-f]{2}")


def _named(found: tuple[str, SourceFile]) -> tuple[str, SourceFile]:
    """A path and its file, names fit for the ledger: bytes of a name that are not UTF-8 are written as `\\xff`.

    A name that has these four characters itself is another file: backslashes are doubled in it.
    """
    path, file = found
    whole = os.fsencode(file.uri)
    doubled = b"\\\\" if _LIKE_BYTES.search(whole) or not _is_utf8(whole) else b"\\"
    if file.uri.isascii() and len(doubled) == 1:
        return found
    path, uri, name = (
        os.fsencode(text).replace(b"\\", doubled).decode("utf-8", "backslashreplace")
        for text in (path, file.uri, file.name)
    )
    return path, replace(file, uri=uri, name=name)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
