"""Streams to and from a store: compressed with zstd, then encrypted with age (https://age-encryption.org/v1).

Belongs here: both directions, keys and their checks. Does not belong here: objects and manifests (`objects.py`), and
where keys are kept. The standard tools read the result: `age -d -i key | zstd -d`.

Both directions hold a few MiB, however much passes. Nothing ends early in silence: a stream ends by its last block and
its checksum, and by age's last chunk, or by an exception.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

LEVEL = 1
# Of the rows of databases, which hold many numbers and hashes, this makes less, in less time, than level 3.
_AT_LEVEL = {"min_match": 6, "hash_log": 13}
_CHUNK = 1 << 20
_AGE = b"age-encryption.org/v1\n"


class SealError(Exception):
    """A stream cannot be sealed or opened; the message says why. It holds no secret."""


def suffix(recipients: Sequence[str]) -> str:
    """File name suffix of a stream sealed to these recipients."""
    return ".zst.age" if recipients else ".zst"


def recipient_of(text: str) -> str:
    """A public key for age (age1…, ssh-ed25519 or ssh-rsa), stripped. Raises SealError."""
    key = text.strip()
    _recipient(key)
    return key


def identities_of(text: str, place: str) -> tuple[Any, ...]:
    """Parse secret keys.

    Args:
        text: lines of an age key file, or one SSH key without passphrase.
        place: where the text came from, for messages.

    Raises:
        SealError: it holds no usable key; the message quotes none of it.
    """
    import pyrage

    if "PRIVATE KEY-----" in text:
        try:
            return (pyrage.ssh.Identity.from_buffer(text.encode()),)
        except (pyrage.IdentityError, ValueError):
            raise SealError(f"{place}: this SSH key is not readable, or has a passphrase, which is not known") from None
    identities = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                identities.append(pyrage.x25519.Identity.from_str(line.strip()))
            except pyrage.IdentityError:
                kind = "a public key; its secret half" if line.startswith(("age1", "ssh-")) else "no secret key; it"
                raise SealError(f"{place}, line {number}: {kind} begins with AGE-SECRET-KEY-1") from None
    if not identities:
        raise SealError(f"{place}: there is no key; `age-keygen` makes one")
    return tuple(identities)


def seal(
    chunks: Iterable[bytes], recipients: Sequence[str] = (), level: int = LEVEL, threads: int = 0
) -> Generator[bytes, None, None]:
    """Compress, and encrypt if there are recipients.

    Args:
        chunks: the plain bytes; what it raises passes through.
        recipients: public keys; none leaves the stream unencrypted.
        level: of zstd.
        threads: that compress besides the caller's.

    Raises:
        SealError: a recipient is not a public key (raised by the call itself), or sealing fails.
    """
    keys = [_recipient(recipient) for recipient in recipients]
    compressed = _compressed(chunks, level, threads)
    return _encrypted(compressed, keys) if keys else compressed


def unseal(
    chunks: Iterable[bytes], identities: Sequence[Any] = (), recipients: Sequence[str] = ()
) -> Generator[bytes, None, None]:
    """Decrypt with any of the identities that fits, and decompress.

    Args:
        chunks: the sealed bytes; what it raises passes through.
        identities: as `identities_of` returns them, or text that it reads.
        recipients: public keys that the stream was sealed to, for messages.

    Raises:
        SealError: no identity fits, or the stream is damaged or ends early.
    """
    keys = [
        key
        for identity in identities
        for key in (identities_of(identity, "identity") if isinstance(identity, str) else [identity])
    ]
    source = iter(chunks)
    start = b""
    while len(start) < len(_AGE) and (more := next(source, None)) is not None:
        start += more
    opened: Generator[bytes, None, None] = _joined(start, source)
    if not start.startswith(_AGE):
        if recipients:
            raise SealError(f"it is not encrypted, and was to be: expected age's header, for {_named(recipients)}")
    elif not keys:
        raise SealError(f"it is encrypted and there is no identity: expected {_keys(recipients)}")
    else:
        opened = _decrypted(opened, keys, recipients)
    with closing(opened):
        yield from _decompressed(opened)


def _recipient(key: str) -> Any:
    import pyrage

    if key.upper().startswith("AGE-SECRET-KEY-") or "PRIVATE KEY" in key:
        raise SealError("this recipient is a secret key; give its public half, which `age-keygen -y` prints")
    kinds = (
        ("age1", pyrage.x25519.Recipient),
        ("ssh-ed25519 ", pyrage.ssh.Recipient),
        ("ssh-rsa ", pyrage.ssh.Recipient),
    )
    for start, kind in kinds:
        if key.startswith(start):
            try:
                return kind.from_str(key)
            except pyrage.RecipientError:
                hint = f"{len(key)} characters of 62" if start == "age1" and len(key) != 62 else "a typing error"
                raise SealError(f"recipient {key[:12]}… is not an {start.strip(' 1')} key: {hint}") from None
    raise SealError("a recipient is a public key: age1…, ssh-ed25519 … or ssh-rsa …")


def _named(recipients: Sequence[str]) -> str:
    return " or ".join(recipients)


def _keys(recipients: Sequence[str]) -> str:
    return f"the key of {_named(recipients)}" if recipients else "a key that it was sealed for"


# Compression.


def _compressed(chunks: Iterable[bytes], level: int, threads: int) -> Generator[bytes, None, None]:
    import zstandard

    message = f"zstd does not know level {level} with {threads} threads"
    if level > zstandard.MAX_COMPRESSION_LEVEL:
        raise SealError(message)
    chosen = _AT_LEVEL if level == LEVEL else {}
    try:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, threads=threads, write_checksum=True, **chosen
        )
        frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    except (zstandard.ZstdError, ValueError) as error:
        raise SealError(message) from error
    for chunk in chunks:
        for start in range(0, len(chunk), _CHUNK):
            if compressed := _zstd(frame.compress, chunk[start : start + _CHUNK]):
                yield compressed
    yield _zstd(frame.flush)


def _zstd(act: Callable[..., bytes], *arguments: bytes) -> bytes:
    import zstandard

    try:
        return act(*arguments)
    except (zstandard.ZstdError, MemoryError) as error:
        raise SealError(f"zstd failed: {error}") from error


def _decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    for piece in _blocks(chunks):
        if frame.eof:
            raise SealError("there is more after its end: it is damaged")
        try:
            raw = frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise SealError(f"it is damaged: {error}") from None
        if raw:
            yield raw
    if not frame.eof:
        raise SealError("it ends early: it is truncated")
    if frame.unused_data:
        raise SealError("there is more after its end: it is damaged")


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a zstd frame in chunks of at most 8 blocks, which are at most 1 MiB of raw data.

    A few bytes may stand for gigabytes, and zstd's Python interface returns at once all that its input stands for.
    What is no frame comes out as it is: the decompressor is who says so.
    """
    buffer = bytearray()
    next_header: int | None = None  # of the next block's header in `held`; null before it is known
    last = False
    for chunk in chunks:
        buffer += chunk
        if next_header is None:
            if len(buffer) < 5:
                continue
            kind = buffer[4]
            single = kind >> 5 & 1
            next_header = 6 - single + (0, 1, 2, 4)[kind & 3] + (single, 2, 4, 8)[kind >> 6]
        emitted = blocks = 0
        while not last and next_header + 3 <= len(buffer):
            header = int.from_bytes(buffer[next_header : next_header + 3], "little")
            end = next_header + 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
            if end > len(buffer):
                break
            next_header, last, blocks = end, bool(header & 1), blocks + 1
            if blocks == 8:
                yield bytes(buffer[emitted:next_header])
                emitted, blocks = next_header, 0
        complete = len(buffer) if last else next_header
        if emitted < complete <= len(buffer):
            yield bytes(buffer[emitted:complete])
            emitted = complete
        del buffer[:emitted]
        next_header -= emitted
    if buffer:
        yield bytes(buffer)


# Encryption. age's library reads one file and writes another until it is done, so it has a thread of its own.


def _encrypted(chunks: Iterator[bytes], keys: Sequence[Any]) -> Generator[bytes, None, None]:
    import pyrage

    def encrypt(pump: _PumpedFile) -> None:
        pyrage.encrypt_io(pump, pump, keys)

    def failed(error: BaseException) -> SealError:
        return SealError(f"age cannot encrypt it ({type(error).__name__})")

    return _pumped(chunks, encrypt, failed)


def _decrypted(
    chunks: Iterator[bytes], identities: Sequence[Any], recipients: Sequence[str]
) -> Generator[bytes, None, None]:
    import pyrage

    def decrypt(pump: _PumpedFile) -> None:
        pyrage.decrypt_io(pump, pump, identities)

    def failed(error: BaseException) -> SealError:
        if isinstance(error, pyrage.DecryptError) and "No matching keys" in str(error):
            return SealError(f"none of the identities opens it: expected {_keys(recipients)}")
        return SealError(f"it is damaged or truncated: age cannot decrypt it ({type(error).__name__})")

    return _pumped(chunks, decrypt, failed)


def _pumped(
    chunks: Iterator[bytes], work: Callable[["_PumpedFile"], None], failed: Callable[[BaseException], SealError]
) -> Generator[bytes, None, None]:
    """What `work` writes when it reads `chunks`, which the caller's thread iterates: their errors pass through."""
    pump = _PumpedFile(work)
    try:
        for chunk in chunks:
            yield from pump.feed(chunk)
        yield from pump.finish()
    except _WorkFailed as error:
        raise failed(error.cause) from None
    finally:
        pump.stop()
        if close := getattr(chunks, "close", None):
            close()


class _WorkFailed(Exception):
    def __init__(self, cause: BaseException):
        super().__init__(type(cause).__name__)
        self.cause = cause


class _Stopped(Exception):
    """The consumer stopped."""


class _PumpedFile:
    """A file object that a thread reads and writes, while its owner feeds the input and takes the output.

    The owner waits while more than a chunk is unread, so that memory is bounded.
    """

    def __init__(self, work: Callable[["_PumpedFile"], None]):
        self._changed = threading.Condition()
        self._unread: deque[bytes] = deque()
        self._written: list[bytes] = []
        self._ended = self._stopped = self._done = False
        self._error: BaseException | None = None
        self._current, self._place = b"", 0  # what the thread reads from
        self._thread = threading.Thread(target=self._run, args=(work,), name="atlas-age", daemon=True)
        self._thread.start()

    # The thread's side.

    def _run(self, work: Callable[["_PumpedFile"], None]) -> None:
        error: BaseException | None = None
        try:
            work(self)
        except BaseException as caught:  # noqa: BLE001 — the owner raises it; a panic of the library is not an Exception
            error = caught
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def read(self, size: int = -1) -> bytes:
        if self._place >= len(self._current):
            with self._changed:
                self._changed.wait_for(lambda: self._unread or self._ended or self._stopped)
                if self._stopped:
                    raise _Stopped
                self._current, self._place = (self._unread.popleft() if self._unread else b""), 0
                self._changed.notify_all()
        start = self._place
        self._place = len(self._current) if size < 0 else min(len(self._current), start + size)
        return self._current[start : self._place]

    def write(self, data: bytes) -> int:
        with self._changed:
            if self._stopped:
                raise _Stopped
            self._written.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    # The owner's side.

    def feed(self, chunk: bytes) -> list[bytes]:
        """Pass a chunk to the thread, and return what it has written since."""
        if not chunk:  # it would be read as the end
            return []
        with self._changed:
            self._changed.wait_for(lambda: not self._unread or self._done)
            if self._done:
                raise _WorkFailed(self._error or EOFError("it ended before its input"))
            self._unread.append(chunk)
            self._changed.notify_all()
            return self._take()

    def finish(self) -> Iterator[bytes]:
        """Signal the end of the input, and return the remaining output."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done)
            if self._error is not None:
                raise _WorkFailed(self._error)
            rest = self._take()
        yield from rest

    def stop(self) -> None:
        """Stop the thread, whatever it is doing."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def _take(self) -> list[bytes]:
        written, self._written = self._written, []
        return written


def _joined(start: bytes, rest: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield start
    yield from rest
