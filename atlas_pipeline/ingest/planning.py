"""What is done with each column of a dataset: as declared, as published before, or as a sample of its rows shows.

Belongs here: the sample from bronze, what stays decided, and drift. Does not belong here: looking at values and the
decision itself (`pii/`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import psycopg
import pyarrow as pa
from psycopg import sql

from atlas_pipeline.ingest.bronze import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.pii.kinds import KEY_COLUMN_ACTIONS, kind_of
from atlas_pipeline.pii.plan import ColumnPlan, ColumnProfile, Declaration, Policy, plan
from atlas_pipeline.pii.record import RecordedPlan, rules_fingerprint
from atlas_pipeline.warehouse.ledger import LoadedFile

_SAMPLE_ROWS = 20_000
_SAMPLE_CELLS = 1_000_000
_SAMPLE_LETTERS = 5_000
"""Of a cell that is longer, only its beginning is in the sample; the sweep reads it whole."""
_DRIFT_CONFIDENCE = 0.8


class PersonalDataDrift(Exception):
    """A column that held no personal data now does; the published table is as it was."""


def plan_columns(
    connection: psycopg.Connection,
    dataset: Dataset,
    files: Sequence[LoadedFile],
    pending: Sequence[LoadedFile],
    recorded: Mapping[str, RecordedPlan],
) -> Dataset:
    """The dataset with a plan in each column.

    What was detected once stays decided, so that a table does not change its shape from one run to the next: only
    columns without a plan, or that held no value yet, or were found by other rules, are profiled on `files`. Those that
    were clean are profiled again on `pending`. Raises PersonalDataDrift when one of these is clean no more.
    """
    rules = rules_fingerprint(dataset.policy.rules)
    detected = [column for column in dataset.columns if column.detected]
    known = {
        column.name: recorded[column.name].profile
        for column in detected
        if column.name in recorded and recorded[column.name].decided_by(rules)
    }
    new = [column for column in detected if column.name not in known]
    clean = [column for column in detected if column.name in known and known[column.name].column_class == "clean"]
    _check_drift(dataset, profile_sample(connection, dataset, clean, pending))
    profiles = known | profile_sample(connection, dataset, new, files)
    return dataset.planned(decided(dataset, profiles))


def decided(dataset: Dataset, profiles: Mapping[str, ColumnProfile]) -> dict[str, ColumnPlan]:
    """A plan for each column. Columns that must tell rows apart, or put them in order, stay able to."""
    said = {
        column.name: Declaration(column.pii, column.action, column.domain)
        for column in dataset.columns
        if not column.detected or column.domain
    }
    policy = Policy(dataset.policy.actions, said, dataset.policy.rules)
    plans = {}
    for column in dataset.columns:
        one = plan(profiles.get(column.name) or ColumnProfile(column.name, "clean"), policy)
        if column.detected and column.name == dataset.latest_by:
            one = replace(one, action="keep")
        elif column.detected and column.name in dataset.key and one.action not in KEY_COLUMN_ACTIONS:
            one = replace(one, action="hash")
        plans[column.name] = one
    return plans


def freed(dataset: Dataset, columns: Mapping[str, Mapping[str, int]]) -> Dataset:
    """The dataset with these columns planned as free text, for what a sweep found in them by rule."""
    profiles = {
        name: ColumnProfile(name, one.column_class, one.entity, one.confidence, one.evidence).with_swept(
            columns.get(name, {})
        )
        for name, one in dataset.plans.items()
    }
    return dataset.planned(decided(dataset, profiles))


def detected_clean(dataset: Dataset, recorded: Mapping[str, RecordedPlan]) -> set[str]:
    """The columns that this very plan found clean in a sample, and no published one before it."""
    rules = rules_fingerprint(dataset.policy.rules)
    before = {name for name, one in recorded.items() if one.decided_by(rules)}
    return {
        column.name
        for column in dataset.columns
        if column.detected and column.plan and column.plan.action == "keep" and column.name not in before
    }


def profile_sample(
    connection: psycopg.Connection, dataset: Dataset, columns: Collection[Column], files: Sequence[LoadedFile]
) -> dict[str, ColumnProfile]:
    """Profiles of these columns, from the same rows each time: those whose line numbers hash to a small number."""
    if not columns:
        return {}
    from atlas_pipeline.pii.profile import profile

    present = {name for file in files for name in file.columns}
    rows = sum(file.rows for file in files)
    every = max(1, rows // min(_SAMPLE_ROWS, _SAMPLE_CELLS // len(columns)))
    beginning = sql.SQL("left({}, {})")
    chosen = [
        beginning.format(sql.Identifier(c.name), sql.Literal(_SAMPLE_LETTERS))
        if c.name in present
        else sql.SQL("NULL::text")
        for c in columns
    ]
    query = sql.SQL(
        "SELECT {} FROM {} WHERE {} = ANY({}) AND (({} * 2654435761) & 4294967295) % {} = 0 ORDER BY {}, {}"
    ).format(
        sql.SQL(", ").join(chosen),
        sql.Identifier("bronze", dataset.name),
        sql.Identifier(FILE_ID),
        sql.Literal([file.file_id for file in files]),
        sql.Identifier(LINE),
        sql.Literal(every),
        sql.Identifier(FILE_ID),
        sql.Identifier(LINE),
    )
    found = connection.execute(query).fetchall() if files else []
    values = zip(*found, strict=True) if found else ([] for _ in columns)
    table = {c.name: _sampled(c, list(texts)) for c, texts in zip(columns, values, strict=True)}
    return {one.name: one for one in profile(table, dataset.policy.rules)}


def _sampled(column: Column, texts: Iterable[str | None]) -> pa.Array:
    return pa.array([None if text in column.null_values else text for text in texts], pa.string())


def _check_drift(dataset: Dataset, profiles: Mapping[str, ColumnProfile]) -> None:
    for name, one in profiles.items():
        if one.column_class != "typed" or one.confidence < _DRIFT_CONFIDENCE or not kind_of(one.entity or "").personal:
            continue
        counts = ", ".join(f"{rule} {count:,}" for rule, count in sorted(one.evidence.items()))
        raise PersonalDataDrift(
            f"silver.{dataset.name} was not published: {name!r} held no personal data and now looks like {one.entity} "
            f"({counts}). The published table is as it was. Declare `pii: {one.entity}` for the column, or "
            "`pii: none` if it holds none, and run again"
        )
