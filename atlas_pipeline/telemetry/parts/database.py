"""Postgres statistics of both databases: connections, size, cache, locks, transactions.

Belongs here: queries of its statistics views. Does not belong here: Atlas's tables (`tables.py`), and how questions of
this process went (`asking.py`).
"""

from collections.abc import Iterable, Iterator

from atlas_pipeline.telemetry.parts.asking import Away, Database
from atlas_pipeline.telemetry.sample import Sample

_STATISTICS = """
SELECT pg_database_size(datid), blks_hit, blks_read, xact_commit, xact_rollback, deadlocks,
    current_setting('max_connections')::int
FROM pg_stat_database WHERE datname = current_database()
"""
_CONNECTIONS = """
SELECT count(*) FILTER (WHERE state <> 'idle'), count(*) FILTER (WHERE state = 'idle'),
    coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_LOCKS = """
SELECT mode, count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted)
FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY mode
"""
MODES = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock"),
    *("ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
)


def samples(databases: Iterable[Database]) -> Iterator[Sample]:
    """All samples. A database that does not answer has only `atlas_db_up` 0."""
    for database in databases:
        labels = {"database": database.name}
        try:
            samples_ = list(_of(database, labels))
        except Away:
            samples_ = []
        yield Sample("atlas_db_up", labels, bool(samples_))
        yield from samples_


def _of(database: Database, labels: dict[str, str]) -> Iterator[Sample]:
    [(size, hits, reads, commits, rollbacks, deadlocks, max_connections)] = database.rows(_STATISTICS)
    [(active, idle, longest)] = database.rows(_CONNECTIONS)
    locks = {mode: (granted, waiting) for mode, granted, waiting in database.rows(_LOCKS)}
    yield Sample("atlas_db_connections_active", labels, active)
    yield Sample("atlas_db_connections_idle", labels, idle)
    yield Sample("atlas_db_connections_max", labels, max_connections)
    yield Sample("atlas_db_size_bytes", labels, size)
    yield Sample("atlas_db_cache_hit_ratio", labels, hits / (hits + reads) if hits + reads else 1.0)
    for mode in MODES:
        yield Sample("atlas_db_locks", {**labels, "mode": mode}, locks.get(mode, (0, 0))[0])
    yield Sample("atlas_db_locks_waiting", labels, sum(waiting for _, waiting in locks.values()))
    for outcome, number in (("committed", commits), ("rolled_back", rollbacks)):
        yield Sample("atlas_db_transactions_total", {**labels, "outcome": outcome}, number)
    yield Sample("atlas_db_deadlocks_total", labels, deadlocks)
    yield Sample("atlas_db_longest_transaction_seconds", labels, longest)
