"""The metrics and health server."""
