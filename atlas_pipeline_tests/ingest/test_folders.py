"""Landing folders with odd things in them: links, circles, pipes, folders that cannot be read."""

import ast
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas_pipeline.ingest.sources import SourceError, SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import Settings

NOBODY = 65534


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "landing" / "odd"
    folder.mkdir(parents=True)
    (folder / "well.csv").write_text("id\n1\n")
    (tmp_path / "home" / "key.csv").write_text("secret\n")
    return folder


@pytest.fixture
def listing(tmp_path: Path) -> Iterator[object]:
    def run(pattern: str = "odd/*.csv") -> dict[str, SourceFile]:
        return {Path(file.uri).name: file for file in FileSource(pattern).list(Settings(home=tmp_path / "home"))}

    return run  # type: ignore[return-value]


def rules(files: dict[str, SourceFile]) -> dict[str, str | None]:
    return {name: file.problem.rule if file.problem else None for name, file in files.items()}


def test_a_link_out_of_the_landing_folder_is_refused_by_name(landing: Path, listing) -> None:
    (landing / "key.csv").symlink_to("../../key.csv")
    (landing / "inside.csv").symlink_to("well.csv")
    found = listing()
    assert rules(found) == {"key.csv": "outside_landing", "inside.csv": None, "well.csv": None}
    with pytest.raises(SourceError), found["key.csv"].open():
        pass


def test_no_two_names_are_shown_as_one(landing: Path, listing) -> None:
    names = [b"a\xff.csv", rb"a\xff.csv", rb"a\\xff.csv", b"a\\\xff.csv", rb"a\b.csv", "ä.csv".encode()]
    for name in names:
        with open(os.fsencode(landing) + b"/" + name, "w") as file:  # noqa: PTH123 — a name of bytes
            file.write("id\n2\n")
    found = listing()
    assert len(found) == len(names) + 1
    assert {r"a\xff.csv", r"a\b.csv", "ä.csv"} < set(found)
    assert all(name.isprintable() for name in found)


def test_pipes_sockets_and_circles_are_named_and_never_waited_for(landing: Path, listing) -> None:
    os.mkfifo(landing / "pipe.csv")
    (landing / "circle.csv").symlink_to("circle.csv")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(landing / "socket.csv"))
        assert rules(listing()) == {
            "pipe.csv": "not_a_file",
            "socket.csv": "not_a_file",
            "circle.csv": "unavailable",
            "well.csv": None,
        }


def test_links_that_lead_in_a_circle_of_folders_end(landing: Path, listing) -> None:
    (landing / "again").symlink_to("../odd")
    (landing / "up").symlink_to("../..")
    found = FileSource("odd/**/*.csv").list(Settings(home=landing.parents[1]))
    assert [Path(file.uri).relative_to(landing).as_posix() for file in found if not file.problem] == ["well.csv"]
    assert {file.name for file in found if file.problem} == {"again", "up"}


def test_a_folder_that_cannot_be_read_is_reported() -> None:
    """Looked at by somebody who may not read it, as root may read every folder."""
    home = Path(tempfile.mkdtemp(prefix="atlas-test-"))
    try:
        for name in ("open", "closed"):
            (home / "landing" / name).mkdir(parents=True)
            (home / "landing" / name / "a.csv").write_text("id\n1\n")
        (home / "landing" / "closed").chmod(0)
        home.chmod(0o755)
        code = (
            "import os, sys; from pathlib import Path\n"
            "from atlas_pipeline.ingest.sources.folders import matching\n"
            f"os.geteuid() or os.setuid({NOBODY})\n"
            f"found = matching('*/*.csv', Path({str(home / 'landing')!r}))\n"
            "print({name: file.problem.rule if file.problem else None for name, file in found})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ast.literal_eval(done.stdout) == {"open/a.csv": None, "closed": "unavailable"}
    finally:
        (home / "landing" / "closed").chmod(0o755)
        shutil.rmtree(home)


def test_what_was_replaced_after_it_was_listed_is_not_opened(landing: Path, listing) -> None:
    found = listing()["well.csv"]
    (landing / "new").symlink_to("../../key.csv")
    (landing / "new").replace(landing / "well.csv")
    with pytest.raises(SourceError, match="replaced"), found.open():
        pass


def test_hidden_files_and_unfinished_ones_are_passed_over(landing: Path, listing) -> None:
    (landing / ".hidden.csv").write_text("id\n1\n")
    (landing / "later.csv.tmp").write_text("id\n")
    assert set(listing("odd/*")) == {"well.csv"}
    assert set(listing("**/*.csv")) == {"well.csv"}
