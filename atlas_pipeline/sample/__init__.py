"""Synthetic sample data: three feeds about invented people with the flaws of real feeds, and the ground truth.

`generate` is the entry point. Nothing here loads, checks or masks data.
"""

from atlas_pipeline.sample.run import DatasetSummary, SampleSummary, generate

__all__ = ["DatasetSummary", "SampleSummary", "generate"]
