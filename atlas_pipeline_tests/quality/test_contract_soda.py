"""Atlas and Soda agree on which contracts are right, and on their checks."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from atlas_pipeline_tests.quality.contracts import (
    ACCEPTED,
    STRICTER,
    WRONG,
    read,
)

Soda = Callable[[str], tuple[list[str], list[str]]]


@pytest.fixture(scope="module")
def soda() -> Soda:
    """What Soda says of a text that it only validates: its errors, and the paths of its checks."""
    os.environ["SODA_CORE_TELEMETRY_ENABLED"] = "false"
    from soda_core.common.logs import Logs
    from soda_core.common.yaml import ContractYamlSource
    from soda_core.contracts.contract_verification import ContractVerificationSession
    from soda_core.contracts.impl.contract_verification_impl import ContractImpl
    from soda_core.contracts.impl.contract_yaml import ContractYaml

    def say(text: str) -> tuple[list[str], list[str]]:
        source = ContractYamlSource.from_str
        try:
            session = ContractVerificationSession.execute([source(text)], only_validate_without_execute=True)
            results = session.contract_verification_results
            idle = [one for result in results for one in result.get_warnings() if "not evaluated" in one]
            contract = ContractImpl(
                yaml=ContractYaml.parse(source(text)),
                data_source_impl=None,
                only_validate_without_execute=True,
                logs=Logs(),
            )
            return session.get_errors() + idle, [check.relative_path for check in contract.all_check_impls]
        except Exception as error:  # noqa: BLE001 — Soda stops with whatever went wrong inside it
            return [repr(error)], []

    return say


ONLY_WITH_A_TABLE = {"unknown function": "whether a function exists is asked of the data source"}
"""Contracts that are wrong, and of which Soda says so only when it is connected."""


@pytest.mark.parametrize("name", WRONG)
def test_soda_refuses_it_too(soda: Soda, name: str) -> None:
    errors, _ = soda(WRONG[name][0])
    assert bool(errors) != (name in ONLY_WITH_A_TABLE)


@pytest.mark.parametrize("name", STRICTER)
def test_soda_would_read_what_only_atlas_refuses(soda: Soda, name: str) -> None:
    errors, _ = soda(STRICTER[name][0])
    assert not errors


@pytest.mark.parametrize("name", ACCEPTED)
def test_soda_reads_it_too_and_has_the_same_checks(soda: Soda, tmp_path: Path, name: str) -> None:
    errors, paths = soda(ACCEPTED[name])
    assert not errors
    assert [check.path for check in read(tmp_path, ACCEPTED[name], columns=None)] == paths
