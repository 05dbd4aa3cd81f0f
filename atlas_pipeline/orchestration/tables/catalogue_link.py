"""The link from an asset in the UI to its page in the catalogue.

Belongs here: the metadata that Dagster shows as a link. Does not belong here: the catalogue (`catalog/site/`).
"""

from collections.abc import Mapping

import dagster as dg

from atlas_pipeline.catalog.site.addresses import file_of
from atlas_pipeline.settings import load_settings


def catalogue_link(key: dg.AssetKey) -> Mapping[str, dg.MetadataValue]:
    """The metadata of an asset that lead to its page; none when it is not known where the catalogue is."""
    address = load_settings().catalogue_address
    return {"catalogue": dg.MetadataValue.url(f"{address}/{file_of('.'.join(key.path))}")} if address else {}
