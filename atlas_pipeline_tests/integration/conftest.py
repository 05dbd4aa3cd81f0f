"""A dataset of the test's own: files land, bronze and silver are built by the public functions, tables are read."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from atlas_pipeline.ingest import bronze
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.ingest.silver import SilverBuild, SilverResult, Verify, build_silver
from atlas_pipeline.ingest.sources.files import FileSource
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.quality.outcome import Outcome
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.gold import GoldBuild
from atlas_pipeline_tests.builds import build_gold, holds


class Feed:
    """One dataset: `land` files, `load` them into bronze, `build` silver, and look at what is there."""

    def __init__(self, connection: psycopg.Connection, url: str, home: Path, dataset: Dataset):
        self.connection = connection
        self.url = url
        self.settings = Settings(home=home)
        self.dataset = dataset

    def land(self, name: str, content: str | bytes) -> Path:
        path = self.settings.landing_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, **options: Any) -> bronze.BronzeResult:
        files = self.dataset.source.list(self.settings)
        options = {"run_id": "test", "intake": self.dataset.intake} | options
        return bronze.load(self.connection, self.dataset.name, files, **options)

    def build(
        self, dataset: Dataset | None = None, verify: Verify[Outcome] = holds, **options: Any
    ) -> SilverResult[Outcome]:
        options = {"run_id": "test", "keys": load_keys(self.settings)} | options
        return build_silver(SilverBuild(self.connection, self.url, dataset or self.dataset, **options), verify)

    def model(self, name: str, statement: str) -> None:
        """Build a gold table and publish it."""
        build_gold(GoldBuild(self.connection, name, statement, "test"))

    def run(self) -> SilverResult[Outcome]:
        """Load and build."""
        self.load()
        return self.build()

    def outdate(self) -> None:
        """Make the next build one of all rows, as a changed declaration does."""
        self.connection.execute("UPDATE atlas.publications SET definition = 'another' WHERE layer = 'silver'")
        self.connection.commit()

    def rows(self, layer: str = "silver", columns: Iterable[str] = ()) -> list[tuple]:
        """The table's rows without lineage, in a fixed order."""
        names = list(columns) or [
            name
            for (name,) in self.query(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
                " AND attname NOT LIKE '\\_atlas%%' ORDER BY attnum",
                [f'{layer}."{self.dataset.name}"'],
            )
        ]
        chosen = sql.SQL(", ").join(map(sql.Identifier, names))
        statement = sql.SQL("SELECT {} FROM {} t ORDER BY t::text")
        return self.query(statement.format(chosen, sql.Identifier(layer, self.dataset.name)))

    def quarantine(self, columns: str = "file, line, rule") -> list[tuple]:
        """What is in quarantine, files by their names."""
        rows = self.query(f"SELECT {columns} FROM quarantine.{self.dataset.name} ORDER BY file, line")
        base = f"{self.settings.landing_path}/"
        return [tuple(v.removeprefix(base) if isinstance(v, str) else v for v in row) for row in rows]

    def ledger(self, columns: str = "uri, status, rule") -> list[tuple]:
        """The ledger's entries in their order, files by their names."""
        statement = f"SELECT {columns} FROM atlas.files WHERE dataset = %s ORDER BY file_id"
        rows = self.query(statement, [self.dataset.name])
        base = f"{self.settings.landing_path}/"
        return [tuple(v.removeprefix(base) if isinstance(v, str) else v for v in row) for row in rows]

    def query(self, statement: str | sql.Composed, parameters: list | None = None) -> list[tuple]:
        rows = self.connection.execute(statement, parameters).fetchall()
        self.connection.commit()
        return rows


MakeFeed = Callable[..., Feed]


@pytest.fixture
def make_feed(warehouse: psycopg.Connection, warehouse_url: str, tmp_path: Path) -> MakeFeed:
    """Make a feed; columns are given as name=type, or as a mapping or sequence of columns."""

    def make(columns: Mapping[str, str] | Iterable[Column], *, source: str | FileSource = "*", **options: Any) -> Feed:
        if isinstance(columns, Mapping):
            columns = [Column(name, kind) for name, kind in columns.items()]
        options = {"name": "things"} | options
        chosen = FileSource(source) if isinstance(source, str) else source
        dataset = Dataset(source=chosen, columns=tuple(columns), **options)
        return Feed(warehouse, warehouse_url, tmp_path, dataset)

    return make
