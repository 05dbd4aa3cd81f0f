"""The JSON schema of the policy file: its keys and their values.

Belongs here: what can be said of one value alone; `title` is what is expected of it, `description` is what the
documentation says. Does not belong here: what depends on two values, on channels or on assets (`policy_file.py`).
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any, get_args
from urllib.parse import urlsplit

from atlas_pipeline.alerting.conditions import Condition
from atlas_pipeline.alerting.policy import Severity
from atlas_pipeline.documents import durations
from atlas_pipeline.documents.faults import Fault
from atlas_pipeline.documents.schemas import schema_faults
from atlas_pipeline.event_log.event import Level

CONDITIONS = get_args(Condition)
LONGEST_SELECTION = 1000
"""In characters; Dagster's parser is slow with long ones."""
_LONGEST_LINE = 100
_LONGEST_LINK = 2000
_LONGEST_TIME = timedelta(days=365)
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
    "description": "What the policy watches; everything without it. A subject that any of the three selects matches.",
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
            "description": "Required, unique. It replaces a default of the same name.",
        },
        "watch": _WATCH,
        "when": {
            "type": "array",
            "minItems": 1,
            "title": "a list of one or more conditions, such as [run_failed]",
            "description": "Required. A list of the conditions below.",
            "items": {"enum": list(CONDITIONS)},
        },
        "level": {
            "enum": list(get_args(Level)),
            "description": "`warn` or `error`, such as the severity of a check; without it, both.",
        },
        "below": {
            "type": "number",
            "format": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "title": "a number above 0, up to 1",
            "description": "For `low_score`: fires for a quality score below this. Default: 0.8.",
        },
        "above": {
            "type": "number",
            "format": "number",
            "minimum": 0,
            "maximum": 10**9,
            "title": "a number from 0 to 1,000,000,000",
            "description": "For `queue_long`: fires for more queued runs than this. Default: 100.",
        },
        "for": {
            "type": "string",
            "format": "duration",
            "title": durations.expected(most=_LONGEST_TIME),
            "description": "How long the condition must hold before it fires, such as `30s`, `10m`, `2h`, `1 day`.",
        },
        "severity": {
            "enum": list(get_args(Severity)),
            "description": "Required. `critical` or `warning`.",
        },
        "team": {
            **_LINE,
            "title": "the name of a team",
            "description": "The owner: one of the five default teams or of `teams`. Default: `default`.",
        },
        "channels": {
            **_CHANNELS,
            "description": "Channels to notify, instead of the team's; `[]`: none, the alert is only listed.",
        },
        "runbook": {
            "type": "string",
            "format": "link",
            "title": "a link that begins with https:// or http://, without user and password",
            "description": "Link to instructions, in every message.",
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
            "description": "The channels of each team. A team without an entry has those of `default`, or else all.",
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
            "description": "The first one that matches applies; the defaults come last.",
            "items": _POLICY,
        },
        "defaults": {
            "type": "boolean",
            "title": "true or false",
            "description": "Whether the default policies apply too. Default: `true`.",
        },
        "messages_per_hour": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000,
            "title": "a whole number from 1 to 10,000",
            "description": "Limit for each channel and severity; more are sent as one summary. Default: 30.",
        },
    },
}


def duration(text: str) -> timedelta:
    """A duration such as `30s`, `10m`, `2 hours` or `1d`. Raises DurationError for anything else, and over 365 days."""
    return durations.parse(text, most=_LONGEST_TIME)


def policy_faults(data: Any) -> Iterator[Fault]:
    """The faults of a file by the schema."""
    yield from schema_faults(_validator().iter_errors(data))


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
        complete = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    plain = value.isprintable() and " " not in value and len(value) <= _LONGEST_LINK
    return bool(complete) and plain and parts.scheme in ("http", "https")


def _is_duration(value: Any) -> bool:
    try:
        return not isinstance(value, str) or duration(value) is not None
    except durations.DurationError:
        return False


def _is_number(value: Any) -> bool:
    return not isinstance(value, float) or value == value
