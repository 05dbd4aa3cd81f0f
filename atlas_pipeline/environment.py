"""The one reader of the environment: the text of each variable, from the first source that has it.

Belongs here: the sources (process, `.env`, `<NAME>_FILE`, folder of secrets), and what is refused in any of them:
unknown names, placeholders, files that cannot be read. Does not belong here: what a setting is (`settings.py`). It
imports no library, so that `atlas health` is cheap.
"""

import difflib
import os
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

PREFIX = "ATLAS_"
_CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT_ROOT = _CHECKOUT if (_CHECKOUT / "workspace.yaml").exists() else Path.cwd()

CATALOGUE_PORT = 3001
"""Of `atlas docs serve`, which links in the UI lead to in development."""

_FILE = "_FILE"
_SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
_PLACEHOLDER = "<CHANGE_ME"
# In a variable that is none of ours, such as a commit message in CI, only a whole one counts.
_WHOLE_PLACEHOLDER = re.compile(r"<CHANGE_ME_[A-Z0-9_]+>")


class SettingsError(Exception):
    """The environment or `.env` holds a setting that Atlas cannot use; the message names it, never its value."""


def given(settings: Collection[str]) -> dict[str, str]:
    """The text of each of `settings` (lower case, no prefix) that is set, by its name.

    Raises SettingsError naming what is wrong: a name that begins with `ATLAS_` and is not a setting, a placeholder in
    any variable, a file that cannot be read, a variable that is given twice.
    """
    names = {name: f"{PREFIX}{name.upper()}" for name in settings}
    files = {f"{variable}{_FILE}" for name, variable in names.items() if _may_be_a_file(name, settings)}
    _refuse_unknown({*names.values(), *files})
    _refuse_placeholders()
    texts = {name: _text(variable, _may_be_a_file(name, settings)) for name, variable in names.items()}
    return {name: text for name, text in texts.items() if text is not None}


def validating() -> bool:
    """Whether Dagster loads the definitions only to say what is wrong with them (`dg check defs`)."""
    return os.environ.get("DAGSTER_IS_DEFS_VALIDATION_CLI") == "1"


def text_of(variable: str) -> str | None:
    """The text of one variable, or null where it is not set. Raises SettingsError."""
    text = _text(variable, may_be_a_file=True)
    if text is not None and _PLACEHOLDER in text:
        raise SettingsError(f"settings refused: {_left(variable)}")
    return text


def terminal_columns() -> int | None:
    """The width that `COLUMNS` asks for, as in other programs of a terminal; null where it is no number."""
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


def source_database_url(name: str) -> str:
    """The connection URL of a source database, from the variable or secret file `name`.

    Raises SettingsError when it is not set. The name must end in `_DATABASE_URL`, so that a dataset's YAML cannot
    read any variable it likes.
    """
    if not name.endswith("_DATABASE_URL"):
        raise SettingsError(f"{name} is not the name of a source database: expected a name ending in _DATABASE_URL")
    value = text_of(name)
    if not value:
        raise SettingsError(f"{name} is not set: put the connection URL of the source database there")
    return value


_SOURCE_SECRET = re.compile(r"[A-Za-z0-9_]+_API_(TOKEN|KEY|USER|PASSWORD|ID|SECRET)")


def is_source_secret(name: str) -> bool:
    """Whether a variable of this name may be read for a source: such as `CRM_API_TOKEN`, and none of Atlas's own."""
    return _SOURCE_SECRET.fullmatch(name) is not None and not name.upper().startswith(PREFIX)


def source_secret(name: str) -> str:
    """A credential of a source, from the variable or secret file `name`.

    Raises SettingsError when it is not set, or the name is not one of a source's credentials, so that a dataset's YAML
    cannot send any variable it likes to a server.
    """
    if not is_source_secret(name):
        raise SettingsError(f"{name} is not the name of a source's credential: expected one such as CRM_API_TOKEN")
    value = text_of(name)
    if not value:
        raise SettingsError(f"{name} is not set: put the credential of the source there, or its file into {name}_FILE")
    return value


def _may_be_a_file(name: str, settings: Collection[str]) -> bool:
    """Whether `<name>_FILE` holds the path of a file with its value, and is not a setting of its own."""
    return f"{name}_file" not in settings


def _refuse_unknown(known: Collection[str]) -> None:
    for name in sorted({*os.environ, *_dotenv()}):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "see docs/configuration.md for the names"
            raise SettingsError(f"unknown setting {name}: {hint}")


def _refuse_placeholders() -> None:
    left = sorted(set(_placeholders()))
    if left:
        raise SettingsError(f"settings refused: {'; '.join(map(_left, left))}")


def _placeholders() -> Iterator[str]:
    """The variables of the process and of `.env` that still hold one, also those that are not Atlas's own."""
    for name, value in os.environ.items():
        if _PLACEHOLDER in value if name.startswith(PREFIX) else _WHOLE_PLACEHOLDER.search(value):
            yield name
    for name, text in _dotenv().items():
        if name not in os.environ and _PLACEHOLDER in (text or ""):
            yield name


def _left(what: str) -> str:
    return f"{what} still holds a <CHANGE_ME_…> placeholder: set a real value"


def _text(variable: str, may_be_a_file: bool) -> str | None:
    text = _variable(variable)
    path = _variable(f"{variable}{_FILE}") if may_be_a_file else None
    if text and path:
        raise SettingsError(f"settings refused: {variable} and {variable}{_FILE} are both set: keep one of them")
    if path:
        return _content(f"{variable}{_FILE}", PROJECT_ROOT / path)
    if text is not None or variable == _SECRETS_DIR:
        return text
    secret = _secrets().get(variable.lower())
    return _content(_SECRETS_DIR, secret) if secret else None


def _variable(name: str) -> str | None:
    return os.environ[name] if name in os.environ else _dotenv().get(name)


def _secrets() -> dict[str, Path]:
    """The files of the folder of secrets, by their names in lower case."""
    folder = _variable(_SECRETS_DIR)
    if not folder:
        return {}
    path = PROJECT_ROOT / folder
    if not path.is_dir():
        raise SettingsError(f"settings refused: {_SECRETS_DIR}: no such folder")
    return {file.name.lower(): file for file in path.iterdir() if file.is_file()}


def _content(named_by: str, path: Path) -> str:
    """What is in the file, without line ends after it."""
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"settings refused: {named_by}: cannot read {path}: {why}") from None
    if not text.strip():
        raise SettingsError(f"settings refused: {named_by}: {path} is empty: put the value into it")
    if _PLACEHOLDER in text:
        raise SettingsError(f"settings refused: {_left(f'{named_by}: {path}')}")
    return text


@cache
def _dotenv() -> dict[str, str | None]:
    path = PROJECT_ROOT / ".env"
    if not path.exists():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(path)
