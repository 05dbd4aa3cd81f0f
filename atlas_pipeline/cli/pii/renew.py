"""What `atlas pii renew` does.

Belongs here: the connection and output. Does not belong here: the statements (`pii/record.py`), arguments.
"""

from collections.abc import Sequence

from atlas_pipeline.cli.output import ERR, OUT, failures_as_messages
from atlas_pipeline.pii.record import drop_plans
from atlas_pipeline.settings import load_settings
from atlas_pipeline.warehouse.bootstrap import prepare_warehouse
from atlas_pipeline.warehouse.connect import connect
from atlas_pipeline.warehouse.location import warehouse_url


def run(tables: Sequence[str]) -> int:
    """Drop the plans of these silver tables. Returns the exit code: 1 when one of them has none."""
    with failures_as_messages(), connect(warehouse_url(load_settings())) as connection:
        prepare_warehouse(connection)
        dropped = {name: drop_plans(connection, "silver", name) for name in tables}
        connection.commit()
    for name, columns in dropped.items():
        if columns:
            OUT.print(f"silver.{name}: {columns} columns are planned anew by its next build", highlight=False)
        else:
            ERR.print(f"silver.{name} has no recorded plan: expected the name of a dataset that was built")
    return 0 if all(dropped.values()) else 1
