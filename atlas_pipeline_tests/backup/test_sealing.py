"""Sealing and opening: with keys, without, damaged, cut, broken off, and read by the tools of that name."""

import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
import zstandard

from atlas_pipeline.backup.sealing import SealError, identities_of, recipient_of, seal, suffix, unseal

KEY, OTHER = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
FOR_KEY, FOR_OTHER = str(KEY.to_public()), str(OTHER.to_public())
RANDOM = random.Random(7).randbytes(700_000)
CONTENTS = {
    "empty": b"",
    "one byte": b"x",
    "text": b"a line of text\n" * 50_000,
    "random": RANDOM,
    "mixed": RANDOM + bytes(3_000_000) + RANDOM[:100_001],
}


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def sealed(data: bytes, *recipients: str) -> bytes:
    return b"".join(seal(cut(data, 10_000), recipients))


def opened(data: bytes, *identities: Any, recipients: tuple[str, ...] = ()) -> bytes:
    return b"".join(unseal(cut(data, 100_000), identities, recipients))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    files = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "atlas-age"]
    assert len(list(Path("/proc/self/fd").iterdir())) == files


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("recipients", [(), (FOR_KEY,), (FOR_OTHER, FOR_KEY)], ids=["plain", "one key", "two keys"])
@pytest.mark.parametrize("size", [1, 65_536 + 16, 10_000_000])
def test_what_comes_out_is_what_went_in(name: str, recipients: tuple[str, ...], size: int) -> None:
    data = CONTENTS[name][:20_000] if size == 1 else CONTENTS[name]
    stored = b"".join(seal(cut(data, size), recipients))
    assert b"".join(unseal(cut(stored, size), [KEY] if recipients else [], recipients)) == data


@pytest.mark.parametrize("threads", [0, 2])
def test_levels_and_threads(threads: int) -> None:
    data = CONTENTS["mixed"]
    by_level = [b"".join(seal(cut(data, 100_000), (), level, threads)) for level in (1, 19)]
    assert [opened(one) for one in by_level] == [data, data]
    with pytest.raises(SealError, match="zstd does not know level 99"):
        list(seal([b"x"], (), 99))


def test_a_frame_has_a_checksum() -> None:
    assert zstandard.get_frame_parameters(sealed(b"x" * 1000)).has_checksum
    assert (suffix(()), suffix([FOR_KEY])) == (".zst", ".zst.age")


@pytest.mark.skipif(not shutil.which("age"), reason="the tool age is not installed")
def test_age_and_zstd_open_it_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"# a key\n{KEY}\n")
    (tmp_path / "sealed").write_bytes(sealed(CONTENTS["mixed"], FOR_OTHER, FOR_KEY))
    found = subprocess.run(
        ["age", "-d", "-i", tmp_path / "key", tmp_path / "sealed"], capture_output=True, check=True, timeout=60
    ).stdout
    assert zstandard.ZstdDecompressor().decompressobj().decompress(found) == CONTENTS["mixed"]
    encrypted = subprocess.run(
        ["age", "-r", FOR_KEY], input=zstandard.compress(RANDOM), capture_output=True, check=True, timeout=60
    ).stdout
    assert opened(encrypted, KEY) == RANDOM


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_keys_of_ssh(tmp_path: Path, kind: str) -> None:
    make = ["ssh-keygen", "-q", "-t", kind, "-C", "somebody", "-f", tmp_path / "key"]
    subprocess.run([*make, "-N", ""], check=True, timeout=60)
    recipient = recipient_of((tmp_path / "key.pub").read_text())
    stored = sealed(RANDOM, recipient)
    assert opened(stored, *identities_of((tmp_path / "key").read_text(), "key")) == RANDOM
    with pytest.raises(SealError, match=r"none of the identities opens it: expected the key of ssh-"):
        opened(stored, KEY, recipients=(recipient,))


# Damage.


@pytest.mark.parametrize("recipients", [(), (FOR_KEY,)], ids=["plain", "encrypted"])
def test_wherever_it_is_cut_it_is_refused(recipients: tuple[str, ...]) -> None:
    """Also where age's chunks and zstd's blocks end."""
    data = RANDOM[:300_000]
    stored = sealed(data, *recipients)
    header = len(stored) % 65_552 if recipients else 0
    places = {0, 1, 5, 22, 100, len(stored) - 1, len(stored) - 4, len(stored) - 5}
    places |= {n for block in range(5) for n in range(block * 65_552 + header - 20, block * 65_552 + header + 20)}
    places |= {n for block in range(3) for n in range(block * 131_075, block * 131_075 + 20)}
    for place in sorted(n for n in places if 0 <= n < len(stored)):
        with pytest.raises(SealError):
            opened(stored[:place], KEY)


@pytest.mark.parametrize("recipients", [(), (FOR_KEY,)], ids=["plain", "encrypted"])
def test_wherever_a_bit_is_flipped_it_is_refused(recipients: tuple[str, ...]) -> None:
    """Some bits of a zstd frame have no meaning; what is opened is then what it was. Age protects each bit."""
    data = RANDOM[:150_000] + bytes(200_000) + b"text of a kind" * 9_000
    stored = sealed(data, *recipients)
    chosen = random.Random(3)
    places = [*range(400), *(chosen.randrange(len(stored)) for _ in range(100)), *range(len(stored) - 40, len(stored))]
    meaningless = 0
    for place in places:
        damaged = bytearray(stored)
        damaged[place] ^= 1 << chosen.randrange(8)
        try:
            assert opened(bytes(damaged), KEY) == data
            meaningless += 1
        except SealError:
            pass
    assert meaningless <= (0 if recipients else 5)


@pytest.mark.parametrize("recipients", [(), (FOR_KEY,)], ids=["plain", "encrypted"])
@pytest.mark.parametrize("more", [b"x", bytes(200_000), sealed(b"more")], ids=["a byte", "zeros", "another"])
def test_what_goes_on_after_its_end_is_refused(recipients: tuple[str, ...], more: bytes) -> None:
    with pytest.raises(SealError):
        opened(sealed(RANDOM, *recipients) + more, KEY)


def test_a_wrong_key_says_which_was_expected() -> None:
    stored = sealed(RANDOM, FOR_KEY)
    with pytest.raises(SealError) as caught:
        opened(stored, OTHER, recipients=(FOR_KEY,))
    assert str(caught.value) == f"none of the identities opens it: expected the key of {FOR_KEY}"
    with pytest.raises(SealError, match=f"there is no identity: expected the key of {FOR_KEY}"):
        opened(stored, recipients=(FOR_KEY,))
    with pytest.raises(SealError, match="none of the identities opens it: expected a key that it was sealed for"):
        opened(stored, OTHER)
    with pytest.raises(SealError, match="it is not encrypted, and was to be"):
        opened(sealed(RANDOM), KEY, recipients=(FOR_KEY,))


# Ends.


class Broken(Exception):
    pass


def breaking(after: int) -> Iterator[bytes]:
    for _ in range(after):
        yield os.urandom(100_000)
    raise Broken


@pytest.mark.parametrize("after", [0, 1, 30])
@pytest.mark.parametrize("recipients", [(), (FOR_KEY,)], ids=["plain", "encrypted"])
def test_a_source_that_breaks_is_heard(after: int, recipients: tuple[str, ...]) -> None:
    with pytest.raises(Broken):
        list(seal(breaking(after), recipients))
    stored = sealed(RANDOM * 3, *recipients)
    with pytest.raises(Broken):
        list(unseal(itertools.chain(cut(stored[:-10], 100_000), breaking(0)), [KEY]))


def test_a_consumer_that_leaves_ends_the_thread() -> None:
    stream = seal(breaking(100), (FOR_KEY,))
    next(stream)
    assert [thread for thread in threading.enumerate() if thread.name == "atlas-age"]
    stream.close()  # type: ignore[attr-defined]
    reading = unseal(cut(sealed(RANDOM * 10, FOR_KEY), 50_000), [KEY])
    next(reading)
    assert [thread for thread in threading.enumerate() if thread.name == "atlas-age"]
    reading.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [MemoryError("none left"), RuntimeError("it died"), SystemExit(3)])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_encryption_that_dies_is_an_error_and_no_short_stream(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int
) -> None:
    def dying(reader: Any, writer: Any, _: Any) -> None:
        for _ in range(after):
            writer.write(reader.read(8192))
        raise error

    monkeypatch.setattr(pyrage, "encrypt_io", dying)
    monkeypatch.setattr(pyrage, "decrypt_io", dying)
    with pytest.raises(SealError, match=f"age cannot encrypt it \\({type(error).__name__}\\)"):
        list(seal(cut(RANDOM, 10_000), (FOR_KEY,)))
    with pytest.raises(SealError, match="age cannot encrypt it"):
        list(seal([b"so little that all of it was handed over"], (FOR_KEY,)))
    with pytest.raises(SealError):
        list(unseal(itertools.chain([b"age-encryption.org/v1\n"], cut(RANDOM, 10_000)), [KEY]))


def test_an_encryption_that_stops_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyrage, "encrypt_io", lambda reader, writer, _: writer.write(reader.read(100)))
    with pytest.raises(SealError):
        list(seal(cut(RANDOM, 10_000), (FOR_KEY,)))


# Keys.


def test_recipients() -> None:
    assert recipient_of(f" {FOR_KEY}\n") == FOR_KEY
    secret = str(KEY)
    for text, message in (
        (secret, "is a secret key; give its public half"),
        (secret.lower(), "is a secret key; give its public half"),
        (FOR_KEY[:-1], "61 characters of 62"),
        (FOR_KEY[:-1] + ("q" if FOR_KEY[-1] != "q" else "p"), "a typing error"),
        ("ssh-ed25519 AAAA nobody", "is not an ssh-ed25519 key"),
        ("", "a recipient is a public key"),
        ("correct horse", "a recipient is a public key"),
    ):
        with pytest.raises(SealError, match=message) as caught:
            recipient_of(text)
        assert secret[20:30].lower() not in str(caught.value).lower()
        assert "horse" not in str(caught.value)
        with pytest.raises(SealError):
            seal([b"x"], [text])  # at once, before anything is read


def test_identities() -> None:
    found = identities_of(f"# created: today\n# public key: {FOR_KEY}\n{KEY}\n\n{OTHER}\n", "keys.txt")
    assert [str(one.to_public()) for one in found] == [FOR_KEY, FOR_OTHER]
    secret = str(KEY)
    assert opened(sealed(RANDOM, FOR_OTHER), f"{KEY}\n{OTHER}\n") == RANDOM, "text will do"
    for text, message in (
        (f"{FOR_KEY}\n", "keys.txt, line 1: a public key; its secret half begins with AGE-SECRET-KEY-1"),
        (f"# a key\n{secret[:-1]}\n", "keys.txt, line 2: no secret key"),
        ("# nothing\n", "keys.txt: there is no key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "keys.txt: this SSH key is not readable"),
    ):
        with pytest.raises(SealError, match=message) as caught:
            identities_of(text, "keys.txt")
        assert secret[20:30] not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("content", ["zeros", "random"])
def test_memory_stays_flat(content: str) -> None:
    """A gibibyte of zeros is 33 KB of zstd: what opens it must not hold it all."""
    code = f"""
import hashlib, os, random, resource, sys
from atlas_pipeline.backup.sealing import seal, unseal
import pyrage
key = pyrage.x25519.Identity.generate()
block = bytes(1 << 20) if {content!r} == "zeros" else random.Random(1).randbytes(1 << 20)
for step in (16, {1024 if content == "zeros" else 300}):
    raw = 0
    for chunk in unseal(seal((block for _ in range(step)), [str(key.to_public())]), [key]):
        raw += len(chunk)
        assert len(chunk) <= 1 << 20
    assert raw == step << 20
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    few, many = map(int, done.stdout.split())
    assert many - few < 24, done.stdout
