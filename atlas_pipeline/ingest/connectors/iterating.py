"""Rows out of a resource of dlt, block by block, with its errors in our words.

Belongs here: iterating, and what dlt says about cursors. Does not belong here: which resource. What dlt raises names
values, so only its kind is told.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from atlas_pipeline.ingest.sources import SourceError


def blocks(resource: Any, size: int) -> Iterator[list[dict[str, Any]]]:
    """Blocks of about `size` rows.

    Raises SourceError when the cursor cannot be had from a row; what the source itself raises comes through.
    """
    from dlt.extract import exceptions as extracting
    from dlt.extract.incremental import exceptions as cursors

    items = iter(resource)
    try:
        while block := list(islice(items, size)):
            yield block
    except (cursors.IncrementalCursorPathHasValueNone, cursors.IncrementalCursorPathMissing):
        raise SourceError(
            "a row has no value in the cursor column, and would never be asked for again: choose a column that every "
            "row has a value in, or load the whole without a cursor"
        ) from None
    except cursors.IncrementalCursorInvalidCoercion as error:
        raise SourceError(_mixed(error)) from None
    except extracting.ResourceExtractionError as error:
        cause = error.__cause__
        if isinstance(cause, Exception):
            raise cause from None
        raise SourceError(f"it cannot be extracted ({type(error).__name__})") from None
    finally:
        close = getattr(items, "close", None)
        if close:
            close()


def _mixed(error: Exception) -> str:
    return (
        f"values of the cursor column cannot be compared with where the last extract ended ({type(error).__name__}): "
        "are they of one type, and is `initial` of it too?"
    )
