"""The engine `pg_dump`: logical backups by Postgres's own programs, streamed through a bounded spool.

Belongs here: running pg_dump and pg_restore, and what a database holds as far as they keep it. Does not belong here:
compression, encryption and stores, which are behind the sink.

A dump is in pg_dump's directory format. Each big file is an object of its own, under the file's name; small ones, the
roles and the table of contents are in tar files `small-NNNN.tar`. So a backup can be restored without Atlas: unpack
the tar files beside the big files, run roles.sql by psql, pg_restore on the folder, then database.sql by psql.
"""

from atlas_pipeline.backup.pg_dump.engine import PgDump
from atlas_pipeline.backup.pg_dump.state import difference

__all__ = ["PgDump", "difference"]
