"""The alert that the warehouse is unreachable, and with it the outbox: sent at once, each hour, and when it is back.

Belongs here: its state, which is in the sensor's cursor, in Dagster's database. Does not belong here: every other alert
(`tick.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from atlas_pipeline.alerting.channels import Channel
from atlas_pipeline.alerting.direct import send_now
from atlas_pipeline.alerting.policy import REPEAT
from atlas_pipeline.alerting.state import Alert, MessageKind

_SEND_SECONDS = 10.0
_PROBLEM_CHARACTERS = 300


@dataclass(frozen=True)
class Outage:
    """Since when the warehouse is unreachable, when channels were notified last, and which; empty while it is there.

    The cursor has the names of the first release: `told_at` and `told_to`.
    """

    since: datetime | None = None
    notified_at: datetime | None = None
    notified: tuple[str, ...] = ()

    @staticmethod
    def of(cursor: str | None) -> "Outage":
        """Read the sensor's cursor."""
        if not cursor:
            return Outage()
        stored = json.loads(cursor)
        since, notified_at = datetime.fromisoformat(stored["since"]), datetime.fromisoformat(stored["told_at"])
        return Outage(since, notified_at, tuple(stored["told_to"]))

    @property
    def cursor(self) -> str:
        """The cursor to store; empty while the warehouse is there."""
        if self.since is None or self.notified_at is None:
            return ""
        stored = {"since": self.since.isoformat(), "told_at": self.notified_at.isoformat(), "told_to": self.notified}
        return json.dumps(stored)

    def lasts(self, channels: Mapping[str, Channel], problem: str, now: datetime) -> "Outage":
        """Notify channels that were not, and an hour later all of them again.

        Args:
            channels: by name.
            problem: how it shows that the warehouse is unreachable.
            now: the moment of the look.

        Returns:
            The outage to remember.
        """
        since = self.since or now
        again = self.notified_at is None or not now - self.notified_at < REPEAT["critical"]
        chosen = {name: channel for name, channel in channels.items() if again or name not in self.notified}
        kind: MessageKind = "repeated" if self.notified_at and again else "firing"
        sent = self._send(chosen, kind, _alert(since, now, problem), now)
        notified_at = now if again or self.notified_at is None else self.notified_at
        return Outage(since, notified_at, tuple(sorted({*sent, *(() if again else self.notified)})))

    def over(self, channels: Mapping[str, Channel], now: datetime) -> "Outage":
        """The warehouse is back: notify the channels that were notified of the outage.

        Args:
            channels: by name.
            now: the moment of the look.

        Returns:
            The outage to remember: none.
        """
        if self.since is not None:
            chosen = {name: channel for name, channel in channels.items() if name in self.notified}
            self._send(chosen, "resolved", _alert(self.since, now, "", resolved_at=now), now)
        return Outage()

    def _send(self, channels: Mapping[str, Channel], kind: MessageKind, alert: Alert, now: datetime) -> list[str]:
        came = send_now(channels, kind, alert, now, _SEND_SECONDS)
        return [name for name, problem in came.items() if problem is None]


def _alert(since: datetime, now: datetime, problem: str, resolved_at: datetime | None = None) -> Alert:
    return Alert(
        policy="system-down",
        subject="warehouse",
        condition="system_down",
        severity="critical",
        level="error",
        team="infrastructure",
        status="resolved" if resolved_at else "firing",
        since=since,
        found_at=since,
        seen_at=now,
        problem=problem[:_PROBLEM_CHARACTERS],
        resolved_at=resolved_at,
    )
