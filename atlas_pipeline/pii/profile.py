"""`profile(columns, rules)`: what each column of a table holds, from its header, its values and the columns beside it.

Belongs here: counting, over a sample of each column, what its cells look like. Does not belong here: the tests of
cells, the words of headers and the decision (all in `columns/`), the action (`plan.py`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from atlas_pipeline.pii.columns.cells import embeds, votes
from atlas_pipeline.pii.columns.decide import Column, beside, decide
from atlas_pipeline.pii.columns.headers import read
from atlas_pipeline.pii.columns.tally import tally
from atlas_pipeline.pii.plan import ColumnProfile
from atlas_pipeline.pii.recognizers import custom_recognizers, custom_results, presidio_recognizers, word_pattern
from atlas_pipeline.pii.rules import Rules

_COSTLY_SAMPLE = 200
"""Most values that are passed to recognisers of Presidio and of the user."""
_LONGEST = 2_000
_NATIONAL = re.compile(
    r"[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D]|\d{7,8}-?[A-Z]|[XYZ]-?\d{7}-?[A-Z]|[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]|"
    r"\d\d ?\d{6} ?[A-Z] ?\d{3}|\d{6}[-+A-FU-Y]\d{3}[0-9A-Z]|[A-Z]{5}\d{4}[A-Z]|[STFGM]\d{7}[A-Z]|\d{6}-\d{7}|"
    r"[A-Z9]{5}\d{6}[A-Z0-9]{5}",
    re.IGNORECASE,
)
"""Forms of national identifiers that have check characters. Presidio takes seconds to load, and is loaded only for
columns of these."""


def profile(columns: Mapping[str, Any], rules: Rules | None = None) -> list[ColumnProfile]:
    """Profile the columns of a table.

    Args:
        columns: Values by header: Arrow arrays, pandas series or any sequence.
        rules: Words and recognisers to add to Atlas's own.

    Returns:
        One profile for each column, in their order; it holds counts, never a value.
    """
    rules = rules or Rules()
    counted = [_count(str(name), values, rules) for name, values in columns.items()]
    table = beside(counted)
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
    for counts in (_national(shown), custom):
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


def _national(shown: list[str]) -> dict[str, int]:
    """Count identity and tax numbers with valid check characters, if most values have the form of one."""
    fitting = [value for value in shown if len(value) < 24 and _NATIONAL.fullmatch(value)]
    if len(fitting) < max(2, 0.8 * len(shown)):
        return {}
    counts: Counter[str] = Counter()
    proving = [gated for gated in presidio_recognizers() if not gated.needs_context]
    for value in fitting:
        kinds = {
            gated.kind
            for gated in proving
            if gated.gate.search(value)
            for result in gated.recognizer.analyze(value, gated.recognizer.supported_entities, None)
            if result.end - result.start == len(value) and result.score >= 0.5
        }
        counts.update(kinds)
    return dict(counts)


def _custom(shown: list[str], rules: Rules) -> dict[str, int]:
    """Count cells that are of a custom kind as a whole, by kind; a match within a cell counts as `embedded`."""
    counts: Counter[str] = Counter()
    for value in shown if rules.recognizers else ():
        results = list(custom_results(value[:_LONGEST], custom_recognizers(rules)))
        full_matches = {kind for start, end, kind, _ in results if end - start == len(value)}
        counts.update(full_matches or ({"embedded"} if results else set()))
    return dict(counts)
