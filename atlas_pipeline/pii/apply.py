"""`apply(frame, plans)`: apply the planned actions to the columns of a table.

Belongs here: columns and frames, prose and JSON in cells. Does not belong here: what an action does to a value
(`actions/`), where personal data is in prose (`text/`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
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
_FIELD_NAME = re.compile(r"[a-z][a-zA-Z_]*")
_ONE_WORD = re.compile(r"[\w.-]+")
_GUESSED = frozenset(("PERSON", "USERNAME", "CITY", "LOCATION", "STREET_ADDRESS"))
"""Kinds that a word alone does not prove: such a key is more likely the name of a field."""
_LONGEST_NUMBER = 40


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
    as_json: bool = False,
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
        as_json: Every value is JSON, and stays JSON under `redact` and `mask`. `mask` then masks each string and number
            within, and the whole value where an object has a key that is no name of a field.

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
        texts = redact_texts(encoded.dictionary.to_pylist(), rules or Rules(), as_json=as_json)
        return pa.array(texts, values.type).take(encoded.indices)
    if as_json and plan.action in ("redact", "mask"):
        encoded = values.dictionary_encode()
        texts = _acted_within(encoded.dictionary, plan) if plan.action == "mask" else _quoted(encoded.dictionary, plan)
        return pa.array(texts, values.type).take(encoded.indices)
    return act(values, plan, keys, keep_tokens=keep_tokens)


def redact_texts(texts: Sequence[str], rules: Rules, *, as_json: bool = False) -> list[str]:
    """Replace each detected span by `<KIND>`. A JSON document stays valid JSON: its values are redacted, and its keys
    where they are personal data; keys of an object stay different.

    Args:
        texts: The texts, without nulls.
        rules: Recognisers to add to Atlas's own.
        as_json: Every text is JSON, a single string or number too.

    Returns:
        One text for each of `texts`, in their order.
    """
    cells = [_parts(text, as_json) for text in texts]
    redacted = _redacted([part for parts in cells for part in parts], rules)
    return [_joined(text, parts, redacted) for text, parts in zip(texts, cells, strict=True)]


@dataclass(frozen=True)
class _Part:
    """A stretch of a cell that is scanned on its own: the whole cell, or one JSON value with its key as context.

    A `literal` is written as JSON, a `document` is a JSON document within a JSON string, a `key` that of an object.
    """

    start: int
    end: int
    text: str
    context: str = ""
    literal: bool = False
    document: bool = False
    key: bool = False


def _parts(text: str, as_json: bool = False) -> list[_Part]:
    if not as_json and not _is_json(text):
        return [_Part(0, len(text), text)]
    parts, key = [], ""
    for token in _JSON_TOKENS.finditer(text):
        string = token[0].startswith('"')
        value = _LONE_SURROGATE.sub("\ufffd", json.loads(token[0], strict=False)) if string else _number(token[0])
        if _KEY_FOLLOWS.match(text, token.end()):
            key = value
            parts.append(_Part(token.start(), token.end(), value, literal=True, key=True))
        else:
            document = string and _is_json(value)
            context = f"{key}: " if key else ""
            parts.append(_Part(token.start(), token.end(), value, context, literal=True, document=document))
    return parts


def _number(token: str) -> str:
    """A number without exponent and needless decimals, as a number of a phone or a card is written."""
    try:
        number = Decimal(token)
    except InvalidOperation:  # of an exponent beyond all bounds
        return token
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
        return token
    whole = number.to_integral_value()
    return f"{whole if whole == number else number:f}"


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text, parse_int=str)
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
            if span.end > shift and not (part.key and span.entity in _GUESSED and _ONE_WORD.fullmatch(part.text))
        ]
        if spans:
            redacted[part] = reader.redact(part.text, spans)
    return redacted


def _joined(text: str, parts: Sequence[_Part], redacted: Mapping[_Part, str]) -> str:
    """The cell's text with the redacted parts in place of the original ones."""
    pieces, position = [], 0
    names = _key_names(parts, redacted)
    for part in parts:
        replacement = names[part.text] if part.key else redacted.get(part)
        if replacement is not None and replacement != part.text:
            written = json.dumps(replacement, ensure_ascii=False) if part.literal else replacement
            pieces += [text[position : part.start], written]
            position = part.end
    return "".join((*pieces, text[position:]))


def _key_names(parts: Sequence[_Part], redacted: Mapping[_Part, str]) -> dict[str, str]:
    """What becomes of each key in a cell: those that become alike are numbered, so that no value is lost."""
    names = {part.text: redacted.get(part, part.text) for part in parts if part.key}
    taken = {name for text, name in names.items() if name == text}
    counts: Counter[str] = Counter()
    for text, name in names.items():
        if name == text:
            continue
        counts[name] += 1
        free = name if counts[name] == 1 else f"{name}_{counts[name]}"
        while free in taken:
            counts[name] += 1
            free = f"{name}_{counts[name]}"
        taken.add(free)
        names[text] = free
    return names


def _acted_within(documents: pa.Array, plan: ColumnPlan) -> list[str]:
    """Each JSON document with the action applied to every string and number in it, else to all of it."""
    texts = documents.to_pylist()
    cells = [_parts(text, as_json=True) for text in texts]
    leaves = [part for parts in cells for part in parts if not part.key]
    acted = act(pa.array([part.text for part in leaves], documents.type), plan).to_pylist()
    replaced = dict(zip(leaves, acted, strict=True))
    plain = [all(_FIELD_NAME.fullmatch(part.text) for part in parts if part.key) for parts in cells]
    return [
        _joined(text, parts, replaced) if inside else whole
        for text, parts, inside, whole in zip(texts, cells, plain, _quoted(documents, plan), strict=True)
    ]


def _quoted(values: pa.Array, plan: ColumnPlan) -> list[str]:
    """The action applied to whole values, each result as a JSON string."""
    return [json.dumps(text, ensure_ascii=False) for text in act(values, plan).to_pylist()]
