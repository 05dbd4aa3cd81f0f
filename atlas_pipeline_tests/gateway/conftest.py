"""A gateway that several tests share, with two servers behind it that say what they were sent."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from atlas_pipeline_tests.gateway.running import Echo, Gateway, gateway, needs_nginx


@pytest.fixture(scope="session")
def behind() -> Iterator[SimpleNamespace]:
    """Servers for operators, viewers and `atlas ops`."""
    servers = SimpleNamespace(**{name: Echo(name) for name in ("operator", "viewer", "ops")})
    yield servers
    for server in vars(servers).values():
        server.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, behind: SimpleNamespace) -> Iterator[Gateway]:
    """A gateway with all defaults. Tests take users of their own, since limits are by user."""
    needs_nginx()
    ports = {name: f"127.0.0.1:{server.port}" for name, server in vars(behind).items()}
    with gateway(tmp_path_factory.mktemp("gateway"), **ports) as one:
        yield one
