"""Braces in the strings of a box: which open an expression, and how others are written.

`{{` opens an expression, and nothing else does: `{%`, `{#` and a `}}` without its `{{` are text, as
shells, awk, printf and curl have them.
"""

from __future__ import annotations

_OPENING = "{{"
# How a text is written that would open an expression.
ESCAPE = "write {{ '{{' }} where {{ is meant literally"
_SHORT = 60


def has_expressions(text: str) -> bool:
    """Tell whether TEXT holds an expression."""
    return _OPENING in text


def openings(shown: str) -> int:
    """Count the expressions in a value of YAML as Python has SHOWN it, by `repr`; those of its keys
    are among them."""
    # Python writes a brace of a map before a quote or another brace that closes.
    return shown.count(_OPENING)


def as_it_stands(expression: str) -> str:
    """Return the way out for who means EXPRESSION, without its braces, as text."""
    text = f"{{{{{expression}}}}}"
    if len(text) > _SHORT or not text.isprintable() or {"'", "\\"}.intersection(text):
        return ESCAPE
    return f"write {{{{ '{text}' }}}} where it is meant literally"


def literal(text: str) -> str:
    """Write TEXT for a box, in which it then is exactly this text."""
    if _OPENING not in text:
        return text
    if "\r" in text:
        # An expression's surroundings lose their carriage returns; its own text does not.
        inner = "".join(c if c.isalnum() or c in " ./:" else f"\\U{ord(c):08x}" for c in text)
        return f"{{{{ '{inner}' }}}}"
    return text.replace(_OPENING, "{{ '{{' }}")
