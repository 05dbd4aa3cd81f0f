"""A model's SELECT over tables in other schemas.

Belongs here: that. Does not belong here: reading models (`lineage.py`), and what is done with the SELECT.
"""

from collections.abc import Mapping
from itertools import pairwise

from atlas_pipeline.sql.lineage import Model
from atlas_pipeline.sql.rules import tokens_of


def retarget(model: Model, schemas: Mapping[str, str]) -> str:
    """The model's statement with the schema of each table that it reads replaced; all else is as it was written.

    Args:
        model: as read.
        schemas: the new name of each schema; plain lower-case names.
    """
    from sqlglot import TokenType

    tables = {(table.schema, table.name) for table in model.tables}
    tokens = tokens_of(model.statement, model.path)
    named = [token.text if token.token_type == TokenType.IDENTIFIER else token.text.lower() for token in tokens]
    parts, end = [], 0
    for index, (schema, dot) in enumerate(pairwise(tokens[:-1])):
        qualified = dot.token_type == TokenType.DOT and (named[index], named[index + 2]) in tables
        if qualified and (index == 0 or tokens[index - 1].token_type != TokenType.DOT):
            parts += [model.statement[end : schema.start], schemas[named[index]]]
            end = schema.end + 1
    return "".join([*parts, model.statement[end:]])
