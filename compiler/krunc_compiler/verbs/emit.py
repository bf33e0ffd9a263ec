"""krunc emit: plans to the files of an engine, and a report of what it cannot give."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from krunc_compiler.emit.engine import ENGINES, PLANS, Engine, Refused, engine
from krunc_compiler.emit.losses import LOSSES, Shared, allowances, lost
from krunc_compiler.emit.needs import Needs, needs_of
from krunc_compiler.emit.texts import Names, Unspeakable
from krunc_compiler.files.sha256 import for_many
from krunc_compiler.files.source import read
from krunc_compiler.files.within import ANYWHERE
from krunc_compiler.findings.finding import Finding, Located, Rejected, UsageError, ordered
from krunc_compiler.findings.report import coloured, only, printable, report, summary
from krunc_compiler.pipeline.gathering import gather
from krunc_compiler.pipeline.parallel import MANY, spread
from krunc_compiler.plan.many import Rows
from krunc_compiler.plan.reading import source_of
from krunc_compiler.plan.refusal import Verifier, refused
from krunc_compiler.verbs.emitting import to_directory, to_stdout
from krunc_compiler.verbs.options import add_findings_format

EXAMPLES = f"""\
examples:
  krunc emit systemd web.plan.json                     what would be written, on standard output
  krunc emit systemd boxes -o /etc/systemd/system      all plans in the directory
  krunc emit systemd web.plan.json --base /srv/web     relative paths of the plan start there
  krunc emit slurm fleet -o jobs
  krunc emit kubernetes fleet --kvm-resource squat.ai/kvm -o manifests
  krunc emit kubernetes large.plan.json --plans-volume plans     plans that no ConfigMap can hold
  krunc emit nomad boxes --base /srv/boxes -o jobs
  krunc emit systemd web.plan.json --allow-loss descriptor="the drop-in 50-socket.conf gives it"

The hosts of the engine have each plan as {PLANS}/NAME.plan.json, where NAME is that of its
box. Everything is written, or nothing. docs/engines.md has each engine.

losses that can be allowed: {", ".join(LOSSES)}

exit codes: 0 success, 1 the input is wrong or something would be lost, 2 usage error
"""

# Of the plans that this process, or worker, reads.
_ROWS = Rows()


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    known = f"one of {', '.join(ENGINES)}"
    parser.add_argument("engine", choices=ENGINES, metavar="ENGINE", help=known)
    parser.add_argument(
        "plans", nargs="+", metavar="PLAN", help="a plan, a directory of plans, or - for one plan"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR|-",
        help="the directory where the files go; it is made; default: -, standard output",
    )
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="the directory, on the engine's hosts, where relative paths of the plans start",
    )
    parser.add_argument(
        "--allow-loss",
        action="append",
        default=[],
        metavar="LOSS=REASON",
        help="write it although the engine cannot give this; the reason is in what is written",
    )
    parser.add_argument(
        "--kvm-resource",
        metavar="NAME",
        help="kubernetes: what the device plugin calls /dev/kvm; default: devices.kubevirt.io/kvm",
    )
    parser.add_argument("--image", metavar="IMAGE", help="kubernetes: the image that holds krunc")
    parser.add_argument(
        "--pods", action="store_true", help="kubernetes: a Pod for each plan, and no Jobs"
    )
    parser.add_argument(
        "--plans-volume",
        metavar="CLAIM",
        help="kubernetes: the plans are in the volume of this claim, a Job or Pod for each",
    )
    add_findings_format(parser)


class _Read(NamedTuple):
    """What was read of one plan: its needs, unless there are findings that keep it from being
    written."""

    path: str
    findings: list[Located]
    needs: Needs | None


def run(args: Namespace) -> int:
    """Write the files for all plans, or tell what is wrong with any."""
    if args.base is not None and not args.base.startswith("/"):
        raise UsageError(f"--base {args.base}: name a directory of the engine's hosts: /DIR")
    allowed = allowances(args.allow_loss)
    chosen = _chosen(args)
    plans = _plans(args.plans)
    if len(plans) >= MANY:
        for_many()
    work = partial(
        _read, chosen.name, chosen.lacks, chosen.holds_plans, args.base, allowed, args.verify
    )
    findings: list[Located] = []
    parts = _parts(chosen, spread(work, plans), Shared(allowed, chosen.lacks), findings)
    try:
        _write(args, chosen, parts, findings)
    except Rejected as rejected:
        _tell(rejected.findings, args)
        return 1
    return 0


def _chosen(args: Namespace) -> Engine:
    """Return the engine that ARGS name, for the cluster that they describe."""
    given = {
        name: value
        for name in ("kvm_resource", "image", "pods", "plans_volume")
        if (value := getattr(args, name)) not in (None, False)
    }
    if not given:
        return engine(args.engine)
    if args.engine != "kubernetes":
        option = next(iter(given)).replace("_", "-")
        raise UsageError(f"--{option} is for kubernetes")
    from krunc_compiler.emit.kubernetes import made
    from krunc_compiler.emit.pods import settings_of

    return made(settings_of(given))


def _plans(given: list[str]) -> list[str]:
    """Return the plans that GIVEN are or that lie below them, in their order."""
    found: dict[str, None] = {}
    for path in given:
        if path == "-":
            found[path] = None
            continue
        gathered = gather([path], ANYWHERE)
        if gathered.findings:
            raise Rejected(gathered.findings)
        if not gathered.plans:
            one = next(iter(gathered.boxes), path)
            what = "is a box" if os.path.isfile(path) else "has no plan"
            raise UsageError(f"{path} {what}: krunc compile {one} makes plans")
        found.update(dict.fromkeys(gathered.plans))
    return list(found)


def _read(
    engine_: str,
    lacks: frozenset[str],
    holds_plans: bool,
    base: str | None,
    allowed: dict[str, str],
    verify: Verifier | None,
    path: str,
) -> _Read:
    """Read one plan, ask the launcher's verifier, and tell what would be lost of it."""
    try:
        name, text = read(path)
        plan = _ROWS.read(name, text)
        wrong = refused(verify, name, text.encode("utf-8", "replace"))
    except Rejected as rejected:
        return _Read(path, rejected.findings, None)
    if wrong:
        return _Read(path, wrong, None)
    found, needs = lost(
        needs_of(plan, base or PLANS), engine_, lacks, base is not None, allowed
    )  # fmt: skip
    if holds_plans:
        needs = needs._replace(text=text)
    source = source_of(name, text) if found else None
    return _Read(path, [Located(source, one) for one in found if source], needs)


def _parts(
    chosen: Engine, results: Iterable[_Read], shared: Shared, findings: list[Located]
) -> Iterator[tuple[Needs, str]]:
    """Yield each plan with its part of the files, until there are FINDINGS, to which what is wrong
    with any plan is added."""
    names = Names()
    target: tuple[str, str] | None = None
    for one in results:
        findings += one.findings
        if one.needs is None:
            continue
        faults, needs = shared.lost(one.needs)
        other = names.taken(chosen.object_name(needs.name), needs.name)
        if other is not None:
            faults.append(_same_name(chosen, needs.name, other))
        target = target or (needs.target, one.path)
        if target[0] != needs.target:
            faults.append(_other_target(needs.target, *target))
        try:
            part = chosen.part(needs)
        except Unspeakable as error:
            message = f"{chosen.name}'s files have no way to write {error}"
            faults.append(Finding("KR809", message, hint="choose another path"))
        except Refused as refusal:
            faults.append(refusal.finding)
        if faults:
            findings += _located(one.path, faults)
        if not findings:
            yield needs, part


def _same_name(chosen: Engine, name: str, other: str) -> Finding:
    message = f"the box {name!r} and {'another' if name == other else f'the box {other!r}'}"
    message += f" would both be {chosen.object_name(name)!r} of {chosen.name}"
    return Finding("KR801", message, ("box",), "give the boxes other names")


def _other_target(target: str, first: str, path: str) -> Finding:
    message = f"this plan is for libkrun {target}, and that of {path} for libkrun {first}"
    hint = "compile all for one libkrun (--target), or write them by two commands"
    return Finding("KR800", message, ("target",), hint)


def _located(path: str, faults: list[Finding]) -> list[Located]:
    """Return FAULTS in the plan at PATH, which is read again, unless that was standard input."""
    if path == "-":
        return [item for fault in faults for item in only("<stdin>", fault)]
    try:
        source = source_of(*read(path))
    except Rejected:  # it went meanwhile
        return [item for fault in faults for item in only(path, fault)]
    return [Located(source, fault) for fault in faults]


def _write(
    args: Namespace,
    chosen: Engine,
    parts: Iterator[tuple[Needs, str]],
    findings: list[Located],
) -> None:
    """Write the files of PARTS to where ARGS say. Raises Rejected, and leaves all as it was, when
    there are FINDINGS in the end."""
    pieces = chosen.whole(parts)
    if args.output in (None, "-"):
        to_stdout(pieces, findings)
        return
    changed, count = to_directory(args.output, pieces, findings)
    said = f"{printable(args.output)}: {changed} of {count} files changed"
    sys.stderr.write(f"krunc: wrote {said}\n")


def _tell(findings: list[Located], args: Namespace) -> None:
    """Write FINDINGS: for people on standard error; for machines on standard output, which has no
    file of the engine then."""
    if args.format == "text":
        sys.stderr.write(report(findings, coloured(sys.stderr)))
        return
    from krunc_compiler.findings.formats import formatted  # it takes long to import

    sys.stdout.write(formatted(findings, args.format))
    sys.stderr.write(f"krunc: {summary(ordered(findings))}\n")
