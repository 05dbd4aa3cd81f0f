"""Reading a contract's checks without a database, and verifying a contract on one table.

Belongs here: the checks that a `contract.yml` declares, and their outcomes. Does not belong here: what follows from an
outcome (`warehouse/publish.py`) and how it is shown (`components/`). A contract names its dataset as
`atlas/<database>/<layer>/<table>`; verification points the same text at the staging table.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from psycopg import conninfo

Severity = Literal["error", "warn"]
DATA_SOURCE = "atlas"

_DIMENSION = {
    "missing": "completeness",
    "row_count": "completeness",
    "duplicate": "uniqueness",
    "invalid": "validity",
    "schema": "validity",
    "aggregate": "accuracy",
    "metric": "accuracy",
    "failed_rows": "consistency",
    "freshness": "timeliness",
}


class ContractError(Exception):
    """A contract that cannot be read; the message begins with file and line."""


@dataclass(frozen=True)
class ContractCheck:
    """One check of a contract. `path` is its place in the file as Soda names it, unique within the contract."""

    path: str
    type: str
    column: str | None
    title: str
    severity: Severity
    dimension: str


@dataclass(frozen=True)
class Outcome:
    """What came of one check. `passed` is false for warnings too; `measured` is null when nothing was measured."""

    check: ContractCheck
    passed: bool
    measured: float | None
    threshold: str
    rows_tested: int | None
    rows_failed: int | None
    problem: str | None

    @property
    def blocks(self) -> bool:
        """Whether publishing must not happen."""
        return not self.passed and self.check.severity == "error"


def read_checks(path: Path) -> list[ContractCheck]:
    """The checks of a contract, in the order of the file; no database and no Soda needed.

    Raises ContractError when the file is no YAML mapping or a check is not `- <type>: …`.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ContractError(f"{path}:{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(document, dict) or "dataset" not in document:
        raise ContractError(f"{path}:1: expected a Soda contract: a mapping with `dataset`, `columns` and `checks`")
    checks = _checks_of(path, document.get("checks"), "checks", None)
    for column in document.get("columns") or []:
        if not isinstance(column, dict) or "name" not in column:
            raise ContractError(f"{path}:1: each entry of `columns` needs a `name`")
        name = str(column["name"])
        checks += _checks_of(path, column.get("checks"), f"columns.{name}.checks", name)
    return checks


def _checks_of(path: Path, entries: Any, prefix: str, column: str | None) -> list[ContractCheck]:
    found = []
    for entry in entries or []:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ContractError(f"{path}:1: {prefix}: expected `- <check type>: …`, one type per entry")
        ((kind, body),) = entry.items()
        body = body if isinstance(body, Mapping) else {}
        qualifier = body.get("qualifier")
        place = f"{prefix}.{kind}" + (f".{qualifier}" if qualifier else "")
        threshold = body.get("threshold") or {}
        attributes = body.get("attributes") or {}
        subject = column or "the table"
        found.append(
            ContractCheck(
                path=place,
                type=kind,
                column=column,
                title=str(body.get("name") or f"{kind.replace('_', ' ')} of {subject}"),
                severity="warn" if threshold.get("level") == "warn" else "error",
                dimension=str(attributes.get("dimension") or _DIMENSION.get(kind, "validity")),
            )
        )
    return found


def verify(path: Path, url: str, schema: str, table: str) -> list[Outcome]:
    """Verify the contract at `path` on one table, over the connection URL of the warehouse.

    Each check of the file has an outcome; a check that Soda could not evaluate has failed, with the reason.
    """
    os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    from soda_core.common.yaml import ContractYamlSource, DataSourceYamlSource
    from soda_core.contracts.contract_verification import CheckOutcome, ContractVerificationSession

    parts = conninfo.conninfo_to_dict(url)
    connection = {
        "host": parts.get("host", "localhost"),
        "port": int(parts.get("port") or 5432),
        "database": parts.get("dbname"),
        "user": parts.get("user"),
        "password": parts.get("password", ""),
        **({"sslmode": parts["sslmode"]} if "sslmode" in parts else {}),
    }
    source = yaml.safe_dump({"type": "postgres", "name": DATA_SOURCE, "connection": connection})
    dataset = f"{DATA_SOURCE}/{parts.get('dbname')}/{schema}/{table}"
    text = re.sub(r"(?m)^dataset:.*$", f"dataset: {dataset}", path.read_text(encoding="utf-8"), count=1)
    session = ContractVerificationSession.execute(
        contract_yaml_sources=[ContractYamlSource.from_str(text)],
        data_source_yaml_sources=[DataSourceYamlSource.from_str(source)],
    )
    results = {
        result.check.relative_path: result
        for one in session.contract_verification_results
        for result in one.check_results
    }
    errors = session.get_errors_str()
    problem = errors.strip().splitlines()[0] if errors and errors.strip() else "Soda did not evaluate this check"
    outcomes = []
    for check in read_checks(path):
        result = results.get(check.path)
        if result is None or result.outcome not in (CheckOutcome.PASSED, CheckOutcome.FAILED, CheckOutcome.WARN):
            outcomes.append(Outcome(check, False, None, "", None, None, problem))
            continue
        values = result.diagnostic_metric_values or {}
        tested = values.get("check_rows_tested") or values.get("dataset_rows_tested")
        failed = next((value for key, value in values.items() if key.endswith("_count") and key != "row_count"), None)
        outcomes.append(
            Outcome(
                check=check,
                passed=result.outcome is CheckOutcome.PASSED,
                measured=float(result.threshold_value) if result.threshold_value is not None else None,
                threshold=str(result.check.threshold or "").replace("\n", ", "),
                rows_tested=int(tested) if tested is not None else None,
                rows_failed=int(failed) if isinstance(failed, int | float) else None,
                problem=None if result.outcome is CheckOutcome.PASSED else f"measured {result.threshold_value}",
            )
        )
    return outcomes
