"""Patterns of names: `*`, `?` and `**/`, `{partition}` for the partition key, `{delivery}` for files of one state.

Belongs here: what a pattern matches, in folders and in S3 alike. Does not belong here: listing.
"""

import re

PARTITION = "{partition}"
DELIVERY = "{delivery}"
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")
"""Ends of names under which programs write a file that is not complete."""


def regex(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay within a folder, `**/` crosses them."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(part, re.escape(part)) for part in parts)


def placeholders(pattern: str) -> re.Pattern[str] | None:
    """Matches a path, what stands for a placeholder being in the group of its name; null for a pattern without any.

    A placeholder that stands in several places stands for the same in each.
    """
    if PARTITION not in pattern and DELIVERY not in pattern:
        return None
    parts: list[str] = []
    for part in re.split(r"(\{partition\}|\{delivery\})", pattern):
        if part not in (PARTITION, DELIVERY):
            parts.append(regex(part))
        else:
            group = f"(?P<{part[1:-1]}>[^/]+?)"
            parts.append(f"(?P={part[1:-1]})" if group in parts else group)
    return re.compile("".join(parts) + r"\Z", re.DOTALL)
