"""What the gateway starts with and what it refuses; its commands; and how it ends."""

import os
import shutil
import signal
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from atlas_pipeline_tests.gateway.running import (
    PASSWORD,
    SECONDS,
    Echo,
    Gateway,
    eventually,
    gateway,
    hashed,
    needs_nginx,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def made(tmp_path: Path) -> Gateway:
    """A gateway that was not started."""
    needs_nginx()
    return Gateway(tmp_path)


def certificate(folder: Path, name: str) -> None:
    """A certificate of the installation's own."""
    arguments = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", f"/CN={name}"]
    arguments += [
        "-addext",
        f"subjectAltName=DNS:{name}",
        "-keyout",
        folder / "server.key",
        "-out",
        folder / "server.crt",
    ]
    subprocess.run(arguments, check=True, capture_output=True)


def served(one: Gateway) -> x509.Certificate:
    """The certificate with which it answers."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", one.https)).encode())


def test_a_certificate_is_made_once(tmp_path: Path) -> None:
    with gateway(tmp_path, server_name="atlas.example.org") as one:
        first = served(one)
        one.stop()
        one.start()
        assert served(one) == first
    key = serialization.load_pem_private_key((tmp_path / "tls" / "server.key").read_bytes(), None)
    assert first.public_key() == key.public_key()
    names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["atlas.example.org"]
    assert stat.S_IMODE((tmp_path / "tls" / "server.key").stat().st_mode) == 0o600
    assert one.said().count("made a self-signed one for atlas.example.org") == 1


def test_a_certificate_that_is_there_is_used(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    certificate(tmp_path / "tls", "own.example.org")
    with gateway(tmp_path) as one:
        assert served(one).subject.rfc4514_string() == "CN=own.example.org"
    assert "self-signed" not in one.said()


def test_certificates_that_cannot_be_used_are_named(made: Gateway) -> None:
    tls = made.folder / "tls"
    certificate(tls, "a.example.org")
    shutil.move(tls / "server.key", tls / "other.key")
    assert f"{tls}/server.key is missing" in made.refusal()
    (tls / "server.key").write_text("no key")
    assert f"{tls}/server.key is not a private key" in made.refusal()
    certificate(tls, "b.example.org")
    shutil.move(tls / "other.key", tls / "server.key")
    assert f"{tls}/server.key does not belong to the certificate" in made.refusal()
    (tls / "server.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    assert f"{tls}/server.crt is not a certificate" in made.refusal()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing or not readable"),
        ("", "is empty"),
        ("# nobody yet\n", "is empty"),
        ("ana:secret\n", "line 1 (ana) has no bcrypt"),
        ("# x\nana:{PLAIN}secret\n", "line 2 (ana) has no bcrypt"),
        ("ana:$apr1$abcdefgh$0123456789012345678901\n", "line 1 (ana) has no bcrypt"),
        ("<CHANGE_ME_USERS>\n", "line 1 is still the placeholder"),
        ("ana:<CHANGE_ME_HASH>\n", "line 1 is still the placeholder"),
        ("nobody\n", "line 1 is not name:hash"),
        (f"ana:{hashed()}\nana:{hashed()}\n", "line 2 has ana a second time"),
    ],
)
def test_users_that_are_none_are_refused(made: Gateway, content: str | None, said: str) -> None:
    if content is None:
        made.users.unlink()
    else:
        made.users.write_text(content)
    line = made.refusal()
    assert said in line
    assert str(made.users) in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("AUTH", "none"),
        ("SERVER_NAME", "a; return 200"),
        ("SERVER_NAME", "<CHANGE_ME_NAME>"),
        ("OPERATOR", "http://webserver:3000"),
        ("MAX_BODY", "much"),
        ("LISTEN_HTTPS", "8443"),
        ("TRUSTED_PROXIES", "10.0.0.0/8; x"),
    ],
)
def test_settings_that_are_wrong_are_named(made: Gateway, setting: str, value: str) -> None:
    made.environment[f"GATEWAY_{setting}"] = value
    assert f"GATEWAY_{setting}" in made.refusal()


@pytest.mark.parametrize("url", ["", "auth:9091", "ftp://auth/"])
def test_forward_auth_needs_to_know_where(made: Gateway, url: str) -> None:
    made.environment |= {"GATEWAY_AUTH": "forward", "GATEWAY_FORWARD_AUTH_URL": url}
    assert "GATEWAY_FORWARD_AUTH_URL" in made.refusal()


def test_operators_are_not_placeholders(made: Gateway) -> None:
    made.operators.write_text("ana\n<CHANGE_ME_OPERATOR>\n")
    assert f"{made.operators} line 2 is still the placeholder" in made.refusal()


def test_a_line_for_a_user_lets_that_user_in(made: Gateway) -> None:
    passwords = {
        "plain": PASSWORD,
        "first.last@example.org": "twelve chars",
        "odd": "pass:word with $ and \\ in it",
        "german": "grüße aus köln",
    }
    lines = [made.call("user", name, typed=password + "\n").stdout for name, password in passwords.items()]
    if shutil.which("htpasswd"):
        command = ["htpasswd", "-nbB", "bcrypt", PASSWORD]
        lines.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        passwords["bcrypt"] = PASSWORD
    assert lines[0].startswith("plain:$6$rounds=100000$")
    assert not any(password in line for password in passwords.values() for line in lines)
    made.users.write_text("".join(lines))
    made.start()
    try:
        for name, password in passwords.items():
            with made.client(name, password=password) as client:
                assert client.get("/").status_code == 502, "signed in, and nobody behind"
            with made.client(name, password=password + "x") as client:
                assert client.get("/").status_code == 401
    finally:
        made.stop()


@pytest.mark.parametrize(("name", "password"), [("ana", "short"), ("ana", ""), ("a:b", PASSWORD), ("", PASSWORD)])
def test_a_line_for_a_user_is_refused(made: Gateway, name: str, password: str) -> None:
    done = made.call("user", name, typed=password)
    assert done.returncode == 78
    assert not done.stdout


def test_a_reload_takes_new_users_and_none_that_are_wrong(tmp_path: Path) -> None:
    # Asking until the reload is done takes failed attempts.
    with gateway(tmp_path, sign_in_limits="10000/60") as one:
        assert one.process is not None
        one.users.write_text(f"late:{hashed()}\n")
        one.process.send_signal(signal.SIGHUP)

        def status(user: str) -> int:
            with one.client(user) as client:
                return client.get("/").status_code

        eventually(lambda: status("late") == 502, "the new user is known")
        assert status("ana") == 401
        one.users.write_text("late:secret\n")
        one.process.send_signal(signal.SIGHUP)
        eventually(lambda: "line 1 (late)" in one.said(), "the reload is refused")
        assert status("late") == 502


def test_at_its_end_a_request_is_answered(tmp_path: Path) -> None:
    server = Echo("operator")
    server.held.clear()
    answers: list[httpx.Response] = []
    with gateway(tmp_path, operator=f"127.0.0.1:{server.port}") as one, one.client("ana") as client:
        asking = threading.Thread(target=lambda: answers.append(client.get("/held")))
        asking.start()
        eventually(lambda: server.seen, "the request is under way")
        assert one.process is not None
        one.process.send_signal(signal.SIGTERM)
        eventually(lambda: one.call("health").returncode == 1, "no new connection is taken")
        assert one.process.poll() is None
        server.held.set()
        asking.join(SECONDS)
        assert one.process.wait(SECONDS) == 0
    assert [answer.status_code for answer in answers] == [200]
    server.close()


def test_what_was_killed_is_said_by_its_exit(tmp_path: Path) -> None:
    with gateway(tmp_path) as one:
        assert one.process is not None
        os.kill(int((tmp_path / "run" / "nginx.pid").read_text()), signal.SIGKILL)
        assert one.process.wait(SECONDS) == 128 + signal.SIGKILL
