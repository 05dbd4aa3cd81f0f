"""What the outbox does when receivers are well, away, busy, or of no mind to take anything."""

import psycopg
from pydantic import SecretStr

from atlas_pipeline.alerting.channels import Channel, make_channel
from atlas_pipeline.alerting.delivery import deliver
from atlas_pipeline_tests.alerting.made import message, put
from atlas_pipeline_tests.alerting.receivers import Receiver, receiver

UI = "http://localhost:3000"


def hook(to: Receiver, name: str = "hook") -> Channel:
    return make_channel(name, SecretStr(f"webhook+http://{to.address}/in"), UI)


def test_what_is_put_in_is_delivered_in_order_and_once(warehouse: psycopg.Connection, warehouse_url: str) -> None:
    put(warehouse, [message(number) for number in range(20)])
    put(warehouse, [message(number) for number in range(10, 30)])
    with receiver() as to:
        assert len(deliver(warehouse_url, {"hook": hook(to)}, 30)) == 30
        assert deliver(warehouse_url, {"hook": hook(to)}, 30) == []
    assert [request.headers["Idempotency-Key"] for request in to.got] == [f"dedupe-{number}" for number in range(30)]
    assert not any(request.json["repeat"] for request in to.got)
