"""Each check of a contract as one Dagster asset check.

Belongs here: names, specs and results of checks. Does not belong here: Soda (`quality/verification.py`).
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import dagster as dg

from atlas_pipeline.quality.contract import read_checks
from atlas_pipeline.quality.outcome import Check, Outcome
from atlas_pipeline.quality.verification import verify


class ContractChecks:
    """The checks of one asset: their specs, and the outcomes of a verification as Dagster's results.

    Raises ContractError when the contract cannot be read, or checks a column that is not among `columns`.
    """

    def __init__(self, asset: dg.AssetKey, contract: Path | None, columns: Collection[str]):
        self.asset = asset
        self.contract = contract
        self._checks = read_checks(contract, columns) if contract else []
        self._names: dict[str, str] = {}
        for check in self._checks:
            name = _name(check)
            if name in self._names.values():
                name = f"{name}_{hashlib.sha256(check.path.encode()).hexdigest()[:6]}"
            self._names[check.path] = name

    @property
    def specs(self) -> list[dg.AssetCheckSpec]:
        """One spec for each check of the contract."""
        return [
            dg.AssetCheckSpec(
                name=self._names[check.path],
                asset=self.asset,
                description=f"{check.title} ({check.dimension}, {check.severity})",
                blocking=check.severity == "error",
                metadata={"dimension": check.dimension, "path": check.path},
            )
            for check in self._checks
        ]

    def verifier(self, url: str, outcomes: list[Outcome]) -> Callable[[str, str], bool]:
        """A function that verifies a table, puts the outcomes into `outcomes`, and says whether it may be published."""

        def verify_table(schema: str, table: str) -> bool:
            outcomes[:] = verify(self.contract, url, schema, table) if self.contract else []
            return not any(outcome.blocks for outcome in outcomes)

        return verify_table

    def results(self, outcomes: list[Outcome]) -> Iterator[dg.AssetCheckResult]:
        """The outcomes as Dagster's results."""
        for outcome in outcomes:
            metadata: dict[str, dg.MetadataValue] = {"dimension": dg.MetadataValue.text(outcome.check.dimension)}
            if outcome.measured is not None:
                metadata["measured"] = dg.MetadataValue.float(outcome.measured)
            if outcome.threshold:
                metadata["threshold"] = dg.MetadataValue.text(outcome.threshold)
            if outcome.rows_tested is not None:
                metadata["rows tested"] = dg.MetadataValue.int(outcome.rows_tested)
            if outcome.rows_failed is not None:
                metadata["rows failed"] = dg.MetadataValue.int(outcome.rows_failed)
            error = outcome.severity == "error"
            yield dg.AssetCheckResult(
                check_name=self._names[outcome.check.path],
                asset_key=self.asset,
                passed=outcome.passed,
                severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
                description=outcome.problem,
                metadata=metadata,
            )


def failed(outcomes: list[Outcome]) -> str:
    """The blocking checks that failed, for a message."""
    return "; ".join(f"{one.check.path} ({one.problem})" for one in outcomes if one.blocks)


def _name(check: Check) -> str:
    place = check.path.removeprefix("columns.").removeprefix("checks.").replace(".checks.", ".")
    return re.sub(r"[^A-Za-z0-9_]", "_", place)
