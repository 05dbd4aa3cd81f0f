"""The `freshness:` section of a table: how old it may get before Dagster reports it stale, without a run.

Belongs here: the section's fields and Dagster's policy. Does not belong here: how old the rows in a table are, which a
contract's `freshness` check measures.
"""

import datetime as dt
import zoneinfo

import dagster as dg
from dagster_shared.check.functions import CheckError
from pydantic import Field

from atlas_pipeline.components.declaration import Declared, Described
from atlas_pipeline.documents import durations

_LEAST = dt.timedelta(minutes=1)


class Freshness(Described):
    """When a table counts as stale: by its age, or by a time of day."""

    fail_after: str | None = Field(None, description="Age at which it is stale, such as 26h or 2 days.")
    warn_after: str | None = Field(None, description="Age at which the UI warns; less than `fail_after`.")
    deadline: str | None = Field(
        None, description="Cron expression of the moments at which it must be fresh, instead of `fail_after`."
    )
    within: str | None = Field(None, description="How long before each deadline it must have been materialized.")
    timezone: str = Field("UTC", description="IANA zone of `deadline`.")


def freshness_policy(component: Declared, section: Freshness | None) -> dg.FreshnessPolicy | None:
    """Dagster's freshness policy for a component.

    Args:
        component: the declaration, for file and line of errors.
        section: its `freshness:` section, if it has one.

    Raises:
        DeclarationError: for keys that do not go together, and values that Dagster does not take.
    """
    if section is None:
        return None
    if (section.fail_after is None) == (section.deadline is None):
        raise component.fail("freshness: expected either `fail_after` or `deadline`", "freshness")
    if section.deadline is None:
        if section.within is not None:
            raise component.fail("freshness: `within` goes with `deadline`", "freshness", "within")
        fail = _duration(component, "fail_after", section.fail_after or "", _LEAST)
        warn = _duration(component, "warn_after", section.warn_after) if section.warn_after else None
        if warn is not None and warn >= fail:
            raise component.fail("freshness: warn_after must be less than fail_after", "freshness", "warn_after")
        return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warn)
    if section.warn_after is not None:
        raise component.fail("freshness: `warn_after` goes with `fail_after`", "freshness", "warn_after")
    if section.within is None:
        raise component.fail("freshness: `deadline` needs `within`, such as 2h", "freshness", "deadline")
    try:
        zoneinfo.ZoneInfo(section.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        message = f"freshness: {section.timezone!r} is not an IANA time zone such as Europe/Paris"
        raise component.fail(message, "freshness", "timezone") from None
    window = _duration(component, "within", section.within)
    try:
        return dg.FreshnessPolicy.cron(section.deadline, window, section.timezone)
    except CheckError as error:
        text = str(error).removeprefix("Invariant failed. Description: ")
        raise component.fail(f"freshness: deadline {section.deadline!r}: {text}", "freshness", "deadline") from None


def _duration(component: Declared, field: str, text: str, least: dt.timedelta = durations.ZERO) -> dt.timedelta:
    try:
        return durations.parse(text, least)
    except durations.DurationError as error:
        raise component.fail(f"freshness: {field}: {error}", "freshness", field) from None
