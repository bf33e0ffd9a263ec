"""Findings to text: place, message, the line with the place marked, the way out."""

from __future__ import annotations

import unicodedata

from krunc_compiler.findings import Finding, Located, Source, Span, dotted, span_of

_WIDTH = 96


def report(findings: list[Located]) -> str:
    """All FINDINGS as text, errors first, in the order of files and lines."""
    ordered = sorted(findings, key=_order)
    errors = sum(not item.finding.warning for item in ordered)
    warnings = len(ordered) - errors
    parts = [_one(item) for item in ordered]
    counts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return "\n".join([*parts, "krunc: " + ", ".join(counts)]) + "\n"


def _order(item: Located) -> tuple[bool, str, int, int, str]:
    span = span_of(item.source, item.finding) or Span(0, 0, 0, 0)
    return (item.finding.warning, item.source.name, span.line, span.column, item.finding.message)


def _one(item: Located) -> str:
    source, finding = item
    span = span_of(source, finding)
    place = f"{source.name}:{span.line + 1}:{span.column + 1}" if span else source.name
    level = "warning" if finding.warning else "error"
    where = f"{dotted(finding.path)}: " if finding.path else ""
    lines = [f"{place}: {level}[{finding.code}]: {where}{finding.message}"]
    if span:
        lines += _marked(source, span)
    if finding.hint:
        lines.append(f"    = help: {finding.hint}")
    return "\n".join(printable(line) for line in lines)


def _marked(source: Source, span: Span) -> list[str]:
    all_lines = source.text.split("\n")
    if span.line >= len(all_lines) or not all_lines[span.line].strip():
        return []
    line = all_lines[span.line].replace("\t", " ")
    end = span.end_column if span.end_line == span.line else len(line)
    start = max(0, span.column - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[start : start + _WIDTH]
    width = max(1, min(end, start + len(shown)) - span.column)
    number = str(span.line + 1)
    return [
        f"    {number} | {shown}",
        f"    {' ' * len(number)} | {' ' * (span.column - start)}{'^' * width}",
    ]


def printable(text: str) -> str:
    """TEXT with what a terminal would obey or hide written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or _harmless(c) else _escape(c) for c in text)


def _harmless(character: str) -> bool:
    return unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def only(name: str, finding: Finding) -> list[Located]:
    """FINDING about the file NAME as a whole, of which there is no text."""
    return [Located(Source(name, "", {}), finding)]
