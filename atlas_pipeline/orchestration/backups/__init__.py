"""Backups as assets, checks and jobs."""
