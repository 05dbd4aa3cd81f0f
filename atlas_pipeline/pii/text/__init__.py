"""How prose is read: patterns, places, names and a language model, brought together by `scanner`."""
