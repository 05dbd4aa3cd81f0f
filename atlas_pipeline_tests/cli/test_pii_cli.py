"""`atlas pii` from outside: what is printed where, exit codes, and the files it writes."""

import gzip
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from atlas_pipeline.cli import app
from atlas_pipeline.cli.pii.write import Block, written
from atlas_pipeline.ingest.readers import detect
from atlas_pipeline.pii.actions.tokens import encrypt_values
from atlas_pipeline.pii.keys import load_keys
from atlas_pipeline.pii.policy import PolicyError, policy_from, read_policy
from atlas_pipeline.settings import Settings, load_settings

COMMANDS = ["scan", "mask", "spans", "reveal"]
PEOPLE = 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty installation with keys that are set."""
    path = tmp_path / "home"
    monkeypatch.setenv("ATLAS_HOME", str(path))
    monkeypatch.setenv("ATLAS_PII_HASH_KEY", "h" * 32)
    monkeypatch.setenv("ATLAS_PII_ENCRYPT_KEY", "e" * 32)
    monkeypatch.setenv("NO_COLOR", "1")
    load_settings.cache_clear()
    yield path
    load_settings.cache_clear()


def pii(*arguments: object, stdin: str | None = None, expect: int = 0) -> Any:
    """Run the command in this process."""
    done = CliRunner().invoke(app, ["pii", *map(str, arguments)], input=stdin)
    assert done.exit_code == expect, (done.stdout, done.stderr, done.exception)
    return done


def rows() -> list[dict[str, Any]]:
    """People who are not, with an id, a rating, and gaps."""
    return [
        {
            "id": 1000 + n,
            "email": None if n == 3 else f"person{n}@example.com",
            "phone": f"+1 415 555 {2000 + n}",
            "card": "4111111111111111" if n % 2 else "5500005555555559",
            "rating": None if n == 5 else n % 5 + 0.5,
            "status": ("open", "closed")[n % 2],
        }
        for n in range(PEOPLE)
    ]


def file_of(folder: Path, name: str) -> Path:
    """The rows as a file, in the format of its name."""
    path = folder / name
    frame = pd.DataFrame(rows())
    if ".csv" in name:
        frame.to_csv(path, index=False)
    elif ".tsv" in name:
        frame.to_csv(path, index=False, sep="\t")
    elif ".jsonl" in name:
        text = "".join(json.dumps(row) + "\n" for row in rows())
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    else:
        frame.to_parquet(path, index=False)
    return path


def frame_of(path: Path) -> pd.DataFrame:
    """What a file holds, by pandas."""
    if ".csv" in path.name or ".tsv" in path.name:
        return pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",")
    return pd.read_json(path, lines=True) if ".jsonl" in path.name else pd.read_parquet(path)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    assert f"atlas pii {command}" in pii(command, "--help").stdout


def test_scan_prints_one_document_and_nothing_else(tmp_path: Path) -> None:
    done = pii("scan", file_of(tmp_path, "people.csv"), "--json")
    document = json.loads(done.stdout)
    assert document["rows"] == PEOPLE
    columns = {column["name"]: column for column in document["columns"]}
    assert [*columns] == ["id", "email", "phone", "card", "rating", "status"]
    assert {*columns["email"]} == {"name", "class", "entity", "confidence", "evidence", "action"}
    assert (columns["email"]["class"], columns["email"]["entity"]) == ("typed", "EMAIL_ADDRESS")
    assert columns["card"]["entity"] == "CREDIT_CARD"
    assert columns["status"] | {"confidence": 0, "evidence": {}} == {
        "name": "status",
        "class": "clean",
        "entity": None,
        "confidence": 0,
        "evidence": {},
        "action": "keep",
    }
    assert "person1@" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["p.csv.gz", "p.csv.zst", "p.tsv", "p.jsonl", "p.jsonl.gz", "p.parquet"])
def test_scan_finds_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    document = json.loads(pii("scan", file_of(tmp_path, name), "--json").stdout)
    found = {column["name"]: column["entity"] for column in document["columns"] if column["entity"]}
    assert found == {"email": "EMAIL_ADDRESS", "phone": "PHONE_NUMBER", "card": "CREDIT_CARD"}


def test_scan_of_several_files_and_for_people(tmp_path: Path) -> None:
    paths = [file_of(tmp_path, "a.csv"), file_of(tmp_path, "b.parquet")]
    document = json.loads(pii("scan", *paths, "--json").stdout)
    assert [one["file"] for one in document["files"]] == [str(path) for path in paths]
    table = pii("scan", paths[0]).stdout
    assert "EMAIL_ADDRESS" in table
    assert "person1@" not in table


def test_scan_sees_what_the_sample_does_not(tmp_path: Path) -> None:
    path = tmp_path / "rare.csv"
    cells = ["ordinary"] * 5_000
    cells[4_321] = "ask ann.lee@example.com"
    path.write_text("n,remark\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells)))
    (_, remark) = json.loads(pii("scan", path, "--rows", 20, "--json").stdout)["columns"]
    assert (remark["class"], remark["action"]) == ("free_text", "redact")
    assert remark["evidence"]["swept_EMAIL_ADDRESS"] == 1


def test_scan_goes_on_after_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    done = pii("scan", tmp_path / "none.csv", file_of(tmp_path, "p.csv"), "--json", expect=1)
    assert [one["file"] for one in json.loads(done.stdout)["files"]] == [str(tmp_path / "p.csv")]
    assert "none.csv" in done.stderr


@pytest.mark.parametrize("content", [None, "", "a,b\n"])
def test_scan_of_what_cannot_be_read_is_one_message(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_text(content)
    done = pii("scan", path, "--json", expect=1)
    assert done.stdout == ""
    assert "atlas pii scan" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("out", ["o.csv", "o.csv.gz", "o.tsv", "o.jsonl", "o.jsonl.zst", "o.parquet"])
@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_mask_writes_any_format_from_any(tmp_path: Path, name: str, out: str) -> None:
    target = tmp_path / out
    document = json.loads(pii("mask", file_of(tmp_path, name), "-o", target, "--json").stdout)
    assert document["rows"] == PEOPLE
    assert {one["name"]: one["masked"] for one in document["columns"]} == {
        "id": 0,
        "email": PEOPLE - 1,
        "phone": PEOPLE,
        "card": PEOPLE,
        "rating": 0,
        "status": 0,
    }
    masked = frame_of(target)
    plain = pd.DataFrame(rows())
    assert masked["id"].astype(int).tolist() == plain["id"].tolist()
    assert masked["rating"].astype(float).equals(plain["rating"])
    assert masked["email"].isna().tolist() == plain["email"].isna().tolist()
    assert masked["email"].dropna().str.fullmatch("[0-9a-f]{64}").all()
    assert set(masked["card"]) == {"************1111", "************5559"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, out])


def test_mask_keeps_the_types_of_what_it_keeps(tmp_path: Path) -> None:
    parquet, lines = tmp_path / "o.parquet", tmp_path / "o.jsonl"
    pii("mask", file_of(tmp_path, "p.parquet"), "-o", parquet)
    assert pq.read_schema(parquet).field("rating").type == pa.float64()
    assert pq.read_schema(parquet).field("id").type == pa.int64()
    pii("mask", file_of(tmp_path, "p.jsonl"), "-o", lines)
    for before, after in zip(rows(), map(json.loads, lines.read_text().splitlines()), strict=True):
        assert {name: after[name] for name in ("id", "rating", "status")} == {
            name: before[name] for name in ("id", "rating", "status")
        }


def test_mask_of_parquet_with_every_type_to_json_lines(tmp_path: Path) -> None:
    path, out = tmp_path / "p.parquet", tmp_path / "o.jsonl"
    times = pd.to_datetime(["2024-01-01T10:00:00Z", None])
    table = pa.table({"t": times, "n": [1.5, float("nan")], "b": [True, None], "l": [[1, 2], None], "y": [b"a", None]})
    pq.write_table(table, path)
    pii("mask", path, "-o", out)
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"t": "2024-01-01 10:00:00.000000+00:00", "n": 1.5, "b": True, "l": [1, 2], "y": "a"},
        {"t": None, "n": "NaN", "b": None, "l": None, "y": None},
    ]


def test_mask_of_a_file_without_a_good_line(tmp_path: Path) -> None:
    path, out = tmp_path / "p.jsonl", tmp_path / "o.jsonl"
    path.write_text("nonsense\n")
    assert "left out 1 lines: 1 not_json" in pii("mask", path, "-o", out).stderr
    assert out.read_text() == ""


def test_one_column_with_gaps_keeps_its_rows(tmp_path: Path) -> None:
    path, out = tmp_path / "p.jsonl", tmp_path / "o.csv"
    path.write_text('{"email": "ann@example.com"}\n{"email": null}\n{"email": "ben@example.com"}\n')
    pii("mask", path, "-o", out)
    assert frame_of(out)["email"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_the_second_mask_changes_nothing(tmp_path: Path, name: str) -> None:
    once, twice = tmp_path / f"once-{name}", tmp_path / f"twice-{name}"
    pii("mask", file_of(tmp_path, name), "-o", once)
    pii("mask", once, "-o", twice)
    assert once.read_bytes() == twice.read_bytes()


def test_mask_refuses_to_replace_the_file_itself(tmp_path: Path) -> None:
    path = file_of(tmp_path, "p.csv")
    before = path.read_bytes()
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    for out in (path, link):
        assert "itself" in pii("mask", path, "-o", out, expect=1).stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("out", "says"), [("no/o.csv", "no such folder"), ("folder.csv", "is a folder"), ("o.xls", ".xls")]
)
def test_mask_refuses_what_it_cannot_write(tmp_path: Path, out: str, says: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert says in pii("mask", file_of(tmp_path, "p.csv"), "-o", tmp_path / out, expect=1).stderr


def test_mask_leaves_nothing_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATLAS_PII_HASH_KEY")
    monkeypatch.setenv("ATLAS_ENVIRONMENT", "production")
    load_settings.cache_clear()
    path, out = file_of(tmp_path, "p.csv"), tmp_path / "o.csv"
    out.write_text("as it was")
    assert "ATLAS_PII_HASH_KEY" in pii("mask", path, "-o", out, expect=1).stderr
    assert out.read_text() == "as it was"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["o.csv", "p.csv"]


@pytest.mark.parametrize("out", ["o.csv", "o.parquet", "o.jsonl.gz", "o.csv.zst"])
def test_a_file_that_breaks_half_way_leaves_nothing(tmp_path: Path, out: str) -> None:
    def break_half_way() -> None:
        with written(tmp_path / out, *detect(out), pa.schema([("a", pa.string())])) as writer:
            writer.write(Block(pa.table({"a": ["x", None]})))
            assert not (tmp_path / out).exists()
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        break_half_way()
    assert [*tmp_path.iterdir()] == []


def test_mask_leaves_out_and_reports_what_cannot_be_read(tmp_path: Path) -> None:
    path, out = file_of(tmp_path, "p.csv"), tmp_path / "o.csv"
    path.write_text(path.read_text() + "9,too,few\n")
    done = pii("mask", path, "-o", out, "--json")
    assert json.loads(done.stdout)["rejected"] == 1
    assert "left out 1 lines: 1 too_few_fields" in done.stderr
    assert len(frame_of(out)) == PEOPLE


def test_a_policy_decides(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "actions: {EMAIL_ADDRESS: mask}\n"
        "columns:\n  phone: {action: drop}\n  card: {pii: none}\n  status: {pii: PERSON}\n"
    )
    out = tmp_path / "o.csv"
    pii("mask", file_of(tmp_path, "p.csv"), "-o", out, "--policy", policy)
    masked = frame_of(out)
    assert [*masked.columns] == ["id", "email", "card", "rating", "status"]
    assert masked["email"][0].endswith("*ecom")
    assert masked["card"][0] == 5500005555555559
    assert set(masked["status"]) == {"<PERSON>"}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"action": {}}, "did you mean 'actions'"),
        ({"actions": {"EMAIL_ADRESS": "mask"}}, "did you mean 'EMAIL_ADDRESS'"),
        ({"actions": {"EMAIL_ADDRESS": "maks"}}, "did you mean 'mask'"),
        ({"actions": ["mask"]}, "expected a mapping"),
        ({"columns": {"a": {"kind": "PERSON"}}}, "expected one of action, domain, pii"),
        ({"columns": {"a": {"pii": "PERSONN"}}}, "did you mean 'PERSON'"),
        ({"columns": {"a": {"domain": 7}}}, "domain: expected text"),
        ({"allow": "Acme"}, "expected a list of words"),
        ({"recognizers": "nowhere.yaml"}, "no such file"),
    ],
)
def test_a_policy_with_a_mistake_is_refused(document: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=says):
        policy_from(document, tmp_path)


def test_a_policy_file_that_is_no_yaml_is_one_message(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("actions: {a: [\n")
    done = pii("scan", file_of(tmp_path, "p.csv"), "--policy", policy, expect=1)
    assert f"{policy}:2: not valid YAML: " in done.stderr
    policy.write_text("actions:\n  EMAIL_ADDRESS: maks\n")
    with pytest.raises(PolicyError, match=f"^{policy}:2: actions: EMAIL_ADDRESS: unknown action 'maks': did you mean"):
        read_policy(policy)
    policy.write_text("columns: {}\ncolums: {}\n")
    with pytest.raises(PolicyError, match=f"^{policy}:2: the policy: unknown key 'colums': did you mean 'columns'"):
        read_policy(policy)
    policy.write_text("")
    assert read_policy(policy).actions == {}


def test_recognizers_that_presidio_cannot_use_are_one_message(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("recognizers: own.yaml\n")
    (tmp_path / "own.yaml").write_text(
        "recognizers:\n  - name: Badge\n    supported_language: en\n    supported_entity: BADGE\n"
        "    patterns: [{name: badge, regex: '(', score: 0.9}]\n"
    )
    done = pii("spans", "--policy", policy, stdin='"a"', expect=1)
    assert "Presidio cannot use it" in done.stderr
    assert done.stdout == ""


def test_own_kinds_come_from_the_recognizers_of_the_policy(tmp_path: Path) -> None:
    recognizers = tmp_path / "own.yaml"
    recognizers.write_text(
        "recognizers:\n  - name: Badge\n    supported_language: en\n    supported_entity: BADGE\n"
        "    patterns: [{name: badge, regex: 'BDG-[0-9]{6}', score: 0.9}]\n"
    )
    policy = tmp_path / "policy.yaml"
    policy.write_text("recognizers: own.yaml\nactions: {BADGE: hash}\nallow: [press@example.com]\ndeny: [Nightjar]\n")
    assert read_policy(policy).rules.recognizers == recognizers
    lines = '"badge BDG-123456 for project Nightjar"\n"write to press@example.com"\n'
    first, second = map(json.loads, pii("spans", "--policy", policy, stdin=lines).stdout.splitlines())
    assert {"BADGE", "UNKNOWN"} <= {span["entity"] for span in first["spans"]}
    assert second["spans"] == []


def test_spans_answers_line_by_line() -> None:
    text = "Mail ann.lee@example.com today"
    lines = [json.dumps(text), json.dumps({"text": text, "id": 7, "more": 1}), json.dumps("nothing here")]
    one, two, three = map(json.loads, pii("spans", stdin="\n".join(lines)).stdout.splitlines())
    (span,) = one["spans"]
    assert text[span["start"] : span["end"]] == "ann.lee@example.com"
    assert span["entity"] == "EMAIL_ADDRESS"
    assert 0 < span["score"] <= 1
    assert two == {"id": 7, "spans": one["spans"]}
    assert three == {"spans": []}


def test_spans_says_which_line_is_bad_and_does_the_others() -> None:
    lines = ['"mail \\ud800 ann.lee@example.com"', "secret nonsense", '{"id": 3}', "", '"mail ben@example.com"']
    done = pii("spans", stdin="\n".join(lines) + "\n", expect=1)
    assert len(done.stdout.splitlines()) == 2
    assert "line 2" in done.stderr
    assert "line 3" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.slow
def test_spans_answers_before_the_input_ends() -> None:
    command = [sys.executable, "-m", "atlas_pipeline.cli", "pii", "spans"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(2):
            process.stdin.write('"mail ann.lee@example.com"\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["spans"]
        process.stdin.close()
        assert process.wait(60) == 0


def token_of(value: str, key: str = "e" * 32) -> str:
    """A token under that key."""
    keys = load_keys(Settings(pii_encrypt_key=key))
    return encrypt_values(pa.array([value]), "EMAIL_ADDRESS", keys)[0].as_py()


def test_reveal_prints_the_value_and_audits_before(home: Path) -> None:
    tokens = [token_of("ann@example.com"), token_of("ben@example.com")]
    assert pii("reveal", *tokens, "--reason", "ticket 4711").stdout == "ann@example.com\nben@example.com\n"
    assert pii("reveal", "--reason", "again", stdin=f"{tokens[0]}\n").stdout == "ann@example.com\n"
    log = home / "audit" / "pii_reveal.jsonl"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    first, second = map(json.loads, log.read_text().splitlines())
    assert (first["count"], first["domains"], first["reason"]) == (2, ["EMAIL_ADDRESS"], "ticket 4711")
    assert second["count"] == 1
    assert {*first} == {"time", "user", "host", "count", "domains", "key_ids", "reason"}
    assert "ann" not in log.read_text()
    assert tokens[0].split(":")[3] not in log.read_text()


def test_reveal_refuses_without_an_audit(home: Path) -> None:
    home.mkdir()
    (home / "audit").write_text("in the way")
    done = pii("reveal", token_of("ann@example.com"), "--reason", "x", expect=1)
    assert done.stdout == ""
    assert "audit log cannot be written" in done.stderr


def test_reveal_needs_a_reason_and_a_token() -> None:
    assert pii("reveal", token_of("ann@example.com"), expect=2).stdout == ""
    assert "blank" in pii("reveal", token_of("ann@example.com"), "--reason", " ", expect=1).stderr
    assert "no tokens" in pii("reveal", "--reason", "x", stdin="", expect=1).stderr


def test_reveal_under_the_wrong_key_is_a_clear_error_and_shows_nothing(home: Path) -> None:
    good, bad = token_of("ann@example.com"), token_of("ben@example.com", "another")
    done = pii("reveal", good, bad, "--reason", "x", expect=1)
    assert done.stdout == ""
    assert "ATLAS_PII_OLD_ENCRYPT_KEYS" in done.stderr
    assert not (home / "audit").exists()


def test_reveal_after_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    token = token_of("ann@example.com")
    monkeypatch.setenv("ATLAS_PII_ENCRYPT_KEY", "new")
    monkeypatch.setenv("ATLAS_PII_OLD_ENCRYPT_KEYS", "older," + "e" * 32)
    load_settings.cache_clear()
    assert pii("reveal", token, "--reason", "x").stdout == "ann@example.com\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    code = (
        f"import sys; from atlas_pipeline.cli import app; app(['pii', {command!r}, '--help'], standalone_mode=False);"
    )
    code += "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert not {"dagster", "pyarrow", "pandas", "numpy", "spacy", "presidio_analyzer"} & {*done.stderr.split()}


def test_a_model_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_SPACY_MODEL", "xx_no_such_model")
    load_settings.cache_clear()
    result = pii("spans", stdin='"The report about Zorblatt pleased many."\n', expect=1)
    load_settings.cache_clear()
    assert "'xx_no_such_model' is not installed" in result.output
    assert "ATLAS_SPACY_MODEL" in result.output
