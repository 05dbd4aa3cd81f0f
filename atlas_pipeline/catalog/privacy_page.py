"""The privacy report as one HTML page that needs nothing else, and prints well.

Belongs here: how it looks. Does not belong here: what it says (`privacy_report.py`).
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }
section { border-top: 1px solid #bbb; padding: .5rem 0; break-inside: avoid }
table { border-collapse: collapse } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
.missing { color: #a40000 } dt { font-weight: 600 } dl { display: grid; grid-template-columns: 11rem 1fr; gap: .1rem }
dd { margin: 0 }
"""


def privacy_page(report: Mapping[str, Any]) -> str:
    """The page of a report of `privacy_report`."""
    sections = "".join(_section(entry) for entry in report["tables"])
    missing = sum(len(entry["missing"]) for entry in report["tables"])
    state = "complete" if report["complete"] else f'<span class="missing">{missing} entries are missing</span>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Record of processing activities</title>'
        f"<style>{_STYLE}</style></head><body><h1>Record of processing activities</h1>"
        f"<p>GDPR Art. 30. {len(report['tables'])} tables hold data of persons; the record is {state}.</p>"
        f"{sections}</body></html>\n"
    )


def _section(entry: Mapping[str, Any]) -> str:
    subjects, groups, recipients = entry["subjects"], entry["groups"], entry["recipients"]
    rows = {
        "Purpose": _text(entry["purpose"]),
        "Legal basis": _text(entry["basis"]),
        "Whose data": _text(subjects["persons"] and f"{subjects['persons']} ({subjects['column']})"),
        "Answerable": _text(", ".join(entry["owners"])),
        "Source": _text(", ".join(entry["sources"])),
        "Roles that read it": _text(", ".join(recipients["roles"])),
        "Other recipients": _text(", ".join(recipients["declared"]) or "none declared"),
        "Alerts (no values)": _text(", ".join(recipients["alerts"]) or "none"),
        "Backups": _text(recipients["backups"]),
        "Kept for": _text(entry["retention"]),
        "Last leak check": _text(entry["last_leak_check"]),
        "k": _text(str(entry["k"]) if entry["k"] is not None else "not measured: nothing that others may know"),
    }
    if groups:
        exempt = f"; exempt: {groups['exempt']}" if groups["exempt"] else ""
        rows["Groups of few"] = _text(f"{groups['small']} at the last publication{exempt}")
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows.items())
    return (
        f"<section><h2>{escape(entry['table'])}</h2><p>{escape(entry['description'] or '')}</p><dl>{listed}</dl>"
        f"{_kinds(entry['kinds'])}</section>"
    )


def _kinds(kinds: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(kind['column'])}</td><td>{escape(kind['kind'])}</td><td>{escape(kind['action'])}</td></tr>"
        for kind in kinds
    )
    head = "<tr><th>Column</th><th>Kind</th><th>What is done</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else ""


def _text(value: str | None) -> str:
    return escape(value) if value else '<span class="missing">missing</span>'
