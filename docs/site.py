"""Hooks of the web site (`mkdocs.yml`): the root's pages among those of docs/, and links that fit both places.

Belongs here: where a page of the repository is on the site. Does not belong here: what the pages say, and the tables in
them (`generate.py`).
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"(?ms)^( *```.*?^ *```$)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the Markdown of the root: the README as the first page, the others under their names."""
    for path in sorted(ROOT.glob("*.md")):
        name = "index.md" if path.name == "README.md" else path.name
        files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links between files of the repository to links between pages of the site."""
    source = page.file.src_uri
    of_root = "README.md" if source == "index.md" else source
    path = of_root if page.file.generated_by else f"docs/{source}"
    return "".join(
        part if part.lstrip().startswith("```") else _LINK.sub(lambda found: _moved(found, path, source, files), part)
        for part in _FENCE.split(markdown)
    )


def _moved(link: re.Match[str], path: str, source: str, files: Files) -> str:
    """A link of the file `path` as the page `source` has it.

    Where it leads to a file that is not on the site, such as a compose file, only its text stays.
    """
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link["path"]))
    page = "index.md" if target == "README.md" else target.removeprefix("docs/")
    file = files.get_file_from_path(page)
    if file is None or file.inclusion.is_excluded():
        return link["text"][1:-1] if (ROOT / target).exists() else link[0]
    return f"{link['text']}({posixpath.relpath(page, posixpath.dirname(source) or '.')}{link['anchor'] or ''})"
