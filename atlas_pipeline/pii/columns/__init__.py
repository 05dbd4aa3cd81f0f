"""Column classification, for `profile`: by its header, its cells, and the columns beside it."""
