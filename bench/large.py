"""krunc show of plans of nearly a mebibyte, in processor seconds: python bench/large.py

Those of many shares are refused by the launcher, once for each of them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from fleet import cost
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import plan_of_value

ROOT = Path(__file__).parent.parent
_ROUNDS = 3
_SHARES = 1750


def plans() -> dict[str, str]:
    """The texts of plans that are large in several ways."""
    plain = json.loads((ROOT / "boxes" / "build.plan.json").read_text())
    share = {"call": "krun_add_virtiofs", "args": {"tag": "", "path": ""}, "from": "shares"}
    found = {}
    for name, path in (("shares", "d/" * 240), ("shares in other scripts", "\u9580/" * 120)):
        value = json.loads(json.dumps(plain))
        rows = value["operations"]
        place = next(i for i, row in enumerate(rows) if row.get("call") == "krun_add_virtiofs")
        rows[place:place] = [
            {**share, "args": {"tag": f"t{n}", "path": f"{path}{n}"}} for n in range(_SHARES)
        ]
        found[name] = to_text(plan_of_value(value))
    value = json.loads(json.dumps(plain))
    value["labels"] = {f"label-{n}": "a word of many " * 1050 for n in range(63)}
    found["labels"] = to_text(plan_of_value(value))
    return found


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        for name, text in plans().items():
            path = Path(place, "large.plan.json")
            path.write_text(text)
            size = path.stat().st_size / (1 << 20)
            for form in ("text", "html"):
                command = [sys.executable, "-m", "krunc", "show", str(path), "--format", form]
                seconds, most = min(cost(command, 1) for _ in range(_ROUNDS))
                print(f"{name}, {size:.2f} MiB, {form}: {seconds:.2f} s, {most:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
