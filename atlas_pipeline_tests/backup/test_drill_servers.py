"""A scratch server that lacks what a database needs proves nothing; one like the real one does."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atlas_pipeline.backup.drill import drill
from atlas_pipeline.backup.manifest import why_undrilled
from atlas_pipeline.backup.pg_dump import PgDump
from atlas_pipeline.backup.service import Backups, Options
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.orchestration.backups.checks import RESTORABLE, results
from atlas_pipeline_tests.backup.pg_dump_harness import execute
from atlas_pipeline_tests.servers import password_postgres, programs_of

pytestmark = pytest.mark.slow
TRIGRAMS = ["CREATE EXTENSION pg_trgm", "CREATE TABLE a (t text)", "CREATE INDEX ON a USING gin (t gin_trgm_ops)"]
COLLATION = ["CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a server with contrib and ICU, up to the name of a database."""
    with password_postgres(programs_of(15), "secret") as address:
        yield f"postgresql://admin:secret@{address}"


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(FolderStore(tmp_path / "store"), PgDump(tmp_path / "spool"), Options())


@pytest.mark.parametrize(
    ("name", "clauses", "statements", "why"),
    [
        ("trgm", "", TRIGRAMS, "pg_trgm"),
        ("icu", "", COLLATION, "ICU"),
        ("all_icu", "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und'", ["CREATE TABLE a (t text)"], "ICU"),
    ],
)
def test_what_the_embedded_server_lacks_is_no_fault_of_the_backup(
    backups: Backups, server: str, tmp_path: Path, name: str, clauses: str, statements: list[str], why: str
) -> None:
    execute(f"{server}/postgres", f"CREATE DATABASE {name} {clauses}")
    execute(f"{server}/{name}", *statements)
    made = backups.run(name, f"{server}/{name}", "daily")
    proof = drill(backups, made, tmp_path / "drills")
    assert (proof.kind, proof.problem) == ("undrilled", None)
    assert why in (why_undrilled(proof) or "")
    found = backups.catalogue.backups(name)
    assert found[0].verified, "it is what the verification said"
    [result] = results(name, found, {RESTORABLE}, datetime.now(UTC), timedelta(days=1))
    assert (result.passed, result.severity.name) == (False, "WARN")
    assert "cannot be drilled here" in (result.description or "")
    proof = drill(backups, made, tmp_path / "drills", url=f"{server}/postgres")
    assert (proof.kind, proof.problem) == ("restored", None)
    [result] = results(name, backups.catalogue.backups(name), {RESTORABLE}, datetime.now(UTC), timedelta(days=1))
    assert result.passed
