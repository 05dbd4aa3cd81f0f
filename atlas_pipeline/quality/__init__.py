"""Contracts in Soda's language and their outcomes. Plain Python, no Dagster; the one place that imports Soda."""
