"""`national_phones(values)`: phone numbers without a country code, by the rules of the country that most of them fit.

Belongs here: whole columns of numbers, with libphonenumber. Does not belong here: one number (`cells.py`), prose.
"""

import re
from collections.abc import Sequence
from functools import cache

_SHARE = 0.9
_FIRST, _MOST = 8, 60
_NUMBER = re.compile(r"\(?\d[\d\s().\-/–]{5,18}\d")
_WRITTEN = re.compile(r"[\s().\-/–]")
_DIGIT_RUN = re.compile(r"\d+")


@cache
def _regions() -> tuple[str, ...]:
    import phonenumbers

    return tuple(sorted(phonenumbers.SUPPORTED_REGIONS))


def national_phones(values: Sequence[str]) -> int:
    """Count the phone numbers of a column that are written as one country writes them.

    A number counts if it is in use in that country and its groups of digits are those of the country's own layout.
    Fewer than five such numbers, or less than nine in ten, prove nothing.

    Args:
        values: Distinct values, clean and without blanks around them.
    """
    written = [value for value in values[:_MOST] if _NUMBER.fullmatch(value) and _WRITTEN.search(value)]
    if len(written) < max(5, _SHARE * min(len(values), _MOST)):
        return 0
    best = max(_regions(), key=lambda region: _count(written[:_FIRST], region))
    return count if (count := _count(written, best)) >= _SHARE * len(written) else 0


def _count(values: Sequence[str], region: str) -> int:
    return sum(_fits(value, region) for value in values)


def _fits(value: str, region: str) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number_for_region(number, region):
        return False
    layout = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return _DIGIT_RUN.findall(layout) == _DIGIT_RUN.findall(value)
