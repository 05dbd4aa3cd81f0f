"""Documents that people write: located YAML, faults in words, JSON schemas, durations. Imports nothing of Atlas."""
