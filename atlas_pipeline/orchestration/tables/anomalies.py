"""The check `anomalies` of silver and gold: what is unusual about a publication, by the table's own history.

Belongs here: when a table is measured, and the check's result. Does not belong here: measuring (`quality/measures.py`)
and the comparison (`quality/anomalies.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.quality.anomalies import FILES, LEAST_POINTS, ROWS, SCORE, SECONDS, Anomaly, Point, find_anomalies
from atlas_pipeline.quality.measures import Scope, measure_columns, record_measures, recorded_measures

_REASONS = 8


class AnomalyAudit:
    """The check of one table in one run.

    Args:
        enabled: whether the declaration has it on.
        layer: silver or gold.
        name: of the table.
        timezone: in which its days begin.
    """

    def __init__(self, enabled: bool, layer: str, name: str, timezone: str = "UTC") -> None:
        self._enabled, self._layer, self._name, self._timezone = enabled, layer, name, timezone
        self._columns: dict[str, float] = {}
        self._judged: tuple[list[Point], list[Anomaly]] | None = None

    def measure(self, connection: psycopg.Connection, schema: str, table: str, columns: Collection[str]) -> None:
        """Measure a staged table of rows.

        Args:
            connection: may be read only.
            schema: that it is in.
            table: its name there.
            columns: to measure.
        """
        if self._enabled:
            self._columns = measure_columns(connection, schema, table, columns)

    def record(
        self,
        connection: psycopg.Connection,
        run_id: str,
        scope: Scope,
        numbers: Mapping[str, float],
        about: datetime | None = None,
    ) -> None:
        """Write down what was measured of a publication, and commit.

        Args:
            connection: to the warehouse.
            run_id: of the run that published it.
            scope: what was measured.
            numbers: of the table, beside those of its columns.
            about: the day that its rows are of; null for now.
        """
        if self._enabled:
            measured = {**numbers, **self._columns}
            record_measures(connection, self._layer, self._name, run_id, scope, about, measured)
            connection.commit()

    def results(self, connection: psycopg.Connection) -> list[dg.AssetCheckResult]:
        """The result of the check, for the newest publication that was measured; none where it is off."""
        if not self._enabled:
            return []
        recorded = recorded_measures(connection, self._layer, self._name, self._timezone)
        connection.commit()
        history, found = (recorded[0], find_anomalies(*recorded)) if recorded else ([], [])
        words = "; ".join(map(str, found[:_REASONS])) + ("; and more" if len(found) > _REASONS else "")
        few = f"it takes {LEAST_POINTS} publications of the kind to compare with: there are {len(history)}"
        usual = f"nothing is unusual beside {len(history)} publications before"
        return [
            dg.AssetCheckResult(
                check_name=labels.ANOMALIES,
                asset_key=dg.AssetKey([self._layer, self._name]),
                passed=not found,
                severity=dg.AssetCheckSeverity.WARN,
                description=words or (few if len(history) < LEAST_POINTS else usual),
                metadata={"unusual numbers": len(found), "publications compared": len(history)},
            )
        ]


def table_numbers(rows: int, seconds: float, score: float | None, files: int | None = None) -> dict[str, float]:
    """The numbers of a table, by name.

    Args:
        rows: that came, or that it has.
        seconds: that the build took.
        score: of its quality; null without checks.
        files: that the rows are of; null for none.
    """
    known = {ROWS: float(rows), SECONDS: seconds, SCORE: score, FILES: files}
    return {name: float(number) for name, number in known.items() if number is not None}


def day_of(partitions: Sequence[str] | None) -> datetime | None:
    """The day that a run of one daily partition is about; null for others."""
    if partitions is None or len(partitions) != 1:
        return None
    try:
        return datetime.strptime(partitions[0], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def anomaly_specs(asset: dg.AssetKey, *, enabled: bool) -> list[dg.AssetCheckSpec]:
    """The check that every silver and gold table has whose declaration does not say `anomalies: false`."""
    text = "Rows, nulls, different values, sizes, scores, lateness and run time are as in the table's own history."
    return [dg.AssetCheckSpec(labels.ANOMALIES, asset=asset, description=text)] if enabled else []
