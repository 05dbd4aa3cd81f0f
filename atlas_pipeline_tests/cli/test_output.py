"""Tables of commands in terminals of different width: every row is there, and identifiers are whole."""

import pytest

from atlas_pipeline.cli.output import OUT, print_table

ID = "20261130T213223Z-manual-3b25bf"
COLUMNS = {"backup": "left", "made": "left", "rows": "right", "problem": "left"}
ROWS = [[ID, "2026-11-30 21:32", 1_234_567, "the server did not answer within its time limit [see its log]"]]


@pytest.mark.parametrize(
    ("width", "headings"),
    [(160, ["backup", "made", "rows", "problem"]), (80, ["backup", "rows", "problem"]), (60, ["backup", "problem"])],
)
def test_a_narrow_terminal_does_without_optional_columns_and_wraps_text(
    width: int, headings: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(OUT, "_width", width)
    print_table("Backups", COLUMNS, ROWS, optional=["made", "rows"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == headings
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert ID in text
    assert "…" not in text
    words = set(text.split())
    assert {"[see", "its", "log]", "limit"} <= words
    assert ("1,234,567" in words) == (width > 60)


def test_no_column_is_left_out_that_is_not_optional(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(OUT, "_width", 80)
    print_table("Backups", COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines()[2].split() == list(COLUMNS)
