"""Read and validate a policy on personal data, a YAML document.

Belongs here: the document's shape, and errors that say what was expected. Does not belong here: what follows from it
(`plan.py`). The document:

    actions: {EMAIL_ADDRESS: mask}
    columns: {name: {pii: PERSON, action: drop, domain: people}}
    allow: [Acme]
    deny: [Project Nightjar]
    recognizers: recognizers.yaml
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from atlas_pipeline.pii.kinds import ACTIONS, KINDS, Action
from atlas_pipeline.pii.plan import NOT_PERSONAL, Declaration, Policy
from atlas_pipeline.pii.rules import Rules

_KEYS = ("actions", "columns", "allow", "deny", "recognizers")
_COLUMN_KEYS = ("pii", "action", "domain")


class PolicyError(Exception):
    """The policy cannot be used; the message says where, and what was expected."""


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file; its `recognizers` count from the file's folder. Raises PolicyError."""
    try:
        document = _yaml(path)
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return policy_from(document or {}, path.parent)
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None


def chosen_policy(path: Path | None, model: str) -> Policy:
    """Read the policy to use, and check that Presidio can load its recognisers.

    Args:
        path: The policy file; None for an empty policy.
        model: Name of the spaCy model.

    Raises:
        PolicyError: The file cannot be read, does not have the expected shape, or names unusable recognisers.
    """
    policy = read_policy(path) if path else Policy()
    check_recognizers(policy)
    return replace(policy, rules=replace(policy.rules, model=model))


def policy_from(document: Mapping[str, Any], folder: Path) -> Policy:
    """The policy that a parsed document declares.

    Args:
        document: The parsed YAML.
        folder: What a relative path under `recognizers` is relative to.

    Raises:
        PolicyError: The document does not have the expected shape.
    """
    _mapping("the policy", document, _KEYS)
    recognizers = _recognizers(document.get("recognizers"), folder)
    kinds = {*KINDS, *(_own_kinds(recognizers) if recognizers else ())}
    actions = document.get("actions") or {}
    _mapping("actions", actions)
    columns = document.get("columns") or {}
    _mapping("columns", columns)
    return Policy(
        actions={
            _one_of("actions", kind, kinds, "kind"): _action(f"actions: {kind}", action)
            for kind, action in actions.items()
        },
        columns={str(name): _declaration(f"columns: {name}", said, kinds) for name, said in columns.items()},
        rules=Rules(
            allow=_words("allow", document.get("allow")),
            deny=_words("deny", document.get("deny")),
            recognizers=recognizers,
        ),
    )


def check_recognizers(policy: Policy) -> None:
    """Load the recognisers that a policy adds, and with them Presidio. Raises PolicyError when it cannot use them."""
    if policy.rules.recognizers is None:
        return
    from atlas_pipeline.pii.recognizers import custom_recognizers

    try:
        for recognizer in custom_recognizers(policy.rules):
            recognizer.analyze("a", recognizer.supported_entities, None)
    except Exception as error:  # noqa: BLE001 — Presidio passes on whatever its parts raise
        why = f"{type(error).__name__}: {error}"
        raise PolicyError(f"recognizers: {policy.rules.recognizers}: Presidio cannot use it: {why}") from None


def _declaration(where: str, said: Any, kinds: Iterable[str]) -> Declaration:
    _mapping(where, said, _COLUMN_KEYS)
    pii, action, domain = (said.get(key) for key in _COLUMN_KEYS)
    if pii is not None:
        _one_of(f"{where}: pii", pii, [*kinds, NOT_PERSONAL], "kind")
    if domain is not None and not isinstance(domain, str):
        raise PolicyError(f"{where}: domain: expected text")
    return Declaration(pii, None if action is None else _action(f"{where}: action", action), domain)


def _mapping(where: str, document: Any, keys: tuple[str, ...] | None = None) -> None:
    if not isinstance(document, Mapping):
        expected = f" with {', '.join(keys)}" if keys else ""
        raise PolicyError(f"{where}: expected a mapping{expected}")
    for key in document if keys else ():
        _one_of(where, key, keys or (), "key")


def _action(where: str, action: Any) -> Action:
    return cast(Action, _one_of(where, action, ACTIONS, "action"))


def _one_of(where: str, name: Any, known: Iterable[str], what: str) -> str:
    names = sorted(known)
    if name in names:
        return str(name)
    near = difflib.get_close_matches(str(name).upper() if what == "kind" else str(name), names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise PolicyError(f"{where}: unknown {what} {str(name)[:40]!r}: {hint}expected one of {', '.join(names)}")


def _words(where: str, words: Any) -> frozenset[str]:
    if words is None:
        return frozenset()
    if not isinstance(words, list) or not all(isinstance(word, str | int | float) for word in words):
        raise PolicyError(f"{where}: expected a list of words")
    return frozenset(text for word in words if (text := str(word).strip()))


def _recognizers(name: Any, folder: Path) -> Path | None:
    if name is None:
        return None
    if not isinstance(name, str | Path):
        raise PolicyError("recognizers: expected the path of a YAML file in Presidio's format")
    path = (folder / name).absolute()
    if not path.is_file():
        raise PolicyError(f"recognizers: {path}: no such file")
    return path


def _own_kinds(path: Path) -> set[str]:
    """The kinds that a file of recognisers adds."""
    document = _yaml(path)
    listed = document.get("recognizers") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise PolicyError(f"{path}: expected a mapping with a list `recognizers`, in Presidio's format")
    found: set[str] = set()
    for one in listed:
        if isinstance(one, Mapping):
            found.update([str(one["supported_entity"])] if "supported_entity" in one else [])
            found.update(map(str, one.get("supported_entities") or []))
    return found


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise PolicyError(f"{path}{place}: this is no YAML") from None
