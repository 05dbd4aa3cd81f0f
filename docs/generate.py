"""Write what the code says into the documentation, between `begin` and `end` markers, and the examples in docker/env/.

`python docs/generate.py` rewrites them; with `--check` nothing is written, and the exit code is 1 when one is stale.
The text around the markers is written by hand. Belongs here: tables read off the code, and the one-line texts that only
they need. Longer lists of texts are in *.toml beside it; those of settings and YAML fields are the models' own.
"""

import importlib.metadata
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parents[1]


def _texts(name: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads((ROOT / "docs" / f"{name}.toml").read_text(encoding="utf-8"))


_DEPENDENCIES, _RULES = _texts("dependencies"), _texts("rules")
WHY, LICENCES = _DEPENDENCIES["why"], _DEPENDENCIES["licences"]

ROW_RULES = {name: (one["why"], one["do"]) for name, one in _RULES["rows"].items()}
FILE_RULES = {name: (one["why"], one["do"]) for name, one in _RULES["files"].items()}
TYPES = {
    "text": "Anything but a NUL character; kept as it is, white space and all.",
    "integer": "Whole numbers of 64 bits. A sign, leading zeros and `.0` are taken.",
    "decimal": "Exact numbers, also `1.5e3`; up to 1,000 digits on each side of the point. `decimal(10,2)` is "
    "`numeric(10,2)`, and refuses what has more digits.",
    "float": "Numbers as doubles, `NaN` and `Infinity` among them.",
    "real": "Numbers in single precision, as Parquet's `float`.",
    "boolean": "`true` `t` `yes` `y` `1`, `false` `f` `no` `n` `0`, in any case.",
    "date": "`2024-01-31`, or a `format`. A time of midnight after it is taken.",
    "timestamp": "`2024-01-31T23:59:59.123456+01:00`, with a space for the T, without offset (then in the dataset's "
    "`timezone`), or a `format`: an instant. Digits finer than microseconds are cut off.",
    "local_timestamp": "`2024-01-31T23:59:59.123456`, or a `format`: the clock as the source has it, without time "
    "zone. An offset is refused.",
    "time": "`23:59` or `23:59:59.123456`, or a `format`.",
    "interval": "A length of time: `P1DT2H` (ISO 8601), `26:00:00`, `1 day 02:00:00`, `90 seconds`.",
    "uuid": "With or without hyphens, in braces, or with `urn:uuid:`.",
    "json": "One JSON value of up to 16 MiB, nested up to 256 levels, no key twice in an object.",
}
ACTIONS = {
    "keep": "Nothing: the value stays as it is.",
    "redact": "The value becomes `<KIND>`, such as `<PERSON>`.",
    "mask": "All but the last four characters, separators aside, become `*`; all when there are fewer than eight.",
    "hash": "HMAC-SHA256 in hex under `ATLAS_PII_HASH_KEY`: equal values stay equal, so that they can be joined.",
    "drop": "Silver does not have the column.",
    "encrypt": "AES-GCM under `ATLAS_PII_ENCRYPT_KEY`, as `enc:…`; `atlas pii reveal` gives the value back.",
    "generalise": "Less exact: a date its year, a postcode its beginning, an age ten years, an address its network, a "
    "place one decimal.",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. Outside code, `<` is escaped: a name in angle brackets would be taken for HTML and vanish."""
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", "\\<") for index, part in enumerate(parts))


def settings() -> str:
    """Every setting: name, default, meaning."""
    from atlas_pipeline.settings import PREFIX, Settings

    return table(
        ("Setting", "Default", "Meaning"),
        (
            (f"`{PREFIX}{name.upper()}`", _default(field), _setting_text(field))
            for name, field in Settings.model_fields.items()
        ),
    )


ENVIRONMENTS = {
    "production": (
        "# Settings of a production installation: copy to docker/.env and put a real value in the place of every\n"
        "# <CHANGE_ME_…>. No process starts while one is left, and weak passwords are refused.",
        {
            "GATEWAY_SERVER_NAME": "<CHANGE_ME_SERVER_NAME>",
            "ATLAS_UI_URL": "https://<CHANGE_ME_SERVER_NAME>",
            "ATLAS_BACKUP_PLACE": "<CHANGE_ME_S3_BUCKET_AND_PREFIX>",
            "ATLAS_BACKUP_RECIPIENTS": "<CHANGE_ME_AGE_PUBLIC_KEY>",
            "ATLAS_ALERT_CHANNELS": "<CHANGE_ME_NAME_AND_URL>",
        },
    ),
    "staging": (
        "# Settings of a staging installation: copy to docker/.env and put a real value in the place of every\n"
        "# <CHANGE_ME_…>. No process starts while one is left, and weak passwords are refused.",
        {
            "GATEWAY_SERVER_NAME": "<CHANGE_ME_SERVER_NAME>",
            "ATLAS_UI_URL": "https://<CHANGE_ME_SERVER_NAME>",
            "ATLAS_BACKUP_SCHEDULES": "staging",
        },
    ),
}
"""What stands in each example in docker/env/: its head, and the variables that are set in it."""
COMPOSE = {name: (one["default"], one["meaning"]) for name, one in _texts("compose").items()}
"""Variables of docker/compose.yaml itself: what is taken where they are not set, and what they mean."""
STORES = {
    "AWS_ACCESS_KEY_ID": ("", "Key of the S3 store of sources and backups, unless the machine has a role of its own."),
    "AWS_SECRET_ACCESS_KEY": ("", "The secret that belongs to it."),
}
"""Variables that every AWS program knows."""


def env_example(environment: str) -> str:
    """An example of docker/.env: every variable of compose, and every setting that compose.yaml does not set itself."""
    from atlas_pipeline.settings import PREFIX, Settings

    head, values = ENVIRONMENTS[environment]
    values = {"ATLAS_ENVIRONMENT": environment, **values}
    lines = [f"{head}\n# Generated by docs/generate.py from the settings.", "# Of the gateway, and of compose.yaml:"]
    lines += [_assignment(name, values, default, text) for name, (default, text) in COMPOSE.items()]
    lines.append(
        "# Of Atlas. Instead of a value, each takes a file with it: <NAME>_FILE, with the path in the container."
    )
    own = set_by_compose()
    for name, field in Settings.model_fields.items():
        variable = f"{PREFIX}{name.upper()}"
        if variable not in own and f"{variable}_FILE" not in own:
            lines.append(_assignment(variable, values, _default(field).strip("`"), _setting_text(field)))
    lines += [_assignment(name, values, default, text) for name, (default, text) in STORES.items()]
    lines.append(
        "# Set in compose.yaml, the secrets among them from docker/secrets/:\n" + _wrapped(", ".join(sorted(own)))
    )
    return "\n\n".join(lines) + "\n"


def set_by_compose() -> set[str]:
    """The variables that docker/compose.yaml sets for Atlas's processes itself."""
    import yaml

    return set(yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["x-atlas-environment"])


def _assignment(name: str, values: Mapping[str, str], default: str, text: str) -> str:
    given = f"{name}={values[name]}" if name in values else f"# {name}={default}"
    return f"{_wrapped(text.replace('`', ''))}\n{given}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _setting_text(field: FieldInfo) -> str:
    values = _choices(field.annotation)
    text = field.description or ""
    return f"{text} One of {', '.join(f'`{value}`' for value in values)}." if values else text


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None or value in ([], {}, ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if isinstance(value, SecretStr) else f"`{value}`"


def _choices(annotation: Any) -> tuple[str, ...]:
    """The values of a Literal, also of an optional one."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) is UnionType or str(get_origin(annotation)) == "typing.Union":
        return next((found for part in get_args(annotation) if (found := _choices(part))), ())
    return ()


def fields(model: type[BaseModel]) -> str:
    """Every field of a component's YAML: name, what it takes, default, meaning."""
    return table(
        ("Field", "Takes", "Default", "Meaning"),
        (
            (f"`{field.alias or name}`", _takes(field.annotation), _default(field), field.description or "")
            for name, field in model.model_fields.items()
        ),
    )


def _takes(annotation: Any) -> str:
    if values := _choices(annotation):
        return ", ".join(f"`{value}`" for value in values)
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if origin is UnionType or str(origin) == "typing.Union":
        return " or ".join(dict.fromkeys(_takes(part) for part in parts))
    if origin is list:
        return f"list of {_takes(parts[0])}"
    if origin is dict:
        return "names and texts"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {str: "text", bool: "`true`, `false`", int: "number", float: "number"}.get(annotation, str(annotation))


def dependencies() -> str:
    """Every declared dependency: version here, licence, reason."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = [_name(text) for text in project["project"]["dependencies"]]
    development = [_name(text) for text in project["dependency-groups"]["dev"]]
    head = ("Package", "Version", "Licence", "What it is for")
    extras = project["project"]["optional-dependencies"]
    parts = [
        table(head, map(_dependency, runtime)),
        "For connectors, `pip install 'atlas-pipeline[connectors]'`:",
        table(head, map(_dependency, sorted(map(_name, extras["connectors"])))),
        "For sources on SFTP servers, `pip install 'atlas-pipeline[sftp]'`:",
        table(head, map(_dependency, map(_name, extras["sftp"]))),
        "For sources in Google Cloud Storage, `pip install 'atlas-pipeline[gcs]'`:",
        table(head, map(_dependency, map(_name, extras["gcs"]))),
        "For sources in Azure Blob Storage, `pip install 'atlas-pipeline[azure]'`:",
        table(head, map(_dependency, map(_name, extras["azure"]))),
        "Only for development and tests:",
        table(head, map(_dependency, development)),
    ]
    return "\n\n".join(parts)


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return found[0].lower()


def _dependency(name: str) -> tuple[str, str, str, str]:
    if name not in WHY:
        raise SystemExit(f"docs/dependencies.toml: say under `why` what {name} is for")
    data = importlib.metadata.metadata(name)
    licence = LICENCES.get(name) or data.get("License-Expression") or _classified(data) or data.get("License") or ""
    if not licence or "\n" in licence or licence == "Proprietary":
        raise SystemExit(f"docs/dependencies.toml: the metadata of {name} names no licence: put it under `licences`")
    return f"`{name}`", _locked()[name], licence, WHY[name]


@cache
def _locked() -> dict[str, str]:
    """The versions that `make setup` installs."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)==([^\s;]+)", text))


def _classified(data: Any) -> str:
    known = {"MIT License": "MIT", "Apache Software License": "Apache-2.0"}
    found = [line.rpartition(" :: ")[2] for line in data.get_all("Classifier") or [] if line.startswith("License ::")]
    return ", ".join(known.get(name, name) for name in found)


def flat_commands(group: Any, prefix: str = "atlas") -> dict[str, Any]:
    """Every command by its full name, those of groups among them."""
    found: dict[str, Any] = {}
    for name, command in sorted(group.commands.items()):
        full = f"{prefix} {name}"
        found |= flat_commands(command, full) if hasattr(command, "commands") else {full: command}
    return found


def commands() -> str:
    """Every command of `atlas` and its options, as the command line itself describes them."""
    from typer.main import get_command

    from atlas_pipeline.cli import app

    rows: list[tuple[str, str, str]] = []
    for name, command in flat_commands(get_command(app)).items():
        rows.append((f"`{name}`", "", " ".join((command.help or "").split())))
        for option in command.params:
            default = "" if option.default in (None, False) or option.required else f" Default: {option.default}."
            need = " Required." if option.required else ""
            names = option.opts if option.param_type_name == "option" else [option.metavar or option.name.upper()]
            rows.append(("", f"`{'`, `'.join(names)}`", f"{option.help}{need}{default}"))
    return table(("Command", "Option", "What it does"), rows)


def make_targets() -> str:
    """Every target of the Makefile that says what it does."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.findall(r"(?m)^([a-z-]+):.*?## (.*)$", text)
    return table(("Command", "What it does"), ((f"`make {name}`", what) for name, what in found))


def rules(texts: dict[str, tuple[str, str]]) -> str:
    """Rules, what they mean, and what to do."""
    return table(("Rule", "What was found", "What to do"), ((f"`{name}`", *text) for name, text in texts.items()))


def types() -> str:
    """The types of columns."""
    from atlas_pipeline.ingest.types import POSTGRES_TYPE

    rows = ((f"`{name}`", f"`{kind}`", TYPES[name]) for name, kind in POSTGRES_TYPE.items())
    return table(("Type", "In Postgres", "What it takes"), rows)


def actions() -> str:
    """What can be done to personal data."""
    from atlas_pipeline.pii.kinds import ACTIONS as known

    return table(("Action", "What silver gets"), ((f"`{name}`", ACTIONS[name]) for name in known))


def kinds() -> str:
    """The kinds of personal data, and what is done to each when nobody says otherwise."""
    from atlas_pipeline.pii.kinds import KINDS

    rows = (
        (f"`{kind.name}`", f"`{kind.action}`" if kind.personal else "not personal: kept", kind.generaliser or "")
        for kind in KINDS.values()
    )
    return table(("Kind", "Default action", "Generalised as"), rows)


def forms() -> str:
    """The canonical form of each kind before it is hashed or encrypted."""
    from atlas_pipeline.pii.actions.forms import FORMS

    return table(("Kinds", "Form"), ((", ".join(f"`{kind}`" for kind in one.kinds), one.text) for one in FORMS))


def metrics() -> str:
    """The metric families, in the order of their list."""
    from atlas_pipeline.telemetry.exposition import unit_of
    from atlas_pipeline.telemetry.families import families

    rows = (
        (
            f"`{one.name}`",
            one.kind,
            unit_of(one) or "count",
            ", ".join(f"`{name}`" for name in one.labels),
            one.source,
            one.help,
        )
        for one in families().values()
    )
    return table(("Family", "Kind", "Unit", "Labels", "From", "What it says"), rows)


def component(name: str) -> Callable[[], str]:
    """The fields of one model of the components."""

    def write() -> str:
        from atlas_pipeline.components import connectors, dataset, freshness, gold_model

        rooms = [dataset, gold_model, freshness, connectors]
        return fields(next(getattr(room, name) for room in rooms if hasattr(room, name)))

    return write


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "dependencies": dependencies,
    "commands": commands,
    "make": make_targets,
    "dataset": component("Dataset"),
    "column": component("Column"),
    "source-table": component("SourceTable"),
    "pii-policy": component("PiiPolicy"),
    "freshness": component("Freshness"),
    "gold-model": component("GoldModel"),
    "sql-database": component("SqlDatabaseFields"),
    "rest-api": component("RestApiFields"),
    "pages": component("PagesFields"),
    "auth": component("AuthFields"),
    "cursor": component("CursorFields"),
    "filesystem": component("FilesystemFields"),
    "file-cursor": component("FileCursorFields"),
    "types": types,
    "actions": actions,
    "kinds": kinds,
    "forms": forms,
    "metrics": metrics,
    "row-rules": lambda: rules(ROW_RULES),
    "file-rules": lambda: rules(FILE_RULES),
}
_PART = re.compile(r"(<!-- (?P<name>[a-z-]+):begin -->\n)(?P<body>.*?)(<!-- (?P=name):end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every Markdown file of the project."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def env_file(environment: str) -> Path:
    """Where the example of an environment is."""
    return ROOT / "docker" / "env" / f"{environment}.env.example"


def render(text: str) -> str:
    """A page with its generated parts written anew."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found['name']]()}\n\n{found[4]}", text)


def main(arguments: Sequence[str]) -> int:
    """Write, or with --check only compare. Returns the exit code."""
    stale = []
    wanted = {page: render(page.read_text(encoding="utf-8")) for page in pages()}
    wanted |= {env_file(name): env_example(name) for name in ENVIRONMENTS}
    for page, after in wanted.items():
        before = page.read_text(encoding="utf-8") if page.exists() else ""
        if after != before:
            stale.append(str(page.relative_to(ROOT)))
            if "--check" not in arguments:
                page.write_text(after, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"stale: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
        return 1
    print(f"written: {', '.join(stale)}" if stale else "all is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
