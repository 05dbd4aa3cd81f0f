"""`profile(columns, rules)`: what each column of a table holds, from its header, its values and the columns beside it.

Belongs here: counting, over a sample of each column, what its cells look like. Does not belong here: the tests of
cells, the words of headers and the decision (all in `columns/`), the action (`plan.py`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atlas_pipeline.pii.columns.cells import embeds, plain_number, votes
from atlas_pipeline.pii.columns.decide import Column, beside, decide
from atlas_pipeline.pii.columns.headers import read
from atlas_pipeline.pii.columns.phones import national_phones
from atlas_pipeline.pii.columns.tally import tally
from atlas_pipeline.pii.plan import ColumnProfile
from atlas_pipeline.pii.recognizers import custom_recognizers, custom_results, word_pattern
from atlas_pipeline.pii.registers.proof import registered
from atlas_pipeline.pii.rules import Rules

_COSTLY_SAMPLE = 200
"""Most values that are passed to recognisers of Presidio and of the user."""
_LONGEST = 2_000


def profile(
    columns: Mapping[str, Any], rules: Rules | None = None, others: Sequence[ColumnProfile] = ()
) -> list[ColumnProfile]:
    """Profile the columns of a table.

    Args:
        columns: Values by header: Arrow arrays, pandas series or any sequence.
        rules: Words and recognisers to add to Atlas's own.
        others: What the other columns of the table hold, if only some are looked at: a column's neighbours tell of it.

    Returns:
        One profile for each column, in their order; it holds counts, never a value.
    """
    rules = rules or Rules()
    counted = [_count(str(name), values, rules) for name, values in columns.items()]
    table = beside(counted, others)
    return [decide(column, table) for column in counted]


def _count(name: str, values: Any, rules: Rules) -> Column:
    counted = tally(values, frozenset(word.casefold() for word in rules.allow))
    sample = counted.sample()
    by_value: Counter[str] = Counter()
    by_row: Counter[str] = Counter()
    rows = sum(counted.counts[value] for value in sample)
    for value in sample:
        cast = votes(value)
        by_value.update(cast)
        for vote in cast:
            by_row[vote] += counted.counts[value]
    shown = sample[:_COSTLY_SAMPLE]
    custom = _custom(shown, rules)
    for counts in (_by_whole_column(shown, by_value), custom):
        for kind, count in counts.items():
            by_value[kind] = count * len(sample) // len(shown)
            by_row[kind] = by_value[kind] * rows // len(sample)
    return Column(
        name=name,
        hint=read(name),
        tally=counted,
        looked_at=len(sample),
        rows_looked_at=rows,
        votes=by_value,
        row_votes=by_row,
        denied=_denied(counted.counts, rules.deny),
        embedded=_embedded(counted.counts, by_value, len(sample)),
        custom=tuple(sorted(custom)),
    )


def _denied(values: Iterable[str], deny: frozenset[str]) -> int:
    if not deny:
        return 0
    pattern = word_pattern(deny)
    return sum(pattern.search(value) is not None for value in values)


def _embedded(values: Iterable[str], cast: Mapping[str, int], looked_at: int) -> int:
    """How many cells hold an e-mail address within other text. All values are searched, to find the few."""
    if cast.get("EMAIL_ADDRESS", 0) >= 0.5 * looked_at:
        return 0
    return sum(("@" in value or "%40" in value) and embeds(value) for value in values)


def _by_whole_column(shown: list[str], cast: Mapping[str, int]) -> dict[str, int]:
    """Count the values that only a whole column of them proves: numbers of registers, national phone numbers."""
    if cast.get("prose", 0) or cast.get("EMAIL_ADDRESS", 0) or not cast.get("code", 0) + cast.get("phone_digits", 0):
        return {}
    counts = registered(list(map(plain_number, shown)))
    if not counts and 2 * cast.get("phone_digits", 0) > len(shown):
        phones = national_phones(shown)
        return {"PHONE_NUMBER": phones} if phones else {}
    return counts


def _custom(shown: list[str], rules: Rules) -> dict[str, int]:
    """Count cells that are of a custom kind as a whole, by kind; a match within a cell counts as `embedded`."""
    counts: Counter[str] = Counter()
    for value in shown if rules.recognizers else ():
        results = list(custom_results(value[:_LONGEST], custom_recognizers(rules)))
        full_matches = {kind for start, end, kind, _ in results if end - start == len(value)}
        counts.update(full_matches or ({"embedded"} if results else set()))
    return dict(counts)
