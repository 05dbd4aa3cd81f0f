"""How Atlas calls services that are not its own: time limits, retries with back-off and jitter, a circuit breaker.

Belongs here: the policy, once. Does not belong here: what is called (`source.py`). A service that failed five times in
a row is left alone for 60 seconds, in which calls fail at once and say so; other services go on.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import pybreaker
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

T = TypeVar("T")

FAILURES = 5
PAUSE_SECONDS = 60
ATTEMPTS = 3
CONNECT_SECONDS = 10
READ_SECONDS = 60


class ServiceUnavailable(Exception):
    """An outside service does not answer; the message names the service and the kind of failure."""


@cache
def breaker(service: str) -> pybreaker.CircuitBreaker:
    """The circuit breaker of one service, shared by this process."""
    return pybreaker.CircuitBreaker(fail_max=FAILURES, reset_timeout=PAUSE_SECONDS, name=service)


def call(service: str, action: Callable[[], T], transient: tuple[type[Exception], ...]) -> T:
    """Run `action`, retrying the exceptions in `transient`. Raises ServiceUnavailable.

    Other exceptions pass through and do not count: a service that says no is there.
    """
    guarded = breaker(service)
    refused: list[Exception] = []

    def answered() -> T | None:
        try:
            return action()
        except transient:
            raise
        except Exception as error:  # noqa: BLE001 — raised again below
            refused.append(error)
            return None

    def once() -> T:
        result: Any = guarded.call(answered)
        if refused:
            raise refused[0]
        return result

    retrying = Retrying(
        retry=retry_if_exception_type(transient),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        reraise=True,
    )
    try:
        return retrying(once)
    except pybreaker.CircuitBreakerError:
        raise ServiceUnavailable(
            f"{service} failed {FAILURES} times in a row and is left alone for {PAUSE_SECONDS} s; then try again"
        ) from None
    except transient as error:
        raise ServiceUnavailable(f"{service} does not answer ({type(error).__name__})") from error
