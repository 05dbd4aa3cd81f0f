"""`dg scaffold defs`: a first declaration and contract from data."""
