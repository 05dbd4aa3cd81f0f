"""`registered(values)`: the identifier that the values of a column prove, if nearly all of them pass its check.

Belongs here: counting, and when a count is proof. Does not belong here: the identifiers (`known.py`), headers and the
decision (`../columns/`).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import starmap

from atlas_pipeline.pii.registers.known import REGISTERS, Register

_PROVEN = 4.0
"""How unlikely it must be that random values of the form pass: less than one in 10**4 such columns."""
_SPELT = 10.0
"""By how much the spelling of the issuer, with its separators, makes chance less likely, for each value."""
_SHARE = 0.9
_FIRST = 10
_SEPARATORS = re.compile(r"[ ./-]")
_PLAIN = re.compile(r"(?=[^\d]{0,24}\d)[\w ./()+-]{7,30}", re.ASCII)


def registered(values: Sequence[str]) -> dict[str, int]:
    """Count the values of the identifier that the column proves.

    A check digit that one in ten random numbers passes proves nothing of a value, but all of a column: the identifier
    counts if nine in ten of the values pass, and if so many random ones would do so in fewer than one column in 10,000.

    Args:
        values: Distinct values, clean and without blanks around them.

    Returns:
        The number of valid values by kind, of the least likely identifier; empty if none is proven.
    """
    register, count = proven(values)
    return {register.kind: count} if register else {}


def proven(values: Sequence[str], least: float = _PROVEN) -> tuple[Register | None, int]:
    """The register that the values prove, and how many of them are valid.

    Args:
        values: As for `registered`.
        least: How unlikely it must be that random values of the form pass, as a power of ten.
    """
    fitting = [value for value in values if _PLAIN.fullmatch(value)]
    if not fitting or len(fitting) < _SHARE * len(values):
        return None, 0
    plain = _padded([_SEPARATORS.sub("", value) for value in fitting])
    best: tuple[Register | None, int] = None, 0
    for register in REGISTERS:
        proof, valid = _proof(register, fitting, plain, len(values))
        if proof >= least:
            least, best = proof, (register, valid)
    return best


def _proof(register: Register, values: Sequence[str], plain: Sequence[str], total: int) -> tuple[float, int]:
    """How unlikely it is that the values pass by chance, as a power of ten, and how many pass."""
    if not _most(register, values[:_FIRST], plain[:_FIRST]):
        return 0.0, 0
    spelt = sum(register.spelling is not None and bool(register.spelling.fullmatch(value)) for value in values)
    if register.only_written and spelt < _SHARE * total:
        return 0.0, 0
    valid = sum(starmap(register.passes, zip(plain, values, strict=True)))
    if valid < _SHARE * total:
        return 0.0, 0
    chance = register.chance * (_SPELT if spelt >= _SHARE * total else 1.0)
    return valid * math.log10(chance), valid


def _padded(plain: list[str]) -> list[str]:
    """Numbers with the zeros that they lost at the beginning, where most of the column is one or two digits longer."""
    lengths = Counter(map(len, plain))
    width = max(lengths, key=lambda length: lengths[length])
    return [value.zfill(width) if value.isdigit() and width - len(value) in (1, 2) else value for value in plain]


def _most(register: Register, values: Sequence[str], plain: Sequence[str]) -> bool:
    failed = 0
    for bare, written in zip(plain, values, strict=True):
        failed += not register.passes(bare, written)
        if failed > max(1, len(plain) // 5):
            return False
    return failed < len(plain)
