"""The actions on columns of text: masks, tokens, generalised values. `pii/apply.py` is the entry point for tables."""
