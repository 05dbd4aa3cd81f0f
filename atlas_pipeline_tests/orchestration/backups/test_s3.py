"""Backups in a bucket, made by Dagster with its resource, and found by the command line without it."""

import json
import uuid
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster_aws.s3 import S3Resource
from typer.testing import CliRunner

from atlas_pipeline.backup.configured import names
from atlas_pipeline.cli import app
from atlas_pipeline.definitions import defs
from atlas_pipeline.orchestration.backups.assets import step_of
from atlas_pipeline.settings import load_settings
from atlas_pipeline_tests.s3.proxy import Proxy
from atlas_pipeline_tests.servers import BUCKET, S3, SECRET

pytestmark = pytest.mark.slow


@pytest.fixture
def prefix(s3: S3, proxy: Proxy, atlas_env: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where this installation keeps its backups, which it reaches through the proxy."""
    prefix = uuid.uuid4().hex
    monkeypatch.setenv("ATLAS_BACKUP_PLACE", f"s3://{BUCKET}/{prefix}")
    monkeypatch.setenv("ATLAS_S3_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    load_settings.cache_clear()
    return prefix


def test_a_run_stores_its_backups_in_the_bucket(
    s3: S3, proxy: Proxy, prefix: str, warehouse: psycopg.Connection
) -> None:
    found = defs()
    job = found.resolve_job_def("backup_daily")
    given = (found.resources or {})["s3"]
    assert isinstance(given, S3Resource)
    assert given.endpoint_url == f"http://127.0.0.1:{proxy.port}"
    for name in names(load_settings()):
        (step,) = [one for one in job.nodes if one.name == step_of(name)]
        assert "s3" in step.definition.required_resource_keys  # type: ignore[attr-defined]
    proxy.on("PUT", "manifest.json", lambda request: request.error(503, "SlowDown"), times=1)
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    assert proxy.count("PUT", "manifest.json") == 3, "one of them was tried again, by the store and not by the client"
    listed = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")["Contents"]
    stored = {one["Key"].split("/")[2] for one in listed if one["Key"].endswith("/manifest.json")}
    assert len(stored) == 2
    done = CliRunner().invoke(app, ["backup", "list", "--json"])
    assert {one["id"] for one in json.loads(done.stdout)["backups"]} == stored


def test_no_client_is_made_for_a_folder(atlas_env: Path, warehouse: psycopg.Connection) -> None:
    job = defs().resolve_job_def("backup_prune")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_PROFILE", "absent")  # a client could not be made
        assert job.execute_in_process().success
