"""Catalogues of tables that are declared in plain data, and a reader of their pages.

Belongs here: what tests of the site share. Does not belong here: any test.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from atlas_pipeline.catalog.site.declared import Check, Column, Table
from atlas_pipeline.catalog.site.pages import Site
from atlas_pipeline.catalog.site.recorded import Recorded

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
VOID = {"meta", "link", "input", "br", "rect", "path", "circle", "polyline", "img"}


def site_of(tables: Mapping[str, Table], recorded: Mapping[str, Recorded] | None = None) -> Site:
    """A site of these tables; never measured when nothing is given."""
    return Site(tables, recorded, AT, "http://127.0.0.1:3000", "1.2.3")


def silver(name: str, **fields: object) -> Table:
    """A silver table with an id and a text."""
    columns = [Column("id", "bigint"), Column("text", "text", "What was said.")]
    given = {"columns": columns, "description": f"Rows of {name}.", "owners": ["team:data"], **fields}
    return Table(f"silver.{name}", "silver", name, **given)  # type: ignore[arg-type]


def many(number: int) -> dict[str, Table]:
    """A project of so many silver tables, each with a model that reads it and the two before."""
    tables: dict[str, Table] = {}
    for place in range(number // 2):
        name = f"t{place}"
        tables[f"silver.{name}"] = silver(
            name, checks=[Check(f"check_{n}", f"Check {n}", f"checks.c{n}", "validity", True) for n in range(8)]
        )
    for place in range(number // 2):
        read = [f"silver.t{other}" for other in range(max(place - 2, 0), place + 1)]
        columns = [Column(f"c{n}", "text", sources=[(table, "text") for table in read]) for n in range(20)]
        sql = "SELECT\n" + ",\n".join(f"    a.text || {n} AS c{n}" for n in range(20)) + f"\nFROM {read[0]} AS a"
        tables[f"gold.m{place}"] = Table(f"gold.m{place}", "gold", f"m{place}", reads=read, columns=columns, sql=sql)
    return tables


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, in order, and what ids there are. Fails where tags differ."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    @property
    def ids(self) -> list[str]:
        """All ids."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def links(self) -> Iterator[str]:
        """Where its links lead."""
        return (attributes["href"] for name, attributes in self.elements if name == "a")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"


def pages_of(folder: Path) -> dict[str, Page]:
    """All pages of a site, by the name of the file."""
    return {path.name: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.html"))}
