"""The Postgres that holds the tables: server, roles, ledger, publishing, gold models. Plain Python, no Dagster."""
