"""What is done with each column of a dataset: as declared, as published before, or as a sample of its rows shows.

Belongs here: the sample from bronze, what stays decided, and drift. Does not belong here: looking at values and the
decision itself (`pii/`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from atlas_pipeline.ingest.copying import FILE_ID, LINE
from atlas_pipeline.ingest.dataset import Column, Dataset
from atlas_pipeline.pii.kinds import KEY_COLUMN_ACTIONS, kind_of
from atlas_pipeline.pii.plan import NOT_PERSONAL, ColumnPlan, ColumnProfile, Declaration, Policy, plan
from atlas_pipeline.pii.record import RecordedPlan, rules_fingerprint
from atlas_pipeline.pii.sweep import PROVEN
from atlas_pipeline.warehouse.arrow import copy_blocks
from atlas_pipeline.warehouse.ledger import LoadedFile, loaded_files

_SAMPLE_ROWS = 20_000
_SAMPLE_CELLS = 1_000_000
_SAMPLE_LETTERS = 5_000
"""Of a cell that is longer, only its beginning is in the sample; the sweep reads it whole."""
_DRIFT_CONFIDENCE = 0.8
FEW_ROWS = 10
"""So many new rows with personal data go to quarantine where none was; more, and the column is another one."""


class PersonalDataDrift(Exception):
    """A column that held no personal data now does; the published table is as it was."""


def plan_columns(
    connection: psycopg.Connection,
    dataset: Dataset,
    files: Sequence[LoadedFile],
    pending: Sequence[LoadedFile],
    recorded: Mapping[str, RecordedPlan],
) -> Dataset:
    """Decide what is done with each column.

    What was detected once stays decided, so that a table does not change its shape from one run to the next: only
    columns without a plan, or that held no value yet, or were found by other rules, are profiled on `files`. Those that
    were clean are profiled again on `pending`. If what is published already looks like personal data, then the
    recognisers know more than when the plan was made, and it stays until somebody asks (`atlas pii renew`).

    Args:
        connection: reads bronze.
        dataset: as declared.
        files: all in bronze.
        pending: those that are not in silver yet.
        recorded: the plans of the published table, by column.

    Returns:
        The dataset with a plan in each column.

    Raises:
        PersonalDataDrift: a column that was clean holds personal data in `pending`.
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
    drifted = _drifted(profile_sample(connection, dataset, clean, pending, known))
    if sum(file.rows for file in pending) <= FEW_ROWS:
        # A few values tell nothing of their column: the sweep finds them one by one.
        drifted = {name: found for name, found in drifted.items() if found.entity not in PROVEN}
    if drifted:
        published = [file for file in files if file not in pending]
        suspects = [column for column in clean if column.name in drifted]
        before = _drifted(profile_sample(connection, dataset, suspects, published, known))
        _check_drift(dataset, {name: found for name, found in drifted.items() if name not in before})
    profiles = known | profile_sample(connection, dataset, new, files, known)
    looked_at = {column.name for column in new}
    return dataset.planned(_as_recorded(decided(dataset, profiles), recorded, looked_at))


def replanned(
    connection: psycopg.Connection, dataset: Dataset, recorded: Mapping[str, RecordedPlan]
) -> list[tuple[ColumnPlan, ColumnPlan]]:
    """What the recognisers of this version would decide otherwise, on what is in bronze; nothing is changed.

    Args:
        connection: reads bronze.
        dataset: as declared.
        recorded: the plans of the published table, by column.

    Returns:
        The recorded plan and today's, of each detected column whose kind, class or action would be another.
    """
    detected = [column for column in dataset.columns if column.detected and column.name in recorded]
    files = loaded_files(connection, dataset.name, pending=False)
    today = decided(dataset, profile_sample(connection, dataset, detected, files))
    pairs = ((recorded[column.name].plan, today[column.name]) for column in detected)
    return [(before, now) for before, now in pairs if _decision(before) != _decision(now)]


def _decision(made: ColumnPlan) -> tuple[str, str | None, str, int]:
    """What differs where prose is read by other recognisers counts too: they cut out other spans."""
    prose = made.column_class == "free_text" and made.action == "redact"
    return made.column_class, made.entity, made.action, made.recognisers if prose else 0


def _as_recorded(
    plans: Mapping[str, ColumnPlan], recorded: Mapping[str, RecordedPlan], looked_at: Collection[str]
) -> dict[str, ColumnPlan]:
    """The plans, with the canonical forms that the published tokens were made of: they stay until the plan is dropped
    (`atlas pii renew`), or the column's kind or action changes. So does the version of the recognisers, but of the
    columns that were `looked_at` now."""
    kept = {}
    for name, made in plans.items():
        before = recorded[name].plan if name in recorded else None
        same = before is not None and (before.entity, before.action) == (made.entity, made.action)
        if before is not None and same:
            made = replace(made, form=before.form)
        if before is not None and name not in looked_at:
            made = replace(made, recognisers=before.recognisers)
        kept[name] = made
    return kept


def decided(dataset: Dataset, profiles: Mapping[str, ColumnProfile]) -> dict[str, ColumnPlan]:
    """Make a plan for each column. Columns that must tell rows apart, or put them in order, stay able to.

    Args:
        dataset: as declared.
        profiles: what the detected columns hold, by name; one that is missing counts as clean.
    """
    declared = {
        column.name: Declaration(column.pii, column.action, column.domain)
        for column in dataset.columns
        if not column.detected or column.domain
    }
    policy = Policy(dataset.policy.actions, declared, dataset.policy.rules, dataset.policy.region)
    plans = {}
    for column in dataset.columns:
        made = plan(profiles.get(column.name) or ColumnProfile(column.name, "clean"), policy)
        if column.detected and column.name == dataset.latest_by:
            made = replace(made, action="keep")
        elif column.detected and column.name in dataset.key and made.action not in KEY_COLUMN_ACTIONS:
            made = replace(made, action="hash")
        plans[column.name] = made
    return plans


def as_free_text(dataset: Dataset, columns: Mapping[str, Mapping[str, int]]) -> Dataset:
    """Plan columns as free text.

    Args:
        dataset: with a plan in each column.
        columns: for each of these columns the number of cells that a sweep found in it, by rule.
    """
    profiles = {
        name: ColumnProfile(name, made.column_class, made.entity, made.confidence, made.evidence).with_swept(
            columns.get(name, {})
        )
        for name, made in dataset.plans.items()
    }
    plans = decided(dataset, profiles)
    before = dataset.plans
    return dataset.planned(
        {
            name: replace(made, form=before[name].form, recognisers=before[name].recognisers)
            for name, made in plans.items()
        }
    )


def detected_clean(dataset: Dataset, recorded: Mapping[str, RecordedPlan]) -> set[str]:
    """The columns that a sample showed to be clean for the first time.

    Args:
        dataset: with a plan in each column.
        recorded: the plans of the published table, by column.
    """
    rules = rules_fingerprint(dataset.policy.rules)
    before = {name for name, plan in recorded.items() if plan.decided_by(rules)}
    return {
        column.name
        for column in dataset.columns
        if column.detected and column.plan and column.plan.action == "keep" and column.name not in before
    }


def profile_sample(
    connection: psycopg.Connection,
    dataset: Dataset,
    columns: Collection[Column],
    files: Sequence[LoadedFile],
    known: Mapping[str, ColumnProfile] | None = None,
) -> dict[str, ColumnProfile]:
    """Profile columns on a sample of rows, which is the same each time: their line numbers hash to a small number.

    Args:
        connection: reads bronze.
        dataset: whose rows are read.
        columns: that are profiled.
        files: whose rows are in the sample.
        known: what other columns of the table hold, as far as it was found before.

    Returns:
        What each column holds, by name.
    """
    if not columns:
        return {}
    others = [_other(column, known or {}) for column in dataset.columns if column not in columns]
    from atlas_pipeline.pii.profile import profile

    sample = _sample(connection, dataset, columns, files)
    texts = {column.name: _without_null_values(sample[column.name], column) for column in columns}
    return {found.name: found for found in profile(texts, dataset.policy.rules, others)}


def _other(column: Column, known: Mapping[str, ColumnProfile]) -> ColumnProfile:
    """What a column holds that is not looked at: as found before, else as declared."""
    declared = column.pii if column.pii != NOT_PERSONAL else None
    return known.get(column.name) or ColumnProfile(column.name, "typed" if declared else "clean", declared)


def _sample(
    connection: psycopg.Connection, dataset: Dataset, columns: Collection[Column], files: Sequence[LoadedFile]
) -> pa.Table:
    present = {name for file in files for name in file.columns}
    rows = sum(file.rows for file in files)
    every = max(1, rows // min(_SAMPLE_ROWS, _SAMPLE_CELLS // len(columns)))
    beginning = sql.SQL("left({}, {})")
    chosen = [
        beginning.format(sql.Identifier(c.name), sql.Literal(_SAMPLE_LETTERS)) if c.name in present else sql.SQL("NULL")
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
    types = {column.name: pa.string() for column in columns}
    blocks = copy_blocks(connection, query, types, _SAMPLE_ROWS) if files else ()
    return pa.concat_tables([pa.schema(types).empty_table(), *blocks])


def _without_null_values(texts: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    if not column.null_values:
        return texts
    missing = pc.is_in(texts, value_set=pa.array(column.null_values, pa.string()))
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def _drifted(profiles: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
    """Those columns that certainly are of one kind of personal data."""
    return {
        name: profile
        for name, profile in profiles.items()
        if profile.column_class == "typed"
        and profile.confidence >= _DRIFT_CONFIDENCE
        and kind_of(profile.entity or "").personal
    }


def _check_drift(dataset: Dataset, profiles: Mapping[str, ColumnProfile]) -> None:
    for name, profile in profiles.items():
        counts = ", ".join(f"{rule} {count:,}" for rule, count in sorted(profile.evidence.items()))
        raise PersonalDataDrift(
            f"silver.{dataset.name} was not published: {name!r} held no personal data and now looks like "
            f"{profile.entity} ({counts}). The published table is as it was. Declare `pii: {profile.entity}` for the "
            "column, or `pii: none` if it holds none, and run again"
        )
