"""docker/monitoring/alloy/config.alloy, read, and what its stages find in a line.

Belongs here: the syntax that the file uses, and those of its stages that look for something: JSON, regular expressions,
labels, structured metadata. Alloy itself is not packaged and does not run here: what it does with templates, times and
files is not shown by tests.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from atlas_pipeline_tests.monitoring.expressions import MONITORING

_TOKEN = re.compile(r'(?:\s|//[^\n]*\n)*("(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*|[{}\[\]=,]|\Z)')
_SELECTOR = re.compile(r'\{(\w+)(=~|=)"([^"]*)"\}')


@dataclass
class Block:
    """A block of the file: its name, its label if it has one, and what is in it."""

    name: str
    label: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    def all(self) -> Iterator["Block"]:
        """It and every block within."""
        yield self
        for one in self.blocks:
            yield from one.all()


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, f"cannot be read: {text[at : at + 40]!r}"
        at = found.end()
        if found[1]:
            yield found[1]


class _Reader:
    def __init__(self, text: str):
        self.tokens = list(_tokens(text))
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        assert wanted in ("", token), (
            f"expected {wanted!r} at the end of {self.tokens[max(0, self.at - 9) : self.at + 1]}"
        )
        self.at += 1
        return token

    def fill(self, block: Block) -> Block:
        while self.peek() not in ("", "}"):
            name = self.take()
            if self.peek() == "=":
                self.take("=")
                assert name not in block.values, f"{name} is given twice"
                block.values[name] = self.value()
            else:
                label = json.loads(self.take()) if self.peek().startswith('"') else ""
                self.take("{")
                block.blocks.append(self.fill(Block(name, label)))
                self.take("}")
        return block

    def value(self) -> Any:
        token = self.take()
        if token.startswith('"'):
            return json.loads(token)
        if token == "[":
            return [item for _, item in self.items("]")]
        if token == "{":
            return dict(self.items("}"))
        return token

    def items(self, end: str) -> Iterator[tuple[str, Any]]:
        while self.peek() != end:
            name = ""
            if end == "}":
                name = self.take().strip('"')
                self.take("=")
            yield name, self.value()
            if self.peek() != end:
                self.take(",")
        self.take(end)


@cache
def configuration() -> Block:
    """The file as one block."""
    return _Reader((MONITORING / "alloy" / "config.alloy").read_text(encoding="utf-8")).fill(Block("file"))


def stages() -> list[Block]:
    """The stages that lines go through, in their order; those of a match are within it."""
    return next(one for one in configuration().blocks if one.name == "loki.process").blocks


def matches(selector: str, labels: dict[str, str]) -> bool:
    """Whether labels are selected, by one matcher of equality or of a regular expression."""
    found = _SELECTOR.fullmatch(selector)
    assert found, f"more than one matcher: {selector}"
    name, kind, said = found.groups()
    return re.fullmatch(said if kind == "=~" else re.escape(said), labels.get(name, "")) is not None


@dataclass
class Collected:
    """What becomes of a line."""

    line: str
    labels: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


def collected(container: str, line: str) -> Collected:
    """What is found in a line that a container of that name wrote; templates are passed over."""
    written = {"log": line + "\n", "stream": "stdout", "attrs": {"tag": container}, "time": "2026-01-31T08:57:31.4Z"}
    state = Collected(json.dumps(written))
    _pass(stages(), state)
    return state


def _pass(through: list[Block], state: Collected) -> None:
    for stage in through:
        match stage.name:
            case "stage.json":
                state.found |= _of_json(state.line, stage.values["expressions"])
            case "stage.regex":
                text = state.found.get(stage.values["source"]) if "source" in stage.values else state.line
                hit = re.search(stage.values["expression"], text or "")
                state.found |= hit.groupdict() if hit else {}
            case "stage.output":
                state.line = state.found[stage.values["source"]].removesuffix("\n")
            case "stage.static_labels":
                state.labels |= stage.values["values"]
            case "stage.labels":
                state.labels |= {name: state.found[name] for name in stage.values["values"] if state.found.get(name)}
            case "stage.structured_metadata":
                state.metadata |= {name: state.found[name] for name in stage.values["values"] if state.found.get(name)}
            case "stage.match":
                if matches(stage.values["selector"], state.labels):
                    _pass(stage.blocks, state)


def _of_json(line: str, expressions: dict[str, str]) -> dict[str, Any]:
    try:
        whole = json.loads(line)
    except ValueError:
        return {}
    found = {}
    for name, path in expressions.items():
        inner = whole
        for part in path.split("."):
            inner = inner.get(part) if isinstance(inner, dict) else None
        if inner is not None:
            found[name] = inner
    return found
