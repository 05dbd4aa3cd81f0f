"""Keys of no known form: long random runs near a cue, and what looks like them."""

import random
import string
import uuid

import pytest

from atlas_pipeline.pii.secrets import random_looking
from atlas_pipeline.pii.text.scanner import scanner

KEY = "Zx8kP2mQ9rT4vW7yB3nD6fH1"


@pytest.mark.parametrize(
    "text",
    [
        f"the new deploy key for prod is in here: {KEY} keep it",
        f"credentials were rotated, use {KEY} from now on",
        f"der Schlüssel für den Export lautet jetzt {KEY}",
    ],
)
def test_a_random_run_near_a_cue_is_a_secret(text: str) -> None:
    spans = scanner().spans([text])[0]
    assert [(text[span.start : span.end], span.entity) for span in spans] == [(KEY, "SECRET")]


@pytest.mark.parametrize(
    "text",
    [
        f"the picture {KEY} was uploaded",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b has the key fix",
        "the key getHttp2ResponseHeadersForUser1 was renamed",
        "the key of the map is customer_orders_2024_by_region",
    ],
)
def test_other_runs_are_none(text: str) -> None:
    assert [span for span in scanner().spans([text])[0] if span.entity == "SECRET"] == []


def test_most_random_keys_and_no_uuid_look_random() -> None:
    rng = random.Random(4)
    keys = ["".join(rng.choices(string.ascii_letters + string.digits, k=24)) for _ in range(1_000)]
    assert sum(map(random_looking, keys)) > 950
    assert not any(random_looking(str(uuid.UUID(int=rng.getrandbits(128)))) for _ in range(1_000))
