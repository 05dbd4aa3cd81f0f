"""What S3 answers and how connections fail, as two exceptions: retryable, and not.

Belongs here: the error codes of S3 and of servers that speak its protocol, what each means and what to do about it
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). Does not belong here: retrying (`bucket.py`).
Messages of a server are not passed on: they may quote what was sent.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class S3Error(Exception):
    """A request failed, and would fail again. `code` is S3's, or the class of botocore's exception."""

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code


class S3Unavailable(S3Error):
    """The server is busy or does not answer; the same request may succeed later."""


_BUSY = {
    "SlowDown",
    "Busy",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "TooManyRequests",
    "TooManyRequestsException",
}
_CONFLICT = {"OperationAborted", "ConditionalRequestConflict"}
"""Another request to the same object was in progress."""
_DAMAGED = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
"""The body arrived other than it was sent, and was refused."""
_RETRYABLE = _BUSY | _CONFLICT | _DAMAGED

_EXPIRED = dict.fromkeys(
    ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
    "the credentials have expired; renew them",
)
_FORBIDDEN = {
    "AccountProblem": "the account is suspended or blocked; ask its owner",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "InvalidToken": "check AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
}
_MISSING = {
    "NoSuchBucket": "there is no such bucket; check its name and the endpoint",
    "NoSuchKey": "there is no such object",
    "NoSuchUpload": "the multipart upload was aborted or completed by another process",
}
_WRONG_REGION = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_REFUSED = {
    "EntityTooSmall": "parts need 5 MiB or more",
    "InvalidObjectState": "the object is archived; restore it from the archive first",
    "InvalidRange": "the object was replaced by a shorter one",
    "InvalidStorageClass": "the server does not know this storage class; choose another",
    "NotImplemented": "the server does not support this request",
    "PreconditionFailed": "the object was replaced",
    "QuotaExceeded": "the bucket is full; free some space",
    "XMinioStorageFull": "the server is full; free some space",
}
_HINTS = {**_EXPIRED, **_FORBIDDEN, **_MISSING, **_REFUSED}
_PERMISSIONS = {
    "written": "s3:PutObject",
    "read": "s3:GetObject",
    "listed": "s3:ListBucket",
    "deleted": "s3:DeleteObject",
    "swept": "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload",
}
_OF_STATUS = {
    "301": "PermanentRedirect",
    "403": "AccessDenied",
    "404": "NoSuchKey",
    "412": "PreconditionFailed",
    "416": "InvalidRange",
    "501": "NotImplemented",
}
"""The answer to HEAD has no body: botocore gives its HTTP status as the code."""


@contextmanager
def translated(what: str, verb: str, hints: Mapping[str, str] | None = None) -> Iterator[None]:
    """Raise S3Error or S3Unavailable in place of botocore's exceptions.

    Args:
        what: the object or bucket as a URL, for the message.
        verb: what cannot be done to it: written, read, listed, deleted or swept.
        hints: what to do about an error code, in place of the texts here.

    Raises:
        S3Unavailable: busy, throttled, damaged on the way, or no answer.
        S3Error: any other answer, no usable credentials, or a name or configuration that botocore refuses.
    """
    from botocore import exceptions as boto

    failed = f"{what} cannot be {verb}"
    try:
        yield
    except boto.ClientError as error:
        code, status = _code_and_status(error.response)
        hint = (hints or {}).get(code) or _hint(code, verb, error.response)
        if code in _RETRYABLE or status == 429 or (status >= 500 and not hint):
            raise S3Unavailable(f"{failed}: the server answered {code}; try again later", code) from None
        otherwise = "check the bucket's name, the region and the credentials"
        raise S3Error(f"{failed} ({code}): {hint or otherwise}", code) from None
    except connection_errors() as error:
        name = type(error).__name__
        raise S3Unavailable(
            f"{failed}: the server does not answer ({name}); check the endpoint and the network", name
        ) from None
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise S3Error(
            f"{failed}: no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            type(error).__name__,
        ) from None
    except boto.BotoCoreError as error:
        name = type(error).__name__
        raise S3Error(f"{failed} ({name}): check the bucket's name, the region and the profile", name) from None


def connection_errors() -> tuple[type[Exception], ...]:
    """Exceptions of botocore for a connection that fails, breaks, or brings half an answer."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    broken = (boto.IncompleteReadError, boto.ResponseStreamingError, ResponseParserError)
    return (boto.ConnectionError, boto.HTTPClientError, *broken)


def _code_and_status(response: Mapping[str, Any]) -> tuple[str, int]:
    code = str(response.get("Error", {}).get("Code", "unknown"))
    return _OF_STATUS.get(code, code), int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _hint(code: str, verb: str, response: Mapping[str, Any]) -> str | None:
    if code == "AccessDenied":
        return f"the credentials lack {_PERMISSIONS[verb]}"
    if code in _WRONG_REGION:
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region")
        return f"the bucket is in {region or 'another region'}; set ATLAS_S3_REGION to it"
    return _HINTS.get(code)
