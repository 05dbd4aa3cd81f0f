"""Patterns of names: `*`, `?` and `**/`, and `{partition}` for the partition key.

Belongs here: what a pattern matches, in folders and in S3 alike. Does not belong here: listing.
"""

import re

PARTITION = "{partition}"
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")
"""Ends of names under which programs write a file that is not complete."""


def regex(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` crosses them."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in parts)


def partition_key(pattern: str) -> re.Pattern[str] | None:
    """Matches a path whose partition is in the group `key`; null for a pattern without `{partition}`."""
    before, marker, after = pattern.partition(PARTITION)
    return re.compile(regex(before) + "(?P<key>[^/]+?)" + regex(after) + r"\Z") if marker else None
