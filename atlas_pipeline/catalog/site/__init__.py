"""The catalogue: a static site of all tables, for people, from declarations and Atlas's own record.

Belongs here: its pages. Does not belong here: reading declarations (`orchestration/tables/catalogue.py`) and the
command (`cli/docs/`). Nothing on a page is a value of a row: names, kinds, counts and words of declarations are.
"""
