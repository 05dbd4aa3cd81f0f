"""Writing the catalogue: its folder is replaced in one step, and what is no catalogue is left alone."""

import fcntl
import os
import threading
from pathlib import Path

import pytest

from atlas_pipeline.catalog.site.building import MARK, OutputError, build_site
from atlas_pipeline_tests.catalog.site.sites import many, silver, site_of

LARGEST_PAGE = 80_000


def test_pages_of_tables_that_are_gone_go_too(tmp_path: Path) -> None:
    output = tmp_path / "site"
    build_site(site_of({"silver.old": silver("old")}), output)
    built = build_site(site_of({"silver.new": silver("new")}), output)
    assert {path.name for path in output.glob("silver.*")} == {"silver.new.html"}
    assert (built.folder, built.pages) == (output, 4)
    assert built.bytes == sum(path.stat().st_size for path in output.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["site"], "nothing is left beside it"
    assert output.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something else: name a new or empty folder"):
        build_site(site_of({}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError, match=r"thesis\.txt is not a folder"):
        build_site(site_of({}), tmp_path / "thesis.txt")


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    build_site(site_of({}), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "index.html").is_file()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*site"):
        build_site(site_of({}), tmp_path / "file" / "site")


def test_a_reader_finds_a_whole_site_at_any_moment(tmp_path: Path) -> None:
    """Two sites take turns; whoever opens the folder finds all pages of one of them."""
    output = tmp_path / "site"
    names = {"a": [f"a{n}" for n in range(5)], "b": [f"b{n}" for n in range(5)]}
    sites = {one: site_of({f"silver.{name}": silver(name) for name in listed}) for one, listed in names.items()}
    build_site(sites["a"], output)
    found: list[list[str]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            folder = os.open(output, os.O_RDONLY | os.O_DIRECTORY)
            try:
                names_there = os.listdir(folder)  # noqa: PTH208 — of one folder, whatever is at its path by now
                found.append(sorted(name for name in names_there if name.startswith("silver.")))
            except FileNotFoundError:
                found.append([])
            finally:
                os.close(folder)

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(10):
        build_site(sites["ba"[turn % 2]], output)
    over.set()
    reader.join()
    whole = [[f"silver.{name}.html" for name in listed] for listed in names.values()]
    # A folder that was opened just before it was replaced is emptied under the reader's hands, as any that is removed.
    assert all(any(set(one) <= set(pages) for pages in whole) for one in found)
    assert {tuple(one) for one in found} & {tuple(pages) for pages in whole}


def test_what_a_killed_build_left_is_removed_and_that_of_a_running_one_is_not(tmp_path: Path) -> None:
    killed, running = tmp_path / ".site.building-1", tmp_path / ".site.building-2"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "index.html").touch()
    held = os.open(running, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        build_site(site_of({}), tmp_path / "site")
    finally:
        os.close(held)
    assert not killed.exists()
    assert (running / "index.html").exists()


def test_a_project_of_250_tables_has_small_pages(tmp_path: Path) -> None:
    tables = many(250)
    built = build_site(site_of(tables, {}), tmp_path / "site")
    assert built.pages == 253
    sizes = {path.name: path.stat().st_size for path in built.folder.glob("*.html")}
    tables_of = {name: size for name, size in sizes.items() if name.startswith(("silver.", "gold."))}
    assert max(tables_of.values()) < LARGEST_PAGE
    assert sizes["index.html"] < 4 * LARGEST_PAGE
    assert (built.folder / MARK).is_file()
