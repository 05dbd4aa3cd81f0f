"""The jobs that take a file back, load one again, and accept a snapshot that shrank.

Belongs here: over which datasets. Does not belong here: what they do (`orchestration/tables/files.py`).
"""

import dagster as dg

from atlas_pipeline.components import Dataset
from atlas_pipeline.orchestration.tables.files import file_jobs


@dg.definitions
def files(context: dg.ComponentLoadContext) -> dg.Definitions:
    """These jobs over all datasets."""
    components = context.component_tree.get_all_components(Dataset)
    return dg.Definitions(jobs=file_jobs({component.table: component.declared for component in components}))
