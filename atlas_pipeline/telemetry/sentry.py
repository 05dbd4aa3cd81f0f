"""Errors for Sentry, where a DSN is set: what failed and where, scrubbed; no machine, request or variable.

Belongs here: when Sentry's library is loaded, what an event holds, and that a failure is sent once. Does not belong
here: the form of errors (`failures.py`), and what is cut out of texts (`scrub.py`). An event is written anew from what
may be sent, so that what the library adds in a later version stays here.
"""

import importlib.metadata
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from atlas_pipeline.settings import Settings
from atlas_pipeline.telemetry import failures
from atlas_pipeline.telemetry.logs import LogContext, asset_of
from atlas_pipeline.telemetry.scrub import Scrubber

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

TRACES: Mapping[str, float] = {"production": 0.1, "staging": 0.5, "development": 0.0}
"""Share of traces that are sent, by environment, where `ATLAS_SENTRY_TRACES` does not say."""

_REMEMBERED = 1000
_FLUSH_SECONDS = 5
_SENT_FIELDS = (
    "event_id",
    "timestamp",
    "start_timestamp",
    "level",
    "platform",
    "environment",
    "release",
    "sdk",
    "logger",
    "type",
)
_TRACE = ("trace_id", "span_id", "parent_span_id", "op", "status", "origin", "start_timestamp", "timestamp")
_RUN_ENDED = {"PIPELINE_FAILURE", "PIPELINE_INIT_FAILURE"}

_started = False


def start(settings: Settings, process: str, scrubber: Scrubber, context: Callable[[], LogContext]) -> None:
    """Send errors of this process to Sentry from now on, if a DSN is set. Later calls do nothing.

    Args:
        settings: the DSN, and the share of traces to send.
        process: the kind of process, a tag of each report.
        scrubber: removes secrets and personal data from reports.
        context: the run, step and asset that the calling thread executes.
    """
    global _started
    dsn = settings.sentry_dsn.get_secret_value() if settings.sentry_dsn else ""
    if not dsn or _started:
        return
    _started = True
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.starlette import StarletteIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration

    traces = settings.sentry_traces
    reports = Reports(process, scrubber, context)
    # `send_default_pii` is off by default; to name it is deprecated, and warned of.
    sentry_sdk.init(
        dsn=dsn,
        environment=settings.environment,
        release=f"atlas-pipeline@{importlib.metadata.version('atlas-pipeline')}",
        server_name="",
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        traces_sample_rate=TRACES[settings.environment] if traces is None else traces,
        before_send=reports.event,
        before_send_transaction=reports.transaction,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda pending, timeout: None),
            DedupeIntegration(),
            ExcepthookIntegration(),
            LoggingIntegration(level=None, sentry_logs_level=None),
            StarletteIntegration(),
            ThreadingIntegration(propagate_scope=False),
        ],
    )
    if process == "run":
        _flush_at_the_end()


def _flush_at_the_end() -> None:
    """Flush in a process of `multiprocessing`, as a run's is, which does not call `atexit` functions."""
    from multiprocessing.util import Finalize

    import sentry_sdk

    Finalize(None, sentry_sdk.flush, kwargs={"timeout": _FLUSH_SECONDS}, exitpriority=100)


class Reports:
    """Filters the events of this process: scrubbed, each failure once."""

    def __init__(self, process: str, scrubber: Scrubber, context: Callable[[], LogContext]):
        self._process, self._scrubber, self._current = process, scrubber, context
        self._messages: deque[str] = deque(maxlen=_REMEMBERED)
        self._runs: deque[str] = deque(maxlen=_REMEMBERED)

    def event(self, event: "Event", hint: "Hint") -> "Event | None":
        """The event to send; None for a failure that was sent before."""
        record = hint.get("log_record")
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        dagster_event = meta.get("dagster_event")
        if meta and self._was_sent(meta, dagster_event):
            return None
        error = getattr(getattr(dagster_event, "event_specific_data", None), "error", None)
        message = str(meta.get("orig_message", "")) if meta else record.getMessage() if record is not None else ""
        message, chain = failures.of_text(message)
        if error is not None:
            chain = failures.of_recorded(error)
        elif hint.get("exc_info") and hint["exc_info"][1] is not None:
            chain = failures.of_exception(hint["exc_info"][1])
        sent = {name: value for name, value in event.items() if name in _SENT_FIELDS}
        sent["tags"] = self._tags(meta, dagster_event)
        if message:
            sent["logentry"] = {"formatted": self._scrubber.text(message)}
        if chain:
            sent["exception"] = {"values": [self._exception(failure) for failure in reversed(chain)]}
        return sent  # type: ignore[return-value]

    def transaction(self, event: "Event", hint: "Hint") -> "Event | None":
        """The trace to send: names and durations, without the request's address, headers and body."""
        sent: dict[str, Any] = {name: value for name, value in event.items() if name in _SENT_FIELDS}
        trace = event.get("contexts", {}).get("trace", {})
        spans: Any = event.get("spans") or []
        sent["transaction"] = self._scrubber.text(str(event.get("transaction", "")))
        sent["tags"] = {"process": self._process}
        sent["contexts"] = {"trace": {name: trace[name] for name in _TRACE if name in trace}}
        sent["spans"] = [{name: span[name] for name in _TRACE if name in span} for span in spans]
        return sent  # type: ignore[return-value]

    def _was_sent(self, meta: Mapping[str, Any], dagster_event: Any) -> bool:
        """Whether it was sent: several loggers get one message, and a failed step is logged as a failed run too."""
        kind, run = getattr(dagster_event, "event_type_value", ""), str(meta.get("run_id"))
        message = str(meta.get("log_message_id") or meta.get("orig_message"))
        if message in self._messages or (kind in _RUN_ENDED and run in self._runs):
            return True
        self._messages.append(message)
        if kind == "STEP_FAILURE":
            self._runs.append(run)
        return False

    def _tags(self, meta: Mapping[str, Any], dagster_event: Any) -> dict[str, str]:
        context: Mapping[str, Any] = self._current()
        if meta:
            step, key = meta.get("step_key"), getattr(dagster_event, "asset_key", None)
            asset = "/".join(key.path) if key is not None else asset_of(step)
            context = {"run_id": meta.get("run_id"), "job": meta.get("job_name"), "step": step, "asset": asset}
        tags = {"run": context.get("run_id"), **{name: context.get(name) for name in ("job", "asset", "step")}}
        return {"process": self._process, **{name: value for name, value in tags.items() if value}}

    def _exception(self, failure: failures.Failure) -> dict[str, Any]:
        module, _, name = failure["type"].rpartition(".")
        frames = [
            {
                "filename": frame["file"].partition("site-packages/")[2] or frame["file"],
                "function": frame["function"],
                "lineno": frame["line"],
                "in_app": "atlas_pipeline" in frame["file"],
            }
            for frame in failure["frames"]
        ]
        report: dict[str, Any] = {"type": name, "module": module or None, "stacktrace": {"frames": frames}}
        if "words" in failure:
            report["value"] = self._scrubber.text(failure["words"])
        return report
