"""`apply(frame, plans)`: a table with its personal data treated as planned.

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
    """A copy of `frame` with each column treated as its plan says; columns without a plan are kept.

    The frame given is not changed. Index and order of columns stay, and a column that is kept stays as it is; one that
    is treated becomes text, in which missing values are missing. Without `keys` those of the settings are used, if an
    action needs any. Applying the same plans again changes nothing. Raises KeyMissing.
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
        treated.isetitem(position, as_column(apply_column(as_text(series), plan, keys, rules), series.dtype))
    if not dropped:
        return treated
    return treated.iloc[:, [position for position in range(frame.shape[1]) if position not in dropped]]


def apply_column(values: pa.Array, plan: ColumnPlan, keys: Keys | None = None, rules: Rules | None = None) -> pa.Array:
    """One column of text after its plan's action; of the same length and type, missing where it was missing.

    Each distinct value is treated once. In prose only what was found is redacted; other actions, and redacting a
    column of one kind, take the whole cell. Raises KeyMissing; ValueError for `drop`, which leaves no values.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if plan.column_class == "free_text" and plan.action == "redact":
        encoded = values.dictionary_encode()
        texts = redact_texts(encoded.dictionary.to_pylist(), rules or Rules())
        return pa.array(texts, values.type).take(encoded.indices)
    return act(values, plan, keys)


def redact_texts(texts: Sequence[str], rules: Rules) -> list[str]:
    """Texts with what is personal in them replaced by `<KIND>`; a JSON document stays one, its keys as they are."""
    cells = [_parts(text) for text in texts]
    done = _redacted([part for parts in cells for part in parts], rules)
    return [_joined(text, parts, done) for text, parts in zip(texts, cells, strict=True)]


@dataclass(frozen=True)
class _Part:
    """A stretch of a cell that is scanned on its own: all of it, or a value in its JSON with its key before it."""

    start: int
    end: int
    text: str
    context: str = ""
    literal: bool = False


def _parts(text: str) -> list[_Part]:
    if not _is_json(text):
        return [_Part(0, len(text), text)]
    parts, key = [], ""
    for token in _JSON_TOKENS.finditer(text):
        value = _LONE_SURROGATE.sub("\ufffd", str(json.loads(token[0])))
        if _KEY_FOLLOWS.match(text, token.end()):
            key = value
        else:
            parts.append(_Part(token.start(), token.end(), value, f"{key}: " if key else "", literal=True))
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
    wanted = {part.context + part.text: part for part in parts}
    found = dict(zip(wanted, reader.spans(list(wanted)), strict=True))
    done = {}
    for part in parts:
        shift = len(part.context)
        spans = [
            Span(max(span.start - shift, 0), span.end - shift, span.entity, span.score)
            for span in found[part.context + part.text]
            if span.end > shift
        ]
        if spans:
            done[part] = reader.redact(part.text, spans)
    return done


def _joined(text: str, parts: Sequence[_Part], done: Mapping[_Part, str]) -> str:
    pieces, position = [], 0
    for part in parts:
        redacted = done.get(part)
        if redacted is not None and redacted != part.text:
            shown = json.dumps(redacted, ensure_ascii=False) if part.literal else redacted
            pieces += [text[position : part.start], shown]
            position = part.end
    return "".join((*pieces, text[position:]))
