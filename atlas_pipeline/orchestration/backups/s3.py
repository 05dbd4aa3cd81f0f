"""S3 as a Dagster resource for backups.

Belongs here: what backup assets and jobs are given. Does not belong here: what is stored (`backup/store/s3.py`), and
the sources of datasets, which make their own client (`ingest/sources/s3.py`).
"""

from typing import Any

from dagster_aws.s3 import S3Resource

from atlas_pipeline.backup.configured import s3_options
from atlas_pipeline.s3.client import s3_client
from atlas_pipeline.settings import Settings


class BackupS3Resource(S3Resource):
    """dagster-aws's resource with the client of the room `s3/`, which the command line uses too.

    Credentials come from the standard AWS variables and files. No client is made while backups are in a folder.
    """

    @classmethod
    def of(cls, settings: Settings) -> "BackupS3Resource":
        """The resource as the settings describe it."""
        return cls(**s3_options(settings))

    def get_client(self) -> Any:
        """A client with timeouts that leaves retries to the store, and works with S3-compatible servers."""
        return s3_client(self.endpoint_url, self.region_name, self.max_attempts)

    def get_object_to_set_on_execution_context(self) -> Any:
        """The resource itself: backups in a folder need no client, and the AWS configuration may allow none."""
        return self
