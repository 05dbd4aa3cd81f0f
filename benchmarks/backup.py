"""Backups against `pg_dump | gzip` and `gunzip | psql`, on the same database in the same run.

The database has events, orders, customers, long texts and fifty small tables, with indexes and foreign keys. In turn,
each in a process of its own, whose whole time counts:

- backup: `Backups.run` into a folder, with the rows' hashes and the verification of what was stored, which is also
  given apart; the rival is `pg_dump --format=plain | gzip`. Their sizes are compared too;
- hashes: the engine's dump into a folder with the rows' hashes and without them;
- restore: `Backups.restore_into` a new database, with the comparison with the manifest and ANALYZE; the rival is
  `gunzip | psql` into another new database, without either. What the rival restored is compared too, untimed;
- the peak memory of Atlas's own process in each; Postgres's programs have theirs.

Run: .venv/bin/python benchmarks/backup.py [--megabytes N] [--jobs N] [--rounds N] [--json]
"""

import argparse
import json
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import harness
from psycopg import sql

from atlas_pipeline.backup.objects import ObjectSink
from atlas_pipeline.backup.pg_dump import PgDump, state
from atlas_pipeline.backup.service import Backups, Options, quiet
from atlas_pipeline.backup.store.folder import FolderStore
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.embedded import SUPERUSER, EmbeddedPostgres

SIDES = ("backup", "backup, rival", "dump, hashes", "dump", "restore", "restore, rival")
DATABASE = "benchmark"
SMALL_TABLES = 50
# The parameters are rows; `mix` is a seeded number of 31 bits. A part of it are hashes, which compress badly.
_SEED = """
CREATE FUNCTION mix(i bigint, salt integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashint8(i * 31 + salt) & 2147483647;
CREATE FUNCTION words(i bigint, count integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT string_agg((ARRAY['account','address','balance','between','changed','customer','delivery','during',
        'evening','expected','following','general','important','invoice','learned','monthly','nothing','number',
        'ordered','payment','perhaps','question','received','return','service','shipped','support','thanks','urgent',
        'waiting','without','yesterday'])[(mix(i, n) & 31) + 1], ' ') FROM generate_series(1, count) n);
CREATE TABLE phrases AS SELECT i AS id, words(i, 9) AS text FROM generate_series(0, 4095) i;
ALTER TABLE phrases ADD PRIMARY KEY (id);
CREATE TABLE customers (id bigint, name text, email text, born date, balance numeric(12, 2), tags text[],
    profile jsonb, created_at timestamptz);
INSERT INTO customers SELECT i, initcap(p.text), 'user' || i || '@example.com', '1950-01-01'::date + mix(i, 2) % 20000,
    mix(i, 3) % 10000000 / 100.0, string_to_array(left(p.text, 30), ' '),
    jsonb_build_object('level', mix(i, 4) % 5, 'token', md5(i::text), 'since', 2000 + mix(i, 5) % 26),
    '2020-01-01'::timestamptz + mix(i, 6) % 200000000 * interval '1 second'
FROM generate_series(1, {customers}) i JOIN phrases p ON p.id = mix(i, 1) & 4095;
CREATE TABLE orders (id bigint, customer_id bigint, state text, amount numeric(12, 2), lines integer, rate float8,
    ordered_at timestamptz, reference uuid);
INSERT INTO orders SELECT i, mix(i, 1) % {customers} + 1, (ARRAY['new','paid','shipped','returned'])[mix(i, 2) % 4 + 1],
    mix(i, 3) % 1000000 / 100.0, mix(i, 4) % 20, mix(i, 5) / 1e7,
    '2024-01-01'::timestamptz + i * interval '7 seconds', md5(i::text)::uuid FROM generate_series(1, {orders}) i;
CREATE TABLE events (id bigint, at timestamptz, customer_id bigint, kind text, amount numeric, body jsonb, note text);
INSERT INTO events SELECT i, '2024-01-01'::timestamptz + i * interval '1.37 seconds', mix(i, 1) % {customers} + 1,
    (ARRAY['view','click','cart','pay','refund','login'])[mix(i, 2) % 6 + 1], mix(i, 3) % 100000 / 100.0,
    jsonb_build_object('page', '/shop/' || mix(i, 4) % 5000, 'ms', mix(i, 5) % 3000, 'ok', mix(i, 6) % 20 > 0,
        'session', md5((i / 7)::text)),
    p.text FROM generate_series(1, {events}) i JOIN phrases p ON p.id = mix(i, 7) & 4095;
CREATE TABLE texts (id bigint, body text);
INSERT INTO texts SELECT i, (SELECT string_agg(p.text || ' ' || md5(i::text || n), E'\\n')
    FROM generate_series(1, 40) n JOIN phrases p ON p.id = mix(i * 40 + n, 1) & 4095)
FROM generate_series(1, {texts}) i;
"""
_INDEXES = """
ALTER TABLE customers ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX ON customers (email);
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;
CREATE INDEX ON orders (ordered_at);
ALTER TABLE events ADD PRIMARY KEY (id);
CREATE INDEX ON events (customer_id);
CREATE INDEX ON events (at);
ALTER TABLE texts ADD PRIMARY KEY (id);
"""
_SMALL = """
CREATE TABLE small_{n} AS SELECT i AS id, words(i + {n}, 5) AS label FROM generate_series(1, {n} * 20) i;
ALTER TABLE small_{n} ADD PRIMARY KEY (id);
"""


def fill(url: str, megabytes: int) -> dict[str, Any]:
    """Fill a database with about `megabytes` MB on disk, and return its size then."""
    rows = {"events": 2100, "orders": 1200, "customers": 120, "texts": 44}
    text = _SEED.format(**{table: a_megabyte * megabytes for table, a_megabyte in rows.items()})
    with connect(url, autocommit=True) as connection:
        for part in (text, _INDEXES, *(_SMALL.format(n=n) for n in range(1, SMALL_TABLES + 1)), "VACUUM ANALYZE"):
            connection.execute(part.encode())
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        size = row[0] if row else 0
        listed = "SELECT relname, reltuples::int8, pg_total_relation_size(oid) FROM pg_class WHERE relname = ANY(%s)"
        tables = connection.execute(listed, [list(rows)]).fetchall()
    return {"bytes": size, "tables": sorted(tables, key=lambda table: -table[2])}


def service(folder: Path, jobs: int) -> Backups:
    """Backups in a folder of this benchmark, unencrypted."""
    return Backups(FolderStore(folder / "store"), PgDump(folder / "spool"), Options(jobs=jobs))


def run_child(side: str, url: str, folder: Path, jobs: int) -> None:
    """In a child process: run Atlas's side, and print the measurements."""
    backups, said = service(folder, jobs), {}
    started = time.perf_counter()
    if side == "backup":
        proof = backups.run(DATABASE, url, "manual").proofs[0]
        said["verify"] = proof.seconds
    elif side == "restore":
        proof = backups.restore_into(backups.catalogue.backups(DATABASE)[0], url)
    else:
        sink = ObjectSink(FolderStore(folder / "dumps"), uuid.uuid4().hex)
        if side == "dump":
            state.hash_all = lambda *_: {}
        backups.engine.backup(url, sink, jobs=jobs, exclude=(), progress=quiet)
        proof = None
    if proof and proof.problem:
        raise RuntimeError(proof.problem)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mib": harness.own_peak_mib(), **said}))


@contextmanager
def empty(server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a new, empty database, dropped at the end."""
    name = f"r{uuid.uuid4().hex[:12]}"
    with connect(server.url(SUPERUSER, SUPERUSER), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield server.url(name, SUPERUSER)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Measured:
    """The measurements, by side."""

    def __init__(self, server: EmbeddedPostgres, folder: Path, url: str, jobs: int):
        self.server, self.folder, self.url, self.jobs = server, folder, url, jobs
        self.seconds: dict[str, list[float]] = {side: [] for side in (*SIDES, "verify")}
        self.peaks: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self._gzip = folder / "rival.sql.gz"

    def round(self) -> None:
        """Run every side once."""
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        programs = EmbeddedPostgres.bin()
        for side in ("backup", "dump, hashes", "dump"):
            self._atlas(side, self.url)
            shutil.rmtree(self.folder / "dumps", ignore_errors=True)
            if side == "backup":
                self._shell("backup, rival", f'"{programs}/pg_dump" -Fp "$1" | gzip > "$2"', self.url)
        self.bytes["backup"] = sum(path.stat().st_size for path in (self.folder / "store").rglob("*") if path.is_file())
        self.bytes["backup, rival"] = self._gzip.stat().st_size
        with empty(self.server) as url:
            self._atlas("restore", url)
        with empty(self.server) as url:
            psql = f'gunzip < "$2" | "{programs}/psql" -X -q -v ON_ERROR_STOP=1 "$1" > "$2.out"'
            self._shell("restore, rival", psql, url)
            backups = service(self.folder, self.jobs)
            expected = backups.catalogue.backups(DATABASE)[0].manifest.state.tables
            if backups.engine.state(url).tables != expected:
                raise RuntimeError("what psql restored is not what Atlas backed up")

    def _atlas(self, side: str, url: str) -> None:
        harness.checkpoint(self.server)
        command = [sys.executable, __file__, "--child", side, url, self.folder, str(self.jobs)]
        done = harness.child(command)
        # Hashing is a part of a run: there the start of a process is left out.
        self.seconds[side].append(done.said["seconds"] if side.startswith("dump") else done.seconds)
        self.peaks[side] = max(self.peaks.get(side, 0), done.said["peak_mib"])
        if side == "backup":
            self.seconds["verify"].append(done.said["verify"])

    def _shell(self, side: str, script: str, url: str) -> None:
        harness.checkpoint(self.server)
        done = harness.child(["bash", "-c", f"set -euo pipefail; {script}", "bash", url, self._gzip])
        self.seconds[side].append(done.seconds)

    def times(self, slow: str, fast: str) -> float:
        """The median of the rounds' ratios."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return harness.medians({"": [a / b for a, b in pairs]})[""]


def report_on(measured: Measured, filled: dict[str, Any], rounds: int) -> harness.Report:
    """Tables and goals."""
    report, medians = harness.Report("backup"), harness.medians(measured.seconds)
    tables = [[name, rows, size / harness.MIB] for name, rows, size in filled["tables"]]
    report.table(
        f"The database, {filled['bytes'] / harness.MIB:,.0f} MiB on disk with {SMALL_TABLES} small tables",
        ["table", "rows", "MiB with indexes"],
        tables,
    )
    rows = []
    for side in (*SIDES, "verify"):
        size = measured.bytes[side] / harness.MIB if side in measured.bytes else ""
        seconds = measured.seconds[side]
        rows.append([side, medians[side], min(seconds), max(seconds), size, measured.peaks.get(side, "")])
    report.table(
        f"Seconds of {rounds} rounds, {measured.jobs} jobs",
        ["side", "median", "least", "most", "stored MiB", "peak MiB"],
        rows,
    )
    size = measured.bytes["backup"] / measured.bytes["backup, rival"]
    hashes = (measured.times("dump, hashes", "dump") - 1) * 100
    report.goals += [
        harness.Goal("backup, verified, times as fast as pg_dump | gzip", measured.times(*SIDES[1::-1]), 5, True),
        harness.Goal("size beside pg_dump | gzip", size, 1),
        harness.Goal("restore, compared, times as fast as gunzip | psql", measured.times(*SIDES[5:3:-1]), 2, True),
        harness.Goal("what the hashes of all rows add to a dump", hashes, 25, unit=" %"),
        harness.Goal("peak memory of Atlas's process", max(measured.peaks.values()), 256, unit=" MiB"),
    ]
    report.notes.append("verify is a part of backup; what was restored was equal on both sides, in every round")
    return report


def main() -> int:
    """Measure and print. Returns the exit code: 1 when a goal was missed."""
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1100, help="size on disk, about (default: 1100)")
    parser.add_argument("--jobs", type=int, default=Options.jobs, help=f"at once (default: {Options.jobs})")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    options = parser.parse_args()
    with harness.scratch() as folder, harness.postgres(folder / "home") as server, empty(server) as url:
        harness.say(f"filling a database of about {options.megabytes:,} MB")
        filled = fill(url, options.megabytes)
        measured = Measured(server, folder, url, options.jobs)
        for number in range(options.rounds):
            harness.say(f"round {number + 1} of {options.rounds}")
            measured.round()
        report = report_on(measured, filled, options.rounds)
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
