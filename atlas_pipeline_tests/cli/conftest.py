"""What tests of commands share: output of the width that a pipe has."""

import pytest

from atlas_pipeline.cli.output import OUT


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A width that does not depend on the terminal in which the tests were started; rich asks for both."""
    monkeypatch.setattr(OUT, "_width", 160)
    monkeypatch.setattr(OUT, "_height", 25)
