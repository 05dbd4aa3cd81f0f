"""The names by which one side of Atlas finds in Dagster what another side wrote there: metadata, checks, tags, groups.

Belongs here: every metadata key, check name, tag, group and event name that is written in one room and read in another,
or that dashboards, runbooks and saved searches rely on. Does not belong here: names that only one module uses, names of
metrics (`telemetry/families.yaml`), and Dagster's own keys (`dagster/row_count`). Imports nothing.

A value that is changed here is changed for installations too: events that are in the log keep the old name.
`atlas_pipeline_tests/integration/test_labels.py` pins them.
"""

# Metadata of materializations, written by `orchestration/tables/`.
QUALITY_SCORE = "quality score"
"""Overall score of a table, 0 to 1: read by alerts (`low_score`)."""
PERSONAL_DATA_PLAN = "personal-data plan"
"""Table of columns and their plans: read by the metric `atlas_pii_detections_total`."""
PLAN_ENTITY = "entity"
"""Column of that table: the kind of personal data, empty where there is none."""
PERSONAL_DATA_COLUMNS = "personal-data columns"
ROWS_IN = "rows in"
ROWS_PUBLISHED = "rows published"
ROWS_QUARANTINED = "rows quarantined"
LINES_REJECTED = "lines rejected"
SECONDS = "seconds"

# Metadata of checks, which alerts show as facts.
DIMENSION = "dimension"
CHECK_PATH = "path"
"""Place of a check in its contract: read by the catalogue, to find its outcomes."""
MEASURED = "measured"
THRESHOLD = "threshold"
ROWS_TESTED = "rows tested"
ROWS_FAILED = "rows failed"
HOURS_ALLOWED = "hours allowed"

# Names of checks.
LEAK_CHECK = "leak_check"
"""A failure of it is an alert of its own (`pii_leak`) and a metric of its own (`atlas_pii_leaks_total`)."""
ROWS_FIT = "rows_fit"
"""The warning of a silver table some of whose rows do not fit their types: an alert (`check_failed`)."""
UP_TO_DATE = "up_to_date"
"""The warning of a gold table that is older than what it reads."""
UNIT_TESTS = "model_tests"
"""The unit tests of a gold model, which hold its publication up."""
SMALL_GROUPS = "small_groups"
"""A failure of it means that a gold table would show groups of few persons."""
REIDENTIFICATION = "reidentification"
"""Measures how many rows of persons look the same, in silver and gold."""
ANOMALIES = "anomalies"
"""The warning of a table that is unlike its own history."""
DECLARATION_CHECK = "declaration"
"""Fails while the declaration of a table is wrong; such assets are of the kind below."""
INVALID_KIND = "invalid"
INVALID_REASON = "what is wrong"
NO_CONTRACT = "contract"
"""The warning of a table without a contract."""
BACKUP_COMPLETE, BACKUP_FRESH, BACKUP_RESTORABLE = "complete", "fresh", "restorable"

# Groups.
BACKUPS = "backups"
"""Also the first part of the keys of its assets."""
ALERTS = "alerts"
"""Also the key of its asset."""

# Tags of runs.
DATASET_TAG = "atlas/dataset"
"""The dataset that a run loads: one that is under way is not started again."""

# Tags of columns that were made from personal data.
PII_TAG = "pii"
ACTION_TAG = "action"
