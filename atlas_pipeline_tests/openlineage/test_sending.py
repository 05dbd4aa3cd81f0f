"""Sending events to a file and to a receiver that answers well, badly, slowly or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas_pipeline.openlineage.sending import FileTransport, Sent, UrlTransport
from atlas_pipeline_tests.openlineage.receivers import Receiver, receiver

MESSAGES = [{"eventType": "START", "n": number} for number in range(3)]
SECONDS = 30


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def test_events_arrive_in_order_with_the_key(there: Receiver) -> None:
    assert UrlTransport(there.url, "secret").send(MESSAGES, SECONDS) == Sent(3)
    assert there.events == MESSAGES
    assert "Authorization: Bearer secret" in there.headers


@pytest.mark.parametrize(("answer", "problem"), [(500, "it answered 500"), (429, "it answered 429")])
def test_one_that_fails_is_asked_again_later(there: Receiver, answer: int, problem: str) -> None:
    there.answer = answer
    assert UrlTransport(there.url).send(MESSAGES, SECONDS) == Sent(0, problem=problem)
    there.answer = 201
    assert UrlTransport(there.url).send(MESSAGES, SECONDS) == Sent(3)


@pytest.mark.parametrize("answer", [400, 422, 302])
def test_what_is_refused_is_not_sent_again(there: Receiver, answer: int) -> None:
    there.answer = answer
    assert UrlTransport(there.url).send(MESSAGES, SECONDS) == Sent(3, refused=3)


@pytest.mark.parametrize("answer", ["silent", "dripping"])
def test_one_that_does_not_answer_is_left(there: Receiver, answer: str) -> None:
    """Also one that sends a byte now and then, which no timeout of a read would end."""
    there.answer = answer
    sent = UrlTransport(there.url, seconds_each=1.0).send(MESSAGES, SECONDS)
    assert sent.number == 0
    assert sent.problem
    assert there.connections == 1, "the others are not tried"


def test_more_than_fits_is_sent_later(there: Receiver) -> None:
    assert UrlTransport(there.url).send(MESSAGES, 0) == Sent(0, problem="more than fits into one look")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "no url", "ftp://127.0.0.1/"])
def test_one_that_is_not_there(url: str) -> None:
    sent = UrlTransport(url, "secret").send(MESSAGES, SECONDS)
    assert sent.number == 0
    assert sent.problem
    assert "secret" not in sent.problem


def test_a_file_gets_a_line_for_each(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path / "new" / "events.jsonl")
    assert transport.send(MESSAGES[:1], SECONDS) == Sent(1)
    assert transport.send(MESSAGES[1:], SECONDS) == Sent(2)
    assert [json.loads(line) for line in transport.path.read_text().splitlines()] == MESSAGES


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sent = FileTransport(tmp_path / "file" / "events.jsonl").send(MESSAGES, SECONDS)
    assert sent.number == 0
    assert "cannot write" in (sent.problem or "")
