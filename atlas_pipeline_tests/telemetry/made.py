"""Events for the tests of what they add to metrics."""

from datetime import UTC, datetime
from typing import Any

from atlas_pipeline.event_log.event import Event, EventKind


def event(kind: EventKind, at: float = 0.0, asset: str | None = None, **fields: Any) -> Event:
    """An event at so many seconds since 1970, of one asset or none."""
    assets = () if asset is None else (asset,)
    return Event(0, kind, datetime.fromtimestamp(at, UTC), assets=assets, **fields)
