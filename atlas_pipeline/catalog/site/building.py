"""Writing the site: pages into a new folder, which takes the place of the old one in one step.

Belongs here: files, and that a folder which is no catalogue is left alone. Does not belong here: what pages show
(`pages.py`).
"""

import base64
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from atlas_pipeline.catalog.site import pages
from atlas_pipeline.catalog.site.addresses import file_of
from atlas_pipeline.catalog.site.pages import Site

_TEMPLATES = Path(__file__).parent / "templates"
MARK = "catalogue.json"
"""The file by which a folder is known to be a catalogue."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


class OutputError(Exception):
    """The folder cannot be written; the message says which, and why."""


@dataclass(frozen=True)
class Built:
    """What was written."""

    folder: Path
    pages: int
    bytes: int


def build_site(site: Site, output: Path) -> Built:
    """Write the site. Whoever reads the folder finds all of the old site or all of the new one.

    Args:
        site: all that it shows.
        output: the folder; it is replaced where it holds a catalogue, and made where there is none.

    Raises:
        OutputError: it holds something else, or cannot be written.
    """
    try:
        output = output.expanduser().resolve()
        _check(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with _new_folder(output) as folder:
            files = dict(_rendered(site))
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8", errors="replace")
            _exchange(folder, output)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or type(error).__name__}") from None
    size = sum(path.stat().st_size for path in output.iterdir())
    return Built(output, sum(name.endswith(".html") for name in files), size)


def _rendered(site: Site) -> Iterator[tuple[str, str]]:
    """Each file, by its name."""
    script, style = ((_TEMPLATES / name).read_text(encoding="utf-8").strip() for name in ("site.js", "style.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "script": Markup(script),  # noqa: S704 — our own file
        "style": Markup(style),  # noqa: S704 — our own file
        "script_hash": f"sha256-{digest}",
        "measured": site.recorded is not None,
        "built_at": site.built_at,
        "version": site.version,
        "ui": site.ui,
        "file_of": file_of,
        "invalid": [table for table in site.tables.values() if table.invalid],
    }

    def page(template: str, name: str, content: dict[str, Any]) -> tuple[str, str]:
        return name, environment.get_template(template).render(content, page=name) + "\n"

    yield page("index.html", "index.html", pages.index_page(site))
    yield page("lineage.html", "lineage.html", pages.lineage_page(site))
    yield page("personal-data.html", "personal-data.html", pages.personal_page(site))
    for key in site.tables:
        yield page("table.html", file_of(key), pages.table_page(site, key))
    entries = json.dumps(pages.search_entries(site), ensure_ascii=True, separators=(",", ":"))
    yield "search.js", f"window.catalogueEntries={entries};\n"
    mark = {"built_at": site.built_at.isoformat(), "version": site.version, "tables": len(site.tables)}
    yield MARK, json.dumps(mark, indent=2) + "\n"


def _check(output: Path) -> None:
    """Raise OutputError for what is not a catalogue."""
    if output.is_dir():
        if any(output.iterdir()) and not (output / MARK).is_file():
            raise OutputError(f"{output} holds something else: name a new or empty folder, or one of an earlier build")
    elif output.exists():
        raise OutputError(f"{output} is not a folder")


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A folder beside the output, gone at the end whatever it holds then; what killed builds left is removed first.

    Each build holds a lock on its own, which the kernel releases however the process ends.
    """
    prefix = f".{output.name}.building-"
    for other in output.parent.glob(f"{prefix}*"):
        with _locked(other) as alone:
            if alone:
                shutil.rmtree(other, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=output.parent))
    try:
        with _locked(folder):
            folder.chmod(0o755)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder; whether nobody else does."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _exchange(new: Path, output: Path) -> None:
    """Put the new folder in the place of the old one: in one step where the system can, which Linux can."""
    if not output.exists():
        new.rename(output)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        if libc.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(output), _RENAME_EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number))
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.building-", dir=output.parent) as aside:
        output.rename(Path(aside) / "old")
        new.rename(output)
