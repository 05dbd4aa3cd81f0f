"""The assets of bronze, silver and gold, and their checks."""
