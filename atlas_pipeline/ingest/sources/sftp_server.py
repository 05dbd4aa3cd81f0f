"""A connection to an SFTP server: host keys, sign-in, and failures in words.

Belongs here: whom Atlas talks to and as whom, connecting again, and what an error means. Does not belong here: which
files there are and reading them (`sftp.py`). Messages of a server are not passed on: they may quote what was sent.
"""

import errno
import io
import logging
import socket
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay, wait_exponential_jitter

from atlas_pipeline.ingest.sources import ServiceUnavailable, SourceError
from atlas_pipeline.ingest.sources.resilience import guarded
from atlas_pipeline.settings import PROJECT_ROOT, Settings

T = TypeVar("T")

ATTEMPTS = 3
PAUSE_SECONDS = 0.5
CONNECT_SECONDS = 8
ANSWER_SECONDS = 30
_WITHIN_SECONDS = 15
"""No attempt begins after that: a sensor lists all sources in one tick, for which Dagster gives it a minute."""
_KEY_TYPES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


class SftpServer:
    """A server. It is connected to when it is asked something, and again after the connection broke.

    Args:
        host: name or address.
        port: of its SSH server.
        settings: user, password, private key, and the file of host keys.
    """

    def __init__(self, host: str, port: int, settings: Settings):
        self.name = f"sftp://{f'[{host}]' if ':' in host else host}:{port}"
        self._host = host
        self._port = port
        self._settings = settings
        self._client: Any = None
        self._finalizer: weakref.finalize | None = None

    def ask(self, action: Callable[[Any], T], what: str) -> T:
        """The result of requests, asked again over another connection where that may help.

        Args:
            action: makes the requests with the client of paramiko that it is given.
            what: the path that it concerns, for messages.

        Raises:
            ServiceUnavailable: the server does not answer, or the connection breaks each time.
            SourceError: the server refuses, or is not trusted.
            SettingsError: a setting cannot be used.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(ServiceUnavailable),
            stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(_WITHIN_SECONDS),
            wait=wait_exponential_jitter(multiplier=PAUSE_SECONDS, max=5, jitter=PAUSE_SECONDS),
            reraise=True,
        )
        return guarded(self.name, lambda: retrying(self._asked, action, what))

    def close(self) -> None:
        """End the connection, if there is one."""
        self._client = None
        if self._finalizer is not None:
            self._finalizer()

    def _asked(self, action: Callable[[Any], T], what: str) -> T:
        try:
            if self._client is None:
                self._connect()
            return action(self._client)
        except broken_off() as error:
            answered = self._client is not None and self._client.get_channel().get_transport().is_active()
            if isinstance(error, TimeoutError) or not answered or not isinstance(error, OSError):
                self.close()
                raise ServiceUnavailable(f"{what}: {self.name} does not answer ({_words(error)})") from None
            raise SourceError(f"{what} cannot be read: {_refusal(error)}") from None

    def _connect(self) -> None:
        paramiko = _paramiko()
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what it has to say is in the exceptions
        known = _known_keys(self._settings.sftp_known_hosts)
        name = self._host if self._port == 22 else f"[{self._host}]:{self._port}"
        keys = known.lookup(name) or {}
        transport = paramiko.Transport(socket.create_connection((self._host, self._port), CONNECT_SECONDS))
        self._finalizer = weakref.finalize(self, transport.close)
        transport.banner_timeout = transport.auth_timeout = CONNECT_SECONDS
        transport.channel_timeout = CONNECT_SECONDS
        options = transport.get_security_options()
        preferred = [kind for key in keys for kind in _KEY_TYPES.get(key, (key,)) if kind in options.key_types]
        options.key_types = [*preferred, *(kind for kind in options.key_types if kind not in preferred)]
        try:
            transport.start_client(timeout=CONNECT_SECONDS)
            self._check_host_key(transport.get_remote_server_key(), keys, name)
            self._sign_in(transport)
            client = paramiko.SFTPClient.from_transport(transport)
        except SourceError:
            self.close()
            raise
        except paramiko.IncompatiblePeer:
            self.close()
            raise SourceError(f"{self.name} offers only algorithms that are not safe any more: renew it") from None
        except paramiko.ChannelException:
            self.close()
            raise SourceError(f"{self.name} has no SFTP for this user: ask its owner for it") from None
        client.get_channel().settimeout(ANSWER_SECONDS)
        self._client = client

    def _check_host_key(self, key: Any, known: Any, name: str) -> None:
        """Raises SourceError unless the server's key is one that is known."""
        if known.get(key.get_name()) == key:
            return
        file = self._settings.sftp_known_hosts
        shown = f"its {key.get_name()} key is {key.fingerprint}"
        if not known:
            raise SourceError(
                f"{self.name} is not in {file} (ATLAS_SFTP_KNOWN_HOSTS), so it is not trusted; {shown}. Compare that "
                f"with what its owner says, then add the key: ssh-keyscan -p {self._port} {self._host} >> {file}"
            )
        raise SourceError(
            f"{self.name} has another host key than {file} (ATLAS_SFTP_KNOWN_HOSTS) holds: {shown}. Somebody may be "
            f"in between. If its owner confirms the new key, take the old one out: ssh-keygen -f {file} -R '{name}', "
            "and add the new one"
        )

    def _sign_in(self, transport: Any) -> None:
        paramiko = _paramiko()
        user, password = self._settings.sftp_user, self._settings.sftp_password
        key = _private_key(self._settings)
        if not user or (key is None and password is None):
            raise SourceError(
                f"no credentials for {self.name}. Set ATLAS_SFTP_USER, and ATLAS_SFTP_KEY_FILE or ATLAS_SFTP_PASSWORD"
            )
        with suppress(paramiko.AuthenticationException):
            if key is not None:
                transport.auth_publickey(user, key)
        with suppress(paramiko.AuthenticationException):
            if password is not None and not transport.is_authenticated():
                transport.auth_password(user, password.get_secret_value())
        if not transport.is_authenticated():
            if not transport.is_active():
                raise EOFError
            given = " and ".join(
                name
                for name, secret in (("ATLAS_SFTP_KEY", key), ("ATLAS_SFTP_PASSWORD", password))
                if secret is not None
            )
            raise SourceError(f"{self.name} refuses to sign in: check ATLAS_SFTP_USER and {given}")


def broken_off() -> tuple[type[Exception], ...]:
    """What paramiko raises when a server refuses, or a connection breaks."""
    paramiko = _paramiko()
    return (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError)


def _paramiko() -> Any:
    try:
        import paramiko
    except ImportError as error:
        raise SourceError(
            f"sftp:// sources need a package that is not installed ({error.name} is missing): "
            "pip install 'atlas-pipeline[sftp]'"
        ) from None
    return paramiko


def _known_keys(file: Path) -> Any:
    """The host keys of a file. Raises SourceError; a missing file has none."""
    from paramiko.hostkeys import HostKeys, InvalidHostKey

    keys = HostKeys()
    try:
        keys.load(str(PROJECT_ROOT / file.expanduser()))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SourceError(f"{file} (ATLAS_SFTP_KNOWN_HOSTS) cannot be read: {error.strerror}") from None
    except (InvalidHostKey, ValueError):
        raise SourceError(f"{file} (ATLAS_SFTP_KNOWN_HOSTS) is damaged: ssh-keygen -l -f {file} says where") from None
    return keys


def _private_key(settings: Settings) -> Any:
    """The private key of the settings, or null. Raises SourceError."""
    paramiko = _paramiko()
    if settings.sftp_key is None:
        return None
    phrase = settings.sftp_key_passphrase
    text = settings.sftp_key.get_secret_value() + "\n"
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text), phrase.get_secret_value() if phrase else None)
        except paramiko.PasswordRequiredException:
            raise SourceError("ATLAS_SFTP_KEY is encrypted: set ATLAS_SFTP_KEY_PASSPHRASE") from None
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise SourceError(
        "ATLAS_SFTP_KEY cannot be used: expected a private key (Ed25519, ECDSA or RSA) as ssh-keygen writes it"
        + (", and its passphrase in ATLAS_SFTP_KEY_PASSPHRASE" if phrase else "")
    )


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno) or type(error).__name__
    return "the connection broke" if isinstance(error, (EOFError, OSError)) else type(error).__name__


def _refusal(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "there is no such file or folder"
    if error.errno == errno.EACCES:
        return "permission denied"
    return "the server refuses"
