"""Where things are in the site: files of tables, and anchors of columns.

Belongs here: names that any file system and any link can hold, whatever a table is called. Does not belong here: what
is in the files.
"""

import hashlib
import re

PAGES = ("index", "lineage", "personal-data", "search")
_LONGEST = 120
_ODD = re.compile(r"[^a-z0-9_.-]")


def file_of(key: str) -> str:
    """The page of a table: `silver.orders.html`. Two keys have two files, also where case does not tell them apart."""
    name = _plain(key)
    return f"{'~' if name in PAGES or name.startswith('.') else ''}{name}.html"


def anchor_of(column: str) -> str:
    """The anchor of a column on the page of its table."""
    return f"c-{_plain(column)}"


def _plain(text: str) -> str:
    plain = _ODD.sub(lambda odd: f"~{ord(odd[0]):x}~", text)
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[:_LONGEST]}~{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"
