"""How long the recipes of docs/recipes.md take: python bench/recipes.py [--docs] [TITLE...].

Each recipe's commands run as they are written, in their order, in the emulated host of the tests,
where a VM boots in 10 to 20 seconds. What they print is compared with the page. The time is from
the start of a recipe's first command to the end of its last one. A recipe that the
emulated host cannot run is told with a dash. With --docs the table of the page gets the times;
tests/house/test_pages.py holds its other columns. Words of titles choose recipes.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/tools"))

from boots import ROUTE  # noqa: E402
from kvmhost import architecture, job, machine  # noqa: E402
from kvmhost.errors import HostError  # noqa: E402
from pages import Block, blocks, commands, environment, file_of, fits, outputs, script  # noqa: E402

PAGE = ROOT / "docs/recipes.md"
# The block is of recipes whose blocks are written for hosts that have what they need: this one has.
_RUN = {"", "boot", "host"}
_PATIENCE = 600


def _recipes() -> dict[str, list[Block]]:
    """The blocks below each title of the page; those above the first title are of no recipe."""
    found: dict[str, list[Block]] = {"": []}
    lines = PAGE.read_text("utf-8").splitlines()
    titles = {number: line[3:] for number, line in enumerate(lines) if line.startswith("## ")}
    for block in blocks(PAGE):
        above = [title for number, title in titles.items() if number < block.line]
        found.setdefault(above[-1] if above else "", []).append(block)
    return found


def _took(parts: list[Block], host: Path, directory: Path, env: dict[str, str]) -> float:
    """Run the blocks of a recipe; the seconds. Raises SystemExit where one prints another text."""
    for block in parts:
        if (name := file_of(block)) is not None:
            (directory / name).write_text(block.text, "utf-8")
    begun = time.monotonic()
    for block in parts:
        if block.language != "console" or block.marker not in _RUN:
            continue
        words = ["bash", "-c", script(block)]
        done = job.run(host, words, cwd=directory, env=env, timeout=_PATIENCE)
        for one, printed in outputs(block, (done.stdout + done.stderr).decode()):
            # What a host block prints is not on the page.
            if not fits(one.output, printed) and block.marker != "host":
                raise SystemExit(f"{PAGE.name}:{block.line}: $ {one.text}{printed}")
            if block.marker == "host" and printed:
                sys.stderr.write(f"$ {one.text}{printed}")
    return time.monotonic() - begun


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the times into docs/recipes.md")
    parser.add_argument("titles", nargs="*", help="words of the recipes' titles; else all")
    args = parser.parse_args()
    recipes = _recipes()
    # Of the tests none needs a bridge, and each module costs each of their boots.
    kind = architecture.own()
    kind = kind._replace(other_modules=(*kind.other_modules, "bridge"))
    with tempfile.TemporaryDirectory(prefix="krunc-recipes-") as name:
        host, directory = Path(name, "host"), Path(name, "page")
        host.mkdir()
        directory.mkdir()
        env = environment(Path(name, "home"))
        machine.up(host, kind=kind)
        try:
            for words in ROUTE:
                job.run(host, words, timeout=_PATIENCE)
            _took(recipes.pop(""), host, directory, env)
            text = PAGE.read_text("utf-8")
            for title, parts in recipes.items():
                if not any(commands(block) for block in parts if block.language == "console"):
                    continue
                if args.titles and not any(word in title for word in args.titles):
                    continue
                try:
                    told = f"{_took(parts, host, directory, env):.0f} s"
                # A command of a block of hosts failed, or the host is lost with two VMs at once.
                except (AssertionError, HostError) as failed:
                    told = "-"
                    sys.stderr.write(f"{failed}\n")
                print(f"{title}: {told}", flush=True)
                row = rf"(?m)^(\| {re.escape(title)} \| \d+ \| \d+ \|)[^|]*\|"
                text = re.sub(row, rf"\1 {told} |", text)
        finally:
            machine.down(host)
    if args.docs:
        PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
