"""What came of a check, from Soda's result: status, numbers, and words that quote no value.

Belongs here: reading a result. Does not belong here: finding the rows that failed (`rows.py`).
"""

import re
from collections.abc import Mapping, Sequence

from soda_core.contracts.contract_verification import CheckResult
from soda_core.contracts.impl.check_types.aggregate_check import AggregateCheckImpl
from soda_core.contracts.impl.check_types.metric_check import MetricCheckImpl
from soda_core.contracts.impl.check_types.schema_check import SchemaCheckResult
from soda_core.contracts.impl.contract_verification_impl import CheckImpl, ContractImpl, ThresholdImpl

from atlas_pipeline.quality.outcome import Check, Outcome, Status
from atlas_pipeline.quality.soda.rows import failed_rows

_STATUS: Mapping[str, Status] = {"PASSED": "passed", "WARN": "warned", "FAILED": "failed"}
_ROWS_FAILED = {
    "missing": "missing_count",
    "invalid": "invalid_count",
    "duplicate": "duplicate_count",
    "failed_rows": "failed_rows_count",
}
_OF_ONE_ROW = re.compile(r"(?i)\b(?:min|max|mode|percentile_\w+|first_value|last_value|any_value|\w+_agg)\s*\(")
"""Functions whose result is the value of a row, which messages and alerts do not quote."""


def outcome_of(
    contract: ContractImpl,
    refusals: Mapping[str, str],
    impl: CheckImpl,
    result: CheckResult,
    check: Check,
    key: Sequence[str],
    sample: int,
) -> Outcome:
    """The outcome of a check, from Soda's result.

    Args:
        contract: being measured.
        refusals: why a metric has no value, by its id.
        impl: the check as Soda evaluates it.
        result: Soda's result.
        check: the same check as the contract declares it.
        key: columns that may be shown of rows that failed.
        sample: most such rows.
    """
    threshold = " and ".join(_limit(one) for one in (impl.threshold, impl.warn_threshold) if one)
    refused = next((refusals[metric.id] for metric in impl.metrics if metric.id in refusals), None)
    status = _STATUS.get(result.outcome.name, "not evaluated") if refused is None else "not evaluated"
    if status == "not evaluated":
        return Outcome(check, status, threshold=threshold, problem=refused or _UNMEASURED)
    values = result.diagnostic_metric_values or {}
    failed = values.get(_ROWS_FAILED.get(check.type, ""))
    tested = values.get("check_rows_tested") if failed is not None else None
    if failed is not None and tested is None:
        tested = values.get("dataset_rows_tested")
    measured = float(result.threshold_value) if result.threshold_value is not None else None
    return Outcome(
        check,
        status,
        measured=measured,
        threshold=threshold,
        rows_tested=None if tested is None else int(tested),
        rows_failed=None if failed is None else int(failed),
        problem=None if status == "passed" else _problem(impl, result, measured, threshold),
        sample=failed_rows(contract, impl, key, sample) if status != "passed" and failed and key else (),
    )


def _limit(threshold: ThresholdImpl) -> str:
    """A threshold in a few signs: `> 0`, `= 5 (warn)`, `4 < value <= 5`."""
    said: str = threshold.get_assertion_summary("value")
    words = said.split()
    if len(words) == 3:
        said = f"{words[1]} {words[2]}" if words[0] == "value" else f"{words[1].replace('<', '>')} {words[0]}"
    return said + (" (warn)" if threshold.level.value == "warn" else "")


_UNMEASURED = "there was nothing to measure: the table has no rows for it, or the result is no finite number"


def _may_be_a_value(impl: CheckImpl) -> bool:
    """Whether the number that a check measures may be the value of a row, as a maximum is, or what a query selects."""
    if isinstance(impl, AggregateCheckImpl):
        return bool(_OF_ONE_ROW.match(f"{impl.function}("))
    if isinstance(impl, MetricCheckImpl):
        declared = impl.metric_check_yaml
        return bool(_OF_ONE_ROW.search(declared.expression) if declared.expression else declared.query)
    return False


def _problem(impl: CheckImpl, result: CheckResult, measured: float | None, threshold: str) -> str:
    if isinstance(result, SchemaCheckResult):
        faults = [f"column {name} is missing" for name in result.expected_column_names_not_actual]
        faults += [f"column {name} was not expected" for name in result.actual_column_names_not_expected]
        faults += [
            f"column {one.column} is {one.get_actual()}, expected {one.get_expected()}"
            for one in result.column_data_type_mismatches
        ]
        return "; ".join(faults) or "the columns are in another order"
    if measured is None:
        return "there is no time to measure from: no rows, or none with a time"
    if _may_be_a_value(impl):
        return f"what was measured is another than expected: {threshold}"
    number = f"{measured:.0f}" if measured.is_integer() else f"{measured:.10g}"
    return f"measured {number}, expected {threshold}"
