"""What receivers get through each kind of channel, how their answers are understood, and that no secret leaves it."""

import logging
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from atlas_pipeline.alerting.channels import (
    Busy,
    Channel,
    ChannelError,
    Refused,
    Unreachable,
    make_channel,
    parse_channels,
)
from atlas_pipeline.alerting.delivery import deliver
from atlas_pipeline.alerting.document import document_of
from atlas_pipeline_tests.alerting.made import AT, alert, message, put
from atlas_pipeline_tests.alerting.receivers import (
    Receiver,
    alertmanager,
    close_at_once,
    drip,
    free_port,
    mail_server,
    raw_receiver,
    receiver,
    self_signed,
)

UI = "https://dagster.example/atlas/"
CANARY = "c4n4ry"


def channel(url: str) -> Channel:
    return make_channel("one", SecretStr(url), UI)


@pytest.fixture
def the_internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that is hooks.slack.com, events.pagerduty.com and api.opsgenie.com, for those that we start."""
    certificate, context = self_signed(
        tmp_path, "hooks.slack.com", "slack.com", "events.pagerduty.com", "api.opsgenie.com"
    )
    with receiver(tunnel=context) as to:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{to.address}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield to


def test_channels_are_named_urls() -> None:
    text = (
        "ops=slack://a/b/c\n  mail=mailtos://u:p@host/?to=x=y hook=webhook+https://h:8443/x  am=alertmanager+http://h"
    )
    found = {name: url.get_secret_value() for name, url in parse_channels(text).items()}
    assert found == {
        "ops": "slack://a/b/c",
        "mail": "mailtos://u:p@host/?to=x=y",
        "hook": "webhook+https://h:8443/x",
        "am": "alertmanager+http://h",
    }
    assert parse_channels(" \n") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"slack://{CANARY}/b/c", "channel 1 has no name"),
        (f"ok=slack://a slack://{CANARY}/?a=b", "channel 2 has no name"),
        (f"a=slack://x a=slack://{CANARY}", "channel a is there twice"),
        (f"a={CANARY}", "channel a: expected a URL"),
        ("a=slack://", "channel a: expected a URL"),
        (f"a=webhook+ftp://{CANARY}/", "channel a: webhook+ and a URL: expected http"),
        (f"a=webhook+https://u:{CANARY}@host:port/", "channel a: webhook+ and a URL: its host or port"),
        (f"a=webhook+https:///{CANARY}", "channel a: webhook+ and a URL: expected http"),
        (f"a=alertmanager://{CANARY}", "channel a: alertmanager+ and a URL"),
    ],
)
def test_an_entry_that_is_wrong_is_named_and_not_quoted(text: str, said: str) -> None:
    with pytest.raises(ChannelError) as caught:
        parse_channels(text)
    assert str(caught.value).startswith(said)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_webhook_gets_the_document_and_its_credentials_as_a_header() -> None:
    with receiver() as to:
        sent = message(more={"check-warned": 3}, dedup_key="check-failed/größe/1")
        channel(f"webhook+http://us%40er:p%3Aw@{to.address}/a/b?c=d#e").send(document_of(sent), True)
    [got] = to.got
    assert got.path == "/a/b?c=d"
    assert got.headers["Authorization"] == "Basic " + b64encode(b"us@er:p:w").decode()
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Idempotency-Key"] == "check-failed/gr%C3%B6%C3%9Fe/1"
    text = got.json["text"]
    assert text.splitlines() == [
        "(may have been sent before)",
        "",
        "silver/orders: amount_valid: check failed",
        "Since 2026-05-04 12:00:00 UTC (30 minutes, seen 3 times)",
        "rows failed the check",
        "measured: 12.5",
        "threshold: must be 0",
        "Owner: team:sales",
        "Team: data-engineering, severity: critical, policy: check-failed",
        "https://dagster.example/atlas/assets/silver/orders",
        "Runbook: https://wiki.example/orders",
        "",
        "… and 3 more: check-warned 3",
    ]
    assert {name: value for name, value in got.json.items() if name != "text"} == {
        "version": 1,
        "kind": "firing",
        "dedupe": "check-failed/größe/1",
        "conversation": "check-failed/silver/orders",
        "closes": [],
        "repeat": True,
        "severity": "critical",
        "team": "data-engineering",
        "at": "2026-05-04T12:30:00+00:00",
        "title": "CRITICAL: silver/orders: amount_valid: check failed, and 3 more",
        "alerts": [
            {
                "policy": "check-failed",
                "subject": "silver/orders: amount_valid",
                "condition": "check_failed",
                "severity": "critical",
                "level": "error",
                "team": "data-engineering",
                "owner": "team:sales",
                "status": "firing",
                "since": "2026-05-04T12:00:00+00:00",
                "seen_at": "2026-05-04T12:30:00+00:00",
                "resolved_at": None,
                "count": 3,
                "asset": "silver/orders",
                "job": None,
                "run": "6d1c",
                "problem": "rows failed the check",
                "reason": "",
                "facts": {"measured": 12.5, "threshold": "must be 0"},
                "link": "https://dagster.example/atlas/assets/silver/orders",
                "runbook": "https://wiki.example/orders",
            }
        ],
        "more": {"check-warned": 3},
    }


@pytest.mark.parametrize(
    ("status", "headers", "raised"),
    [
        (200, {}, None),
        (204, {}, None),
        (302, {"Location": "/elsewhere"}, Unreachable),
        (400, {}, Refused),
        (401, {}, Refused),
        (410, {}, Refused),
        (408, {}, Unreachable),
        (425, {}, Unreachable),
        (425, {"Retry-After": "9"}, Busy),
        (429, {}, Busy),
        (500, {}, Unreachable),
        (503, {}, Unreachable),
        (503, {"Retry-After": "9"}, Busy),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], raised: Any) -> None:
    with receiver(lambda request: (status, headers)) as to:
        one = channel(f"webhook+http://{to.address}")
        if raised is None:
            one.send(document_of(message()), False)
        else:
            with pytest.raises(raised, match=f"^HTTP status {status}$"):
                one.send(document_of(message()), False)
    assert len(to.got) == 1


@pytest.mark.slow
def test_alertmanager_holds_an_alert_until_it_is_resolved(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    firing = alert(subject="silver/größe 🚨", since=now - timedelta(hours=1), seen_at=now)
    ended = alert(subject=firing.subject, since=firing.since, status="resolved", resolved_at=now + timedelta(minutes=1))
    with alertmanager(tmp_path) as (address, alerts):
        to = channel(f"alertmanager+http://{address}")
        to.send(document_of(message(alerts=(firing, alert(subject="other")), at=now)), False)
        to.send(document_of(message(alerts=(firing,), at=now, kind="repeated")), True)
        got = {each["labels"]["subject"]: each for each in alerts()}
        assert set(got) == {"silver/größe 🚨", "other"}
        one = got["silver/größe 🚨"]
        assert one["labels"] == {
            "alertname": "check_failed",
            "severity": "critical",
            "team": "data-engineering",
            "policy": "check-failed",
            "subject": "silver/größe 🚨",
            "asset": "silver/orders",
        }
        assert one["annotations"]["runbook_url"] == "https://wiki.example/orders"
        assert one["annotations"]["summary"] == "STILL CRITICAL: silver/größe 🚨: check failed"
        assert "threshold: must be 0" in one["annotations"]["description"]
        assert one["generatorURL"] == "https://dagster.example/atlas/assets/silver/orders"
        assert datetime.fromisoformat(one["startsAt"]) == firing.since.replace(
            microsecond=firing.since.microsecond // 1000 * 1000
        )
        assert datetime.fromisoformat(one["endsAt"]) > now + timedelta(hours=1, minutes=10)
        to.send(document_of(message(alerts=(ended,), at=now, kind="resolved")), False)
        assert [each["labels"]["subject"] for each in alerts()] == ["other"]


@pytest.mark.slow
def test_alertmanager_hears_of_tests_summaries_and_alerts_from_a_clock_ahead(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    over = alert(status="resolved", since=ahead, resolved_at=ahead)
    with alertmanager(tmp_path) as (address, alerts):
        to = channel(f"alertmanager+http://{address}")
        to.send(document_of(message(kind="test", alerts=())), False)
        to.send(document_of(message(kind="summary", alerts=(), more={"run-failed": 900})), False)
        to.send(document_of(message(kind="resolved", alerts=(over,), at=ahead)), False)
        got = {each["labels"]["alertname"]: each["annotations"]["summary"] for each in alerts()}
    assert got == {
        "atlas_test": "TEST: Atlas reaches this channel",
        "more_alerts": "SUMMARY: 900 more alerts (critical, data-engineering)",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "headers", "raised"),
    [(500, {}, Unreachable), (429, {"Retry-After": "77"}, Busy), (404, {}, Refused), (200, {}, None)],
)
def test_answers_that_apprise_gets_are_understood(status: int, headers: dict[str, str], raised: Any) -> None:
    with receiver(lambda request: (status, headers)) as to:
        one = channel(f"json://user:{CANARY}@{to.address}/x?retry=3&wait=1")
        if raised is None:
            one.send(document_of(message()), False)
        else:
            with pytest.raises(raised, match=rf"^HTTP status {status}$") as caught:
                one.send(document_of(message()), False)
            assert getattr(caught.value, "seconds", 77) == 77
            assert not getattr(caught.value, "unsure", False)
    assert len(to.got) == 1


@pytest.mark.slow
def test_apprise_follows_no_redirect_reads_no_file_and_writes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    (tmp_path / ".apprise").write_text("nonsense://\n")
    with receiver() as elsewhere, receiver(lambda request: (307, {"Location": f"http://{elsewhere.address}/"})) as to:
        with pytest.raises(Unreachable, match="HTTP status 307"):
            channel(f"json://{to.address}/?redirect=yes").send(document_of(message()), False)
        assert elsewhere.got == []
    assert "Authorization" not in to.got[0].headers
    assert {path.name for path in tmp_path.rglob("*")} == {".netrc", ".apprise"}


@pytest.mark.slow
def test_apprise_knows_what_may_have_been_sent() -> None:
    with raw_receiver(close_at_once) as address:
        for url, unsure in ((f"json://{address}", True), (f"json://127.0.0.1:{free_port()}", False)):
            with pytest.raises(Unreachable) as caught:
                channel(url).send(document_of(message()), False)
            assert caught.value.unsure == unsure
    with pytest.raises(Unreachable, match="Apprise cannot read its URL"):
        channel(f"nonsense://{CANARY}").send(document_of(message()), False)


@pytest.mark.slow
def test_a_receiver_that_drips_does_not_hold_apprise() -> None:
    with raw_receiver(drip) as address, pytest.raises(Unreachable, match=r"^no answer within 15 s$") as caught:
        channel(f"json://{address}").send(document_of(message()), False)
    assert caught.value.unsure


@pytest.mark.slow
def test_mail_has_a_subject_of_one_line_and_a_text_in_which_nothing_is_markup() -> None:
    problem = "Größe 🚨 <b>not bold</b> & more\n" + "é" * 100_000
    with mail_server() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=atlas@example.org&to=team@example.org&mode=insecure"
        one, two = channel(url), (alert(problem=problem), alert(subject="silver/größe"))
        one.send(document_of(message(alerts=two)), True)
        channel(f"{url}&format=html").send(document_of(message(alerts=two)), True)
        got, in_html = mailbox.got
        assert got["Subject"] == "CRITICAL: silver/orders: amount_valid: check failed, and 1 more"
        assert got["To"] == "team@example.org"
        text = got.get_content()
        assert "(may have been sent before)" in text
        assert "Größe 🚨 <b>not bold</b> & more" in text
        assert "silver/größe: check failed" in text
        part = in_html.get_body(("html",))
        assert part
        assert "&lt;b&gt;not&nbsp;bold&lt;/b&gt;" in part.get_content().replace(" ", "&nbsp;")
        mailbox.reply = "552 too much"
        with pytest.raises(Refused, match=r"^SMTP code 552$"):
            one.send(document_of(message()), False)
        mailbox.reply = "451 later"
        with pytest.raises(Unreachable, match=r"^SMTP code 451$") as caught:
            one.send(document_of(message()), False)
        assert not caught.value.unsure
    with pytest.raises(Unreachable, match=r"^cannot connect$"):
        one.send(document_of(message()), False)


@pytest.mark.slow
def test_slack_gets_as_many_alerts_as_go_in_and_how_many_more(the_internet: Receiver) -> None:
    many = tuple(alert(subject=f"silver/größe{number} 🚨", problem="x" * 4_000) for number in range(20))
    one = channel(f"slack://T1JJ3T3L2/A1BRTD4JD/{'T' * 24}/#general")
    one.send(document_of(message(alerts=many, more={"run-failed": 10})), False)
    [got] = the_internet.got
    assert got.path == f"/services/T1JJ3T3L2/A1BRTD4JD/{'T' * 24}"
    whole = str(got.json)
    assert "CRITICAL: silver/größe0 🚨: check failed, and 29 more" in whole
    shown = sum(f"silver/größe{number} 🚨: check failed\\n" in whole for number in range(20))
    assert 1 < shown < 20
    assert f"… and {30 - shown} more" in whole
    assert "images" not in whole
    assert "github" not in whole


@pytest.mark.slow
def test_pagerduty_closes_the_incident_that_an_alert_opened(the_internet: Receiver) -> None:
    the_internet.answer = lambda request: (202, {})
    one = channel(f"pagerduty://{'i' * 32}@{'a' * 20}")
    ended = alert(status="resolved", resolved_at=AT)
    one.send(document_of(message(1)), False)
    one.send(document_of(message(2, kind="resolved", alerts=(ended,), closes=("own", "group"))), False)
    one.send(document_of(message(3, kind="resolved", alerts=(ended,))), False)
    one.send(document_of(message(4, kind="summary", alerts=(), thread_key="s", closes=("counted",))), False)
    actions = [(got.json["event_action"], got.json["dedup_key"]) for got in the_internet.got]
    assert actions == [
        ("trigger", "check-failed/silver/orders"),
        ("resolve", "own"),
        ("resolve", "group"),
        ("resolve", "check-failed/silver/orders"),
        ("trigger", "s"),
        ("resolve", "counted"),
    ]
    assert the_internet.got[0].json["payload"]["severity"] == "critical"


@pytest.mark.slow
def test_no_log_error_or_table_has_anything_of_a_url(
    warehouse: psycopg.Connection,
    warehouse_url: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(1)
    for name in ("apprise", "httpx", "httpcore", "httpcore.http11", "httpcore.connection", "urllib3", "asyncio"):
        caplog.set_level(1, logger=name)
    raised = []
    with receiver() as well, receiver(lambda request: (500, {})) as ill, raw_receiver(close_at_once) as closing:
        places = [to if isinstance(to, str) else to.address for to in (well, ill, closing)]
        urls = [
            f"{scheme}://{CANARY}:{CANARY}@{place}/{CANARY}?key={CANARY}"
            for place in (*places, f"127.0.0.1:{free_port()}")
            for scheme in ("webhook+http", "webhook+https", "alertmanager+http")
        ]
        urls += [f"json://{CANARY}:{CANARY}@{place}/{CANARY}?key={CANARY}" for place in (well.address, ill.address)]
        urls += [f"nonsense://{CANARY}", f"slack://{CANARY}", f"mailto://{CANARY}:{CANARY}@{CANARY}.invalid"]
        urls += [f"webhook+http://{CANARY}:{CANARY}@{CANARY}.invalid/{CANARY}"]
        channels = {f"c{number}": channel(url) for number, url in enumerate(urls)}
        put(warehouse, [message(1, name) for name in channels])
        done = deliver(warehouse_url, channels, 120)
        for one in channels.values():
            try:
                one.send(document_of(message()), False)
            except (Unreachable, Refused, Busy) as error:
                raised += traceback.format_exception(error)
    assert sum(each.outcome == "delivered" for each in done) == 3
    assert len(done) == len(urls)
    written = [
        warehouse.execute(f"SELECT t::text FROM atlas.{table} t").fetchall()
        for table in ("alert_messages", "alert_channels")
    ]
    everything = "\n".join([caplog.text, *capfd.readouterr(), *raised, repr(written), repr(done), repr(channels)])
    assert logging.getLogger("httpx").isEnabledFor(logging.DEBUG)
    assert CANARY not in everything
    assert b64encode(f"{CANARY}:{CANARY}".encode()).decode() not in everything
