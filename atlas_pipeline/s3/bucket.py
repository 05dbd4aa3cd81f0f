"""A bucket: requests that are retried, and fail in words.

Belongs here: how often and how long a request is retried. Does not belong here: what an error means (`errors.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from atlas_pipeline.s3.errors import S3Unavailable, translated

T = TypeVar("T")

MOST_PAUSE_SECONDS = 20


@dataclass(frozen=True)
class Retries:
    """Attempts with exponential back-off and jitter: for about a minute, or no longer than `within_seconds`."""

    attempts: int = 6
    pause_seconds: float = 1.0
    within_seconds: float = float("inf")

    def run(self, action: Callable[[], T]) -> T:
        """Run `action` until it raises no S3Unavailable; raises the last one."""
        retrying = Retrying(
            retry=retry_if_exception_type(S3Unavailable),
            stop=stop_after_attempt(self.attempts) | stop_before_delay(self.within_seconds),
            wait=wait_exponential_jitter(
                multiplier=self.pause_seconds, max=MOST_PAUSE_SECONDS, jitter=self.pause_seconds
            ),
            reraise=True,
        )
        return retrying(action)


@dataclass(frozen=True)
class Bucket:
    """A bucket of a boto3 client. `hints` say what to do about error codes, in place of the general texts."""

    client: Any
    name: str
    retries: Retries = Retries()
    hints: Mapping[str, str] = field(default_factory=dict)

    def ask(self, action: Callable[[], T], key: str, verb: str) -> T:
        """The result of a request, retried where that may help.

        Args:
            action: makes the request with `client`.
            key: the object or prefix that it concerns; empty for the bucket. For messages only.
            verb: what is done to it: written, read, listed, deleted or swept.

        Raises:
            S3Unavailable: all attempts found the server busy or away.
            S3Error: the request is refused.
        """

        def attempt() -> T:
            with translated(self.url(key), verb, self.hints):
                return action()

        return self.retries.run(attempt)

    def url(self, key: str) -> str:
        """s3://bucket/key, for messages."""
        return f"s3://{self.name}/{key}".rstrip("/")
