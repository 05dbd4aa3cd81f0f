"""What is done to the values of a column that holds personal data, as its dataset's YAML says.

Belongs here: the actions, each on whole columns and once per distinct value. Does not belong here: finding personal
data, and reading keys (`keys.py`). Missing values stay missing under every action.
"""

import hmac
from typing import Literal, get_args

import pyarrow as pa

Action = Literal["keep", "redact", "mask", "hash", "drop"]
ACTIONS: tuple[Action, ...] = get_args(Action)
KEY_ACTIONS: tuple[Action, ...] = ("keep", "hash")
_VISIBLE = 4


def apply_action(values: pa.Array, action: Action, kind: str, key: bytes) -> pa.Array:
    """The column after `action`. `values` is a string array; so is the answer, of the same length.

    redact: `<KIND>`. mask: all but the last four characters become `*`, and all of them when there are fewer than
    eight. hash: HMAC-SHA256 under `key`, in hex, equal for equal values. `drop` removes the column, so it is not
    asked for here.
    """
    if action == "keep":
        return values
    encoded = values.dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    if action == "redact":
        done = [f"<{kind}>"] * len(distinct)
    elif action == "mask":
        done = [_mask(value) for value in distinct]
    elif action == "hash":
        done = [hmac.digest(key, value.encode(), "sha256").hex() for value in distinct]
    else:
        raise ValueError(f"no such action on values: {action}")
    return pa.array(done, pa.string()).take(encoded.indices)


def _mask(value: str) -> str:
    if len(value) < 2 * _VISIBLE:
        return "*" * len(value)
    return "*" * (len(value) - _VISIBLE) + value[-_VISIBLE:]
