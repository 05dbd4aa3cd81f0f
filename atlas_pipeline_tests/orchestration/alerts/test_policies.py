"""The file of policies against a real asset graph: what is selected, and Dagster's reasons why something is not."""

from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from atlas_pipeline.alerting.policy import default_policies
from atlas_pipeline.alerting.policy_file import PolicyFileError, read_policies
from atlas_pipeline.definitions import defs
from atlas_pipeline.orchestration.alerts.policies import load_policies, selector
from atlas_pipeline.settings import PROJECT_ROOT, Settings


def example(number: int) -> str:
    """The first or second file that the documentation shows."""
    page = (PROJECT_ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    return page.split("```yaml\n")[number].split("```")[0]


@pytest.fixture
def project() -> dg.Definitions:
    """A project of a few assets, each made from the one before it, and one that is made elsewhere."""
    paths = ["bronze/orders", "silver/orders", "silver/customers", "gold/revenue"]
    made = [made_from(before, path) for before, path in zip([None, *paths], paths, strict=False)]
    backups = [made_from(None, f"backups/{name}") for name in ("a", "b")]
    return dg.Definitions([*made, *backups, dg.AssetSpec(["gold", "elsewhere"], group_name="gold")])


def made_from(before: str | None, path: str) -> dg.AssetsDefinition:
    """An asset in the group that its path begins with."""

    @dg.asset(key=path.split("/"), group_name=path.split("/")[0], deps=[before.split("/")] if before else [])
    def one() -> None:
        raise AssertionError("nothing is made here")

    return one


@pytest.mark.parametrize(
    ("selection", "paths"),
    [
        ("group:backups", {"backups/a", "backups/b"}),
        ('key:"silver/orders" or group:backups', {"silver/orders", "backups/a", "backups/b"}),
        ('1+key:"silver/orders"', {"bronze/orders", "silver/orders"}),
        ('key:"silver/orders"+', {"silver/orders", "silver/customers", "gold/revenue"}),
        ("key:silver/* and not key:*customers", {"silver/orders"}),
        ("group:gold", {"gold/revenue", "gold/elsewhere"}),
        ('not key:"silver/*" and not group:backups', {"bronze/orders", "gold/revenue", "gold/elsewhere"}),
        ("silver/orders", {"silver/orders"}),
        ("key:nothing", set()),
        ("group:nothing", set()),
    ],
)
def test_what_a_selection_selects(project: dg.Definitions, selection: str, paths: set[str]) -> None:
    assert selector(project)(selection) == paths
    assert selector(project.resolve_asset_graph())(selection) == paths


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ("", "Syntax error at line 1, column 0: mismatched input '<EOF>'"),
        ("key:a or", "Syntax error at line 1, column 8: mismatched input '<EOF>'"),
        ('key:"a', "Syntax error at line 1, column 4: token recognition error"),
        ("gold revenue", "Syntax error at line 1, column 0: mismatched input 'gold'"),
        ("foo:bar", "Syntax error at line 1, column 0: mismatched input 'foo'"),
        ("is:big", "Invalid 'is:' attribute value 'big'"),
        ("not " * 250, "Syntax error"),
        ("silver/order", r"AssetKey\(s\) \['silver/order'\] were selected"),
        ("status:failed", "Dagster cannot select by this here"),
        ("column:email", "Dagster cannot select by this here"),
        ("job:nightly", "Dagster cannot select by this here"),
        ("sensor:landing", "Dagster cannot select by this here"),
        ("code_location:atlas", "Dagster cannot select by this here"),
    ],
)
def test_why_a_selection_cannot_be_used(project: dg.Definitions, selection: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        selector(project)(selection)


WORDS = ["key:", "group:", "tag:", "is:", "owner:", "kind:", '"silver/*"', "gold", "a=b", "+", "*", "2", "and ", "or "]
WORDS += [
    "not ",
    "(",
    ")",
    "roots(",
    "sinks(",
    "status:",
    "job:",
    "<null>",
    '"',
    " ",
    "\n",
    "é",
    "\0",
    "materializable",
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=8))
def test_any_selection_selects_or_is_refused_with_a_reason(project: dg.Definitions, parts: list[str]) -> None:
    select = selector(project)
    try:
        found = select("".join(parts))
    except ValueError as error:
        reason = str(error)
    else:
        assert found <= {key.to_user_string() for key in project.resolve_asset_graph().get_all_asset_keys()}
        return
    assert reason.strip()


def test_faults_have_dagsters_reason_and_their_line(project: dg.Definitions, tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(
        "policies:\n"
        "  - {name: a, when: [stale], severity: warning, watch: {assets: 'group:'}}\n"
        "  - {name: b, when: [stale], severity: warning, watch: {assets: 'group:gone'}}\n"
    )
    with pytest.raises(PolicyFileError) as caught:
        load_policies(project, Settings(alerts_file=path))
    first, second = str(caught.value).split("\n")
    assert first.startswith(f"{path}:2: `assets`: Syntax error at line 1, column 6: ")
    assert second == f"{path}:3: `assets`: 'group:gone' selects no asset, expected at least one"


def test_backups_where_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("policies:\n  - {name: a, when: [backup_missing], severity: critical, watch: {backups: true}}\n")
    with pytest.raises(PolicyFileError, match="2: `backups`: 'group:backups' selects no asset"):
        load_policies(dg.Definitions(), Settings(alerts_file=path))


def test_the_file_of_the_settings_is_read(project: dg.Definitions, tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(
        "policies:\n"
        "  - name: own\n"
        "    when: [run_failed]\n"
        "    severity: critical\n"
        "    watch: {assets: 'key:gold/*', jobs: [landing*], backups: true}\n"
    )
    own = load_policies(project, Settings(alerts_file=path)).policies[0]
    assert own.assets == {"gold/revenue", "gold/elsewhere", "backups/a", "backups/b"}
    assert own.jobs == ("landing*",)


def test_relative_paths_count_from_the_project(
    project: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("defaults: false\n")
    with pytest.raises(PolicyFileError, match=rf"(?m)^{PROJECT_ROOT / 'pyproject.toml'}:\d+: "):
        load_policies(project, Settings(alerts_file=Path("pyproject.toml")))


def test_without_a_file_the_defaults_hold(
    project: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atlas_pipeline.orchestration.alerts.policies.PROJECT_ROOT", tmp_path)
    assert load_policies(project, Settings()).policies == default_policies()


def test_a_file_that_is_named_has_to_be_there(project: dg.Definitions, tmp_path: Path) -> None:
    path = tmp_path / "alert.yaml"
    with pytest.raises(PolicyFileError, match=f"^{path}:1: there is no such file, expected .* ATLAS_ALERTS_FILE"):
        load_policies(project, Settings(alerts_file=path))


def test_channels_are_those_of_the_settings(project: dg.Definitions, tmp_path: Path) -> None:
    pytest.importorskip("atlas_pipeline.alerting.channels")
    path = tmp_path / "alerts.yaml"
    path.write_text("teams: {security: [hook]}\n")
    given = SecretStr("hook=webhook+https://127.0.0.1/hunter2 other=webhook+https://127.0.0.1/hunter3")
    found = load_policies(project, Settings(alerts_file=path, alert_channels=given))
    assert found.channels == ("hook", "other")
    assert found.teams == {"security": ("hook",)}
    path.write_text("teams: {security: [hok]}\n")
    with pytest.raises(PolicyFileError, match="did you mean 'hook'\\? Expected one of hook, other") as caught:
        load_policies(project, Settings(alerts_file=path, alert_channels=given))
    assert "hunter" not in str(caught.value)


@pytest.mark.slow
def test_the_example_of_the_documentation_fits_this_project(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(example(1))
    assert read_policies(path, ("team",), selector(defs())).policies[0].below == 0.95
    path.write_text(example(2))
    found = read_policies(path, ("slack", "pager", "security-mail"), selector(defs()))
    assert {"gold/revenue_by_country_month", "silver/orders", "backups/atlas"} <= (found.policies[0].assets or set())
