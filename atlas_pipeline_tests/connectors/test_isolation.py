"""dlt as Atlas runs it: where it connects to, which files it touches, and what is said when it is not installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from atlas_pipeline_tests.connectors.api import serving

pytestmark = pytest.mark.slow

EXTRACT = """
import json, sys
from pathlib import Path
seen = {"connect": [], "open": []}
def hook(event, arguments):
    if event == "socket.connect":
        seen["connect"].append(str(arguments[1]))
    if event == "open" and isinstance(arguments[0], str):
        seen["open"].append(arguments[0])
sys.addaudithook(hook)
from atlas_pipeline.ingest.connectors import RestApi, rest
from atlas_pipeline.ingest.connectors.isolation import isolated
from atlas_pipeline.ingest.connectors.tally import Tally
with isolated(Path(sys.argv[2]), {}):
    rows = [row for block in rest.rows(RestApi(sys.argv[1], "whole"), Tally()) for row in block]
print(json.dumps({"rows": len(rows), **seen}))
"""


def test_nothing_is_asked_but_the_server_and_nothing_is_kept_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".dlt").mkdir(parents=True)
    (home / ".dlt" / "config.toml").write_text("[runtime]\ndlthub_telemetry = true\n")
    (home / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    before = sorted(home.rglob("*"))
    for name, value in (("HOME", str(home)), ("XDG_DATA_HOME", str(home)), ("RUNTIME__DLTHUB_TELEMETRY", "true")):
        monkeypatch.setenv(name, value)
    with serving() as api:
        api.rows = [{"id": 1}]
        line = [sys.executable, "-c", EXTRACT, api.url, str(tmp_path / "atlas")]
        done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=home)
        found = json.loads(done.stdout)
        port = api.url.split(":")[2].partition("/")[0]
        assert "authorization" not in api.headers
    assert found["rows"] == 1
    assert set(found["connect"]) == {f"('127.0.0.1', {port})"}
    assert not [path for path in found["open"] if "/.dlt" in path or path.endswith(".netrc")]
    assert sorted(home.rglob("*")) == before


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['dlt'] = None\n"
        "from pathlib import Path\n"
        "from atlas_pipeline.ingest.connectors.isolation import isolated\n"
        "from atlas_pipeline.ingest.sources import SourceError\n"
        "try:\n"
        "    isolated(Path('x'), {}).__enter__()\n"
        "except SourceError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'atlas-pipeline[connectors]'" in done.stdout
