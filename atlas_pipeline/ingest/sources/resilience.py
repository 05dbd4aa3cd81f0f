"""A circuit breaker for the services that sources depend on.

Belongs here: when a service is not asked any more. Does not belong here: retries, which each kind of source knows
best (`s3.py`, `postgres.py`). A service that failed all attempts of a call is not asked again for 60 seconds: calls
fail at once and say so, so that one dead server does not hold up the other sources of a sensor or run.
"""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import pybreaker

from atlas_pipeline.ingest.sources import ServiceUnavailable

T = TypeVar("T")

PAUSE_SECONDS = 60


@cache
def breaker(service: str) -> pybreaker.CircuitBreaker:
    """The circuit breaker of one service, shared by this process. Only ServiceUnavailable trips it."""
    return pybreaker.CircuitBreaker(
        fail_max=1,
        reset_timeout=PAUSE_SECONDS,
        exclude=[lambda error: not isinstance(error, ServiceUnavailable)],
        throw_new_error_on_trip=False,
        name=service,
    )


def guarded(service: str, action: Callable[[], T]) -> T:
    """Call a service unless it failed within the last minute.

    Args:
        service: its name, for the message and for telling services apart.
        action: the call with its retries; raises ServiceUnavailable when they are used up. Its other exceptions pass
            through and count as answers.

    Raises:
        ServiceUnavailable: it does not answer, or is not asked.
    """
    try:
        return breaker(service).call(action)
    except pybreaker.CircuitBreakerError:
        raise ServiceUnavailable(
            f"{service} did not answer and is left alone for {PAUSE_SECONDS} s; then try again"
        ) from None
