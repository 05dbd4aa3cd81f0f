"""Apply signals to alerts: which policy an alert matches, how it starts, changes policy and is resolved.

Belongs here: that, and what an edited policy, a removed asset or a removed check does to an alert. Does not belong
here: what an event means (`interpret.py`), and who is notified when (`fold.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256

from atlas_pipeline.alerting.conditions import Condition, Known
from atlas_pipeline.alerting.interpret import Firing, Resolved, ResolvedExcept, Signal, low_score
from atlas_pipeline.alerting.policy import Policies, Policy
from atlas_pipeline.alerting.state import Alert, Key

REMOVED, CHECK_REMOVED = "removed", "check removed"
POLICY_REMOVED, POLICY_CHANGED = "policy removed", "policy changed"
_MEASURED: frozenset[Condition] = frozenset({"low_score", "queue_long"})
_OF_CHECKS: frozenset[Condition] = frozenset({"check_failed", "pii_leak"})
"""Conditions whose subject names a check that the definitions have, as `asset: check`."""
_Slot = tuple[Condition, str]


def digest(*parts: str) -> str:
    """32 hex digits of SHA-256 over the parts."""
    return sha256("\0".join(parts).encode()).hexdigest()[:32]


def matches(policy: Policy, subject: Firing | Alert) -> bool:
    """Whether a policy watches the condition of a subject, at its level and amount."""
    condition, amount = subject.condition, subject.amount
    if condition not in policy.conditions or policy.level not in (None, subject.level):
        return False
    if condition == "low_score" and (policy.below is None or amount is None or amount >= policy.below):
        return False
    if condition == "queue_long" and policy.above is not None and (amount is None or amount <= policy.above):
        return False
    if policy.assets is None and policy.jobs is None:
        return True
    if subject.asset is not None:
        return policy.assets is not None and subject.asset in policy.assets
    job = subject.job
    return job is not None and any(fnmatchcase(job, pattern) for pattern in policy.jobs or ())


def needs_resolved_notification(alert: Alert, ended_now: bool) -> bool:
    """Whether channels that were notified of a resolved alert have not been sent its resolution yet.

    Args:
        alert: a resolved alert.
        ended_now: whether it was resolved in this fold.
    """
    unsent = ended_now or alert.inhibited_by is not None or alert.silenced_by is not None
    return bool(alert.notified or alert.summarized) and unsent


class Board:
    """Alerts by key, changed in place. `ended` are keys of notified alerts that were resolved in this fold.

    `replaced` are alerts whose key fires again before their resolution was sent.
    """

    def __init__(self, alerts: Mapping[Key, Alert], policies: Policies, known: Known, now: datetime) -> None:
        """A board with the alerts of the last fold.

        Args:
            alerts: pending, firing, and lately resolved.
            policies: the policies as they are now.
            known: what the definitions have; alerts of anything else are resolved.
            now: the time of all changes.
        """
        self.alerts = dict(alerts)
        self.ended: set[Key] = set()
        self.replaced: dict[Key, Alert] = {}
        self._now = now
        self._known = known
        self._by_name = {policy.name: policy for policy in policies.policies}
        self._watching: dict[Condition, list[Policy]] = {}
        for policy in policies.policies:
            for condition in policy.conditions:
                self._watching.setdefault(condition, []).append(policy)
        self._matched: dict[tuple, Policy | None] = {}
        self._again: dict[Key, tuple[int, Firing]] = {}
        self._slots: dict[_Slot, Key] = {
            (alert.condition, alert.subject): key for key, alert in alerts.items() if alert.status != "resolved"
        }

    def apply(self, signal: Signal) -> None:
        """Apply one signal."""
        if isinstance(signal, Firing):
            self._fire(signal)
        elif isinstance(signal, Resolved):
            for condition in signal.conditions:
                key = self._slots.get((condition, signal.subject))
                if key is not None:
                    self._end(key, "")
        elif isinstance(signal, ResolvedExcept):
            over = [
                key
                for (condition, subject), key in self._slots.items()
                if condition == signal.condition and subject not in signal.subjects
            ]
            for key in over:
                self._end(key, "")

    def review(self, scores: Mapping[str, float]) -> None:
        """Re-evaluate all alerts against policies and definitions, after all events were applied."""
        for key in list(self._again):
            self._settle(key)
        for slot, key in list(self._slots.items()):
            alert = self.alerts[key]
            policy = self._policy_of(alert)
            if removed := self._removed(alert):
                self._end(key, removed)
            elif policy is None:
                self._end(key, POLICY_CHANGED if alert.policy in self._by_name else POLICY_REMOVED)
            else:
                self._move(slot, key, policy)
        highest = max((policy.below for policy in self._by_name.values() if policy.below is not None), default=0.0)
        for firing in (low_score(asset, score, self._now) for asset, score in scores.items() if score < highest):
            if (firing.condition, firing.subject) not in self._slots:
                self._fire(firing)
        for key in self._slots.values():
            self._promote_pending(key)

    def _fire(self, firing: Firing) -> None:
        slot = firing.condition, firing.subject
        key = self._slots.get(slot)
        if removed := self._removed(firing):
            if key is not None:
                self._end(key, removed)
            return
        policy = self._policy_of(firing)
        if policy is None:
            if key is not None:
                self._end(key, "" if firing.condition in _MEASURED else POLICY_CHANGED)
        elif key is None:
            self._begin(slot, policy, firing)
        else:
            self._again[key] = self._again[key][0] + 1 if key in self._again else 1, firing
            if key[0] != policy.name:
                self._settle(key)
                self._move(slot, key, policy)

    def _begin(self, slot: _Slot, policy: Policy, firing: Firing) -> None:
        key = policy.name, firing.subject
        before = self._make_room(key)
        thread = before.thread_key if before else "", self._now.isoformat(), str(firing.origin)
        self._slots[slot] = key
        alert = Alert(
            policy=policy.name,
            subject=firing.subject,
            condition=firing.condition,
            severity=policy.severity,
            level=firing.level,
            team=policy.team,
            status="pending",
            since=min(firing.at, self._now),
            found_at=self._now,
            seen_at=self._now,
            asset=firing.asset,
            runbook=policy.runbook,
            owner=self._known.owners.get(firing.asset or ""),
            thread_key=digest(*key, *thread),
        )
        self.alerts[key] = _updated(alert, firing)

    def _make_room(self, key: Key) -> Alert | None:
        """Free a key for a new alert: return the resolved one that has it; resolve one of another condition."""
        before = self.alerts.get(key)
        if before is not None and before.status != "resolved":
            self._end(key, POLICY_CHANGED)
            before = self.alerts[key]
        if before is not None and needs_resolved_notification(before, key in self.ended):
            self.ended.discard(key)
            self.replaced[key] = before
        return before

    def _settle(self, key: Key) -> None:
        """Apply the signals of an alert since it started, the last one with all fields."""
        again = self._again.pop(key, None)
        if again is None:
            return
        count, firing = again
        alert = self.alerts[key]
        self.alerts[key] = _updated(replace(alert, seen_at=self._now, count=alert.count + count), firing)

    def _move(self, slot: _Slot, key: Key, policy: Policy) -> None:
        """Move the alert to this policy; it keeps its thread key."""
        alert = self.alerts[key]
        if key[0] != policy.name:
            del self.alerts[key]
            owed = self.replaced.pop(key, None)
            key = policy.name, alert.subject
            self._make_room(key)
            if owed is not None:
                self.replaced.setdefault(key, owed)
            self._slots[slot] = key
        elif (alert.severity, alert.team, alert.runbook) == (policy.severity, policy.team, policy.runbook):
            return
        self.alerts[key] = replace(
            alert, policy=policy.name, severity=policy.severity, team=policy.team, runbook=policy.runbook
        )

    def _promote_pending(self, key: Key) -> None:
        """Turn pending into firing once the condition has held for the policy's `for`."""
        alert = self.alerts[key]
        if alert.status == "pending" and self._now - alert.found_at >= self._by_name[alert.policy].lasting:
            self.alerts[key] = replace(alert, status="firing")

    def _end(self, key: Key, reason: str) -> None:
        self._settle(key)
        alert = self.alerts[key]
        del self._slots[alert.condition, alert.subject]
        if alert.notified or alert.summarized:
            self.ended.add(key)
        self.alerts[key] = replace(alert, status="resolved", resolved_at=self._now, reason=reason)

    def _removed(self, subject: Firing | Alert) -> str | None:
        """Why the definitions have no such subject any more; null if they have it."""
        asset = subject.asset
        if asset is None:
            return None if subject.job is None or subject.job in self._known.jobs else REMOVED
        if asset not in self._known.assets:
            return REMOVED
        checks = self._known.checks.get(asset, frozenset())
        if subject.condition == "low_score":
            return None if checks else CHECK_REMOVED
        gone = subject.condition in _OF_CHECKS and subject.subject.removeprefix(f"{asset}: ") not in checks
        return CHECK_REMOVED if gone else None

    def _policy_of(self, subject: Firing | Alert) -> Policy | None:
        """The first policy that matches."""
        facet = subject.condition, subject.asset, subject.job, subject.level, subject.amount
        if facet not in self._matched:
            watching = self._watching.get(subject.condition, ())
            self._matched[facet] = next((policy for policy in watching if matches(policy, subject)), None)
        return self._matched[facet]


def _updated(alert: Alert, firing: Firing) -> Alert:
    """The alert with the fields of the newest signal."""
    return replace(
        alert,
        level=firing.level,
        job=firing.job,
        run=firing.run,
        problem=firing.problem,
        link=firing.link,
        facts=firing.facts,
        amount=firing.amount,
    )
