"""The site's pages that lie beside docs, and links to what is no page: a hook of mkdocs.yml.

The pages stay as they are read in the repository. Their links name files there: one to a page of
the site leads to it, any other to the file in the repository.
"""

from __future__ import annotations

import posixpath
import re
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# What lies beside docs, by its path on the site.
BESIDE = {
    "index.md": "README.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
# Code with a | in a row of a table: Python-Markdown shows the \ that stands before it.
_BARRED = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
_FENCE = re.compile(r"(?ms)^(`{3,})[^\n]*\n.*?^\1$")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie beside docs."""
    for name, source in BESIDE.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Let each link lead where its file is on the site, or else in the repository."""
    name = page.file.src_uri
    source = BESIDE.get(name, f"docs/{name}")
    kept = 0
    parts = []
    for fence in _FENCE.finditer(markdown):
        parts += [_linked(markdown[kept : fence.start()], source, name, config), fence[0]]
        kept = fence.end()
    return "".join([*parts, _linked(markdown[kept:], source, name, config)])


def _linked(text: str, source: str, name: str, config: Any) -> str:
    def target(found: re.Match[str]) -> str:
        path, anchor = found[2], found[3] or ""
        if ":" in path:
            return found[0]
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        return f"{found[1]}{_at(whole, name, config.extra['repository'])}{anchor}{found[4]}"

    return _BARRED.sub(_code, _LINK.sub(target, text))


def _code(found: re.Match[str]) -> str:
    text = escape(found[1]).replace("\\|", "&#124;")
    return f"<code>{text}</code>"


def _at(path: str, name: str, repository: str) -> str:
    """Return where PATH of the repository is, seen from the page NAME."""
    on_site = {source: page for page, source in BESIDE.items()}
    page = on_site.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
    if page and (page in BESIDE or (ROOT / path).is_file()):
        return posixpath.relpath(page, posixpath.dirname(name) or ".")
    if (ROOT / path).exists():
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{repository.rstrip('/')}/{kind}/HEAD/{path}"
    return posixpath.relpath(path, posixpath.dirname(name) or ".")  # mkdocs tells that it is broken
