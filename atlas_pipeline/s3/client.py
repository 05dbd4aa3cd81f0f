"""The boto3 client for S3: endpoint, credentials, timeouts, checksums.

Belongs here: its configuration, once. Does not belong here: retries (`bucket.py`), so that a request is not retried
twice over.
"""

from typing import Any

from atlas_pipeline.s3.errors import S3Error

CONNECT_SECONDS = 10
READ_SECONDS = 60


def s3_client(endpoint_url: str | None, region_name: str | None, max_attempts: int = 1) -> Any:
    """A boto3 client, which threads may share. It follows a bucket to its region by itself.

    Checksums are sent and verified only where the API requires them: many S3-compatible servers refuse the trailers
    that botocore adds since 1.36.

    Args:
        endpoint_url: address of an S3-compatible server, which is then addressed by path; null for Amazon's.
        region_name: AWS region; null leaves it to the AWS configuration.
        max_attempts: attempts that botocore makes by itself; `Bucket` retries, so that one is enough.

    Raises:
        S3Error: the AWS configuration cannot be used, such as a profile that does not exist.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": max_attempts},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    try:
        session = boto3.session.Session()  # the default session is not made for threads
        return session.client("s3", endpoint_url=endpoint_url, region_name=region_name, config=config)
    except (BotoCoreError, ValueError) as error:
        name = type(error).__name__
        raise S3Error(
            f"no client for S3 ({name}): check AWS_PROFILE, the AWS configuration files and ATLAS_S3_ENDPOINT_URL", name
        ) from None
