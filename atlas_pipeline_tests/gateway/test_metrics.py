"""What is counted, and that Prometheus reads it."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from atlas_pipeline.telemetry.families import SECONDS, families
from atlas_pipeline_tests.gateway.running import Echo, Gateway, eventually, gateway

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"


def test_everything_is_counted_once(tmp_path: Path) -> None:
    server = Echo("operator")
    with gateway(tmp_path, operator=f"127.0.0.1:{server.port}") as one:
        with one.client("ana") as client:
            for path in ("/runs", "/assets/secret/name", "/_next/static/1.js", "/ops/x"):
                client.get(path)
            client.post("/graphql", json={"query": "mutation { launchRun }"})
            client.request("PROPFIND", "/runs")
        with one.client() as nobody:
            nobody.get("/runs")
        eventually(lambda: len(one.lines("access")) == 7, "all lines are written")
        counted = one.metrics()

        def requests(method: str, path: str, status: int) -> float:
            return counted[f'atlas_http_requests_total{{method="{method}",path="{path}",status="{status}"}}']

        assert requests("GET", "/", 200) == 2
        assert requests("GET", "/", 401) == 1
        assert requests("GET", "/static", 200) == 1
        assert requests("GET", "/ops", 502) == 1
        assert requests("POST", "/graphql", 200) == 1
        assert requests("other", "/", 405) == 1
        assert counted["atlas_http_requests_in_progress"] == 0
        assert counted['atlas_http_request_duration_seconds_count{method="GET",path="/"}'] == 3
        assert counted['atlas_http_request_duration_seconds_bucket{method="GET",path="/",le="+Inf"}'] == 3
        assert counted['atlas_gateway_sign_ins_total{result="succeeded"}'] == 1
        assert counted['atlas_gateway_sign_ins_total{result="missing"}'] == 1
        assert counted['atlas_gateway_mutations_total{role="operator",outcome="accepted"}'] == 1
        assert counted['atlas_gateway_refused_total{reason="read_only"}'] == 1
        assert counted['atlas_gateway_upstream_failures_total{upstream="ops"}'] == 1
        assert counted['atlas_gateway_response_bytes_total{path="/graphql"}'] > 100
        assert counted["atlas_gateway_errors_total"] == 0
        assert not any("secret" in series for series in counted)
    server.close()


def test_prometheus_reads_it(shared: Gateway) -> None:
    if not shutil.which("promtool"):
        pytest.skip("no promtool: apt-get install prometheus")
    with shared.client(shared.another()) as client:
        client.get("/runs")
    text = httpx.get(f"http://127.0.0.1:{shared.metrics_port}/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_families_that_atlas_ops_has_too_are_the_same(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        client.get("/runs")
    text = httpx.get(f"http://127.0.0.1:{shared.metrics_port}/metrics").text
    for name in ("atlas_http_requests_total", "atlas_http_request_duration_seconds", "atlas_http_requests_in_progress"):
        family = families()[name]
        assert f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n" in text
        sample = re.search(rf"^{name}(?:_count)?(?:{{(.*?)}})? ", text, re.MULTILINE)
        assert sample is not None
        assert tuple(re.findall(r'(\w+)="', sample[1] or "")) == family.labels
    bounds = re.findall(r'duration_seconds_bucket{method="GET",path="/",le="([\d.]+)"}', text)
    assert sorted(map(float, bounds)) == sorted(SECONDS)


def test_all_families_are_documented(shared: Gateway) -> None:
    text = httpx.get(f"http://127.0.0.1:{shared.metrics_port}/metrics").text
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    documented = set(re.findall(r"`(atlas_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert names == documented


def test_metrics_are_at_their_own_port_alone(shared: Gateway) -> None:
    with shared.client() as client:
        assert client.get("/metrics").status_code == 401
    assert httpx.get(f"http://127.0.0.1:{shared.metrics_port}/").status_code == 404
