"""`apply(frame, plans)`: apply the planned actions to the columns of a table.

Belongs here: columns and frames, prose and JSON in cells. Does not belong here: what an action does to a value
(`actions/`), where personal data is in prose (`text/`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from atlas_pipeline.pii.actions.act import act
from atlas_pipeline.pii.keys import Keys
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.pii.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

_JSON_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_KEY_FOLLOWS = re.compile(r"\s*:")


def apply(
    frame: pd.DataFrame, plans: Sequence[ColumnPlan], keys: Keys | None = None, rules: Rules | None = None
) -> pd.DataFrame:
    """Return a copy of `frame` with the action of its plan applied to each column. Applying it again changes nothing:
    tokens of these keys stay, so call it on frames of your own, not on what others send (`apply_column`).

    Index and order of columns stay. A column with an action other than `keep` and `drop` becomes text, null where it
    was null.

    Args:
        frame: Any pandas frame; it is not changed.
        plans: The plans, matched to columns by name. A column without a plan is kept as it is.
        keys: Keys of `hash` and `encrypt`. Default: those of the settings, read when an action needs one.
        rules: Recognisers for the redaction of prose. Default: Atlas's own.

    Raises:
        KeyMissing: An action needs a key that is not set, and this installation may not generate one.
    """
    from atlas_pipeline.pii.actions.frames import as_column, as_text

    by_name = {plan.name: plan for plan in plans}
    treated = frame.copy(deep=False)
    dropped = []
    for position, name in enumerate(frame.columns):
        plan = by_name.get(str(name))
        if plan is None or plan.action == "keep":
            continue
        if plan.action == "drop":
            dropped.append(position)
            continue
        series = frame.iloc[:, position]
        values = apply_column(as_text(series), plan, keys, rules, keep_tokens=True)
        treated.isetitem(position, as_column(values, series.dtype))
    if not dropped:
        return treated
    return treated.iloc[:, [position for position in range(frame.shape[1]) if position not in dropped]]


def apply_column(
    values: pa.Array,
    plan: ColumnPlan,
    keys: Keys | None = None,
    rules: Rules | None = None,
    *,
    keep_tokens: bool = False,
) -> pa.Array:
    """Apply the plan's action to one column of text. Each distinct value is processed once.

    `redact` replaces the detected spans in a column of prose, and the whole cell in a column of one kind. Every other
    action replaces the whole cell.

    Args:
        values: Strings, with or without nulls.
        plan: The plan of this column.
        keys: As for `apply`.
        rules: As for `apply`.
        keep_tokens: Leave tokens of these keys as they are. Otherwise they are hashed or encrypted again, so that
            nobody can pose as another by sending their token.

    Returns:
        An array of the length and type of `values`, null where it was null.

    Raises:
        KeyMissing: As for `apply`.
        ValueError: The action is `drop`, which leaves no values.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if plan.column_class == "free_text" and plan.action == "redact":
        encoded = values.dictionary_encode()
        texts = redact_texts(encoded.dictionary.to_pylist(), rules or Rules())
        return pa.array(texts, values.type).take(encoded.indices)
    return act(values, plan, keys, keep_tokens=keep_tokens)


def redact_texts(texts: Sequence[str], rules: Rules) -> list[str]:
    """Replace each detected span by `<KIND>`. A JSON document stays valid JSON: its keys are kept, its values redacted.

    Args:
        texts: The texts, without nulls.
        rules: Recognisers to add to Atlas's own.

    Returns:
        One text for each of `texts`, in their order.
    """
    cells = [_parts(text) for text in texts]
    redacted = _redacted([part for parts in cells for part in parts], rules)
    return [_joined(text, parts, redacted) for text, parts in zip(texts, cells, strict=True)]


@dataclass(frozen=True)
class _Part:
    """A stretch of a cell that is scanned on its own: the whole cell, or one JSON value with its key as context.

    A `literal` is written as JSON, and a `document` is a JSON document within a JSON string.
    """

    start: int
    end: int
    text: str
    context: str = ""
    literal: bool = False
    document: bool = False


def _parts(text: str) -> list[_Part]:
    if not _is_json(text):
        return [_Part(0, len(text), text)]
    parts, key = [], ""
    for token in _JSON_TOKENS.finditer(text):
        value = _LONE_SURROGATE.sub("\ufffd", str(json.loads(token[0])))
        if _KEY_FOLLOWS.match(text, token.end()):
            key = value
        else:
            document = token[0].startswith('"') and _is_json(value)
            context = f"{key}: " if key else ""
            parts.append(_Part(token.start(), token.end(), value, context, literal=True, document=document))
    return parts


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _redacted(parts: Sequence[_Part], rules: Rules) -> dict[_Part, str]:
    from atlas_pipeline.pii.text.scanner import Span, scanner

    reader = scanner(rules)
    documents = [part for part in parts if part.document]
    redacted = dict(
        zip(documents, redact_texts([part.text for part in documents], rules) if documents else (), strict=True)
    )
    parts = [part for part in parts if not part.document]
    texts = list(dict.fromkeys(part.context + part.text for part in parts))
    spans_of = dict(zip(texts, reader.spans(texts), strict=True))
    for part in parts:
        shift = len(part.context)
        spans = [
            Span(max(span.start - shift, 0), span.end - shift, span.entity, span.score)
            for span in spans_of[part.context + part.text]
            if span.end > shift
        ]
        if spans:
            redacted[part] = reader.redact(part.text, spans)
    return redacted


def _joined(text: str, parts: Sequence[_Part], redacted: Mapping[_Part, str]) -> str:
    """The cell's text with the redacted parts in place of the original ones."""
    pieces, position = [], 0
    for part in parts:
        replacement = redacted.get(part)
        if replacement is not None and replacement != part.text:
            written = json.dumps(replacement, ensure_ascii=False) if part.literal else replacement
            pieces += [text[position : part.start], written]
            position = part.end
    return "".join((*pieces, text[position:]))
