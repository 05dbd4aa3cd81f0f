"""The file of policies: what it comes to, and every way in which it can be wrong, said with its line."""

import io
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from atlas_pipeline.alerting.policy import Policies, Policy, default_policies
from atlas_pipeline.alerting.policy_file import PolicyFileError, read_policies
from atlas_pipeline.alerting.policy_schema import CONDITIONS, SCHEMA, duration
from atlas_pipeline.documents.durations import written
from atlas_pipeline.settings import PROJECT_ROOT

CHANNELS = ("slack", "pager", "security-mail")
DEFAULTS = Policies(default_policies(), CHANNELS)
ASSETS = {
    "group:gold": {"gold/revenue", "gold/load"},
    "group:backups": {"backups/atlas"},
    'key:"gold/revenue"': {"gold/revenue"},
    'key:"gold/revenue_by_country_month"+ or group:silver': {"gold/revenue_by_country_month", "silver/orders"},
    "key:nothing": set(),
}


def select(selection: str) -> frozenset[str]:
    """What a project of four assets answers."""
    if selection not in ASSETS:
        raise ValueError("Syntax error at line 1, column 0:\n mismatched input")
    return frozenset(ASSETS[selection])


def read(folder: Path, text: str | bytes, channels: tuple[str, ...] = CHANNELS) -> Policies:
    """The policies of a file with this text."""
    path = folder / "alerts.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_policies(path, channels, select)


def complaints(folder: Path, text: str | bytes, channels: tuple[str, ...] = CHANNELS) -> list[str]:
    """What is said of a file: line and message of each fault."""
    with pytest.raises(PolicyFileError) as caught:
        read(folder, text, channels)
    begin = f"{folder / 'alerts.yaml'}:"
    lines = str(caught.value).split("\n")
    assert all(re.match(r"\d+: \S", line.removeprefix(begin)) for line in lines), lines
    return [line.removeprefix(begin) for line in lines]


def policy(*lines: str) -> str:
    """A file with one policy; the first of `lines` is its line 5."""
    return "policies:\n  - name: own\n    when: [run_failed]\n    severity: warning\n" + "".join(
        f"    {line}\n" for line in lines
    )


# What a file comes to.


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "{}\n", "\ufeff", "policies: []\n"])
def test_an_empty_file_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == DEFAULTS


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_policies(tmp_path / "alerts.yaml", CHANNELS, select) == DEFAULTS
    assert frozenset().union(*(one.conditions for one in DEFAULTS.policies)) == set(CONDITIONS)


def test_a_whole_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """\
teams:
  security: [pager, security-mail]
  sales: [slack]
policies:
  - name: revenue
    watch: {assets: 'key:"gold/revenue"', jobs: [backup_*, nightly], backups: true}
    when: [run_failed, check_failed]
    level: error
    for: 10m
    severity: critical
    team: sales
    channels: [slack]
    runbook: https://example.com/runbooks/revenue#start
  - name: low-score
    watch:
      assets: group:gold
    when: [low_score]
    below: 0.95
    severity: critical
  - name: quiet
    when: [queue_long]
    above: 1000
    severity: warning
    channels: []
messages_per_hour: 12
""",
    )
    assert found.policies[:3] == (
        Policy(
            "revenue",
            frozenset({"run_failed", "check_failed"}),
            "critical",
            "sales",
            selection='key:"gold/revenue" or group:backups',
            assets=frozenset({"gold/revenue", "backups/atlas"}),
            jobs=("backup_*", "nightly"),
            level="error",
            lasting=timedelta(minutes=10),
            channels=("slack",),
            runbook="https://example.com/runbooks/revenue#start",
        ),
        Policy(
            "low-score",
            frozenset({"low_score"}),
            "critical",
            selection="group:gold",
            assets=frozenset({"gold/revenue", "gold/load"}),
            below=0.95,
        ),
        Policy("quiet", frozenset({"queue_long"}), "warning", above=1000, channels=()),
    )
    assert found.policies[3:] == tuple(one for one in default_policies() if one.name != "low-score")
    assert found.messages_per_hour == 12
    assert found.channels_of(found.policies[0]) == ("slack",)
    assert found.channels_of(found.policies[1]) == CHANNELS
    assert found.channels_of(found.policies[2]) == ()
    leak = next(one for one in found.policies if one.name == "pii-leak")
    assert found.channels_of(leak) == ("pager", "security-mail")


def test_only_the_policies_of_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, policy() + "defaults: false\n")
    assert [one.name for one in found.policies] == ["own"]


def test_the_limits_of_the_defaults_hold_where_a_policy_says_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, policy().replace("run_failed", "low_score, queue_long, stale")).policies[0]
    assert (found.below, found.above) == (0.8, 100)


def test_an_alias_is_followed(tmp_path: Path) -> None:
    text = policy("channels: &here [pager]") + "teams: {security: *here}\n"
    assert read(tmp_path, text).teams == {"security": ("pager",)}


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf" + policy().replace("\n", "\r\n").encode()).policies[0].name == "own"
    wrong = policy("teem: x").replace("\n", "\r\n")
    assert complaints(tmp_path, wrong)[0].startswith("5: `policies`: unknown key 'teem'")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("30s", 30),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1d", 86400),
        ("1w", 604800),
        ("10 minutes", 600),
        ("1 h", 3600),
        ("2 days", 172800),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


# What is wrong with a file.

NAME = "expected a line of up to 100 printable characters"
TEAM = "did you mean 'security'? Expected one of default, database, security, data-engineering, infrastructure"
NO_LINK = "5: `runbook`: found {}, expected a link that begins with https:// or http://, without user and password"
FAULTS: dict[str, tuple[str | bytes, str]] = {
    "no YAML": ("policies: [\n", "2: not valid YAML: "),
    "two documents": ("defaults: true\n---\ndefaults: false\n", "2: not valid YAML: "),
    "a tab": ("policies:\n\t- name: own\n", "2: not valid YAML: found a tab, expected spaces"),
    "a tab before a key": ("teams:\n  security:\n\t- pager\n", "3: not valid YAML: found a tab, expected spaces"),
    "not UTF-8": (b"# ok\n# \xff\n", "2: not valid YAML: byte 0xff is not UTF-8"),
    "UTF-16": ("policies: []\n".encode("utf-16"), "1: not valid YAML: byte 0xff is not UTF-8"),
    "a control character": ("defaults: \x07\n", "1: not valid YAML: "),
    "nested too deep": ("[" * 5000, "1: nested too deep: this is not a policy file"),
    "too large": ("#" * 300_000, "1: more than 256 KiB: this is not a policy file"),
    "a list": (
        "- name: own\n",
        "1: found a list, expected a mapping with the keys teams, policies, defaults, messages",
    ),
    "a word": ("policies\n", "1: found 'policies', expected a mapping with the keys"),
    "a number": ("12\n", "1: found 12, expected a mapping with the keys"),
    "a tag": ("!!python/object:os.system {}\n", "1: not valid YAML: the tag tag:yaml.org,2002:python/object:os"),
    "a tag of a word": (policy("team: !secret x"), "5: not valid YAML: the tag !secret has no meaning here"),
    "a mapping as key": ("? {a: b}\n: c\n", "1: not valid YAML: expected a key of one word"),
    "no boolean": ("defaults: !!bool perhaps\n", "1: not valid YAML: this cannot be read as bool"),
    "a version": ("%YAML 1.1\n---\ndefaults: true\n", "1: remove the line %YAML"),
    "unknown key": (
        "policies: []\nmessage_per_hour: 3\n",
        "2: unknown key 'message_per_hour': did you mean 'messages_per_hour'? "
        "Expected one of teams, policies, defaults, messages_per_hour",
    ),
    "unknown key of a policy": (
        policy("chanels: [slack]"),
        "5: `policies`: unknown key 'chanels': did you mean 'channels'? Expected one of name, watch, when, level, "
        "below, above, for, severity, team, channels, runbook",
    ),
    "unknown key of watch": (
        policy("watch:", "  asset: group:gold"),
        "6: `watch`: unknown key 'asset': did you mean 'assets'? Expected one of assets, jobs, backups",
    ),
    "a key that is no word": ("1: 2\n", "1: unknown key 1: expected one of"),
    "a merge": ("teams: &a {sales: [slack]}\n<<: *a\n", "2: unknown key '<<': expected one of"),
    "a key twice": (policy("severity: critical"), "5: duplicate key 'severity': expected it once"),
    "no policy": ("policies:\n  - own\n", "2: `policies`: found 'own', expected a mapping with the keys name, when"),
    "policies no list": ("policies: {own: 1}\n", "1: `policies`: found a mapping, expected a list of policies"),
    "policies empty": ("policies:\n", "1: `policies`: found nothing, expected a list of policies"),
    "no name": ("policies:\n  - when: [stale]\n    severity: warning\n", f"2: `policies`: 'name' is missing: {NAME}"),
    "no condition": (
        "policies:\n  - name: own\n    severity: warning\n",
        "2: `policies`: 'when' is missing: expected a list of one",
    ),
    "no severity": (
        "policies:\n  - name: own\n    when: [stale]\n",
        "2: `policies`: 'severity' is missing: expected one of critical, warning",
    ),
    "name no text": (policy().replace("own", "3"), f"2: `name`: found 3, {NAME}"),
    "name empty": (policy().replace("own", "''"), f"2: `name`: found '', {NAME}"),
    "name of lines": (policy().replace("own", '"a\\nb"'), f"2: `name`: found 'a\\nb', {NAME}"),
    "name with a NUL": (policy().replace("own", '"\\0"'), f"2: `name`: found '\\x00', {NAME}"),
    "name too long": (policy().replace("own", "x" * 101), f"2: `name`: found '{'x' * 39}…, {NAME}"),
    "name twice": (
        policy() + policy().removeprefix("policies:\n"),
        "5: the name 'own' is there twice, expected one of its own",
    ),
    "unknown condition": (
        policy().replace("run_failed", "run_faild"),
        f"3: `when`: found 'run_faild': did you mean 'run_failed'? Expected one of {', '.join(CONDITIONS)}",
    ),
    "a condition that is a list": (
        policy().replace("run_failed", "[a]"),
        "3: `when`: found a list: expected one of",
    ),
    "when a word": (
        policy().replace("[run_failed]", "run_failed"),
        "3: `when`: found 'run_failed', expected a list of one or more conditions, such as [run_failed]",
    ),
    "when empty": (
        policy().replace("run_failed", ""),
        "3: `when`: found an empty list, expected a list of one or more",
    ),
    "unknown severity": (
        policy().replace("warning", "warnin"),
        "4: `severity`: found 'warnin': did you mean 'warning'? Expected one of critical, warning",
    ),
    "unknown level": (
        policy("level: warning"),
        "5: `level`: found 'warning': did you mean 'warn'? Expected one of warn, error",
    ),
    "team unknown": (policy("team: securty"), f"5: unknown team 'securty': {TEAM}"),
    "team no text": (policy("team: [sales]"), "5: `team`: found a list, expected the name of a team"),
    "teams a list": ("teams: [sales]\n", "1: `teams`: found a list, expected a mapping of teams to lists of channels"),
    "a team's name": ("teams:\n  1: [slack]\n", "2: `teams`: found 1, expected the name of a team"),
    "a team without channels": (
        "teams:\n  sales: []\n",
        "2: `teams.sales`: found an empty list, expected a list of one or more names of channels, each once",
    ),
    "a team with a word": ("teams:\n  sales: slack\n", "2: `teams.sales`: found 'slack', expected a list of one"),
    "channel of a team": (
        "teams:\n  sales:\n    - slack\n    - pagr\n",
        "4: unknown channel 'pagr': did you mean 'pager'? Expected one of slack, pager, security-mail",
    ),
    "channel of a policy": (
        policy("channels: [slak]"),
        "5: unknown channel 'slak': did you mean 'slack'? Expected one of slack, pager, security-mail",
    ),
    "channel no text": (policy("channels: [1]"), "5: `channels`: found 1, expected the name of a channel"),
    "channel twice": (policy("channels: [slack, slack]"), "5: `channels`: found a list, expected a list of names of"),
    "bad duration": (
        policy("for: 10 months"),
        "5: `for`: found '10 months', expected a duration such as 30s, 90m, 2h or 1 day, up to 365 days",
    ),
    "duration a number": (policy("for: 10"), "5: `for`: found 10, expected a duration such as 30s, 90m"),
    "duration negative": (policy("for: -10m"), "5: `for`: found '-10m', expected a duration"),
    "duration too long": (policy("for: 366d"), "5: `for`: found '366d', expected a duration"),
    "duration huge": (policy(f"for: {'9' * 50}w"), "5: `for`: found '999"),
    "below without low_score": (policy("below: 0.5"), "5: `below` goes with low_score, expected it in `when`"),
    "above without queue_long": (policy("above: 5"), "5: `above` goes with queue_long, expected it in `when`"),
    **{
        f"below {value}": (
            policy(f"below: {value}").replace("run_failed", "low_score"),
            f"5: `below`: found {found}, expected a number above 0, up to 1",
        )
        for value, found in [
            ("80", "80"),
            ("-0.1", "-0.1"),
            ("0", "0"),
            (".nan", "nan"),
            (".inf", "inf"),
            ("1e999", "inf"),
            ("'0.8'", "'0.8'"),
            ("true", "true"),
        ]
    },
    **{
        f"above {value}": (
            policy(f"above: {value}").replace("run_failed", "queue_long"),
            f"5: `above`: found {value}, expected a number from 0 to 1,000,000,000",
        )
        for value in ("-1", "1000000001")
    },
    "above a word": (
        policy("above: many").replace("run_failed", "queue_long"),
        "5: `above`: found 'many', expected a number from 0",
    ),
    "above a huge number": (
        policy(f"above: {'9' * 5000}").replace("run_failed", "queue_long"),
        "5: not valid YAML: this cannot be read as int",
    ),
    **{
        f"{value} messages": (
            f"messages_per_hour: {value}\n",
            f"1: `messages_per_hour`: found {found}, expected a whole number from 1 to 10,000",
        )
        for value, found in [("0", "0"), ("-3", "-3"), ("10001", "10001"), ("1.5", "1.5"), ("ten", "'ten'")]
    },
    "defaults no boolean": ("defaults: no\n", "1: `defaults`: found 'no', expected true or false"),
    "watch nothing": (
        policy("watch: {}"),
        "5: `watch`: found an empty mapping, expected a mapping with one or more of",
    ),
    "watch a word": (
        policy("watch: group:gold"),
        "5: `watch`: found 'group:gold', expected a mapping with one or more",
    ),
    "no backups": (policy("watch: {backups: false}"), "5: `watch.backups`: found false, expected true"),
    "no jobs": (policy("watch: {jobs: []}"), "5: `watch.jobs`: found an empty list, expected a list of one or more"),
    "jobs a word": (
        policy("watch: {jobs: nightly}"),
        "5: `watch.jobs`: found 'nightly', expected a list of one or more",
    ),
    "a job no text": (policy("watch: {jobs: [3]}"), "5: `watch.jobs`: found 3, expected a pattern such as backup_*"),
    "a selection that does not parse": (
        policy("watch:", "  assets: 'group:'"),
        "6: `assets`: Syntax error at line 1, column 0: mismatched input, expected an asset selection",
    ),
    "a selection of nothing": (
        policy("watch:", "  assets: key:nothing"),
        "6: `assets`: 'key:nothing' selects no asset, expected at least one",
    ),
    "a selection no text": (
        policy("watch: {assets: [a]}"),
        "5: `watch.assets`: found a list, expected an asset selection",
    ),
    "a selection too long": (policy(f"watch: {{assets: {'x' * 1001}}}"), "5: `watch.assets`: found 'xxx"),
    "an empty selection": (policy("watch: {assets: ''}"), "5: `watch.assets`: found '', expected an asset selection"),
    "watching for nothing": (
        policy("watch: {jobs: [a]}").replace("run_failed", "system_down"),
        "3: system_down is about no asset and no job, expected a policy without `watch`",
    ),
    "assets that tick": (
        policy("watch: {backups: true}").replace("run_failed", "tick_failed"),
        "3: tick_failed is about schedules and sensors, expected `jobs` in `watch`",
    ),
    "jobs that are stale": (
        policy("watch: {jobs: [a]}").replace("run_failed", "stale"),
        "3: stale is about assets, expected `assets` or `backups` in `watch`",
    ),
    "runbook no link": (policy("runbook: wiki/page"), NO_LINK.format("'wiki/page'")),
    "runbook another scheme": (policy("runbook: ftp://example.com/"), NO_LINK.format("an address")),
    "runbook a script": (policy("runbook: javascript:alert(1)"), NO_LINK.format("'javascript:alert(1)'")),
    "runbook with a password": (policy("runbook: https://me:hunter2@example.com/"), NO_LINK.format("an address")),
    "runbook nowhere": (policy("runbook: https:///page"), NO_LINK.format("an address")),
    "runbook with a bad port": (policy("runbook: https://a:99999/"), NO_LINK.format("an address")),
    "runbook with a bad host": (policy("runbook: 'https://[::1/'"), NO_LINK.format("an address")),
    "runbook with a blank": (policy("runbook: https://a/b c"), NO_LINK.format("an address")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_with_its_line(tmp_path: Path, name: str) -> None:
    text, said = FAULTS[name]
    found = complaints(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(said)
    assert len(found[0]) < 350


def test_all_faults_are_listed_at_once_in_order(tmp_path: Path) -> None:
    text = """\
messages_per_hour: 0
teams:
  sales: [slak]
policies:
  - name: a
    name: b
    wen: [stale]
    severity: bad
  - name: a
    when: [stale, run_faild]
    severity: warning
    team: nobody
    watch: {assets: 'key:nothing'}
  - 3
"""
    found = [line.split(":", 2)[:2] for line in complaints(tmp_path, text)]
    assert [line for line, _ in found] == ["1", "3", "5", "6", "7", "8", "9", "10", "12", "13", "14"]


def test_an_alias_to_a_fault_tells_it_once(tmp_path: Path) -> None:
    text = "policies:\n  - &a {name: own, when: [stale], severity: x}\n  - *a\n"
    assert [line[:21] for line in complaints(tmp_path, text)] == ["2: `severity`: found ", "2: the name 'own' is "]


def test_aliases_that_multiply_are_stopped(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 18))]
    assert "too many values, or nested too deep" in complaints(tmp_path, "\n".join(lines))[0]
    assert "too many values, or nested too deep" in complaints(tmp_path, "policies: &a [*a]\n")[0]


def test_an_unknown_channel_where_none_is_configured(tmp_path: Path) -> None:
    (said,) = complaints(tmp_path, policy("channels: [slack]"), channels=())
    assert said == "5: unknown channel 'slack': expected ATLAS_ALERT_CHANNELS to name it"


def test_an_address_with_a_secret_is_not_repeated(tmp_path: Path) -> None:
    secret = "slack://xoxb-hunter2/"
    text = (
        policy(f"channels: ['{secret}']", f"team: '{secret}'", f"'{secret}': 1")
        + f"teams: {{'{secret}': '{secret}'}}\n"
    )
    assert "hunter2" not in "".join(complaints(tmp_path, text))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.mkdir()
    pipe, loop, nowhere = tmp_path / "pipe", tmp_path / "loop", tmp_path / "nowhere"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    nowhere.symlink_to(tmp_path / "gone.yaml")
    for one, said in [
        (path, "cannot be read: not a regular file"),
        (pipe, "cannot be read: not a regular file"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (nowhere, "cannot be read: No such file or directory"),
        (loop / "alerts.yaml", "cannot be read: Too many levels of symbolic links"),
    ]:
        with pytest.raises(PolicyFileError, match=f"^{re.escape(str(one))}:1: {said}"):
            read_policies(one, CHANNELS, select)


# Whatever is written, it loads or is refused.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**90, max_value=10**400),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["own", "slack", "pager", "group:gold", "key:nothing", "10m", "https://example.com/", "security"]),
    st.sampled_from([*CONDITIONS, "warn", "error", "critical", "warning", "run-failed", 0.5, 30]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


def mappings(properties: Any) -> st.SearchStrategy[dict[Any, Any]]:
    """Mappings with some of the keys that are known, and others; the values are seldom right."""
    known = dict.fromkeys(properties, VALUES)
    return st.builds(
        lambda right, wrong: {**wrong, **right},
        st.fixed_dictionaries({}, optional=known),
        st.dictionaries(st.text(max_size=8), VALUES, max_size=1),
    )


POLICY = SCHEMA["properties"]["policies"]["items"]["properties"]
GOOD = {
    "name": st.text(min_size=1, max_size=5),
    "when": st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3),
    "severity": st.sampled_from(["critical", "warning"]),
}
POLICIES = st.lists(
    st.one_of(
        st.builds(lambda some, more: {**more, **some}, st.fixed_dictionaries(GOOD), mappings(POLICY)),
        st.fixed_dictionaries(GOOD),
        mappings(POLICY),
        VALUES,
    ),
    max_size=3,
)
FILES = st.builds(
    lambda outer, listed: {**outer, "policies": listed} if listed is not None else outer,
    mappings(SCHEMA["properties"]),
    st.none() | POLICIES,
)


def loads_or_refuses(folder: Path, text: bytes) -> None:
    """Any other error than PolicyFileError fails the test, and so do policies that are not what they should be."""
    try:
        found = read(folder, text)
    except PolicyFileError as refused:
        said = str(refused)
    else:
        for one in found.policies:
            assert one.conditions <= set(CONDITIONS)
            assert one.assets is None or one.assets
            assert timedelta(0) <= one.lasting <= timedelta(days=365)
            assert set(found.channels_of(one)) <= set(CHANNELS)
        assert len({one.name for one in found.policies}) == len(found.policies)
        return
    assert said.startswith(f"{folder / 'alerts.yaml'}:")
    assert said.encode()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=FILES | VALUES)
@example(data={"policies": [{"name": "x", "when": ["low_score"], "severity": "critical", "below": float("nan")}]})
def test_any_mapping_loads_or_is_refused(tmp_path: Path, data: Any) -> None:
    written = io.BytesIO()
    YAML(typ="safe").dump(data, written)
    loads_or_refuses(tmp_path, written.getvalue())


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.text().map(lambda one: one.encode(errors="replace")),
        st.binary(),
        st.text("-:[]{}&*!?|>%@\"'# \n\tab0.e~<").map(str.encode),
    )
)
def test_any_text_loads_or_is_refused(tmp_path: Path, text: bytes) -> None:
    loads_or_refuses(tmp_path, text)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_good_file_with_one_piece_replaced_loads_or_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    text = (PROJECT_ROOT / "docs" / "alerts.md").read_text(encoding="utf-8").split("```yaml\n")[2].split("```")[0]
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 10)))
    changed = text[:begin] + data.draw(st.text(max_size=3)) + text[end:]
    loads_or_refuses(tmp_path, changed.encode(errors="replace"))


# The documentation.


def page() -> str:
    return (PROJECT_ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, their cells."""
    part = re.split(r"(?m)^#+ ", page().split(f"# {heading}\n", 1)[1])[0]
    rows = [line.split("|")[1:-1] for line in re.split(r"\n\n(?=\|)", f"\n{part}")[1].split("\n\n")[0].splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_example_of_the_documentation_loads(tmp_path: Path) -> None:
    found = read(tmp_path, page().split("```yaml\n")[2].split("```")[0])
    assert len(found.policies) > len(default_policies())
    assert found.teams


def test_every_field_is_documented() -> None:
    root = SCHEMA["properties"]
    watch = {f"watch.{key}": one for key, one in POLICY["watch"]["properties"].items()}
    assert table("The file") == [[f"`{key}`", one["description"]] for key, one in root.items()]
    assert table("A policy") == [[f"`{key}`", one["description"]] for key, one in sorted_fields({**POLICY, **watch})]


def sorted_fields(properties: dict[str, Any]) -> list[tuple[str, Any]]:
    """Fields in the order of the schema, those of `watch` after it."""
    order = list(POLICY)
    return sorted(properties.items(), key=lambda one: order.index(one[0].split(".")[0]))


def test_every_condition_is_documented() -> None:
    assert [row[0].strip("`") for row in table("Conditions")] == list(CONDITIONS)


def test_the_defaults_are_documented() -> None:
    assert table("Defaults") == [
        [
            f"`{one.name}`",
            ", ".join(f"`{name}`" for name in CONDITIONS if name in one.conditions),
            limits(one),
            one.severity,
            one.team,
        ]
        for one in default_policies()
    ]


def limits(one: Policy) -> str:
    """What else a default asks for, as the documentation has it."""
    found = [f"level: {one.level}"] if one.level else []
    found += [f"below: {one.below:g}"] if one.below else []
    found += [f"above: {one.above:g}"] if one.above else []
    found += [f"for: {written(one.lasting)}"] if one.lasting else []
    return ", ".join(f"`{part}`" for part in found)
