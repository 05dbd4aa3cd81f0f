"""The plain manifest of an encrypted backup tells nothing about values, and still proves a restore."""

import json
from dataclasses import replace

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_pipeline.backup.keyed import keyed, new_key, opened_key
from atlas_pipeline.backup.manifest import DatabaseState
from atlas_pipeline.backup.pg_dump import difference
from atlas_pipeline.backup.sealing import SealError

DIGESTS = st.text("0123456789abcdef", min_size=16, max_size=16)
NAMES = st.text(min_size=1, max_size=8)
STATES = st.builds(
    DatabaseState,
    tables=st.dictionaries(NAMES, st.tuples(st.integers(0, 9), DIGESTS), max_size=3),
    sequences=st.just({"s": "5 given out"}),
    large_objects=st.tuples(st.integers(0, 3), st.lists(DIGESTS, min_size=3, max_size=3).map(".".join)),
    objects=st.dictionaries(NAMES, DIGESTS.map(lambda digest: f"owner a b; grants x=r; {digest}"), max_size=3),
    roles=st.dictionaries(
        NAMES, DIGESTS.map(lambda digest: f"LOGIN, CONNECTION LIMIT 1, work_mem={digest}"), max_size=2
    ),
    extensions=st.just({"vector": "1 public"}),
    settings=st.dictionaries(NAMES, DIGESTS, max_size=2).map(lambda known: {"owner": "me", **known}),
)
KEY, OTHER = b"k" * 32, b"o" * 32


@given(STATES)
def test_no_hash_is_left_and_no_two_keys_give_the_same(state: DatabaseState) -> None:
    def digests(one: DatabaseState) -> set[str]:
        texts = [*(text for _, text in one.tables.values()), *one.large_objects[1].split(".")]
        texts += [text.rpartition("; ")[2] for text in one.objects.values()]
        texts += [text.rpartition("=")[2] for text in one.roles.values()]
        return {*texts, *(text for name, text in one.settings.items() if name != "owner")}

    assert digests(keyed(state, KEY)).isdisjoint(digests(state))
    assert digests(keyed(state, KEY)).isdisjoint(digests(keyed(state, OTHER)))
    assert keyed(state, None) == state


@given(STATES, STATES)
def test_what_differs_still_differs_and_is_named_alike(one: DatabaseState, other: DatabaseState) -> None:
    assert difference(keyed(one, KEY), keyed(one, KEY)) == []
    assert difference(keyed(one, KEY), keyed(other, KEY)) == difference(one, other)


def test_equal_tables_of_two_names_have_other_hashes() -> None:
    state = DatabaseState({"a": (1, "0" * 16), "b": (1, "0" * 16)}, {}, (0, ""), {}, {}, {}, {})
    hashed = keyed(state, KEY).tables
    assert hashed["a"] != hashed["b"]
    assert replace(keyed(state, KEY), tables={}, large_objects=(0, "")) == replace(state, tables={})


def test_the_key_is_for_the_recipients_alone() -> None:
    identity, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    recipients = (str(identity.to_public()),)
    key, sealed = new_key(recipients)
    assert key is not None
    assert sealed is not None
    assert opened_key(json.loads(json.dumps(sealed)), (identity,), recipients) == key
    for damaged in (sealed[:-8], "no base64!", sealed):
        with pytest.raises(SealError):
            opened_key(damaged, (stranger,), recipients)
    assert new_key(()) == (None, None)
    assert opened_key(None, (), ()) is None
