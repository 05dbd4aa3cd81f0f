"""Samples in Prometheus's text format and in OpenMetrics.

Belongs here: writing samples out in the order of the list of families. Does not belong here: where they come from
(`parts/`), and when they are collected (`ops/`).
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from atlas_pipeline.telemetry.families import Family, families
from atlas_pipeline.telemetry.sample import Sample

END = b"# EOF\n"
"""The end of an answer in OpenMetrics; pages come without it, so that they can be put after one another."""
UNITS = ("seconds", "bytes", "ratio")
_ORDER = {"bucket": 0, "sum": 1, "count": 2}


class UnknownSample(ValueError):
    """A sample whose family or labels are not in families.yaml; the message names them, no value of a label."""


def unit_of(family: Family) -> str:
    """The unit that the name ends in, or nothing where it is a count."""
    last = family.name.removesuffix("_total").rpartition("_")[2]
    return last if last in UNITS else ""


def media_type(accept: str) -> tuple[str, bool]:
    """The content type for an Accept header, and whether it is OpenMetrics."""
    content_type = choose_encoder(accept)[1]
    return content_type, content_type.startswith("application/openmetrics-text")


def page(samples: Iterable[Sample], openmetrics: bool) -> bytes:
    """Write samples out, family by family, without `END`.

    Args:
        samples: in any order.
        openmetrics: in that format; else in Prometheus's text format.

    Raises:
        UnknownSample: a family or label is not in families.yaml.
    """
    by_family: dict[str, list[Sample]] = {}
    for sample in samples:
        by_family.setdefault(sample.family, []).append(sample)
    if unknown := by_family.keys() - families().keys():
        raise UnknownSample(f"not in families.yaml: {', '.join(sorted(unknown))}")
    metrics = [_metric(family, by_family[name]) for name, family in families().items() if name in by_family]
    registry = SimpleNamespace(collect=lambda: metrics)
    if openmetrics:
        return bytes(generate_openmetrics(registry)).removesuffix(END)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _metric(family: Family, samples: Iterable[Sample]) -> Metric:
    name = family.name.removesuffix("_total") if family.kind == "counter" else family.name
    metric = Metric(name, family.help, family.kind, unit_of(family))
    samples = list(samples)
    if any(not _fits(family, sample) for sample in samples):
        raise UnknownSample(f"{family.name} has a sample with other labels or parts than in families.yaml")
    if family.kind == "histogram":
        samples.sort(key=_place)
    for sample in samples:
        suffix = f"_{sample.part}" if sample.part else ""
        metric.add_sample(family.name + suffix, dict(sample.labels), sample.value)
    return metric


def _fits(family: Family, sample: Sample) -> bool:
    expected = {*family.labels, "le"} if sample.part == "bucket" else set(family.labels)
    return sample.labels.keys() == expected and (family.kind == "histogram") == (sample.part in _ORDER)


def _place(sample: Sample) -> tuple[list[tuple[str, str]], int, float]:
    """Sort key of a histogram's samples: for each set of labels buckets by bound, then sum and count."""
    labels: Mapping[str, str] = sample.labels
    own = sorted((name, value) for name, value in labels.items() if name != "le")
    return own, _ORDER[sample.part], float(labels.get("le", 0))
