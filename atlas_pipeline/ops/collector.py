"""Collect samples in the background, so that a scrape only reads what is cached, however many come at once.

Belongs here: when parts are asked, and what of them is still good. Does not belong here: the parts.
"""

import gzip
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from atlas_pipeline.telemetry.exposition import END, page
from atlas_pipeline.telemetry.parts.tally import Tally
from atlas_pipeline.telemetry.sample import Part, Sample

_LOG = logging.getLogger("atlas.ops")
_LEVEL = 1
"""Of compression: a scrape is on the network for less time than a better level takes."""


@dataclass(frozen=True)
class Source:
    """A part of the answer: asked every so many seconds; older than `good_for` seconds it is missing.

    A part that returns the very object that it returned before has nothing new.
    """

    name: str
    part: Part
    every: float
    good_for: float


class _CachedSamples:
    """The last samples of a part, and the text that they are served as."""

    def __init__(self, samples: Iterable[Sample], kept: Sequence[Sample], at: float, seconds: float):
        self.samples = samples
        self.kept = kept
        self.at = at
        self.seconds = seconds
        self._pages: dict[bool, bytes] = {}

    def page(self, openmetrics: bool) -> bytes:
        """The text, which is made once."""
        if openmetrics not in self._pages:
            self._pages[openmetrics] = page(self.kept, openmetrics)
        return self._pages[openmetrics]

    def keep_pages(self, before: "_CachedSamples") -> None:
        """Reuse the text that was made of the same samples."""
        self._pages = before._pages


class Collector:
    """Asks its sources, each in a thread of its own, from `start` until `stop`."""

    def __init__(self, sources: Sequence[Source], tally: Tally, build: Sequence[Sample]):
        self._sources = sources
        self._tally = tally
        self._build = build
        self._began = time.monotonic()
        self._cached: dict[str, _CachedSamples | None] = {}
        self._failures: dict[str, str] = {}
        self._formats: set[bool] = set()
        self._over = threading.Event()
        self.in_progress = 0

    def start(self) -> None:
        """Begin to ask."""
        for source in self._sources:
            threading.Thread(target=self._run, args=(source,), name=f"part {source.name}", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    @property
    def uptime(self) -> float:
        """Seconds since this was made."""
        return time.monotonic() - self._began

    def answer(self, openmetrics: bool, compressed: bool) -> bytes:
        """All samples as they are now. A format that was asked for before is ready, but for this process's own samples.

        Args:
            openmetrics: in that format; else in Prometheus's text format.
            compressed: with gzip.
        """
        self._formats.add(openmetrics)
        good = {source.name: self._good(source) for source in self._sources if source.name in self._cached}
        own = page(self._own(good), openmetrics)
        pages = [own, *(cached.page(openmetrics) for cached in good.values() if cached is not None)]
        whole = b"".join([*pages, END] if openmetrics else pages)
        return gzip.compress(whole, _LEVEL) if compressed else whole

    def series(self) -> int:
        """How many series an answer has."""
        good = {source.name: self._good(source) for source in self._sources if source.name in self._cached}
        return sum(1 for _ in self._own(good)) + sum(len(cached.kept) for cached in good.values() if cached)

    def _good(self, source: Source) -> _CachedSamples | None:
        cached = self._cached.get(source.name)
        return cached if cached is not None and time.monotonic() - cached.at <= source.good_for else None

    def _own(self, good: dict[str, _CachedSamples | None]) -> Iterator[Sample]:
        own = [
            *self._build,
            *self._tally.samples(),
            Sample("atlas_http_requests_in_progress", {}, self.in_progress),
            Sample("atlas_uptime_seconds", {}, self.uptime),
        ]
        for name, cached in good.items():
            own.append(Sample("atlas_scrape_part_up", {"part": name}, cached is not None))
            if cached is not None:
                own.append(Sample("atlas_scrape_part_duration_seconds", {"part": name}, cached.seconds))
        yield from own
        others = sum(len(cached.kept) for cached in good.values() if cached is not None)
        yield Sample("atlas_metrics_series", {}, len(own) + 1 + others)

    def _run(self, source: Source) -> None:
        while not self._over.is_set():
            started = time.monotonic()
            try:
                before, samples = self._cached.get(source.name), source.part()
                kept = before.kept if before is not None and samples is before.samples else list(samples)
                now = _CachedSamples(samples, kept, started, time.monotonic() - started)
                if before is not None and kept == before.kept:
                    now.keep_pages(before)
                for openmetrics in tuple(self._formats):
                    now.page(openmetrics)
                self._cached[source.name] = now
                self._failures.pop(source.name, None)
            except Exception as error:  # noqa: BLE001 — whatever it is, the other parts are answered
                self._cached[source.name] = None
                if self._failures.get(source.name) != type(error).__name__:
                    self._failures[source.name] = type(error).__name__
                    _LOG.warning("the part %s is missing: %s", source.name, type(error).__name__)
            self._over.wait(max(0.0, source.every - (time.monotonic() - started)))
