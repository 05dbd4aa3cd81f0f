"""What datasets and models say of the persons in them: what others may know of them, and what the data is for.

Belongs here: these fields of the YAML. Does not belong here: kinds and actions of columns (`dataset.py`), and what is
measured (`pii/`).
"""

from collections.abc import Sequence

from pydantic import Field

from atlas_pipeline.components.declaration import Declared, Described
from atlas_pipeline.pii.processing import Processing
from atlas_pipeline.pii.reidentification import RiskRule


class Anonymity(Described):
    """How many rows must look the same: k."""

    warn_below: int | None = Field(None, ge=2, description="The check `reidentification` warns where k is less.")
    fail_below: int | None = Field(None, ge=2, description="The table is not published where k is less.")


class OfPersons(Declared):
    """The fields that a table with persons in it may have."""

    quasi: list[str] = Field(
        [], description="Columns that others may know of a person, beside those of such kinds: birth dates, postcodes."
    )
    sensitive: list[str] = Field([], description="Columns that nobody should learn of a person, such as a diagnosis.")
    anonymity: Anonymity | None = Field(
        None, description="How many rows must look the same to whoever knows such columns: `warn_below`, `fail_below`."
    )
    purpose: str | None = Field(None, description="What the data is processed for, for the privacy report.")
    basis: str | None = Field(None, description="The legal basis, such as `contract`, for the privacy report.")
    recipients: list[str] = Field([], description="Who else receives the data, for the privacy report.")

    def risk_rule(self, columns: Sequence[str]) -> RiskRule:
        """How well rows of persons must be hidden. Raises DeclarationError for a column that the table has not."""
        for name, listed in (("quasi", self.quasi), ("sensitive", self.sensitive)):
            for index, column in enumerate(listed):
                if column not in columns:
                    expected = ", ".join(columns)
                    raise self.fail(f"{name} names {column!r}, which is not a column: {expected}", name, index)
        limits = self.anonymity or Anonymity()
        return RiskRule(tuple(self.quasi), tuple(self.sensitive), limits.warn_below, limits.fail_below)

    @property
    def processing(self) -> Processing:
        """What the data is for, as declared."""
        return Processing(self.purpose, self.basis, tuple(self.recipients))
