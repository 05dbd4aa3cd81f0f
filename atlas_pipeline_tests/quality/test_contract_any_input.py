"""Any text is read as a contract, or refused with its file and line."""

import random
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from atlas_pipeline.quality.contract import ContractError
from atlas_pipeline.settings import PROJECT_ROOT
from atlas_pipeline_tests.quality.contracts import ACCEPTED, read

VALID = [*ACCEPTED.values(), *(path.read_text() for path in (PROJECT_ROOT / "atlas_pipeline").rglob("contract.yml"))]
PIECES = [
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: ",
    "!",
    "'",
    "|",
    "#",
    "~",
    "0",
    "true",
    "a/b/c/d",
]
PIECES += ["${var.x}", "\t", "must_be", "threshold", "columns", "checks", "name", "missing", "null", "%", "\x00", "é"]


def only_contract_errors(folder: Path, text: str | bytes) -> None:
    """Reads it, whatever it is."""
    try:
        read(folder, text, table=("silver", "things"))
    except ContractError as error:
        if not str(error).startswith(f"{folder / 'contract.yml'}:"):
            raise AssertionError(f"no place in {error}") from error


any_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


@any_folder
@given(
    text=st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.binary(max_size=300)
)
@example(text="dataset: &a {<<: *a}\ncolumns: []")
def test_any_text_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    only_contract_errors(tmp_path, data)


@any_folder
@given(base=st.sampled_from(VALID), seed=st.integers(0, 1 << 32), changes=st.integers(1, 4))
def test_a_damaged_contract_is_read_or_refused(tmp_path: Path, base: str, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    text = base
    for _ in range(changes):
        at = chance.randrange(len(text) + 1)
        words = text.split(" ")
        if chance.random() < 0.5 and len(words) > 1:
            words[chance.randrange(len(words))] = chance.choice(PIECES + words)
            text = " ".join(words)
        else:
            text = text[:at] + chance.choice(PIECES) + text[at + chance.randrange(4) :]
    only_contract_errors(tmp_path, text)
