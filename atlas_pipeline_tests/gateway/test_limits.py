"""How often a client may ask, and how it is told."""

import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from atlas_pipeline_tests.gateway.running import Echo, Gateway, eventually, gateway

pytestmark = pytest.mark.slow

QUERY = {"query": "{ version }"}
BROWSER = {"Sec-Fetch-Site": "same-origin"}


def test_the_61st_request_of_a_minute_is_refused(shared: Gateway) -> None:
    began = time.monotonic()
    with shared.client(shared.another()) as client:
        assert [client.post("/graphql", json=QUERY).status_code for _ in range(60)] == [200] * 60
        refused = client.post("/graphql", json=QUERY)
        assert client.get("/report_asset_check/x").status_code == 429
        assert client.get("/assets").status_code == 200
    assert refused.status_code == 429
    assert 59 - (time.monotonic() - began) <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["status"] == 429
    with shared.client(shared.another()) as other:
        assert other.post("/graphql", json=QUERY).status_code == 200
    assert shared.metrics()['atlas_gateway_rate_limited_total{limit="api_minute"}'] >= 2


def test_all_addresses_of_a_user_count_together(shared: Gateway) -> None:
    user = shared.another()
    with shared.client(user, address="127.0.0.2") as here, shared.client(user, address="127.0.0.3") as there:
        answers = [client.post("/graphql", json=QUERY).status_code for _ in range(31) for client in (here, there)]
    assert answers == [200] * 60 + [429] * 2


def test_the_pages_of_the_browser_have_a_limit_of_their_own(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        answers = {client.post("/graphql", json=QUERY, headers=BROWSER).status_code for _ in range(150)}
        assert answers == {200}
        assert client.post("/graphql", json=QUERY).status_code == 200


def test_a_thousand_in_an_hour(tmp_path: Path, behind: SimpleNamespace) -> None:
    ports = {name: f"127.0.0.1:{server.port}" for name, server in vars(behind).items()}
    began = time.monotonic()
    with gateway(tmp_path, api_limits="5000/60,1000/3600", **ports) as one, one.client("ana") as client:
        answers = [client.get("/graphql?query={version}").status_code for _ in range(1000)]
        assert set(answers) == {200}
        refused = client.get("/graphql?query={version}")
    assert refused.status_code == 429
    assert 3599 - (time.monotonic() - began) <= int(refused.headers["Retry-After"]) <= 3600


def test_a_request_counts_for_as_long_as_the_window(tmp_path: Path) -> None:
    server = Echo("operator")
    with gateway(tmp_path, api_limits="3/2", operator=f"127.0.0.1:{server.port}") as one, one.client("ana") as client:

        def burst() -> list[httpx.Response]:
            answers = [client.get("/graphql?query={version}") for _ in range(4)]
            return [answer for answer in answers if answer.status_code == 429]

        refused = eventually(burst, "four come within the window")
        assert {answer.headers["Retry-After"] for answer in refused} <= {"1", "2"}
        eventually(lambda: client.get("/graphql?query={version}").status_code == 200, "the window passes")
    server.close()


@pytest.mark.parametrize("wrong", ["60", "x/60", "0/60", "60/0", ""])
def test_limits_that_are_none_are_refused(tmp_path: Path, wrong: str) -> None:
    one = Gateway(tmp_path, api_limits=wrong or ",")
    assert "GATEWAY_API_LIMITS" in one.refusal()


def test_ten_failed_attempts_to_sign_in_stop_an_address(shared: Gateway) -> None:
    user = shared.another("viewer")
    with shared.client(user, address="127.0.0.9") as known:
        assert known.get("/").status_code == 200
        with shared.client(user, address="127.0.0.9", password="wrong") as guesser:
            answers = [guesser.get("/").status_code for _ in range(11)]
            assert answers == [401] * 10 + [429]
            assert 1 <= int(guesser.get("/").headers["Retry-After"]) <= 60
        assert known.get("/").status_code == 200, "who has signed in goes on"
    with shared.client(shared.another(), address="127.0.0.9") as late:
        assert late.get("/").status_code == 429
    with shared.client(shared.another(), address="127.0.0.10") as elsewhere:
        assert elsewhere.get("/").status_code == 200


def test_who_asks_too_much_is_told_so_in_the_log(shared: Gateway) -> None:
    with shared.client(shared.another()) as client:
        answers: list[httpx.Response] = [client.get("/server_info") for _ in range(61)]
    line = shared.line("access", answers[-1])
    assert (line["status"], line["reason"]) == (429, "api_limit")
