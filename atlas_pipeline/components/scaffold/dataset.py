"""`dg scaffold defs atlas_pipeline.components.Dataset <name> --source …`: a first defs.yaml and contract.yml from data.

Belongs here: reading the files and writing the guess down for a person to review. Does not belong here: the guess
(`ingest/infer.py`) and the contract's checks (`contract.py`).
"""

import ast
import datetime as dt
import os
import re
import shutil
import zoneinfo
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from pydantic import Field

from atlas_pipeline.components.declaration import NAME_EXPECTED, is_table_name
from atlas_pipeline.components.scaffold.contract import contract, count_checks
from atlas_pipeline.components.scaffold.dialect import DialectParams, Written, fields_of, found_dialect, header_in_doubt
from atlas_pipeline.ingest.sources import SourceError, SourceFile
from atlas_pipeline.ingest.sources.files import FileSource, is_remote
from atlas_pipeline.ingest.sources.patterns import DELIVERY, PARTITION, placeholders
from atlas_pipeline.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from atlas_pipeline.ingest.batch import Batch
    from atlas_pipeline.ingest.dataset import Dataset
    from atlas_pipeline.ingest.infer import ColumnInference, Inference
    from atlas_pipeline.pii.plan import ColumnPlan

_SAMPLE_ROWS = 1_000_000
_PERSONAL_SAMPLE = 20_000
_SAMPLE_A_BATCH = 5_000
_FIRST_VALUES = 100
_STATE_ROWS = 1_000
_SAME_SHARE = 0.6
_PARTITION_FORMATS = {"daily": "%Y-%m-%d", "monthly": "%Y-%m"}
_TEMPLATE_MARKS = ("{{", "{%", "{#")  # Dagster evaluates these in defs.yaml


_NAMES_ELSEWHERE = (
    " If the names are on a line below, say --skip-lines; if there are none, say --header false; if rows end in a "
    "delimiter, say --header false and --skip-lines 1, and name the columns in defs.yaml: `header: [id, name, unused]`"
)


class ScaffoldError(click.ClickException):
    """The scaffold cannot be written; nothing was. `dg` prints the message, which says why and what to do."""


class DatasetScaffoldParams(DialectParams):
    """What `dg scaffold defs` takes on its command line for a dataset."""

    source: str = Field(
        "",
        description="Glob of the files: from here, absolute, in the landing folder, s3://bucket/…, gs://bucket/…, "
        "az://container/… or sftp://host/…. Required.",
    )
    key: str | None = Field(None, description="Column that identifies a row; several with commas. Default: a guess.")
    timezone: str | None = Field(
        None, description="IANA zone of times without an offset, which are instants then. Default: they stay local."
    )


class DatasetScaffolder(Scaffolder[DatasetScaffoldParams]):
    """Reads the real files and writes a declaration and a contract for them."""

    @classmethod
    def get_scaffold_params(cls) -> type[DatasetScaffoldParams]:
        """The options of the command."""
        return DatasetScaffoldParams

    def scaffold(self, request: ScaffoldRequest[DatasetScaffoldParams]) -> None:
        """Write defs.yaml and contract.yml. Raises ScaffoldError, after removing the folder that `dg` made."""
        fresh = not any(request.target_path.iterdir())
        try:
            if request.scaffold_format != "yaml" or request.append:
                raise ScaffoldError("a dataset is scaffolded as YAML in a folder of its own: --format yaml")
            files, notes = _written(request)
            for name, text in files.items():
                (request.target_path / name).write_text(text, encoding="utf-8")
        except BaseException:
            if fresh:
                _remove(request)
            raise
        for note in notes:
            click.echo(note)


def _remove(request: ScaffoldRequest[DatasetScaffoldParams]) -> None:
    """Take back the folder, and those above it that it was the only thing in."""
    shutil.rmtree(request.target_path)
    top = _defs_folder(request)
    for folder in request.target_path.parents:
        if not folder.is_relative_to(top) or folder == top or any(folder.iterdir()):
            return
        folder.rmdir()


def _defs_folder(request: ScaffoldRequest[DatasetScaffoldParams]) -> Path:
    """The project's folder of definitions."""
    root = request.project_root or Path("/")
    above = [folder for folder in request.target_path.parents if folder.is_relative_to(root) and folder.name == "defs"]
    return above[-1] if above else request.target_path.parent


class _Rows:
    """The rows of the files, one file after the other, and what was left out."""

    def __init__(self, pattern: str, files: list[SourceFile], dialect: Written):
        self.pattern = pattern
        self.files = files
        self.dialect = dialect
        self.rules: Counter[str] = Counter()
        self.empty = 0
        self.sample: dict[str, list[str | None]] = {}
        self._columns: list[set[str]] = []
        self._heads: list[dict[str, list[str | None]]] = []

    def __iter__(self) -> Iterator["Batch"]:
        from atlas_pipeline.ingest.batch import FileRefused
        from atlas_pipeline.ingest.limits import Meter, limits_of
        from atlas_pipeline.ingest.readers import read

        for file in self.files:
            self._columns.append(set())
            self._heads.append({})
            try:
                with file.open() as stream:
                    meter = Meter(limits_of(load_settings()), file.bytes)
                    for batch in read(stream, file.name, options=self.dialect.options, meter=meter):
                        meter.rows(len(batch.lines))
                        self.rules.update(reject.rule for reject in batch.rejects)
                        self._columns[-1].update(batch.columns)
                        self._take(batch)
                        yield batch
            except FileRefused as refusal:
                if refusal.rule not in ("empty", "header_only"):
                    hint = _NAMES_ELSEWHERE if refusal.rule in ("empty_column_name", "duplicate_columns") else ""
                    raise ScaffoldError(f"{file.uri} cannot be read: {refusal.reason}{hint}") from None
                self.empty += 1
            except OSError as error:
                raise ScaffoldError(f"{file.uri} cannot be read: {error.strerror or error}") from None

    @property
    def absent(self) -> set[str]:
        """The columns that some of the files lack."""
        read = [columns for columns in self._columns if columns]
        return {name for columns in read for name in columns if not all(name in other for other in read)}

    @property
    def in_json(self) -> bool:
        """Whether some of the files are JSON."""
        return any(".json" in file.name.lower() or ".ndjson" in file.name.lower() for file in self.files)

    @property
    def same_in_all(self) -> str | None:
        """The first column that tells rows apart within each file, and has mostly the same values in all.

        Null for none, and where the names of the files differ in more than numbers.
        """
        heads = [head for head in self._heads if head]
        if len(heads) < 2 or len({re.sub(r"\d+", "0", file.name) for file in self.files}) > 1:
            return None
        for name, first in heads[0].items():
            values = [head.get(name, []) for head in heads]
            if len(first) > 1 and all(None not in one and len(set(one)) == len(one) for one in values):
                sets = [set(one) for one in values]
                if all(len(a & b) >= _SAME_SHARE * min(len(a), len(b)) for a, b in pairwise(sets) if a and b):
                    return name
        return None

    def _take(self, batch: "Batch") -> None:
        """Add some of the rows to the sample in which personal data is looked for."""
        if not self._heads[-1]:
            head = batch.rows.slice(0, _STATE_ROWS)
            self._heads[-1] = {name: head[name].to_pylist() for name in head.column_names}
        for name in batch.rows.column_names:
            taken = self.sample.setdefault(name, [])
            room = min(_SAMPLE_A_BATCH, _PERSONAL_SAMPLE - len(taken))
            if room > 0:
                taken += batch.rows[name].slice(0, room).to_pylist()


def _written(request: ScaffoldRequest[DatasetScaffoldParams]) -> tuple[dict[str, str], list[str]]:
    """The files to write, and what to tell the person who asked for them."""
    from atlas_pipeline.ingest.batch import FileRefused
    from atlas_pipeline.ingest.infer import UnknownKey, infer
    from atlas_pipeline.ingest.sources import ServiceUnavailable

    name, params = request.target_path.name, request.params
    _check_name(request, name)
    if not params.source:
        raise ScaffoldError("--source is missing: expected the path or glob of the files, such as landing/orders/*.csv")
    keys = [part.strip() for part in params.key.split(",") if part.strip()] if params.key else []
    try:
        pattern, files = _find(params.source, load_settings())
        partitions = _partitions(files) if PARTITION in pattern else None
        dialect = found_dialect(files[0], params)
        rows = _Rows(pattern, files, dialect)
        guess: Inference = infer(
            rows,
            key=keys or None,
            max_rows=_SAMPLE_ROWS,
            notation=dialect.notation,
            marks_in_doubt=dialect.marks_in_doubt,
        )
        guess = _in_zone(guess, params.timezone)
    except UnknownKey as error:
        raise ScaffoldError(f"--key names {error}") from None
    except (SourceError, ServiceUnavailable, SettingsError, ValueError, OSError) as error:
        raise ScaffoldError(str(error)) from None
    except FileRefused as refusal:
        raise ScaffoldError(f"{files[0].uri} cannot be read: {refusal.reason}") from None
    if not guess.rows:
        raise ScaffoldError(_no_rows(params.source, rows))
    names = [column.name for column in guess.columns]
    for text in (pattern, *names):
        if any(mark in text for mark in _TEMPLATE_MARKS):
            raise ScaffoldError(
                f"{text!r} holds {{{{ or {{%, which Dagster takes for a template: rename it at the source"
            )
    keys = keys or ([guess.key] if guess.key else [])
    complete = guess.rows < _SAMPLE_ROWS
    dataset = replace(_planned(name, pattern, guess, keys, rows), timezone=params.timezone or "UTC")
    plans = {name: plan for name, plan in dataset.plans.items() if plan.personal}
    if not params.header:
        _check_no_values(files[0], names)
    if params.header is None and _names_people(files[0], dialect, plans, rows.sample):
        raise ScaffoldError(header_in_doubt(files[0].name))
    written = {
        "defs.yaml": _defs(request.type_name, pattern, guess, keys, partitions, plans, rows, params.timezone),
        "contract.yml": contract(dataset, guess, complete=complete, now=dt.datetime.now(dt.UTC)),
    }
    checks, warnings = count_checks(written["contract.yml"])
    notes = [
        *_notes(request.target_path, guess, keys, rows, partitions, complete, plans),
        f"Contract: {_count(checks, 'check')}, {checks - warnings} that must hold and {warnings} that warn.",
        f"Wrote {request.target_path / 'defs.yaml'} and contract.yml beside it. Review `pii:` and `action:` there; "
        f"the next materialization makes bronze.{name} and silver.{name}.",
    ]
    return written, notes


def _in_zone(guess: "Inference", timezone: str | None) -> "Inference":
    """With times without an offset as those of a zone. Raises ValueError for one that there is not."""
    if timezone is None:
        return guess
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"--timezone {timezone!r} is not an IANA time zone such as Europe/Paris") from None
    columns = (
        replace(one, type="timestamp" if one.type == "local_timestamp" else one.type, zoneless=False)
        for one in guess.columns
    )
    return replace(guess, columns=tuple(columns))


def _check_no_values(file: SourceFile, names: list[str]) -> None:
    """Raises ScaffoldError: a name of a column seems to be a value about a person; the message does not quote it."""
    from atlas_pipeline.ingest.column_names import seems_value

    found = next((position for position, name in enumerate(names, 1) if seems_value(name)), None)
    if found:
        raise ScaffoldError(
            f"{file.name}: the name of column {found} seems to be a value about a person, such as an address or a "
            "number, which all could read in the catalogue. Name the column otherwise at the source; if it is a name "
            "in a header row, say --header true"
        )


def _names_people(
    file: SourceFile, dialect: Written, plans: Mapping[str, "ColumnPlan"], sample: Mapping[str, list[str | None]]
) -> bool:
    """Whether a column of people has the name of one, as where the first row of a file is one of values."""
    from atlas_pipeline.ingest.readers import detect
    from atlas_pipeline.pii.text.names import begins_with_given_name

    if detect(file.name)[0] not in ("csv", "tsv", "text", "workbook") or dialect.options.fixed_width:
        return False
    named = [name for name in sample if not dialect.options.csv.names and begins_with_given_name(name)]
    for name in named:
        values = [value for value in sample[name] if value][:_FIRST_VALUES]
        people = sum(map(begins_with_given_name, values))
        if (name in plans and plans[name].entity == "PERSON") or people * 2 > len(values):
            return True
    return False


def _no_rows(source: str, rows: _Rows) -> str:
    """Why there is nothing to tell from."""
    if not rows.rules:
        hint = "" if rows.dialect.options.csv.names else ". If the first row is one of values, say --header false"
        return f"{source}: no rows in {_count(len(rows.files), 'file')}, so there is nothing to tell from{hint}"
    rule, _ = rows.rules.most_common(1)[0]
    hint = "is the delimiter right? Give it with --delimiter" if rule.endswith("_fields") else "bad-input.md says why"
    return f"{source}: {_count(rows.rules.total(), 'line')}, all rejected: {rule}; {hint}"


def _planned(name: str, pattern: str, guess: "Inference", keys: list[str], rows: _Rows) -> "Dataset":
    """The dataset, with what will be done with each column as far as the sample of its rows tells."""
    import pyarrow as pa

    from atlas_pipeline.ingest.dataset import Column, Dataset
    from atlas_pipeline.ingest.planning import as_free_text, decided
    from atlas_pipeline.pii.profile import profile
    from atlas_pipeline.pii.sweep import sweep

    columns = tuple(
        Column(one.name, one.type, one.format, action=None, null_values=one.null_values, digits=one.digits)
        for one in guess.columns
    )
    latest_by = guess.latest_by if keys else None
    dataset = Dataset(name, FileSource(pattern), columns, key=tuple(keys), latest_by=latest_by)
    samples = {
        column.name: pa.array(
            [None if text in column.null_values else text for text in rows.sample.get(column.name, [])], pa.string()
        )
        for column in columns
    }
    profiles = {one.name: one for one in profile(samples)}
    dataset = dataset.planned(decided(dataset, profiles))
    # Of what is kept as text the pipeline sweeps every cell; the values that a contract may list are such cells.
    kept = [column.name for column in dataset.columns if column.treatment == "keep" and column.type in ("text", "json")]
    listed = {column.name: pa.array(column.values or (), pa.string()) for column in guess.columns}
    missed = {one: cells for one in kept if (cells := sweep(pa.chunked_array([samples[one], listed[one]])))}
    return as_free_text(dataset, missed) if missed else dataset


def _check_name(request: ScaffoldRequest[DatasetScaffoldParams], name: str) -> None:
    if not is_table_name(name):
        raise ScaffoldError(f"{name!r} cannot be the name of a table: expected {NAME_EXPECTED}")
    for other in sorted(_defs_folder(request).glob("**/defs.y*ml")):
        if other.parent == request.target_path:
            continue
        try:
            document = yaml.safe_load(other.read_text(encoding="utf-8"))
        except (yaml.YAMLError, OSError, UnicodeDecodeError):
            continue  # `dg check` is what reports it
        if not isinstance(document, dict) or document.get("type") != request.type_name:
            continue
        attributes = document.get("attributes")
        named = attributes.get("name") if isinstance(attributes, dict) else None
        if (named or other.parent.name) == name:
            raise ScaffoldError(
                f"there is a dataset {name} already, in {other.parent}: choose another name, or remove that folder"
            )


def _find(source: str, settings: Settings) -> tuple[str, list[SourceFile]]:
    """The pattern to write, and the files that it matches: as seen from here, else from the landing folder."""
    if is_remote(source):
        places = {source: source}
    else:
        landing = settings.landing_path
        here, there = (Path(os.path.normpath(folder / source)) for folder in (Path.cwd(), landing))
        places = {
            str(path): str(path.relative_to(landing) if path.is_relative_to(landing) else path)
            for path in (here, there)
        }
    for pattern in places.values():
        files = [file for file in FileSource(pattern.replace(DELIVERY, "*")).list(settings) if not file.problem]
        if DELIVERY in pattern:
            files = _newest_delivery(pattern, files)
        if files:
            return pattern, files
    hint = next((f". {place} is a folder: try {place}/*" for place in places if Path(place).is_dir()), "")
    raise ScaffoldError(
        f"no files match {' or '.join(places)}: expected at least one file: .csv, .jsonl, .parquet, .xlsx …{hint}"
    )


def _newest_delivery(pattern: str, files: list[SourceFile]) -> list[SourceFile]:
    """The files of the delivery whose name comes last: each is the whole state, so that keys repeat in the others."""
    names = placeholders(pattern)
    found = [(match["delivery"], file) for file in files if names and (match := names.search(file.uri))]
    newest = max((delivery for delivery, _ in found), default="")
    return [file for delivery, file in found if delivery == newest]


def _partitions(files: list[SourceFile]) -> tuple[str, str]:
    """Kind of partitions, and the first one, as the keys in the files' names say."""
    keys = sorted({file.partition or "" for file in files})
    for kind, format in _PARTITION_FORMATS.items():
        if all(_is_date(key, format) for key in keys):
            return kind, keys[0]
    odd = next(key for key in keys if not any(_is_date(key, format) for format in _PARTITION_FORMATS.values()))
    raise ScaffoldError(f"{PARTITION} stands for {odd!r} in one file: expected days (2024-01-31) or months (2024-01)")


def _is_date(text: str, format: str) -> bool:
    try:
        return dt.datetime.strptime(text, format).strftime(format) == text
    except ValueError:
        return False


def _defs(
    type_name: str,
    pattern: str,
    guess: "Inference",
    keys: list[str],
    partitions: tuple[str, str] | None,
    plans: Mapping[str, "ColumnPlan"],
    rows: _Rows,
    timezone: str | None,
) -> str:
    from atlas_pipeline.ingest.types import joined_type

    lines = [
        f"type: {type_name}",
        "",
        "attributes:",
        f"  source: {_flow(pattern)}",
    ]
    if DELIVERY in pattern:
        lines.append("  mode: snapshot")
    if partitions:
        lines += [f"  partitions: {partitions[0]}", f"  partitions_start: {_flow(partitions[1])}"]
    lines += [f"  {name}: {_flow(value)}" for name, value in fields_of(rows.dialect).items()]
    if keys:
        lines.append(f"  key: {_flow(keys[0] if len(keys) == 1 else keys)}")
        if guess.latest_by:
            lines.append(f"  latest_by: {_flow(guess.latest_by)}")
    if timezone:
        lines.append(f"  timezone: {_flow(timezone)}")
    lines.append("  columns:")
    absent = rows.absent
    jsonl = rows.in_json  # where a key may be missing
    for column in guess.columns:
        entry: dict[str, Any] = {"name": column.name, "type": joined_type(column.type, column.digits)}
        if column.format:
            entry["format"] = column.format
        if column.null_values:
            entry["null_values"] = list(column.null_values)
        if (column.name in absent or (column.nullable and jsonl)) and column.name not in keys:
            entry["optional"] = True
        found = plans.get(column.name)
        if found:
            entry |= {"pii": found.entity, "action": found.action}
        doubt = "  # uncertain: review" if found and found.column_class == "uncertain" else ""
        lines.append(f"    - {_flow(entry)}{doubt}")
    return "\n".join(lines) + "\n"


def _notes(
    folder: Path,
    guess: "Inference",
    keys: list[str],
    rows: _Rows,
    partitions: tuple[str, str] | None,
    complete: bool,
    plans: Mapping[str, "ColumnPlan"],
) -> list[str]:
    """What was found, and what a person should look at. No value of the data is in it."""
    seen = f"{guess.rows:,} rows" if complete else f"the first {guess.rows:,} rows"
    types = Counter(column.type for column in guess.columns)
    notes = [
        f"Read {seen} of {_count(len(rows.files), 'file')}: {_count(len(guess.columns), 'column')} "
        f"({', '.join(f'{count} {type}' for type, count in types.most_common())})."
    ]
    if partitions:
        notes.append(f"Partitions: {partitions[0]}, from {partitions[1]}.")
    notes += rows.dialect.notes
    if fields := fields_of(rows.dialect):
        notes.append(f"Written in its own way: {_flow(fields)}.")
    if rows.rules:
        notes.append(f"{_count(rows.rules.total(), 'line')} cannot be read and will go to quarantine.")
    if rows.empty:
        notes.append(f"{_count(rows.empty, 'file')} without rows will be refused.")
    for column in guess.columns:
        if column.misfits:
            notes.append(f"{column.name}: {_count(column.misfits, 'value')} not {column.type}, for quarantine.")
        if column.type == "text" and column.null_values:
            words = ", ".join(column.null_values)
            notes.append(
                f"{column.name}: {words} means no value, as elsewhere in the files; if it is a code, remove it."
            )
        notes += _doubts(column)
        if column.doubtful:
            words = ", ".join(column.doubtful)
            notes.append(f"{column.name}: if {words} means no value there, add `null_values: [{words}]` to the column.")
    same = rows.same_in_all if not partitions and DELIVERY not in rows.pattern else None
    if same:
        notes.append(
            f"{same}: mostly the same values in all {len(rows.files)} files, as in states of one table. If each file "
            f"is the whole, add `mode: snapshot`{'' if same in keys else f' and `key: {same}`'}: rows that the newest "
            "lacks are then deleted."
        )
    if plans:
        found = ", ".join(f"{name} {plan.entity} ({plan.action})" for name, plan in plans.items())
        notes.append(f"Personal data: {found}.")
    if not keys:
        notes.append(
            "No column looks like a key, so every row is kept. If one identifies a row, add `key: <column>` to "
            f"{folder / 'defs.yaml'}"
        )
    else:
        notes.append(f"Key: {', '.join(keys)}. {_latest(guess, keys)}")
    return notes


def _doubts(column: "ColumnInference") -> list[str]:
    """What a column could be, and is not taken for without being told; and words that are read as no value."""
    found = []
    if column.either_order:
        found.append(
            f"{column.name}: day and month cannot be told apart, so it is text. Declare `type: date` or "
            "`local_timestamp` with a `format` such as '%d/%m/%Y'."
        )
    if column.either_mark:
        found.append(
            f"{column.name}: one point before three digits may part decimals or thousands, so it is text. Say "
            "--decimal . or --decimal , --thousands ."
        )
    if column.zoneless:
        found.append(f"{column.name}: some times have no offset, and are taken for UTC. Declare `timezone:` if not.")
    if column.type != "text" and column.null_values:
        found.append(f"{column.name}: {', '.join(column.null_values)} means no value.")
    return found


def _latest(guess: "Inference", keys: list[str]) -> str:
    winner = f"greatest {guess.latest_by}" if guess.latest_by else "row loaded last"
    unique = len(keys) == 1 and next(column for column in guess.columns if column.name == keys[0]).unique
    found = "No key is there twice." if unique else "A key may be there twice."
    return f"{found} Of rows with the same key the {winner} stays."


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


class _Dumper(yaml.SafeDumper):
    """With double quotes around control characters: between others, U+0085 is read as the end of a line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def _flow(value: Any) -> str:
    return (
        yaml.dump(
            _spelled(value), Dumper=_Dumper, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False
        )
        .strip()
        .removesuffix("...")
        .strip()
    )


def _spelled(value: Any) -> Any:
    """With quotes of their own around texts that Dagster would turn into something else, as it does `None` and `2024`.

    It evaluates what it can read as Python, and its templates tidy the ends of lines.
    """
    if isinstance(value, dict):
        return {name: _spelled(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_spelled(one) for one in value]
    if not isinstance(value, str):
        return value
    if "\r" in value or "\n" in value:
        return repr(value)
    try:
        ast.literal_eval(ast.parse(value, mode="eval"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return repr(value)
