"""Follow Dagster's event log in the background, and serve its totals as a part of /metrics.

Belongs here: when it is followed, over which connections. Does not belong here: how (`ops/counting.py`).
"""

import logging
import threading
import time
from collections.abc import Sequence

import psycopg
from psycopg import conninfo

from atlas_pipeline.ops.counting import Begin, follow
from atlas_pipeline.telemetry import health
from atlas_pipeline.telemetry.parts.asking import Away
from atlas_pipeline.telemetry.sample import Sample
from atlas_pipeline.telemetry.totals import totals

_LOG = logging.getLogger("atlas.ops")
_EVERY_SECONDS = 5.0
_RELOAD_SECONDS = 60.0
"""Totals are read anew at least so often, since another exporter may count too."""
_GOOD_SECONDS = 30.0
# A server that is gone without a word is noticed within half a minute, a statement that hangs too.
_KEEPALIVE = "keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=25000"
_SESSION = "-c statement_timeout=30s -c lock_timeout=10s"


class Follower:
    """Counts new events every few seconds, from `start` until `stop`, in a thread of its own."""

    def __init__(self, log_url: str, warehouse_url: str, begin: Begin):
        self._urls = (log_url, warehouse_url)
        self._begin = begin
        self._over = threading.Event()
        self._samples: Sequence[Sample] = ()
        self._looked = time.monotonic()
        self._well = False
        self._tried = threading.Event()

    def start(self) -> None:
        """Begin to follow."""
        threading.Thread(target=self._run, name="follower", daemon=True).start()

    def stop(self) -> None:
        """Stop after the present look."""
        self._over.set()

    def part(self) -> Sequence[Sample]:
        """The totals: the same object as before while nothing new was counted. Raises Away when they are not known."""
        self._tried.wait(_EVERY_SECONDS)
        if not self._well or time.monotonic() - self._looked > _GOOD_SECONDS:
            raise Away("the event log cannot be followed")
        return self._samples

    def problem(self) -> str | None:
        """What is wrong when it lags too far: events that wait, or no look that succeeded; null if nothing is."""
        behind = [sample.value for sample in self._samples if sample.family == "atlas_event_log_lag_seconds"]
        return health.lagging(max(time.monotonic() - self._looked, *behind, 0.0))

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 — whatever it is, it is tried again; nothing was counted
                if self._well:
                    _LOG.warning("the event log cannot be followed: %s", type(error).__name__)
                self._well = False
            self._tried.set()
            self._over.wait(_EVERY_SECONDS)

    def _follow(self) -> None:
        """Look until `stop` is called. Raises psycopg.Error."""
        log_url, warehouse_url = self._urls
        with _connected(log_url) as log, _connected(warehouse_url) as warehouse:
            reloaded = float("-inf")
            while not self._over.is_set():
                found = follow(log, warehouse, self._begin)
                if found.events or found.ticks or time.monotonic() - reloaded > _RELOAD_SECONDS:
                    self._samples, reloaded = list(totals(warehouse)), time.monotonic()
                self._looked, self._well = time.monotonic(), True
                self._tried.set()
                if not found.more:
                    self._over.wait(_EVERY_SECONDS)


def _connected(url: str) -> psycopg.Connection:
    kept = conninfo.make_conninfo(_KEEPALIVE, **conninfo.conninfo_to_dict(url))
    return psycopg.Connection.connect(
        kept, autocommit=True, connect_timeout=5, application_name="atlas ops", options=_SESSION
    )
