"""`dg scaffold defs atlas_pipeline.components.Dataset <name> --source …`: a first defs.yaml and contract.yml from data.

Belongs here: writing the guess down for a person to review. Does not belong here: the guess (`ingest/infer.py`).
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from atlas_pipeline.components.declaration import NAME, RESERVED
from atlas_pipeline.ingest.source import PARTITION, FileSource, SourceFile
from atlas_pipeline.settings import Settings, load_settings

_SAMPLE_ROWS = 1_000_000


class ScaffoldError(Exception):
    """The scaffold cannot be written; nothing was. The message says why and what to do."""


class DatasetScaffoldParams(BaseModel):
    """What `dg scaffold defs` takes on its command line for a dataset."""

    source: str = Field(description="Glob of the files: from here, absolute, in the landing folder, or s3://bucket/…")
    key: str | None = Field(None, description="Column that identifies a row; several with commas. Default: a guess.")


class DatasetScaffolder(Scaffolder[DatasetScaffoldParams]):
    """Reads the real files and writes what it sees."""

    @classmethod
    def get_scaffold_params(cls) -> type[DatasetScaffoldParams]:
        """The options of the command."""
        return DatasetScaffoldParams

    def scaffold(self, request: ScaffoldRequest[DatasetScaffoldParams]) -> None:
        """Write defs.yaml and contract.yml. Raises ScaffoldError, after removing the folder that `dg` made."""
        try:
            if request.scaffold_format != "yaml" or request.append:
                raise ScaffoldError("a dataset is scaffolded as YAML in a folder of its own: --format yaml")
            written = _written(request)
        except Exception:
            if not any(request.target_path.iterdir()):
                shutil.rmtree(request.target_path)
            raise
        for name, text in written.items():
            (request.target_path / name).write_text(text, encoding="utf-8")


def _written(request: ScaffoldRequest[DatasetScaffoldParams]) -> dict[str, str]:
    from atlas_pipeline.ingest.batch import FileRefused
    from atlas_pipeline.ingest.infer import Inference, infer
    from atlas_pipeline.ingest.readers import read

    name, params, settings = request.target_path.name, request.params, load_settings()
    if not NAME.fullmatch(name) or name in RESERVED or "__" in name:
        raise ScaffoldError(f"{name!r} cannot be the name of a table: expected a-z, 0-9 and single _, from a letter on")
    for other in (request.project_root or Path()).glob(f"atlas_pipeline/defs/**/{name}/defs.yaml"):
        if other.parent != request.target_path:
            raise ScaffoldError(
                f"there is a dataset {name} already, in {other.parent}: choose another name, or remove that folder"
            )
    pattern, files = _find(params.source, settings)

    def batches() -> Iterator[Any]:
        for file in files:
            with file.open() as stream:
                try:
                    yield from read(stream, file.name)
                except FileRefused as refusal:
                    raise ScaffoldError(f"{file.uri} cannot be read: {refusal.reason}") from None

    keys = [part.strip() for part in params.key.split(",")] if params.key else []
    try:
        guess: Inference = infer(batches(), key=keys[0] if keys else None, max_rows=_SAMPLE_ROWS)
    except ValueError as error:
        raise ScaffoldError(str(error)) from None
    names = [column.name for column in guess.columns]
    if unknown := [key for key in keys if key not in names]:
        raise ScaffoldError(f"--key names {unknown[0]!r}, which is no column: {', '.join(names)}")
    if len(keys) > 1:
        guess = replace(guess, key=None)
    return {
        "defs.yaml": _defs(request.type_name, pattern, guess, keys or ([guess.key] if guess.key else [])),
        "contract.yml": _contract(name, guess, keys or ([guess.key] if guess.key else []), guess.rows < _SAMPLE_ROWS),
    }


def _find(source: str, settings: Settings) -> tuple[str, list[SourceFile]]:
    """The pattern to write, and the files that it matches: as seen from here, else from the landing folder."""
    patterns = [source] if source.startswith(("s3://", "/")) else [str(Path.cwd() / source), source]
    for pattern in patterns:
        files = FileSource(pattern).list(settings)
        if files:
            return pattern, files
    looked = " and ".join(
        patterns if source.startswith(("s3://", "/")) else [patterns[0], f"{settings.landing_path}/{source}"]
    )
    hint = f" `{PARTITION}` stands for a partition key." if PARTITION in source else ""
    raise ScaffoldError(f"no files match {looked}: expected at least one .csv, .tsv, .jsonl or .parquet file.{hint}")


def _defs(type_name: str, pattern: str, guess: Any, keys: list[str]) -> str:
    lines = [
        f"type: {type_name}",
        "",
        "attributes:",
        f"  source: {_flow(pattern)}",
    ]
    if keys:
        lines.append(f"  key: {_flow(keys[0] if len(keys) == 1 else keys)}")
    if guess.latest_by:
        lines.append(f"  latest_by: {_flow(guess.latest_by)}")
    lines.append("  columns:")
    for column in guess.columns:
        entry: dict[str, Any] = {"name": column.name, "type": column.type}
        if column.format:
            entry["format"] = column.format
        if column.null_values:
            entry["null_values"] = list(column.null_values)
        lines.append(f"    - {_flow(entry)}")
    return "\n".join(lines) + "\n"


def _contract(name: str, guess: Any, keys: list[str], complete: bool) -> str:
    """A contract in Soda's language that holds for the rows seen; only a warning where they were a sample."""
    lines = [f"dataset: atlas/atlas/silver/{name}", "", "checks:", "  - schema:", "      allow_extra_columns: true"]
    lines += ["  - row_count:", "      threshold:", "        must_be_greater_than: 0", "", "columns:"]
    warn = [] if complete else ["            level: warn"]
    for column in guess.columns:
        lines.append(f"  - name: {_flow(column.name)}")
        checks: list[str] = []
        if not column.nullable and guess.rows:
            checks += ["      - missing:", "          threshold:", "            must_be: 0", *warn]
        if [column.name] == keys:
            checks += ["      - duplicate:"]
        if column.values:
            values = ", ".join(_flow(value) for value in column.values)
            checks += ["      - invalid:", f"          valid_values: [{values}]"]
            checks += ["          threshold:", "            must_be: 0", "            level: warn"]
        if checks:
            lines += ["    checks:", *checks]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
        .strip()
        .removesuffix("...")
        .strip()
    )
