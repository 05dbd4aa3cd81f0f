"""dlt as Atlas runs it: its folders below `ATLAS_HOME`, no configuration but ours, no telemetry, no log of its own.

Belongs here: dlt's run context, and the state of its cursors as JSON. Does not belong here: its sources. Everything of
dlt is imported when it is used: it takes seconds, and is an extra.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atlas_pipeline.ingest.sources import SourceError


@contextmanager
def isolated(home: Path, state: dict[str, Any]) -> Iterator[None]:
    """Run dlt within, with `state` as the state of its cursors, which it changes.

    Without this dlt reads `.dlt/` here and in the user's home, all variables of the environment, and reports its use.

    Raises SourceError when dlt is not installed.
    """
    _require()
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
    from dlt.common.pipeline import StateInjectableContext
    from dlt.common.runtime.run_context import switched_run_context

    context = _context(home)
    container = Container()
    if PluggableRunContext not in container:
        container[PluggableRunContext] = PluggableRunContext(context)
    with switched_run_context(context), container.injectable_context(StateInjectableContext(state=state)):  # type: ignore[arg-type]
        yield


def dump_state(state: dict[str, Any]) -> str:
    """The state as JSON that remembers what is a moment or a decimal."""
    from dlt.common.json import json

    return json.typed_dumps(state)


def load_state(text: str | None) -> dict[str, Any]:
    """The state of that JSON; empty for null. Raises SourceError when dlt is not installed."""
    _require()
    from dlt.common.json import json

    return json.typed_loads(text) if text else {}


def _require() -> None:
    try:
        import dlt  # noqa: F401
    except ImportError as error:
        raise SourceError(
            f"connectors need packages that are not installed ({error.name} is missing): "
            "pip install 'atlas-pipeline[connectors]'"
        ) from None


def _context(home: Path) -> Any:
    from dlt.common.configuration.specs.runtime_configuration import RuntimeConfiguration
    from dlt.common.runtime.run_context import RunContext

    folder = str(home / "dlt")

    class AtlasContext(RunContext):
        """Where dlt is when Atlas runs it."""

        run_dir = local_dir = settings_dir = data_dir = global_dir = property(lambda self: folder)

        def initial_providers(self) -> list[Any]:
            return []

        def initialize_runtime(self, runtime_config: RuntimeConfiguration | None = None) -> None:
            self._runtime_config = RuntimeConfiguration(dlthub_telemetry=False, log_level="CRITICAL")

    return AtlasContext(folder)
