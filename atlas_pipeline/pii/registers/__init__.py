"""Identifiers that registers issue to people: their forms, their check digits, and how many values prove one."""
