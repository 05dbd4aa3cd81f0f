"""Read and validate a policy on personal data, a YAML document.

Belongs here: the document's shape, and errors that say what was expected. Does not belong here: what follows from it
(`plan.py`). The document:

    actions: {EMAIL_ADDRESS: mask}
    columns: {name: {pii: PERSON, action: drop, domain: people}}
    allow: [Acme]
    deny: [Project Nightjar]
    recognizers: recognizers.yaml
    region: DE
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

from atlas_pipeline.documents.faults import DocumentError, Place, unknown
from atlas_pipeline.documents.located import Document, Kind, read
from atlas_pipeline.pii.kinds import ACTIONS, KINDS, Action
from atlas_pipeline.pii.plan import NOT_PERSONAL, Declaration, Policy
from atlas_pipeline.pii.rules import Rules

_KEYS = ("actions", "columns", "allow", "deny", "recognizers", "region")
_COLUMN_KEYS = ("pii", "action", "domain")


class PolicyError(DocumentError):
    """The policy cannot be used; the message says where, and what was expected."""

    place: Place = ()
    """Where in the document."""

    @classmethod
    def about(cls, where: Place, message: str, key: Any = None) -> Self:
        """The error about what is at `where`, or about one of its keys."""
        error = cls(f"{': '.join(map(str, where)) or 'the policy'}: {message}")
        error.place = where if key is None else (*where, key)
        return error


# Lists of words may be long, so the bounds are those of a machine rather than of a person.
KIND = Kind(name="a policy", error=PolicyError, most_bytes=1 << 24, most_values=1_000_000, deepest=40, dates=False)


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file; its `recognizers` count from the file's folder.

    Raises:
        PolicyError: names file and line.
    """
    document = _document(path)
    try:
        return policy_from(document.data or {}, path.parent)
    except PolicyError as error:
        raise document.error(str(error), error.place) from None


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
    _mapping((), document, _KEYS)
    recognizers = _recognizers(document.get("recognizers"), folder)
    kinds = {*KINDS, *(_own_kinds(recognizers) if recognizers else ())}
    actions = document.get("actions") or {}
    _mapping(("actions",), actions)
    for kind in actions:
        _one_of(("actions",), kind, kinds, "kind", kind)
    columns = document.get("columns") or {}
    _mapping(("columns",), columns)
    return Policy(
        actions={str(kind): _action(("actions", kind), action) for kind, action in actions.items()},
        columns={str(name): _declaration(("columns", name), declared, kinds) for name, declared in columns.items()},
        rules=Rules(
            allow=_words("allow", document.get("allow")),
            deny=_words("deny", document.get("deny")),
            recognizers=recognizers,
        ),
        region=_region(document.get("region")),
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


def _declaration(where: Place, declared: Any, kinds: Iterable[str]) -> Declaration:
    _mapping(where, declared, _COLUMN_KEYS)
    pii, action, domain = (declared.get(key) for key in _COLUMN_KEYS)
    if pii is not None:
        _one_of((*where, "pii"), pii, [*kinds, NOT_PERSONAL], "kind")
    if domain is not None and not isinstance(domain, str):
        raise PolicyError.about((*where, "domain"), "expected text")
    return Declaration(pii, None if action is None else _action((*where, "action"), action), domain)


def _mapping(where: Place, document: Any, keys: tuple[str, ...] = ()) -> None:
    if not isinstance(document, Mapping):
        expected = f" with {', '.join(keys)}" if keys else ""
        raise PolicyError.about(where, f"expected a mapping{expected}")
    for key in document if keys else ():
        _one_of(where, key, keys, "key", key)


def _action(where: Place, action: Any) -> Action:
    return cast(Action, _one_of(where, action, ACTIONS, "action"))


def _one_of(where: Place, name: Any, allowed: Iterable[str], kind: str, key: Any = None) -> str:
    """The name, if it is known; `key` when it is a key of what is at `where`."""
    names = sorted(allowed)
    if name not in names:
        raise PolicyError.about(where, unknown(kind, name, names), key)
    return str(name)


def _words(key: str, words: Any) -> frozenset[str]:
    if words is None:
        return frozenset()
    if not isinstance(words, list) or not all(isinstance(word, str | int | float) for word in words):
        raise PolicyError.about((key,), "expected a list of words")
    return frozenset(text for word in words if (text := str(word).strip()))


def _region(code: Any) -> str:
    if code is None:
        return ""
    import phonenumbers

    if not isinstance(code, str) or code.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise PolicyError.about(("region",), "expected a country by its two letters (ISO 3166-1), such as DE")
    return code.upper()


def _recognizers(name: Any, folder: Path) -> Path | None:
    if name is None:
        return None
    if not isinstance(name, str | Path):
        raise PolicyError.about(("recognizers",), "expected the path of a YAML file in Presidio's format")
    path = (folder / name).absolute()
    if not path.is_file():
        raise PolicyError.about(("recognizers",), f"{path}: no such file")
    return path


def _own_kinds(path: Path) -> set[str]:
    """The kinds that a file of recognisers adds."""
    document = _document(path).data
    listed = document.get("recognizers") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise PolicyError.about(
            ("recognizers",), f"{path}: expected a mapping with a list `recognizers`, in Presidio's format"
        )
    names: set[str] = set()
    for entry in listed:
        if isinstance(entry, Mapping):
            names.update([str(entry["supported_entity"])] if "supported_entity" in entry else [])
            names.update(map(str, entry.get("supported_entities") or []))
    return names


def _document(path: Path) -> Document:
    document = read(path, KIND)
    document.refuse()
    return document
