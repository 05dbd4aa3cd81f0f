"""Unit tests of gold models: rows that a model is given, and the rows it must make of them.

Belongs here: reading `tests/*.yaml` (`file.py`), and running a test on Postgres (`running.py`). Does not belong here:
what is printed of it (`cli/model_tests.py`), and contracts, which are about the rows there are.
"""
