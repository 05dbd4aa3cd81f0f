"""The policy file, `alerts.yaml`: read, or refused with all of its faults.

Belongs here: parsing the file into Policies, and faults that depend on two values, on channels or on assets. Does not
belong here: YAML (`documents/`), the keys and their values (`policy_schema.py`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from atlas_pipeline import labels
from atlas_pipeline.alerting.policy import LONG_QUEUE, LOW_SCORE, TEAMS, Policies, Policy, default_policies
from atlas_pipeline.alerting.policy_schema import CONDITIONS, LONGEST_SELECTION, duration, policy_faults
from atlas_pipeline.documents.faults import DocumentError, Fault, Place, shown, unknown
from atlas_pipeline.documents.located import Kind, read_if_any

Select = Callable[[str], frozenset[str]]
_BACKUPS = f"group:{labels.BACKUPS}"
_OF_NOTHING = {"queue_long", "system_down"}
_OF_JOBS = {"run_failed", "tick_failed"}
_OF_JOBS_ALONE = {"tick_failed"}


class PolicyFileError(DocumentError):
    """A policy file that cannot be used."""


KIND = Kind(
    name="a policy file",
    error=PolicyFileError,
    most_bytes=1 << 18,
    most_values=20_000,
    deepest=20,
    merges=False,
    dates=False,
)


def read_policies(path: Path, channels: Collection[str], select: Select) -> Policies:
    """The policies of a file, before the defaults; without a file, or with an empty one, the defaults.

    Args:
        path: the file, which need not be there.
        channels: names of those that are configured.
        select: gives the paths of the assets that a selection selects; ValueError says why it cannot.

    Raises:
        PolicyFileError: lists every fault.
    """
    file = read_if_any(path, KIND)
    if file is None:
        return Policies(default_policies(), tuple(channels))
    data = {} if file.data is None else file.data
    selected: dict[Place, frozenset[str]] = {}
    faults = [*policy_faults(data), *_faults(data, channels)]
    for place, selection in _selections(data):
        try:
            selected[place] = select(selection)
        except ValueError as error:
            reason = " ".join(str(error).split())
            faults.append(Fault(f"`{place[-1]}`: {reason}, expected an asset selection", place))
        else:
            if not selected[place]:
                message = f"`{place[-1]}`: {shown(selection)} selects no asset, expected at least one"
                faults.append(Fault(message, place))
    file.refuse(faults)
    own = tuple(_policy(policy, ("policies", index), selected) for index, policy in enumerate(data.get("policies", [])))
    names = {policy.name for policy in own}
    defaults = default_policies() if data.get("defaults", True) else ()
    remaining_defaults = tuple(policy for policy in defaults if policy.name not in names)
    teams = {team: tuple(of_team) for team, of_team in data.get("teams", {}).items()}
    messages_per_hour = int(data.get("messages_per_hour", Policies.messages_per_hour))
    return Policies((*own, *remaining_defaults), tuple(channels), teams, messages_per_hour)


def _policy(data: Mapping[str, Any], place: Place, selected: Mapping[Place, frozenset[str]]) -> Policy:
    """A policy, made from validated data."""
    watch = data.get("watch", {})
    selections = [
        selection for key, selection in (("assets", watch.get("assets")), ("backups", _BACKUPS)) if key in watch
    ]
    assets = [paths for at, paths in selected.items() if at[: len(place)] == place]
    conditions = frozenset(data["when"])
    return Policy(
        name=data["name"],
        conditions=conditions,
        severity=data["severity"],
        team=data.get("team", Policy.team),
        selection=" or ".join(selections) or None,
        assets=frozenset[str]().union(*assets) if assets else None,
        jobs=tuple(watch["jobs"]) if "jobs" in watch else None,
        level=data.get("level"),
        below=data.get("below", LOW_SCORE) if "low_score" in conditions else None,
        above=data.get("above", LONG_QUEUE) if "queue_long" in conditions else None,
        lasting=duration(data["for"]) if "for" in data else timedelta(0),
        channels=tuple(data["channels"]) if "channels" in data else None,
        runbook=data.get("runbook"),
    )


def _entries(data: Any) -> Iterator[tuple[Place, dict[Any, Any]]]:
    """The entries of `policies` that are mappings."""
    listed = data.get("policies") if isinstance(data, dict) else None
    for index, policy in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(policy, dict):
            yield ("policies", index), policy


def _selections(data: Any) -> Iterator[tuple[Place, str]]:
    """The asset selections of all policies, with their place in the document."""
    for place, policy in _entries(data):
        watch = policy.get("watch")
        if isinstance(watch, dict):
            if isinstance(watch.get("assets"), str) and 0 < len(watch["assets"]) <= LONGEST_SELECTION:
                yield (*place, "watch", "assets"), watch["assets"]
            if watch.get("backups") is True:
                yield (*place, "watch", "backups"), _BACKUPS


def _faults(data: Any, channels: Collection[str]) -> Iterator[Fault]:
    """Faults that depend on more than one value. Values that the schema refuses are skipped."""
    listed = data.get("teams") if isinstance(data, dict) else None
    teams = listed if isinstance(listed, dict) else {}
    for team, of_team in teams.items():
        yield from _channel_faults(of_team, channels, ("teams", team))
    team_names = list(dict.fromkeys([*TEAMS, *(team for team in teams if isinstance(team, str))]))
    names: set[str] = set()
    for place, policy in _entries(data):
        name, team = policy.get("name"), policy.get("team")
        if isinstance(name, str):
            if name in names:
                yield Fault(f"the name {shown(name)} is there twice, expected one of its own", (*place, "name"))
            names.add(name)
        if isinstance(team, str) and team not in team_names:
            yield Fault(unknown("team", team, team_names), (*place, "team"))
        yield from _channel_faults(policy.get("channels"), channels, (*place, "channels"))
        yield from _condition_faults(policy, place)


def _channel_faults(listed: Any, channels: Collection[str], place: Place) -> Iterator[Fault]:
    for index, name in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(name, str) and name not in channels:
            none_known = f"unknown channel {shown(name)}: expected ATLAS_ALERT_CHANNELS to name it"
            yield Fault(unknown("channel", name, channels) if channels else none_known, (*place, index))


def _condition_faults(policy: Mapping[Any, Any], place: Place) -> Iterator[Fault]:
    """Keys that fit none of the policy's conditions, and conditions that can never be met."""
    when, watch = policy.get("when"), policy.get("watch")
    if not isinstance(when, list):
        return
    for key, condition in (("below", "low_score"), ("above", "queue_long")):
        if key in policy and condition not in when:
            yield Fault(f"`{key}` goes with {condition}, expected it in `when`", (*place, key))
    if not isinstance(watch, dict) or not watch:
        return
    for index, condition in enumerate(when):
        if not isinstance(condition, str) or condition not in CONDITIONS:
            continue
        inside = (*place, "when", index)
        if condition in _OF_NOTHING:
            yield Fault(f"{condition} is about no asset and no job, expected a policy without `watch`", inside)
        elif condition in _OF_JOBS_ALONE and "jobs" not in watch:
            yield Fault(f"{condition} is about schedules and sensors, expected `jobs` in `watch`", inside)
        elif condition not in _OF_JOBS and not {"assets", "backups"} & watch.keys():
            yield Fault(f"{condition} is about assets, expected `assets` or `backups` in `watch`", inside)
