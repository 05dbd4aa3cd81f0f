"""Which files of tests a run needs: importing all of them takes half a minute of each process.

Belongs here: what marks say of a file before it is imported. Does not belong here: the marks (`pyproject.toml`), and
which tests of a file run, which pytest decides.
"""

import itertools
import re

from _pytest.mark.expression import Expression

_MARK = re.compile(r"pytest\.mark\.(slow|platform)\b")
_OF_ALL = re.compile(r"^pytestmark = .*", re.MULTILINE)


def is_needed(text: str, chosen: str) -> bool:
    """Whether a file may have tests of those that `-m` has chosen.

    Args:
        text: The file, in which marks are written as `pytest.mark.slow`.
        chosen: An expression of marks, such as `slow and not platform`. One of other marks needs each file.
    """
    if not set(re.findall(r"\w+", chosen)) <= {"slow", "platform", "and", "or", "not"}:
        return True
    expression = Expression.compile(chosen)
    of_all = {mark for line in _OF_ALL.findall(text) for mark in _MARK.findall(line)}
    of_some = set(_MARK.findall(text)) - of_all
    subsets = itertools.chain.from_iterable(itertools.combinations(of_some, n) for n in range(len(of_some) + 1))
    return any(expression.evaluate(lambda mark, marks=of_all | set(subset): mark in marks) for subset in subsets)
