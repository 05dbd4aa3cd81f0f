"""The SQL of a model as HTML: coloured, with each table that it reads a link to its page.

Belongs here: marking up the text, character for character. Does not belong here: what the SQL means (`sql/`).
"""

import re
from collections.abc import Collection

from markupsafe import Markup, escape

from atlas_pipeline.catalog.site.addresses import file_of

_PARTS = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<text> '(?:[^']|'')*' )
    | (?P<table> \b(?:silver|gold|bronze)\.[a-z_][a-z0-9_]* )
    | (?P<number> \b\d+(?:\.\d+)?\b )
    | (?P<keyword> \b(?:
        all|and|any|array|as|asc|between|by|case|cast|cross|current_date|current_timestamp|desc|distinct|else|end|
        except|exists|extract|false|fetch|filter|first|following|for|from|full|group|grouping|having|ilike|in|inner|
        intersect|interval|is|join|last|lateral|left|like|limit|natural|not|null|nulls|offset|on|only|or|order|
        ordinality|outer|over|partition|preceding|range|recursive|right|row|rows|select|sets|similar|some|symmetric|
        tablesample|then|ties|to|true|unbounded|union|unnest|using|values|when|where|window|with|within|without
      )\b )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def highlighted(sql: str, tables: Collection[str]) -> Markup:
    """The text with elements around its parts.

    Args:
        sql: the model.
        tables: keys of the tables that have a page.
    """
    done: list[Markup] = []
    position = 0
    for part in _PARTS.finditer(sql):
        done += [escape(sql[position : part.start()]), _marked(part.lastgroup or "", part[0], tables)]
        position = part.end()
    return Markup().join([*done, escape(sql[position:])])


def _marked(kind: str, text: str, tables: Collection[str]) -> Markup:
    if kind != "table":
        return Markup('<span class="{}">{}</span>').format(kind, text)
    if text.lower() not in tables:
        return escape(text)
    return Markup('<a href="{}">{}</a>').format(file_of(text.lower()), text)
