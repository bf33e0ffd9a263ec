"""The page of krunc import is what the importers' tables say."""

from __future__ import annotations

from generate_importing import PAGE, page
from krunc_compiler.importing import compose_keys, docker_options, oci_keys
from krunc_compiler.importing.reasons import REASONS


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python docs/generate_importing.py"
    assert "|  |" not in page(), "a row has an empty cell"


def test_no_row_stands_twice_or_is_broken() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `--")]
    names = [one.strip() for row in rows for one in row.split("|")[1].split(",")]
    assert len(names) == len(set(names))
    assert all(line.count("|") == 3 for line in page().splitlines() if line.startswith("| `"))


def test_every_reason_is_somebodys() -> None:
    said = page()
    text = "".join(f"{reason}\n" for reason in REASONS.values() if reason not in said)
    assert [line for line in text.splitlines() if line not in ALONE] == []
    assert len(docker_options.options()) > 160
    assert len(compose_keys.keys()) > 90
    assert len(oci_keys.page()) > 40


# What a value of an option says.
ALONE = [REASONS[name] for name in ("host_namespace", "security_open", "security_label")]
