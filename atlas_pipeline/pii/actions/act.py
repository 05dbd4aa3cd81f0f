"""`act(values, plan)`: apply one action to every value of a column of text. Nulls stay null under every action.

Belongs here: actions on whole cells. Does not belong here: tokens (`tokens.py`), prose and tables (`apply.py`),
detection, and reading keys (`keys.py`).
"""

import pyarrow as pa
import pyarrow.compute as pc

from atlas_pipeline.pii.actions.forms import canonical, unmangled
from atlas_pipeline.pii.actions.generalise import generalise
from atlas_pipeline.pii.actions.tokens import encrypt_values, hash_values, own_encrypted, own_hashes
from atlas_pipeline.pii.keys import Keys, load_keys
from atlas_pipeline.pii.kinds import KINDS, kind_of
from atlas_pipeline.pii.plan import ColumnPlan
from atlas_pipeline.settings import load_settings

_VISIBLE = 4
_SEPARATORS = r"[\s\pP\pZ+=|~<>^$]"


def placeholder(kind: str) -> str:
    """What replaces a redacted value: `<KIND>`."""
    return f"<{kind}>"


def act(values: pa.Array, plan: ColumnPlan, keys: Keys | None = None, *, keep_tokens: bool = False) -> pa.Array:
    """Apply the plan's action to whole cells.

    Blank cells are kept, and so are results of an earlier run that tell nothing: placeholders, stars, generalised
    values. Tokens are not: they are hashed or encrypted again, since whoever sends one could pose as its owner. A value
    that cannot be generalised is redacted.

    Args:
        values: Strings, with or without nulls.
        plan: The plan of the column.
        keys: Keys of `hash` and `encrypt`. Default: those of the settings, read when the action needs one.
        keep_tokens: Leave tokens of these keys as they are, for values that Atlas itself has treated before.

    Returns:
        An array of the length and type of `values`.

    Raises:
        KeyMissing: The action needs a key that is not set, and this installation may not generate one.
        ValueError: The action is `drop`, which leaves no values.
    """
    if plan.action == "keep":
        return values
    kind = plan.entity or "UNKNOWN"
    if plan.action == "redact":
        return pc.if_else(_blank(values), values, pa.scalar(placeholder(kind), values.type))
    encoded = values.dictionary_encode()
    distinct = encoded.dictionary
    unchanged = pc.or_(_blank(distinct), pc.is_in(distinct, value_set=_placeholders(kind, values.type)))
    if plan.action == "mask":
        replaced = mask(distinct)
    elif plan.action == "hash":
        keys = keys or load_keys(load_settings())
        replaced = hash_values(canonical(distinct, plan.entity, plan.form, plan.region), plan.domain, keys)
        if keep_tokens:
            unchanged = pc.or_(unchanged, own_hashes(distinct, plan.domain, keys))
    elif plan.action == "encrypt":
        keys = keys or load_keys(load_settings())
        forms = canonical(distinct, plan.entity, plan.form, plan.region) if plan.form > 1 else distinct
        replaced = encrypt_values(forms, plan.domain, keys)
        if keep_tokens:
            unchanged = pc.or_(unchanged, own_encrypted(distinct, keys))
    elif plan.action == "generalise":
        generaliser, redacted = kind_of(kind).generaliser, pa.scalar(placeholder(kind), values.type)
        replaced = pc.fill_null(generalise(distinct, generaliser), redacted) if generaliser else redacted
    else:
        raise ValueError(f"the action {plan.action} does not apply to values")
    return pc.if_else(unchanged, distinct, replaced).take(encoded.indices)


def mask(values: pa.Array) -> pa.Array:
    """Replace a value by stars, and show its last four characters if it has eight or more, separators not counted.

    Blanks, hyphens and other separators are never shown. The length is that of the value; what is masked stays.
    """
    values = unmangled(values)
    significant = pc.replace_substring_regex(values, _SEPARATORS, "")
    long = pc.greater_equal(pc.utf8_length(significant), 2 * _VISIBLE)
    length = pc.utf8_length(values)
    stars = pc.binary_repeat(pa.scalar("*", values.type), pc.if_else(long, pc.subtract(length, _VISIBLE), length))
    shown = pc.if_else(long, pc.utf8_slice_codeunits(significant, -_VISIBLE), pa.scalar("", values.type))
    masked = pc.binary_join_element_wise(stars, shown, pa.scalar("", values.type))
    return pc.if_else(pc.match_substring_regex(values, r"^\*{4,}[^\s\pP\pZ]{4}$"), values, masked)


def _blank(values: pa.Array) -> pa.Array:
    return pc.equal(pc.utf8_trim_whitespace(values), pa.scalar("", values.type))


def _placeholders(kind: str, type: pa.DataType) -> pa.Array:
    return pa.array([placeholder(name) for name in (*KINDS, kind)], type)
