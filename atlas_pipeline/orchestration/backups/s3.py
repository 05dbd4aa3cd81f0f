"""The S3 that backups are kept in, as a Dagster resource.

Belongs here: what backup assets and jobs are handed. Does not belong here: what is stored (`backup/store/s3.py`), and
the sources of datasets, which read S3 by themselves.
"""

from typing import Any

from dagster_aws.s3 import S3Resource

from atlas_pipeline.backup.configured import s3_options
from atlas_pipeline.s3.client import s3_client
from atlas_pipeline.settings import Settings


class BackupS3Resource(S3Resource):
    """dagster-aws's resource, with the client that stores of backups want: the same one as the command line makes.

    Credentials come from where every AWS program takes them. No client is made while backups are in a folder.
    """

    @classmethod
    def of(cls, settings: Settings) -> "BackupS3Resource":
        """The resource as the settings describe it."""
        return cls(**s3_options(settings))

    def get_client(self) -> Any:
        """A client with time limits that leaves retries to the store, and knows servers that are not Amazon's."""
        return s3_client(self.endpoint_url, self.region_name, self.max_attempts)

    def get_object_to_set_on_execution_context(self) -> Any:
        """Itself, since backups in a folder need no client, and may have no way to make one."""
        return self
