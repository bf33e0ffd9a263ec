"""Writes docs/findings.md, the page of all findings, from schema/krunc_schema/findings.json."""

from __future__ import annotations

from pathlib import Path

from krunc_compiler.findings.catalogue import page

if __name__ == "__main__":
    Path(__file__).with_name("findings.md").write_text(page(), "utf-8")
