"""What is done to the values of a column that holds personal data: the actions, on whole columns of text.

Belongs here: each action on every value alike. Does not belong here: tokens (`tokens.py`), prose and tables
(`apply.py`), finding personal data, and reading keys (`keys.py`). Missing values stay missing under every action.
"""

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.actions.generalise import generalise
from atlas_pipeline.pii.actions.tokens import encrypt_values, hash_values, unmangled
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.kinds import KINDS, kind_of
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.settings import load_settings

_VISIBLE = 4


def placeholder(kind: str) -> str:
    """What stands for a value that was redacted."""
    return f"<{kind}>"


def act(values: pa.Array, plan: ColumnPlan, keys: Keys | None = None) -> pa.Array:
    """A column of text after its plan's action on whole cells; of the same length and type.

    Without `keys` those of the settings are used, if the action needs one.

    Blank cells hold nothing and stay; so does what an earlier run made: placeholders, stars, tokens of these keys,
    generalised values. Raises KeyMissing; ValueError for `drop`, which leaves no values.
    """
    if plan.action == "keep":
        return values
    kind = plan.entity or "UNKNOWN"
    if plan.action == "redact":
        return pc.if_else(_blank(values), values, pa.scalar(placeholder(kind), values.type))
    encoded = values.dictionary_encode()
    distinct = encoded.dictionary
    leave = pc.or_(_blank(distinct), pc.is_in(distinct, value_set=_placeholders(kind, values.type)))
    if plan.action == "mask":
        done = mask(distinct)
    elif plan.action == "hash":
        done = hash_values(distinct, plan.entity, plan.domain, keys or load_keys(load_settings()))
    elif plan.action == "encrypt":
        done = encrypt_values(distinct, plan.domain, keys or load_keys(load_settings()))
    elif plan.action == "generalise":
        way, gone = kind_of(kind).generaliser, pa.scalar(placeholder(kind), values.type)
        done = pc.fill_null(generalise(distinct, way), gone) if way else gone
    else:
        raise ValueError(f"no such action on values: {plan.action}")
    return pc.if_else(leave, distinct, done).take(encoded.indices)


def mask(values: pa.Array) -> pa.Array:
    """Stars and the last four characters; only stars when there are fewer than eight."""
    values = unmangled(values)
    length = pc.utf8_length(values)
    long = pc.greater_equal(length, 2 * _VISIBLE)
    stars = pc.binary_repeat(pa.scalar("*", values.type), pc.if_else(long, pc.subtract(length, _VISIBLE), length))
    shown = pc.if_else(long, pc.utf8_slice_codeunits(values, -_VISIBLE), pa.scalar("", values.type))
    return pc.binary_join_element_wise(stars, shown, pa.scalar("", values.type))


def _blank(values: pa.Array) -> pa.Array:
    return pc.equal(pc.utf8_trim_whitespace(values), pa.scalar("", values.type))


def _placeholders(kind: str, type: pa.DataType) -> pa.Array:
    return pa.array([placeholder(name) for name in (*KINDS, kind)], type)
