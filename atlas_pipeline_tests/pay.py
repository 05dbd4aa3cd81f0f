"""A table of people whose greatest salary a contract looks at: nothing that Atlas tells of the check may quote it.

Belongs here: the contract and the salary, for tests of what is told to others. Does not belong here: the tables.
"""

SALARY = 731_000
"""The least; each of the next ones has one more."""
CONTRACT = """\
dataset: atlas/atlas/silver/people
columns:
  - name: salary
    checks:
      - missing:
          threshold: {must_be: 0, level: warn}
      - aggregate:
          function: max
          threshold: {must_be_less_than: 5, level: LEVEL}
"""
