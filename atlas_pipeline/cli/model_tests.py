"""`atlas test`: run the unit tests of gold models, and show what came instead of what was expected.

Belongs here: what is run and shown. Does not belong here: reading and running tests (`quality/model_tests/`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages, print_json, print_table, progress
from atlas_pipeline.cli.project import load_components
from atlas_pipeline.documents.faults import DocumentError
from atlas_pipeline.quality.model_tests.file import UnitTest
from atlas_pipeline.quality.model_tests.running import MOST_SHOWN, Sources, UnitTestResult, run_test
from atlas_pipeline.settings import load_settings
from atlas_pipeline.sql.lineage import ModelError, order_models, output_columns
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url


def run(models: Sequence[str], json: bool) -> int:
    """Run the tests of these gold models, or of all.

    Args:
        models: names, with or without `gold.`; none for all.
        json: print one JSON document instead of text.

    Returns:
        The exit code: 1 when a test does not pass, 2 when a name is no gold model.
    """
    from atlas_pipeline.components.declaration import DeclarationError

    with failures_as_messages(), progress("loading definitions") as show:
        try:
            sources, tests = _project()
        except (DocumentError, DeclarationError, ModelError) as error:
            raise ValueError(str(error)) from None
        chosen = [name.removeprefix("gold.") for name in models] or sorted(tests)
        unknown = [name for name in chosen if name not in tests]
        if unknown:
            expected = ", ".join(sorted(tests)) or "none, as the project has no gold model"
            ERR.print(f"atlas: no gold model {unknown[0]}: expected {expected}", markup=False, highlight=False)
            return 2
        results: dict[str, list[UnitTestResult]] = {}
        with connect(warehouse_url(load_settings())) as connection:
            prepare_warehouse(connection)
            connection.commit()
            for name in chosen:
                show(f"gold.{name}")
                results[name] = [run_test(connection, sources, name, test) for test in tests[name]]
    if json:
        print_json(_document(results))
    else:
        _show(results)
    return 0 if all(result.passed for each in results.values() for result in each) else 1


def _project() -> tuple[Sources, dict[str, list[UnitTest]]]:
    """What the project declares, and the tests of each model."""
    from atlas_pipeline.components import Dataset, GoldModel

    tree = load_components()
    datasets = tree.get_all_components(Dataset)
    silver = {name: types for component in datasets for name, types in component.silver_tables.items()}
    components = {component.table: component for component in tree.get_all_components(GoldModel)}
    models = {name: component.parsed for name, component in components.items()}
    catalog = {("silver", name): list(types) for name, types in silver.items()}
    tests = {}
    for name in order_models(models):
        catalog["gold", name] = output_columns(models[name], catalog)
        tests[name] = components[name].unit_tests(catalog)
    return Sources(silver, models), tests


def _document(results: Mapping[str, Sequence[UnitTestResult]]) -> dict[str, Any]:
    tests = [
        {
            "model": name,
            "test": result.test.name,
            "file": str(result.test.path),
            "line": result.test.line,
            "passed": result.passed,
            "problem": result.problem,
            "columns": list(result.columns),
            "differences": [
                {"row": "missing" if one.missing else "unexpected", "times": one.times, "values": list(one.values)}
                for one in result.differences
            ],
        }
        for name, each in results.items()
        for result in each
    ]
    return {"ok": all(test["passed"] for test in tests), "tests": tests}


def _show(results: Mapping[str, Sequence[UnitTestResult]]) -> None:
    tests = [(name, result) for name, each in results.items() for result in each]
    for name, result in tests:
        verdict = "passed" if result.passed else "FAILED"
        OUT.print(f"{verdict}  gold.{name}: {result.test.name}", markup=False, highlight=False)
        if result.problem:
            where = f"{result.test.path}:{result.test.line}"
            OUT.print(f"        {where}: Postgres refused it: {result.problem}", markup=False, highlight=False)
        elif not result.passed:
            _show_differences(result)
    failed = sum(not result.passed for _, result in tests)
    bare = [name for name, each in results.items() if not each]
    OUT.print(f"{len(tests)} tests, {failed} failed", highlight=False)
    if bare:
        OUT.print(f"without tests: {', '.join(f'gold.{name}' for name in bare)}", markup=False, highlight=False)


def _show_differences(result: UnitTestResult) -> None:
    columns = {"": "left"} | dict.fromkeys(result.columns, "left")
    rows = [
        ["expected" if one.missing else "came", *("NULL" if value is None else value for value in one.values)]
        for one in result.differences[:MOST_SHOWN]
        for _ in range(min(one.times, MOST_SHOWN))
    ]
    if result.columns:
        print_table(f"{result.test.path}:{result.test.line}", columns, rows)
    else:
        OUT.print(f"        {result.differences[0].times} rows came, none was expected", highlight=False)
    if len(result.differences) > MOST_SHOWN:
        more = len(result.differences) - MOST_SHOWN
        OUT.print(f"        and {more:,} more rows that differ", highlight=False)
