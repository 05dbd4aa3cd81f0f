"""Soda, and every import of it: a contract measured on one table, in the transaction that it is handed.

Belongs here: what Atlas does otherwise than Soda's own session. Does not belong here: where the table is and what
follows (`quality/verification.py`), which imports this package late because Soda takes a second.

Otherwise than Soda: all queries read one snapshot; counts are taken with FILTER, and each COUNT(DISTINCT) in a query of
its own, so that Postgres can use its workers and indexes; a check that Postgres refuses does not take the others of
its query along; no message quotes a value; nothing of Soda stays behind in the host's logging.
"""
