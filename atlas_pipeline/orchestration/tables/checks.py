"""The checks of one table as Dagster's asset checks: those of its contract, and those that need none.

Belongs here: names, specs and results of checks, and the run in which they are verified. Does not belong here: what a
check measures (`quality/`) and the leak check (`personal_data.py`).
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg

from atlas_pipeline import labels
from atlas_pipeline.quality.contract import read_contract
from atlas_pipeline.quality.counts import Limits, Tally
from atlas_pipeline.quality.history import record_outcomes
from atlas_pipeline.quality.outcome import Check, Outcome
from atlas_pipeline.quality.score import OVERALL, DimensionScore
from atlas_pipeline.quality.verification import verify
from atlas_pipeline.settings import Settings
from atlas_pipeline.warehouse.publish import Change

ROWS_SHOWN = 20
_ROWS_NAMED = 1000
_ENDING = re.compile(r" \([a-z]+, (?:error|warn)\)$")


class TableChecks:
    """The checks of one asset: their specs, and outcomes as Dagster's results.

    The contract is read once, so what runs is what Dagster shows; a file that is edited later counts from a reload on.

    Args:
        asset: layer and name of the table.
        contract: the contract's file; null for a table without.
        columns: that the table has.
        own: checks that need no contract.
        elsewhere: checks that another step does.
        reserved: names that are taken.

    Raises:
        ContractError: the contract cannot be read, names a column that the table does not have, or is for another
            table.
    """

    def __init__(
        self,
        asset: dg.AssetKey,
        contract: Path | None,
        columns: Collection[str],
        own: Sequence[Check] = (),
        elsewhere: Sequence[Check] = (),
        reserved: Collection[str] = (),
    ):
        self.asset = asset
        self.contract = read_contract(contract, columns, (asset.path[0], asset.path[-1])) if contract else None
        declared = self.contract.checks if self.contract else ()
        self._checks = {check.path: check for check in (*own, *declared)}
        self._elsewhere = [check.path for check in elsewhere]
        self._names = {check.path: check_name(check) for check in elsewhere}
        for check in self._checks.values():
            name = check_name(check)
            if name in self._names.values() or name in (*reserved, labels.NO_CONTRACT):
                name = f"{name}_{hashlib.sha256(check.path.encode()).hexdigest()[:6]}"
            self._names[check.path] = name

    @property
    def specs(self) -> list[dg.AssetCheckSpec]:
        """One spec for each check."""
        specs = [check_spec(self.asset, check, name) for check, name in self._named()]
        if self.contract is None:
            text = "A contract.yml beside defs.yaml says what must hold for this table."
            specs.append(dg.AssetCheckSpec(labels.NO_CONTRACT, asset=self.asset, description=text))
        return specs

    @property
    def paths(self) -> list[str]:
        """The paths of all checks, those that another step does too."""
        return [*self._checks, *self._elsewhere]

    def path_of(self, name: str) -> str | None:
        """The path of the check that Dagster calls `name`; null when it is none of these."""
        return next((path for path, given in self._names.items() if given == name), None)

    def result(self, outcome: Outcome) -> dg.AssetCheckResult:
        """An outcome as Dagster's result."""
        return check_result(self.asset, outcome, self._names[outcome.check.path])

    def no_contract(self) -> Iterator[dg.AssetCheckResult]:
        """The warning of a table that has no contract."""
        if self.contract is None:
            yield dg.AssetCheckResult(
                check_name=labels.NO_CONTRACT,
                asset_key=self.asset,
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description="there is no contract.yml beside defs.yaml, so nothing is checked but what always is",
            )

    def _named(self) -> Iterator[tuple[Check, str]]:
        return ((check, self._names[path]) for path, check in self._checks.items())


class TableAudit:
    """Verifies the checks of one table in one run, records their outcomes, and shows them to Dagster."""

    def __init__(
        self,
        checks: TableChecks,
        url: str,
        run_id: str,
        *,
        lineage: Sequence[str] = (),
        names: Collection[str] | None = None,
        changing: Collection[str] = (),
        limits: Limits | None = None,
    ):
        """An audit of the table that `checks` are about.

        Args:
            checks: of the table.
            url: of the warehouse.
            run_id: recorded with the outcomes.
            lineage: columns that say where a row came from; rows that failed are named by them too.
            names: Dagster's names of the checks that were asked for; null for all.
            changing: columns whose values may change in rows that stay.
            limits: to going by what was counted of the published table; null to count all rows, and keep nothing.
        """
        self.checks = checks
        self._url = url
        self._run_id = run_id
        self._lineage = lineage
        self._only = None if names is None else {path for name in names if (path := checks.path_of(name))}
        self._all = names is None or labels.NO_CONTRACT in names
        layer, name = checks.asset.path
        self._tally = None if limits is None else Tally(layer, name, limits, changing)

    def verify(self, schema: str, table: str, key: Sequence[str], change: Change | None = None) -> list[Outcome]:
        """Verify the contract on a table.

        Args:
            schema: of the table.
            table: its name.
            key: columns whose values tell which rows failed. They must not be personal.
            change: what the table makes of the published one; null where it is another one.

        Returns:
            The outcome of each check; none when there is no contract, or nothing of it was asked for.
        """
        layer, name = self.checks.asset.path
        if self.checks.contract is None or self._only == set():
            return []
        if self._tally is not None:
            self._tally.change = change
        return verify(
            self.checks.contract,
            self._url,
            schema,
            table,
            published=(layer, name),
            key=[*key, *self._lineage],
            sample=_ROWS_NAMED if self._lineage else ROWS_SHOWN,
            only=self._only,
            tally=self._tally,
        )

    def keep_counts(self, connection: psycopg.Connection) -> None:
        """Keep what was counted, so that a merge goes by it; to be called in the transaction that publishes."""
        if self._tally is not None and self.checks.contract is not None:
            self._tally.keep(connection)

    def record(
        self, connection: psycopg.Connection, outcomes: Collection[Outcome], *, published: bool
    ) -> dict[str, Any]:
        """Write outcomes down, and commit.

        Args:
            connection: to the warehouse.
            outcomes: of this run.
            published: whether readers see the rows that were measured.

        Returns:
            The table's scores as metadata.
        """
        layer, name = self.checks.asset.path
        scores = record_outcomes(
            connection, layer, name, self._run_id, outcomes, published=published, known=self.checks.paths
        )
        connection.commit()
        return score_metadata(scores)

    def results(self, outcomes: Iterable[Outcome], key: Sequence[str]) -> Iterator[dg.AssetCheckResult]:
        """Show outcomes as Dagster's results; rows that failed by their `key`, else by their lineage."""
        for outcome in outcomes:
            shown = key or self._lineage
            rows = [{name: row[name] for name in shown if name in row} for row in outcome.sample[:ROWS_SHOWN]]
            yield self.checks.result(replace(outcome, sample=tuple(row for row in rows if row)))
        if self._all:
            yield from self.checks.no_contract()


def limits_of(settings: Settings) -> Limits:
    """How long a table's checks may go by what was counted before."""
    return Limits(settings.full_checks_merges, settings.full_checks_hours)


def blocking(outcomes: Iterable[Outcome]) -> str:
    """The blocking checks that failed, for a message; empty when there are none."""
    return "; ".join(f"{outcome.check.path} ({outcome.problem})" for outcome in outcomes if outcome.blocks)


def check_name(check: Check) -> str:
    """What Dagster calls a check: its path without the words that all paths have."""
    path = check.path.removeprefix("columns.").removeprefix("checks.").replace(".checks.", ".")
    return re.sub(r"[^A-Za-z0-9_]", "_", path)


def check_spec(asset: dg.AssetKey, check: Check, name: str, reads: Collection[dg.AssetKey] = ()) -> dg.AssetCheckSpec:
    """A check as Dagster declares it.

    Args:
        asset: the table that is checked.
        check: what is checked.
        name: the check's, in Dagster.
        reads: other tables that it looks at.
    """
    return dg.AssetCheckSpec(
        name=name,
        asset=asset,
        description=f"{check.title} ({check.dimension}, {check.severity})",
        blocking=check.severity == "error",
        additional_deps=list(reads),
        metadata={labels.DIMENSION: check.dimension, labels.CHECK_PATH: check.path},
    )


def title_of(spec: dg.AssetCheckSpec) -> str:
    """What is checked, in words: the description that `check_spec` gives, without dimension and severity."""
    return _ENDING.sub("", spec.description or spec.name)


def check_result(asset: dg.AssetKey, outcome: Outcome, name: str) -> dg.AssetCheckResult:
    """An outcome as Dagster shows it; numbers become a trend over runs.

    Args:
        asset: the table that was checked.
        outcome: what came of the check.
        name: the check's, in Dagster.
    """
    metadata: dict[str, dg.MetadataValue] = {
        labels.DIMENSION: dg.MetadataValue.text(outcome.check.dimension),
        "outcome": dg.MetadataValue.text(outcome.status),
    }
    if outcome.measured is not None:
        metadata[labels.MEASURED] = dg.MetadataValue.float(outcome.measured)
    if outcome.threshold:
        metadata[labels.THRESHOLD] = dg.MetadataValue.text(outcome.threshold)
    if outcome.rows_tested is not None:
        metadata[labels.ROWS_TESTED] = dg.MetadataValue.int(outcome.rows_tested)
    if outcome.rows_failed is not None:
        metadata[labels.ROWS_FAILED] = dg.MetadataValue.int(outcome.rows_failed)
    if outcome.sample:
        metadata["rows shown"] = dg.MetadataValue.int(len(outcome.sample))
        metadata["sample of failed rows"] = dg.MetadataValue.table(
            [dg.TableRecord(dict(row)) for row in outcome.sample]
        )
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.severity == "error" else dg.AssetCheckSeverity.WARN,
        description=outcome.problem,
        metadata=metadata,
    )


def score_metadata(scores: Sequence[DimensionScore]) -> dict[str, Any]:
    """Scores as an asset's metadata."""
    return {
        labels.QUALITY_SCORE if score.dimension == OVERALL else f"quality: {score.dimension}": round(score.score, 6)
        for score in scores
    }
