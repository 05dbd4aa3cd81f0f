"""Verifying a contract on one table with Soda.

Belongs here: the one import of Soda, and its results as outcomes. Does not belong here: the file (`contract.py`), what
follows from an outcome (`warehouse/publish.py`) and how it is shown (`components/`). Verification points the text of
the contract at the table that it is given, which may be a staging table.
"""

import os
from pathlib import Path

import yaml
from psycopg import conninfo

from atlas_pipeline.quality.contract import DATASET_LINE, read_checks
from atlas_pipeline.quality.outcome import Outcome, Status

DATA_SOURCE = "atlas"
_STATUS: dict[str, Status] = {"PASSED": "passed", "WARN": "warned", "FAILED": "failed"}


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
    text = DATASET_LINE.sub(lambda _: f"dataset: {dataset}", path.read_text(encoding="utf-8"), count=1)
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
        if result is None or result.outcome.name not in _STATUS:
            outcomes.append(Outcome(check, "not evaluated", problem=problem))
            continue
        values = result.diagnostic_metric_values or {}
        tested = values.get("check_rows_tested") or values.get("dataset_rows_tested")
        failed = next((value for key, value in values.items() if key.endswith("_count") and key != "row_count"), None)
        outcomes.append(
            Outcome(
                check=check,
                status=_STATUS[result.outcome.name],
                measured=float(result.threshold_value) if result.threshold_value is not None else None,
                threshold=str(result.check.threshold or "").replace("\n", ", "),
                rows_tested=int(tested) if tested is not None else None,
                rows_failed=int(failed) if isinstance(failed, int | float) else None,
                problem=None if result.outcome is CheckOutcome.PASSED else f"measured {result.threshold_value}",
            )
        )
    return outcomes
