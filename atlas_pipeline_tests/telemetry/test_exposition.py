"""What is served is what Prometheus's own tools take, of every family in the list."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from atlas_pipeline.telemetry.exposition import END, UNITS, UnknownSample, media_type, page, unit_of
from atlas_pipeline.telemetry.families import families
from atlas_pipeline.telemetry.parts.tally import Tally
from atlas_pipeline.telemetry.sample import Sample

PROMTOOL = shutil.which("promtool")
ODD = 'a "b"\\c\nd é'


def one_of_each() -> Iterator[Sample]:
    tally = Tally()
    for family in families().values():
        labels = dict.fromkeys(family.labels, ODD)
        if family.kind == "histogram":
            tally.observe(family.name, 0.3, **labels)
            tally.observe(family.name, 1e9, **labels)
        else:
            yield Sample(family.name, labels, 1.5)
    yield from tally.samples()


def test_there_are_sixty_families_and_each_has_help_and_a_known_unit() -> None:
    assert len(families()) >= 60
    for family in families().values():
        assert family.help.endswith(".")
        assert unit_of(family) in ("", *UNITS)
        assert (family.kind == "counter") == family.name.endswith("_total")


@pytest.mark.parametrize("openmetrics", [False, True])
def test_every_family_reads_back_as_it_was(openmetrics: bool) -> None:
    text = page(one_of_each(), openmetrics).decode()
    read = list(parse_openmetrics(text + END.decode()) if openmetrics else parse(text))
    names = {one.name + ("_total" if one.type == "counter" else "") for one in read}
    assert names == families().keys()
    for metric in read:
        family = families()[metric.name + ("_total" if metric.type == "counter" else "")]
        assert (metric.type, metric.documentation) == (family.kind, family.help)
        assert all(set(sample.labels) - {"le"} == set(family.labels) for sample in metric.samples)
        assert all(sample.labels[name] == ODD for sample in metric.samples for name in family.labels)
        if openmetrics:
            assert metric.unit == unit_of(family)


def test_a_histogram_has_its_buckets_in_order_and_adds_up() -> None:
    tally = Tally()
    for value in (0.001, 0.2, 0.2, 99):
        tally.observe("atlas_db_query_duration_seconds", value, database="warehouse")
    [metric] = parse(page(reversed(list(tally.samples())), openmetrics=False).decode())
    buckets = [(float(one.labels["le"]), one.value) for one in metric.samples if one.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert dict(buckets) | {0.005: 1, 0.25: 3, 10: 3, float("inf"): 4} == dict(buckets)
    rest = {one.name.rpartition("_")[2]: one.value for one in metric.samples if "le" not in one.labels}
    assert rest == {"count": 4, "sum": pytest.approx(99.401)}


@pytest.mark.parametrize(
    "sample",
    [
        Sample("atlas_nothing", {}, 1),
        Sample("atlas_uptime_seconds", {"run": "1"}, 1),
        Sample("atlas_db_up", {}, 1),
        Sample("atlas_db_up", {"database": "warehouse"}, 1, "sum"),
        Sample("atlas_db_query_duration_seconds", {"database": "warehouse"}, 1),
    ],
)
def test_what_is_not_in_the_list_cannot_be_served(sample: Sample) -> None:
    with pytest.raises(UnknownSample):
        page([sample], openmetrics=False)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", True),
        ("nonsense;;;=,,", False),
    ],
)
def test_the_format_is_the_one_that_is_accepted(accept: str, openmetrics: bool) -> None:
    content_type, chosen = media_type(accept)
    assert chosen is openmetrics
    assert content_type.startswith("application/openmetrics-text" if openmetrics else "text/plain")


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine: apt-get install prometheus")
def test_promtool_accepts_every_family_without_a_warning() -> None:
    assert PROMTOOL
    given = page(one_of_each(), openmetrics=False)
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=given, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
