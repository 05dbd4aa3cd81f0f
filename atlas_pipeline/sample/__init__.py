"""Sample data about made-up people: three feeds with the flaws of real ones, and the truth about them.

`generate` writes it all; what else is in this package is how. Nothing here loads, checks or masks data.
"""

from atlas_pipeline.sample.run import DatasetSummary, SampleSummary, generate

__all__ = ["DatasetSummary", "SampleSummary", "generate"]
