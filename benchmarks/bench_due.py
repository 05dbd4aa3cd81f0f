"""Deciding which gold models are due, of 200 in a chain and 200 side by side, beside Dagster's own conditions.

All models were built; then the silver table that they read is published again. The rival is one evaluation of
`AutomationCondition.eager()` over the same graph, with an event log in memory and the cursor of the evaluation before.

    python benchmarks/bench_due.py [--rows MODELS] [--rounds N] [--json]
"""

import logging
import resource
import sys
import time
import warnings
from collections.abc import Callable

import dagster as dg
import psycopg
from harness import Goal, Report, arguments, database, medians, postgres, say, scratch

from atlas_pipeline.warehouse import publish
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.due import GoldDefinition, due

Sources = dict[str, tuple[str, str]]


def chain(models: int) -> Sources:
    """Each model reads the one before it."""
    return {f"m{n}": ("gold", f"m{n - 1}") if n else ("silver", "s") for n in range(models)}


def fan(models: int) -> Sources:
    """Each model reads silver."""
    return {f"m{n}": ("silver", "s") for n in range(models)}


def built(connection: psycopg.Connection, sources: Sources) -> list[GoldDefinition]:
    """Record that all were built, and that silver was published since."""
    with connection.transaction():
        connection.execute("TRUNCATE atlas.publications, atlas.publication_history")
        publish.record(connection, "silver", "s", "x", "run", 1)
        for name, source in sources.items():
            reads = publish.versions(connection, [source])
            publish.record(connection, "gold", name, "x", "run", 1, reads=reads)
        publish.record(connection, "silver", "s", "x", "run", 1)
    return [GoldDefinition(name, "x", frozenset([source])) for name, source in sources.items()]


def own(connection: psycopg.Connection, sources: Sources) -> float:
    """Seconds until Atlas knows what is due."""
    models = built(connection, sources)
    began = time.perf_counter()
    found = due(connection, models)
    seconds = time.perf_counter() - began
    if set(found) != set(sources):
        raise AssertionError(f"{len(found)} of {len(sources)} are due")
    return seconds


def dagsters(sources: Sources) -> float:
    """Seconds of one evaluation of Dagster's conditions, when silver was materialized again."""
    silver = dg.AssetKey(["silver", "s"])

    def asset(name: str, source: tuple[str, str]) -> dg.AssetsDefinition:
        condition = dg.AutomationCondition.eager()

        @dg.asset(key=["gold", name], deps=[dg.AssetKey(list(source))], automation_condition=condition)
        def model() -> None: ...

        return model

    @dg.asset(key=silver)
    def table() -> None: ...

    definitions = dg.Definitions(assets=[table, *(asset(name, source) for name, source in sources.items())])
    with dg.DagsterInstance.ephemeral() as instance:
        for key in (silver, *(dg.AssetKey(["gold", name]) for name in sources)):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        cursor = None
        for _ in range(2):
            cursor = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor).cursor
        instance.report_runless_asset_event(dg.AssetMaterialization(silver))
        began = time.perf_counter()
        dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
        return time.perf_counter() - began


def main() -> int:
    """Measure, print, and fail when a goal was missed."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    options = arguments(__doc__, 200, "models", 3).parse_args()
    shapes: dict[str, Callable[[int], Sources]] = {"chain": chain, "fan": fan}
    seconds: dict[str, list[float]] = {}
    with scratch() as folder, postgres(folder) as server, database(server) as url, connect(url) as connection:
        for number in range(options.rounds):
            for shape, make in shapes.items():
                say(f"round {number + 1}: {shape}")
                sources = make(options.rows)
                seconds.setdefault(f"{shape}, Atlas", []).append(own(connection, sources))
                seconds.setdefault(f"{shape}, Dagster's conditions", []).append(dagsters(sources))
    middle = medians(seconds)
    report = Report("due")
    rows = []
    for shape in shapes:
        mine, rival = middle[f"{shape}, Atlas"], middle[f"{shape}, Dagster's conditions"]
        rows.append([shape, mine, rival, rival / mine])
        report.goals.append(Goal(f"{options.rows} models in a {shape}", mine, 1.0, unit=" s"))
    report.table("what is due", ["", "Atlas, s", "Dagster, s", "Dagster / Atlas"], rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.notes.append(f"peak memory of the process, Dagster's evaluation included: {peak:.0f} MiB")
    return report.print(options.json)


if __name__ == "__main__":
    sys.exit(main())
