"""Landing folders with odd things in them: links, circles, pipes, folders that cannot be read."""

import ast
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from atlas_pipeline.ingest.batch import FileRefused
from atlas_pipeline.ingest.sources import SourceError, SourceFile
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.settings import Settings

NOBODY = 65534


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "landing" / "odd"
    folder.mkdir(parents=True)
    (folder / "well.csv").write_text("id\n1\n")
    os.utime(folder / "well.csv", (1e9, 1e9))
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


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten"])
def test_a_file_that_is_written_while_it_is_read_is_left_for_the_next_run(landing: Path, listing, change: str) -> None:
    path = landing / "well.csv"
    path.write_bytes(b"id\n" + b"1\n" * 1000)
    os.utime(path, (1e9, 1e9))  # so that a change shows, however soon it comes
    found = listing()["well.csv"]
    with pytest.raises(SourceError, match="the next run"), found.open() as stream:  # noqa: PT012 — changed while open
        stream.read(10)
        with path.open("r+b") as writing:
            if change == "grows":
                writing.seek(0, os.SEEK_END)
            if change == "shrinks":
                writing.truncate(100)
            else:
                writing.write(b"2")
        stream.read()
    with listing()["well.csv"].open() as stream:
        assert stream.read() == path.read_bytes()


def test_a_file_that_was_written_after_it_was_listed_is_not_taken_for_its_old_version(landing: Path, listing) -> None:
    found = listing()["well.csv"]
    (landing / "well.csv").write_text("id\n2\n")  # as long as before
    with pytest.raises(SourceError, match="the next run"), found.open():
        pass


def test_half_of_two_versions_is_not_a_fault_of_the_file(landing: Path, listing) -> None:
    found = listing()["well.csv"]
    with pytest.raises(SourceError, match="the next run"), found.open():  # noqa: PT012 — changed while open
        (landing / "well.csv").write_text("")
        raise FileRefused("truncated", "The file was cut.")
    whole = listing()["well.csv"]
    with pytest.raises(FileRefused), whole.open():
        raise FileRefused("truncated", "The file was cut.")


def test_a_file_system_below_the_landing_folder_is_a_part_of_it(
    landing: Path, listing, small_disk: Callable[[int], Path]
) -> None:
    disk = small_disk(1)
    (disk / "far.csv").write_text("id\n3\n")
    (disk / "key.csv").symlink_to(landing.parents[1] / "key.csv")
    (landing / "mounted").mkdir()
    subprocess.run(["/bin/mount", "--bind", str(disk), str(landing / "mounted")], check=True)
    try:
        found = listing("odd/**/*.csv")
        assert rules(found) == {"far.csv": None, "key.csv": "outside_landing", "well.csv": None}
        with found["far.csv"].open() as stream:
            assert stream.read() == b"id\n3\n"
    finally:
        subprocess.run(["/bin/umount", str(landing / "mounted")], check=True)


ROUNDS = 300


@pytest.mark.parametrize("what", ["file", "folder"])
def test_nothing_outside_is_read_while_links_are_swapped_in(tmp_path: Path, what: str) -> None:
    """A file and a link that leads out change places all the time, or a folder and such a link."""
    outside, home = tmp_path / "outside", tmp_path / "home"
    inside = home / "landing" / "sub"
    for folder, content in ((outside, "secret\n1\n"), (inside, "id\n1\n")):
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text(content)
    here = inside / "a.csv" if what == "file" else inside
    link, aside = here.with_name("link"), here.with_name("aside")
    link.symlink_to(outside / "a.csv" if what == "file" else outside)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            here.rename(aside)
            link.rename(here)
            here.rename(link)
            aside.rename(here)

    swapping = threading.Thread(target=swap)
    swapping.start()
    read, refused = set(), 0
    try:
        for _ in range(ROUNDS):
            for file in FileSource("sub/*.csv").list(Settings(home=home)):
                try:
                    with file.open() as stream:
                        read.add(stream.read())
                except (SourceError, OSError):
                    refused += 1
    finally:
        done.set()
        swapping.join()
    assert read == {b"id\n1\n"}
    assert refused
