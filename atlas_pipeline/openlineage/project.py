"""What events say of a project: its tables as datasets, and the facets that its declarations give.

Belongs here: datasets and jobs. Does not belong here: what happened in a run (`events.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from atlas_pipeline.catalog.site.declared import Table

PRODUCER = "https://pypi.org/project/atlas-pipeline"
SPEC = "https://openlineage.io/spec"
JOBS = "atlas"
"""Namespace of jobs."""
_MASKED = ("mask", "hash", "encrypt", "redact", "generalise")


def facet(name: str, version: str, **fields: Any) -> dict[str, Any]:
    """A facet with the address of its schema.

    Args:
        name: of the facet's definition.
        version: of its schema, such as 1-2-0.
        fields: of the facet.
    """
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/facets/{version}/{name}.json#/$defs/{name}", **fields}


@dataclass(frozen=True)
class Project:
    """The tables of a project by the paths of their assets, such as silver/orders.

    Attributes:
        tables: as declared.
        steps: paths of the assets that each step makes.
        server: namespace of the datasets, such as postgres://host:5432.
        database: that the tables are in.
        actions: what is done with personal data, by path and column.
    """

    tables: Mapping[str, Table]
    steps: Mapping[str, Sequence[str]]
    server: str
    database: str
    actions: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def dataset(self, key: str) -> dict[str, Any]:
        """A table as a reference."""
        return {"namespace": self.server, "name": f"{self.database}.{key}"}

    def inputs(self, path: str) -> list[dict[str, Any]]:
        """What a table is made from."""
        return [self.dataset(key) for key in self.tables[path].reads]

    def output(self, path: str, rows: int | None = None) -> dict[str, Any]:
        """A table as it is built, with its schema and the lineage of its columns.

        Args:
            path: of its asset.
            rows: that were published; null where that is not known.
        """
        table = self.tables[path]
        facets: dict[str, Any] = {
            "schema": facet("SchemaDatasetFacet", "1-2-0", fields=[_field(column) for column in table.columns])
        }
        if lineage := {column.name: self._sources(path, column) for column in table.columns if column.sources}:
            facets["columnLineage"] = facet("ColumnLineageDatasetFacet", "1-2-0", fields=lineage)
        if table.description:
            facets["documentation"] = facet("DocumentationDatasetFacet", "1-1-0", description=table.description)
        if table.owners:
            owners = [{"name": owner} for owner in table.owners]
            facets["ownership"] = facet("OwnershipDatasetFacet", "1-0-1", owners=owners)
        found = self.dataset(table.key) | {"facets": facets}
        if rows is not None:
            written = facet("OutputStatisticsOutputDatasetFacet", "1-0-2", rowCount=rows)
            found["outputFacets"] = {"outputStatistics": written}
        return found

    def job(self, path: str, ending: str = "") -> dict[str, Any]:
        """The job that builds a table; with an ending another one that is about it."""
        kind = facet("JobTypeJobFacet", "2-0-4", processingType="BATCH", integration="ATLAS", jobType="MODEL")
        return {"namespace": JOBS, "name": f"{self.tables[path].key}{ending}", "facets": {"jobType": kind}}

    def _sources(self, path: str, column: Any) -> dict[str, Any]:
        masking = self.actions.get((path, column.name)) in _MASKED
        transformation = {"type": "DIRECT", "masking": masking}
        fields = [
            self.dataset(key) | {"field": name, "transformations": [transformation]} for key, name in column.sources
        ]
        return {"inputFields": fields}


def _field(column: Any) -> dict[str, Any]:
    parts = {"name": column.name, "type": column.type, "description": column.description}
    return {name: value for name, value in parts.items() if value is not None}


def known_to(project: Project, paths: Collection[str]) -> list[str]:
    """Those of the paths that are tables of the project, sorted."""
    return sorted(path for path in paths if path in project.tables)
