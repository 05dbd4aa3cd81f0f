"""Detection in prose: patterns, places, names and a spaCy model, combined by `scanner`."""
