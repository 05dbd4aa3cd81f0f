"""What stands in the place of tables whose declaration is wrong, so that everybody sees it and nothing else stops.

Belongs here: their assets, which fail with the reason, the check that says so, and the sensor that reports it. Does not
belong here: finding out which declaration is wrong (`components/isolation.py`).

Tables that were published stay as they are, and what reads them goes on.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg

from atlas_pipeline import labels
from atlas_pipeline.orchestration.tables.catalogue_link import catalogue_link

_INTERVAL_SECONDS = 30


@dataclass(frozen=True)
class Invalid:
    """A declaration that is wrong.

    Attributes:
        layer: of its table, silver or gold.
        table: its name.
        folder: where it is declared.
        reason: what is wrong, with file and line.
        sources: the tables that it is made from, as far as that can be told.
        columns: of the table, as far as they can be told.
    """

    layer: str
    table: str
    folder: Path
    reason: str
    sources: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Layer and name of its table."""
        return self.layer, self.table

    @property
    def asset(self) -> dg.AssetKey:
        """Of its table."""
        return dg.AssetKey(list(self.key))


def invalid_definitions(invalid: Sequence[Invalid], taken: Collection[dg.AssetKey]) -> dg.Definitions:
    """Assets and sensor for declarations that are wrong; only the sensor where there are none.

    Args:
        invalid: the declarations.
        taken: keys of the assets that are there; the second declaration of a table gets a name of its own.
    """
    used = set(taken)
    assets: list[dg.AssetsDefinition] = []
    shown: list[Invalid] = []
    for one in invalid:
        while one.asset in used or (one.layer == "silver" and dg.AssetKey(["bronze", one.table]) in used):
            one = replace(one, table=f"{one.table}_not_loaded", sources=())
        if one.layer == "silver":
            assets.append(_failing(one, dg.AssetKey(["bronze", one.table]), []))
        deps = [dg.AssetKey(["bronze", one.table])] if one.layer == "silver" else [dg.AssetKey(s) for s in one.sources]
        assets.append(_failing(one, one.asset, deps, checked=True))
        used |= {asset.key for asset in assets}
        shown.append(one)
    return dg.Definitions(assets=assets, sensors=[_reporting(shown)])


def _failing(
    invalid: Invalid, key: dg.AssetKey, deps: Sequence[dg.AssetKey], *, checked: bool = False
) -> dg.AssetsDefinition:
    """An asset that fails with the reason.

    Args:
        invalid: the declaration.
        key: of the asset.
        deps: what it is made from.
        checked: whether it has the check that says so.
    """
    spec = dg.AssetCheckSpec(
        labels.DECLARATION_CHECK, asset=key, description="The declaration of the table can be used.", blocking=True
    )

    @dg.multi_asset(
        name=f"{key.path[0]}__{key.path[-1]}",
        specs=[
            dg.AssetSpec(
                key=key,
                deps=deps,
                group_name=key.path[0],
                kinds={labels.INVALID_KIND},
                description=f"**Not loaded: its declaration is wrong.** The table stays as it is.\n\n{invalid.reason}",
                metadata={labels.INVALID_REASON: invalid.reason, **catalogue_link(key)},
            )
        ],
        check_specs=[spec] if checked else [],
    )
    def not_loaded(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        if checked:
            yield dg.AssetCheckResult(
                passed=False, asset_key=key, check_name=spec.name, description=invalid.reason, metadata={}
            )
        raise dg.Failure(f"the declaration is wrong: {invalid.reason}", allow_retries=False)

    return not_loaded


def _reporting(invalid: Sequence[Invalid]) -> dg.SensorDefinition:
    """The sensor that reports the checks of declarations as failed, and as passed once they are right."""

    @dg.sensor(
        name="declarations",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports declarations that are wrong as failed checks of their tables.",
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before: dict[str, str] = json.loads(context.cursor or "{}")
        now = {one.asset.to_user_string(): one.reason for one in invalid}
        for key, reason in now.items():
            if before.get(key) != reason:
                context.instance.report_runless_asset_event(_evaluation(key, reason))
        for key in before.keys() - now.keys():
            context.instance.report_runless_asset_event(_evaluation(key, None))
        told = "; ".join(now.values()) or "all declarations are right"
        return dg.SensorResult(skip_reason=told, cursor=json.dumps(now))

    return report


def _evaluation(key: str, reason: str | None) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey.from_user_string(key),
        check_name=labels.DECLARATION_CHECK,
        passed=reason is None,
        severity=dg.AssetCheckSeverity.ERROR,
        description=reason or "the declaration is right again",
        metadata={},
    )
