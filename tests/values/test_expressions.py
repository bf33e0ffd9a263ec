"""Expressions: what they make, how they fail, and where in the source's own lines."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.findings.finding import Located, placed
from krunc_compiler.text.parsing import parse
from krunc_compiler.values.braces import has_expressions
from krunc_compiler.values.rendering import render

VARIABLES = {"port": 8080, "half": 2.5, "word": "Text", "yes": True}

MADE: dict[str, object] = {
    "{{ port }}": 8080,
    "{{ yes }}": True,
    "{{ port }}:80": "8080:80",
    "{{ port + 1 }}{{ word | lower }}": "8081text",
    "a={{ yes }}, {{ half }}": "a=true, 2.5",
    "{{ 'a=' ~ yes ~ (not yes) }}": "a=truefalse",
    "{{ yes | string }}": "true",
    "{{ ['a', 1, yes] | join('-') }}": "a-1-true",
    "{{ (port ~ '') | int + 1 }}": 8081,
    "{{ word | int(7) }}": 7,
    "{{ absent | default('x') }}": "x",
    "a {{- word -}} b": "aTextb",
    "{{ 'x' if port > 80 else 'y' }}": "x",
    "{{ '{{' }} {{ '}}' }}": "{{ }}",
    "a\r\n{{ port }}\r{{\rword }}\n": "a\r\n8080\rText\n",
}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("{%#}'\\"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab'"), inner),
)


@given(PLAIN)
def test_whether_there_is_an_expression(value: object) -> None:
    """It is asked of the whole value at once, with what each string of it says."""

    def strings(inside: object) -> list[str]:
        if isinstance(inside, dict):
            return [text for item in inside.values() for text in strings(item)]
        if isinstance(inside, list):
            return [text for item in inside for text in strings(item)]
        return [inside] if isinstance(inside, str) else []

    assert has_expressions(repr(value)) == any(map(has_expressions, strings(value)))


@pytest.mark.parametrize(("text", "value"), MADE.items(), ids=MADE)
def test_what_expressions_make(text: str, value: object) -> None:
    source = parse("x", "a: b")[1]
    rendered = render({"a": text}, VARIABLES, source)
    assert rendered.findings == []
    assert rendered.value == {"a": value}
    assert type(rendered.value["a"]) is type(value)


# A box's line; what is marked in it, or in the lines below; what is said; a part of the way out.
FAILING: dict[str, tuple[str, str, str, str]] = {
    "plain": ("a: x{{ prot }}", "prot", "'prot' is undefined", "did you mean port? use a variable that vars declares: port, half, word, yes"),
    "plain over lines": ("a: x\n  y {{ prot\n   }}", "prot", "'prot' is undefined", "did you mean port?"),
    "quoted": ("a: 'it''s {{ prot }}'", "prot", "'prot' is undefined", ""),
    "double quotes": (r'a: "\"\x41\u00e4\t {{ prot }}"', "prot", "'prot' is undefined", ""),
    "double quotes over lines": ('a: "x \\\n  {{ \'\\"\' ~\n  prot }}"', "prot", "'prot' is undefined", ""),
    "a block": ("a: |\n  one\n    {{ port }} {{ prot }}\n", "prot", "'prot' is undefined", ""),
    "a folded block": ("a: >-\n  one\n  two\n\n  {{ port\n  + prot }}\n", "prot", "'prot' is undefined", ""),
    "an anchor": ("a: &x '{{ prot }}'", "prot", "'prot' is undefined", ""),
    "braces within texts": ("a: \"{{ '}} {{' }} {{ prot }}\"", "prot", "'prot' is undefined", ""),
    "a name that is an attribute too": ("a: '{{ word.prot ~ prot }}'", "{{ word.prot ~ prot }}", "a string has no 'prot'", ""),
    **{
        f"an unknown name as the index of {what}": (f"a: '{{{{ {what} }}}}'", "prot", "'prot' is undefined", "did you mean port?")
        for what in ("port[prot]", "word[prot]", "[1][prot]", "none[prot ~ port]", "word[prot:]", "word[:prot]", "word[0:2:prot]", "word[prot[port]]", "word[prot.port]")
    },
    "an item of null": ("a: '{{ (none if yes else none)[port] }}'", "{{ (none if yes else none)[port] }}", "null has no 8080", ""),
    "the second of one kind": ("a: '{{ port }} {{ port // 0 }}'", "{{ port // 0 }}", "integer division or modulo by zero", ""),
    "beyond the first plane": ("a: 😀ä{{ prot }}", "prot", "'prot' is undefined", ""),
    "two kinds": ("a: '{{ word + 1 }}'", "{{ word + 1 }}", "+ does not take a string and a number", "join strings and numbers with ~"),
    "a filter": ("a: '{{ word | uper }}'", "{{ word | uper }}", "there is no filter 'uper'", "did you mean upper? filters: abs, "),
    "a test": ("a: '{{ word is lowr }}'", "{{ word is lowr }}", "there is no test 'lowr'", "did you mean lower?"),
    "no number": ("a: '{{ word | int }}'", "{{ word | int }}", "'Text' is not an integer", ""),
    "null in a string": ("a: 'x{{ none if port else 1 }}'", "{{ none if port else 1 }}", "null cannot be within a string", ""),
    "a list in a string": ("a: 'x{{ [port] }}'", "{{ [port] }}", "a list cannot be within a string", ""),
    "too early": ("a: '{{ port + }}'", "{{ port + }}", "it ends too early", ""),
    "too much": ("a: '{{ word port }}'", "{{ word port }}", "there is more after its end", "join strings with ~"),
    "a character": ("a: 'x {{ port ? 1 }}'", "?", "unexpected char '?'", ""),
    "not closed": ("a: 'x {{ port '", "{{ port ", "its }} is missing", "write it"),
    "a huge number": ("a: '{{ port + 1e999 }}'", "{{ port + 1e999 }}", "a number in it is too large", ""),
    "a filter's own rule": ("a: \"{{ word | truncate(2, true, '....') }}\"", "{{ word | truncate(2, true, '....') }}", "expected length >= 4, got 2", ""),
    "a long text": ("a: \"{{ word * 20000 }}\"", "{{ word * 20000 }}", "the result would be too long", ""),
}  # fmt: skip


def marked(text: str, item: Located) -> str:
    """The piece of TEXT that a finding marks."""
    _, span = placed(item)
    assert span is not None
    assert span.line == span.end_line
    return text.split("\n")[span.line][span.column : span.end_column]


@pytest.mark.parametrize(("text", "mark", "said", "way"), FAILING.values(), ids=FAILING)
def test_a_failure_is_marked_where_it_is_written(text: str, mark: str, said: str, way: str) -> None:
    value, source = parse("x", text)
    (finding,) = render(value, VARIABLES, source).findings
    assert finding.code == "KR020"
    assert marked(text, Located(source, finding)) == mark
    assert finding.message.startswith(f"the expression fails: {said}")
    assert way in finding.hint


def test_all_failures_of_a_string_are_told() -> None:
    value, source = parse("x", "a: '{{ one }} {{ port }} {{ two }}'")
    found = render(value, VARIABLES, source).findings
    assert [item.message[-18:] for item in found] == ["'one' is undefined", "'two' is undefined"]


PIECES = st.text("ab'\"\\ \r\n\té😀{}#%:", max_size=12).filter(
    lambda text: not {"{{", "}}"} & {text[i : i + 2] for i in range(len(text))}
)
EXPRESSIONS = ["{{ port }}", "{{ 'a\"b' ~ port }}", '{{ "it\'s" ~ port }}', "{{ '{{' }}"]


@given(
    st.lists(st.tuples(PIECES, st.sampled_from(EXPRESSIONS)), max_size=4),
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.integers(10, 60),
)
def test_it_is_marked_in_every_style_of_text(
    parts: list[tuple[str, str]], style: str | None, width: int
) -> None:
    text = "".join(f"{piece} {expression} " for piece, expression in parts)
    written = yaml.safe_dump(
        [f"{text}{{{{ 'nope' ~ nope }}}}"], default_style=style, width=width, allow_unicode=True
    )
    value, source = parse("x", written)
    (finding,) = render(value, VARIABLES, source).findings
    assert marked(written, Located(source, finding)) == "nope"


ATOMS = [
    "port",
    "word",
    "nope",
    "0",
    "2.5",
    "1e400",
    "'a'",
    "true",
    "none",
    "[]",
    "[1]",
    "{'a': 1}",
]
WORDS = [
    *ATOMS,
    *[
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "==",
        "<",
        "in",
        "not",
        "and",
        "or",
        "is",
        "if",
        "else",
        "|",
        ".",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
    ],
]
WORDS += [
    "abs",
    "count",
    "default",
    "first",
    "join",
    "max",
    "replace",
    "round",
    "title",
    "truncate",
]
WORDS += ["int", "float", "even", "defined", "divisibleby", "x.real", "9**9", "'x' * 999"]


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_any_expression_has_a_value_or_fails_with_a_finding(words: list[str]) -> None:
    value, source = parse("x", yaml.safe_dump({"a": f"{{{{ {' '.join(words)} }}}}"}))
    rendered = render(value, VARIABLES, source)
    assert bool(rendered.findings) == bool(rendered.broken)


SLOW = [
    "not " * 200 + "port",
    "word" + " | title" * 120,
    "port" + "[0]" * 300,
    "port" + "|abs" * 240,
]


@pytest.mark.parametrize("expression", SLOW, ids=lambda text: text[:20])
def test_long_expressions_are_quick(expression: str) -> None:
    source = parse("x", "a: b")[1]
    start = time.process_time()
    render({"a": f"{{{{ {expression} }}}}"}, VARIABLES, source)
    assert time.process_time() - start < 0.5
