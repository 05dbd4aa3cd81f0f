"""What the demo has none of, put into the installation of this process's settings: failures, a tick, a connector.

Belongs here: a program that makes these happen in Dagster's own words. Does not belong here: what is counted of them.
"""

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus

from atlas_pipeline.instance.home import dagster_home
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse import connectors
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url


@dg.asset(key=["bronze", "orders"], retry_policy=dg.RetryPolicy(max_retries=1))
def load() -> None:
    raise ValueError("no")


@dg.asset(key=["backups", "atlas"])
def backup__atlas() -> None:
    raise ValueError("no")


LEAKS = dg.AssetCheckSpec("leak_check", asset=dg.AssetKey(["silver", "orders"]))


@dg.asset(key=["silver", "orders"], check_specs=[LEAKS])
def build(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log_event(dg.AssetObservation(["silver", "orders"]))
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="leak_check", passed=False)])


def main() -> None:
    """Make them happen."""
    definitions = dg.Definitions([load, backup__atlas, build], executor=dg.in_process_executor)
    job = definitions.resolve_implicit_global_asset_job_def()
    settings = load_settings()
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        job.execute_in_process(instance=instance, raise_on_error=False)
        tick = TickData("daily", "daily", InstigatorType.SCHEDULE, TickStatus.SUCCESS, 1000.0, [], selector_id="daily")
        instance.create_tick(tick)
    with connect(warehouse_url(settings)) as connection:
        connectors.succeeded(connection, "tickets", "rest_api", connectors.Attempt(rows=3, bytes=100, requests=2))


if __name__ == "__main__":
    main()
