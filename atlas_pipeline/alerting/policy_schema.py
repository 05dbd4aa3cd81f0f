"""The keys of the file of policies, and what each takes: a JSON schema, and its errors in words.

Belongs here: what can be said of one value alone; `title` is what is expected of it, `description` is what the
documentation says. Does not belong here: what depends on two values, on channels or on assets (`policy_file.py`).
"""

import difflib
import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import cache
from typing import Any, get_args
from urllib.parse import urlsplit

from atlas_pipeline.alerting.conditions import Condition
from atlas_pipeline.alerting.policy import Severity
from atlas_pipeline.alerting.policy_yaml import Place, shown
from atlas_pipeline.event_log.event import Level

CONDITIONS = get_args(Condition)
LONGEST_SELECTION = 1000
"""In characters; Dagster's parser is slow with long ones."""
Fault = tuple[str, Place]
_LONGEST_LINE = 100
_LONGEST_LINK = 2000
_LONGEST_TIME = timedelta(days=365)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw] ?)+")
_LINE = {"type": "string", "format": "line"}
_CHANNELS = {
    "type": "array",
    "uniqueItems": True,
    "title": "a list of names of channels, each once",
    "items": {**_LINE, "title": "the name of a channel"},
}
_WATCH = {
    "type": "object",
    "title": "a mapping with one or more of assets, jobs, backups",
    "description": "What it is about; without it, everything. A subject of any of the three matches.",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {
        "assets": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_SELECTION,
            "title": """an asset selection of up to 1000 characters, such as 'key:"gold/revenue"+ or group:sales'""",
            "description": "Assets, in Dagster's selection syntax; it must select at least one.",
        },
        "jobs": {
            "type": "array",
            "minItems": 1,
            "title": "a list of one or more patterns, such as [backup_*]",
            "description": "Patterns of the names of jobs, schedules and sensors.",
            "items": {**_LINE, "title": "a pattern such as backup_*"},
        },
        "backups": {
            "const": True,
            "title": "true",
            "description": "`true`: the assets of the group `backups`.",
        },
    },
}
_POLICY = {
    "type": "object",
    "title": "a mapping with the keys name, when, severity and others",
    "additionalProperties": False,
    "required": ["name", "when", "severity"],
    "properties": {
        "name": {
            **_LINE,
            "title": f"a line of up to {_LONGEST_LINE} printable characters",
            "description": "Required. Its own; a default of this name is replaced by it.",
        },
        "watch": _WATCH,
        "when": {
            "type": "array",
            "minItems": 1,
            "title": "a list of one or more conditions, such as [run_failed]",
            "description": "Required. A list of the conditions below.",
            "items": {"enum": list(CONDITIONS), "title": "condition"},
        },
        "level": {
            "enum": list(get_args(Level)),
            "title": "level",
            "description": "`warn` or `error`, such as the severity of a check; without it, both.",
        },
        "below": {
            "type": "number",
            "format": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "title": "a number above 0, up to 1",
            "description": "For `low_score`: a quality score less than this, 0.8 if nothing is said.",
        },
        "above": {
            "type": "number",
            "format": "number",
            "minimum": 0,
            "maximum": 10**9,
            "title": "a number from 0 to 1,000,000,000",
            "description": "For `queue_long`: more waiting runs than this, 100 if nothing is said.",
        },
        "for": {
            "type": "string",
            "format": "duration",
            "title": "a duration such as 30s, 10m, 2h or 1d, up to 365d",
            "description": "How long it must last before it is an alert, such as `30s`, `10m`, `2h`, `1d`.",
        },
        "severity": {
            "enum": list(get_args(Severity)),
            "title": "severity",
            "description": "Required. `critical` or `warning`.",
        },
        "team": {
            **_LINE,
            "title": "the name of a team",
            "description": "Whose it is: one of the five default teams or of `teams`; `default` if nothing is said.",
        },
        "channels": {
            **_CHANNELS,
            "description": "Where it is told, instead of the team's channels; `[]`: nowhere, it is only listed.",
        },
        "runbook": {
            "type": "string",
            "format": "link",
            "title": "a link that begins with https:// or http://, without user and password",
            "description": "Link that messages carry, to what is to be done.",
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "a mapping with the keys teams, policies, defaults, messages_per_hour",
    "additionalProperties": False,
    "properties": {
        "teams": {
            "type": "object",
            "title": "a mapping of teams to lists of channels, such as `security: [pager]`",
            "description": "The channels of each team. One that is not there has those of `default`, or else all.",
            "propertyNames": {**_LINE, "title": "the name of a team"},
            "additionalProperties": {
                **_CHANNELS,
                "minItems": 1,
                "title": "a list of one or more names of channels, each once",
            },
        },
        "policies": {
            "type": "array",
            "title": "a list of policies, each `- name: …`",
            "description": "The first that matches decides; after them come the defaults.",
            "items": _POLICY,
        },
        "defaults": {
            "type": "boolean",
            "title": "true or false",
            "description": "Whether the default policies hold too. Default: `true`.",
        },
        "messages_per_hour": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000,
            "title": "a whole number from 1 to 10,000",
            "description": "For each channel and severity; what is more comes as one summary. Default: 30.",
        },
    },
}


def duration(text: str) -> timedelta:
    """A duration such as 30s, 10m, 2h, 1h30m or 1d. Raises ValueError for anything else, and for over 365 days."""
    if not _DURATION.fullmatch(text):
        raise ValueError("expected a duration such as 30s, 10m, 2h or 1d")
    parts = re.findall(r"([0-9]+)([smhdw])", text)
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > _LONGEST_TIME.total_seconds():
        raise ValueError("expected a duration of up to 365d")
    return timedelta(seconds=seconds)


def schema_faults(data: Any) -> Iterator[Fault]:
    """What the schema says of the data of a file; of missing keys more than once."""
    for error in _validator().iter_errors(data):
        place: Place = tuple(error.absolute_path)
        schema = error.schema
        if error.validator == "additionalProperties":
            known = list(schema["properties"])
            for key in (key for key in error.instance if key not in known):
                yield f"unknown key {shown(key)}: {one_of(key, known)}", (*place, key)
        elif error.validator == "required":
            for name in (name for name in schema["required"] if name not in error.instance):
                found = schema["properties"][name]
                wanted = one_of("", found["enum"]) if "enum" in found else f"expected {found['title']}"
                yield f"`{name}` is missing: {wanted}", place
        elif error.validator == "enum":
            yield f"unknown {schema['title']} {shown(error.instance)}: {one_of(error.instance, schema['enum'])}", place
        elif "propertyNames" in error.absolute_schema_path:
            yield f"`teams`: found {shown(error.instance)}, expected {schema['title']}", (*place, error.instance)
        else:
            yield f"{_said(place)}found {shown(error.instance)}, expected {schema['title']}", place


def one_of(word: Any, known: Collection[str]) -> str:
    """What was expected instead of a word, and which of these is near to it."""
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"expected one of {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else "")


def _said(place: Place) -> str:
    """The keys of the schema that lead to a place; which policy or team it is the line tells."""
    inner = place[2:] if place[:1] == ("policies",) and len(place) > 1 else place[:1] if "teams" in place[:1] else place
    keys = [one for one in inner if isinstance(one, str)]
    return f"`{'.'.join(keys)}`: " if keys else ""


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

    checker = FormatChecker(formats=())
    for name, holds in {"line": _is_line, "link": _is_link, "duration": _is_duration, "number": _is_number}.items():
        checker.checks(name)(holds)
    return Draft202012Validator(SCHEMA, format_checker=checker)


def _is_line(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    return 0 < len(value) <= _LONGEST_LINE and value.isprintable() and value == value.strip()


def _is_link(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    try:
        parts = urlsplit(value)
        whole = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    plain = value.isprintable() and " " not in value and len(value) <= _LONGEST_LINK
    return bool(whole) and plain and parts.scheme in ("http", "https")


def _is_duration(value: Any) -> bool:
    try:
        return not isinstance(value, str) or duration(value) is not None
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return not isinstance(value, float) or value == value
