"""The audit log: a line for each change that was asked for, whatever shape the request has."""

import contextlib
import json
import random
from typing import Any

import httpx
import pytest
from graphql import GraphQLSyntaxError, OperationDefinitionNode, parse

from atlas_pipeline_tests.gateway.running import Echo, Gateway, eventually

pytestmark = pytest.mark.slow

LAUNCH = "mutation { launchRun(executionParams: {}) { __typename } }"
CANARY = "canary-4711"

CHANGES = {
    "plain": ({"query": LAUNCH}, ["launchRun"]),
    "named": ({"query": "mutation Go($p: X!) { wipeAssets(p: $p) { a } }", "operationName": "Go"}, ["wipeAssets"]),
    "alias": ({"query": "mutation { harmless: deleteRun(runId: 1) { a } }"}, ["deleteRun"]),
    "two fields": (
        {"query": "mutation { a: deleteRun(runId:1){b} stopSchedule(id: 2){c} }"},
        ["deleteRun", "stopSchedule"],
    ),
    "fragment": ({"query": "mutation { ...F } fragment F on Mutation { launchRun { a } }"}, ["launchRun"]),
    "nested fragments": (
        {"query": "fragment A on Mutation { ...B } fragment B on Mutation { x: launchRun { a } } mutation { ...A }"},
        ["launchRun"],
    ),
    "inline fragment": ({"query": "mutation { ... on Mutation @skip(if: false) { launchRun { a } } }"}, ["launchRun"]),
    "bare fragment": ({"query": "mutation { ... { launchRun { a } } }"}, ["launchRun"]),
    "query first": ({"query": "query Q { version } mutation M { launchRun { a } }"}, ["launchRun"]),
    "lying operationName": (
        {"query": "query Q { version } mutation M { launchRun { a } }", "operationName": "Q"},
        ["launchRun"],
    ),
    "hidden by a comment": ({"query": '# query { "\nmutation # {\n { launchRun #}\n { a } }'}, ["launchRun"]),
    "hidden by a string": ({"query": 'mutation { launchRun(a: "} query { \\" \\\\") { b } }'}, ["launchRun"]),
    "hidden by a block": ({"query": 'mutation { launchRun(a: """ } \\""" query { " """) { b } }'}, ["launchRun"]),
    "byte order mark": ({"query": "\ufeffmutation{launchRun{a}}"}, ["launchRun"]),
    "commas": ({"query": ",,mutation,,{,launchRun,{a},}"}, ["launchRun"]),
    "directive": ({"query": "mutation @d(a: {b: [1]}) { launchRun @include(if: true) { a } }"}, ["launchRun"]),
    "list": ([{"query": "{ version }"}, {"query": LAUNCH}], ["launchRun"]),
    "no GraphQL": ({"query": "mutation { launchRun("}, ["unread"]),
    "a fragment that is not there": ({"query": "{ ...F }"}, ["unread"]),
    "a query that is no text": ({"query": {"a": 1}}, ["unread"]),
    "no query": ({"variables": {}}, ["unread"]),
    "too deep": ({"query": "{a(b:" + "[" * 200 + "]" * 200 + ")}"}, ["unread"]),
}
READS = {
    "short": "{ version }",
    "named": "query Q($a: [Int!]! = [1]) @d { mutation: version launchRun: runs(a: $a) { mutation } }",
    "subscription": "subscription { pipelineRunLogs { a } }",
    "a string": '{ runs(a: "mutation { launchRun }") { b } }',
    "fragment": "query { ...mutation } fragment mutation on Query { version }",
}


def ask(gateway: Gateway, **options: Any) -> httpx.Response:
    with gateway.client(gateway.another()) as client:
        return client.request(options.pop("method", "POST"), options.pop("path", "/graphql"), **options)


@pytest.mark.parametrize("shape", CHANGES)
def test_a_change_is_written_down(shared: Gateway, shape: str) -> None:
    body, mutations = CHANGES[shape]
    answer = ask(shared, json=body)
    line = shared.line("audit", answer)
    assert line["mutations"] == mutations
    assert (line["role"], line["client"], line["outcome"]) == ("operator", "127.0.0.1", "accepted")
    assert line["user"] == shared.line("access", answer)["user"]
    assert json.loads(answer.json()["body"].encode("latin-1")) == body, "the upstream gets the body as it was"


@pytest.mark.parametrize("shape", READS)
def test_what_only_reads_is_not(shared: Gateway, shape: str) -> None:
    answer = ask(shared, json={"query": READS[shape]})
    assert shared.line("access", answer)["status"] == 200
    assert not shared.lines("audit", request_id=answer.headers["X-Request-Id"])


@pytest.mark.parametrize(
    "options",
    [
        {"content": LAUNCH, "headers": {"Content-Type": "application/graphql"}},
        {"params": {"query": LAUNCH}, "headers": {"Content-Type": "text/plain"}},
        {"params": [("query", "{ version }"), ("query", LAUNCH)]},
        {"params": {"query": LAUNCH}, "json": {"query": "{ version }"}},
        {"content": json.dumps({"query": LAUNCH}).encode("utf-16"), "headers": {"Content-Type": "application/json"}},
        {
            "content": '{"query": "{a}", "query": "mutation { launchRun }"}',
            "headers": {"Content-Type": "application/json"},
        },
        {"json": {"query": LAUNCH, "variables": {"much": "x" * 2_000_000}}},
        {"content": iter([json.dumps({"query": LAUNCH}).encode()]), "headers": {"Content-Type": "application/json"}},
        {"path": "/%67raphql", "json": {"query": LAUNCH}},
        {"method": "PUT", "json": {"query": LAUNCH}},
    ],
)
def test_wherever_dagster_could_take_it_from(shared: Gateway, options: dict[str, Any]) -> None:
    answer = ask(shared, **options)
    assert answer.status_code == 200
    assert shared.line("audit", answer)["mutations"] in (["launchRun"], ["unread"])


def test_no_document_that_dagster_reads_as_a_change_is_missed(shared: Gateway) -> None:
    """Documents that are cut, spliced and sprinkled with punctuation, against the parser that Dagster uses."""
    chance = random.Random(8)
    bodies = [body for body, _ in CHANGES.values() if isinstance(body, dict)]
    seeds = [*(body["query"] for body in bodies if isinstance(body.get("query"), str)), *READS.values()]
    pieces = [
        "{",
        "}",
        "(",
        ")",
        '"',
        '"""',
        "\\",
        "#",
        "\n",
        "\r",
        "...",
        "@a",
        ":",
        "$a",
        "mutation",
        "query",
        "on",
        ",",
    ]
    documents = []
    for _ in range(800):
        first, second = chance.choice(seeds), chance.choice(seeds)
        document = first + " " + second if chance.random() < 0.6 else first
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(document) + 1)
            document = document[:at] + chance.choice(pieces) + document[at + chance.randrange(3) :]
        documents.append(document)
    with shared.client(shared.another()) as client:
        headers = {"Sec-Fetch-Site": "same-origin"}
        answers = [client.post("/graphql", json={"query": one}, headers=headers) for one in documents]
    assert {answer.status_code for answer in answers} == {200}
    last = answers[-1].headers["X-Request-Id"]
    eventually(lambda: shared.lines("access", request_id=last), "all are written down")
    written = {line["request_id"]: line["mutations"] for line in shared.lines("audit")}
    read = 0
    for document, answer in zip(documents, answers, strict=True):
        with contextlib.suppress(GraphQLSyntaxError, RecursionError):
            parsed = parse(document)
            operations = [one for one in parsed.definitions if isinstance(one, OperationDefinitionNode)]
            changes = [one for one in operations if one.operation.value == "mutation"]
            named = {
                node.name.value for one in changes for node in one.selection_set.selections if hasattr(node, "alias")
            }
            seen = written.get(answer.headers["X-Request-Id"])
            read += 1
            assert bool(changes) <= bool(seen), document
            assert not changes or seen == ["unread"] or named <= set(seen or ()), document
    assert read > 100


@pytest.mark.parametrize("query", [LAUNCH, "mutation {", "query Q { a } mutation M { launchRun }"])
def test_nothing_is_changed_by_get(shared: Gateway, query: str) -> None:
    answer = ask(shared, method="GET", params={"query": query})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert ask(shared, method="GET", params={"query": "{ version }"}).status_code == 200


def test_jobs_and_assets_are_named_and_no_other_value(shared: Gateway) -> None:
    selector = {"repositoryName": "r", "jobName": "nightly", "assetSelection": [{"path": ["gold", "revenue"]}]}
    parameters = {
        "selector": selector,
        "runConfigData": {"ops": {"jobName": CANARY, "assetSelection": [{"path": [CANARY]}]}},
        "executionMetadata": {"tags": [{"key": "k", "value": CANARY}]},
        "mode": CANARY,
    }
    query = f'mutation Launch($p: X!) {{ launchRun(executionParams: $p, a: "{CANARY}") {{ b }} }}'
    body = {"query": query, "variables": {"p": parameters}, "operationName": CANARY}
    answer = ask(shared, json=body, params={"op": CANARY}, headers={"X-Any": CANARY})
    line = shared.line("audit", answer)
    assert (line["jobs"], line["assets"], line["operations"]) == (["nightly"], ["gold/revenue"], ["Launch"])
    assert CANARY not in (shared.folder / "out").read_text() + shared.said()


def test_names_that_could_be_data_are_left_out(shared: Gateway) -> None:
    selector = {"jobName": "jane doe <jane@example.org>", "assetSelection": [{"path": ["a b"]}, {"path": [{}]}, 7]}
    line = shared.line("audit", ask(shared, json={"query": LAUNCH, "variables": {"p": {"selector": selector}}}))
    assert "jobs" not in line
    assert "assets" not in line


def test_lines_stay_short(shared: Gateway) -> None:
    fields = " ".join(f"f{number}{'x' * 200} " for number in range(100))
    line = shared.line("audit", ask(shared, json={"query": f"mutation {{ {fields} }}"}))
    assert len(line["mutations"]) == 20
    assert max(map(len, line["mutations"])) == 128
    assert line["more"] is True


def test_reports_of_assets_are_changes_for_operators(shared: Gateway) -> None:
    answer = ask(shared, path="/report_asset_materialization/gold/revenue", json={})
    line = shared.line("audit", answer)
    assert (line["mutations"], line["assets"]) == (["report_asset_materialization"], ["gold/revenue"])
    with shared.client(shared.another("viewer")) as client:
        refused = client.post("/report_asset_check/gold/revenue", json={})
    assert refused.status_code == 403
    assert shared.line("audit", refused)["outcome"] == "refused"


def test_what_dagster_refuses_with_status_200_is_refused(shared: Gateway, behind: Any) -> None:
    viewer: Echo = behind.viewer
    said = {"data": {"launchRun": {"__typename": "UnauthorizedError"}}}
    viewer.answers["/graphql?refuse"] = (200, {"Content-Type": "application/json"}, json.dumps(said).encode())
    before = shared.metrics().get('atlas_gateway_mutations_total{role="viewer",outcome="refused"}', 0)
    with shared.client(shared.another("viewer")) as client:
        answer = client.post("/graphql?refuse", json={"query": LAUNCH})
    line = shared.line("audit", answer)
    assert (line["status"], line["outcome"], line["role"]) == (200, "refused", "viewer")
    assert shared.metrics()['atlas_gateway_mutations_total{role="viewer",outcome="refused"}'] == before + 1


def test_what_the_server_fails_at_has_failed(shared: Gateway, behind: Any) -> None:
    behind.operator.answers["/graphql?fail"] = (500, {}, b"")
    line = shared.line("audit", ask(shared, path="/graphql?fail", json={"query": LAUNCH}))
    assert (line["status"], line["outcome"]) == (500, "failed")
