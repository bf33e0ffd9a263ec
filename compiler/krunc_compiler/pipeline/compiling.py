"""From the text of a box to its plans, in one line of stages."""

from typing import Any, NamedTuple

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.box.box import Box
from krunc_compiler.box.from_value import from_filled
from krunc_compiler.box.image_from_value import with_image
from krunc_compiler.findings.finding import (
    Finding,
    Located,
    Path,
    Rejected,
    Source,
    UsageError,
    reject,
)
from krunc_compiler.lowering.steps import lower
from krunc_compiler.pipeline.images import Images
from krunc_compiler.pipeline.salvage import Pieces, cut, holds
from krunc_compiler.plan import bounds
from krunc_compiler.plan.plan import Plan, make, to_text
from krunc_compiler.rules import architectures, lints, scripts, written
from krunc_compiler.rules import box as box_rules
from krunc_compiler.rules import operations as operation_rules
from krunc_compiler.rules.host_paths import host_paths
from krunc_compiler.shape.defaults import filled
from krunc_compiler.shape.fast_checking import acceptor
from krunc_compiler.values import braces, extending, matrix, variables
from krunc_compiler.values.inputs import Inputs
from krunc_compiler.values.rebasing import rebased
from krunc_compiler.values.variables import Known
from krunc_compiler.values.work import Work


class Loaded(NamedTuple):
    """A box file with all that it extends: its raw value, that as Python has SHOWN it, by which is
    known what is in none of its texts, and the variables of each box in it."""

    value: dict[str, Any]
    shown: str
    source: Source
    known: Known
    rows: list[dict[str, Any]]
    is_matrix: bool
    work: Work

    def variables(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the variables of the box that ROW of the matrix makes."""
        return {**self.known.values, **row}


class Compiled(NamedTuple):
    """A box of a file: its plan, the text of that, where it is written, the warnings that it
    allows, the paths of the host that it names, and whether its target is the default."""

    plan: Plan
    text: str
    box: Box
    source: Source
    allowed: frozenset[str]
    is_matrix: bool
    paths: tuple[written.Named, ...]
    assumed: bool


def load_box(name: str, text: str, inputs: Inputs) -> Loaded:
    """Return the boxes of the file NAME before anything in them is evaluated.

    Raises Rejected when it or a box that it extends cannot be read, and for a matrix that makes
    no sense; UsageError when it has no box of the wanted name.
    """
    value, source = extending.load(name, text, inputs.within)
    # Only by an alias, or by its bases, has a box more characters than its text.
    is_text = "*" not in source.text and not source.extends
    if not is_text and (too_much := bounds.overweight(value)):
        raise reject(source, too_much)
    shown = repr(value)
    known = variables.merge(value.get("vars"), source, inputs.files, inputs.settings)
    known.findings.extend(source.faults)
    rows, findings = matrix.rows(value.get("matrix"), known.values)
    if rows == [{}] and not findings:
        known = known._replace(absent=known.absent | matrix.names(value.get("matrix")))
    loaded = Loaded(value, shown, source, known, rows, rows != [{}], Work())
    if loaded.is_matrix:
        findings += matrix.too_large(len(rows), len(source.places), braces.openings(shown))
    if loaded.is_matrix and not findings:
        names = [_name(loaded, row) for row in rows]
        findings = matrix.same_names(names)
        if inputs.box is not None:
            rows = [row for row, found in zip(rows, names, strict=True) if found == inputs.box]
            if not rows:
                few = ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
                raise UsageError(f"no box of {name} has the name {inputs.box}; it has {few}")
            loaded = loaded._replace(rows=rows)
    if findings:
        raise Rejected([*known.findings, *(Located(source, found) for found in findings)])
    return loaded


def named_rows(loaded: Loaded) -> list[tuple[Any, dict[str, Any]]]:
    """Return the name of each box that a matrix makes, with its variables; none without a
    matrix."""
    rows = loaded.rows if loaded.is_matrix else []
    return [(_name(loaded, row), row) for row in rows]


def _name(loaded: Loaded, row: dict[str, Any]) -> Any:
    from krunc_compiler.values import rendering

    name = {"name": loaded.value.get("name")}
    return rendering.render(name, loaded.variables(row), loaded.source, work=loaded.work).value[
        "name"
    ]


def compile_all(name: str, text: str, inputs: Inputs) -> tuple[list[Compiled], list[Located]]:
    """Return the plans of the boxes in TEXT, which came from the file NAME, and the warnings.

    Raises Rejected with everything that is wrong, the warnings among it.
    """
    loaded = load_box(name, text, inputs)
    images = Images(name, inputs.within)
    results: list[Compiled] = []
    findings: list[list[Finding]] = []
    size = told = 0
    for row in loaded.rows:
        result, wrong = _compile(loaded, row, inputs, images)
        findings.append(wrong)
        told += len(wrong)
        if told > matrix.MOST_FINDINGS and len(results) < len(findings):
            break
        if result is not None:
            results.append(result)
            size += len(result.text)
        if size > matrix.MAX_TEXT:
            raise reject(loaded.source, [matrix.too_long()])
    if inputs.box is not None and results and results[0].plan.box != inputs.box:
        raise UsageError(f"the box of {name} has the name {results[0].plan.box}")
    found = findings[0]
    if loaded.is_matrix and any(findings):
        seen = loaded.rows[: len(findings)]
        found = matrix.told_once(findings, [_name(loaded, row) for row in seen])
        if len(seen) < len(loaded.rows):
            found.append(matrix.not_seen(len(loaded.rows), len(loaded.rows) - len(seen)))
    located = [*loaded.known.findings, *(Located(loaded.source, item) for item in found)]
    located += images.findings
    if inputs.box is None and all(item.finding.warning for item in located):
        located += images.unused()
    if any(not item.finding.warning for item in located):
        raise Rejected(located)
    return results, located


def compile_box(name: str, text: str, inputs: Inputs) -> Plan:
    """Return the plan of the one box in TEXT, which came from the file NAME.

    Raises Rejected with everything that is wrong with it, UsageError when it makes several.
    """
    results, _ = compile_all(name, text, inputs)
    if len(results) > 1:
        few = ", ".join(result.plan.box for result in results[:8])
        raise UsageError(f"{name} makes {len(results)} boxes; choose one with --box: {few}")
    return results[0].plan


def evaluated(loaded: Loaded, row: dict[str, Any]) -> tuple[Any, Pieces]:
    """Return the value of one box without expressions and defaults, and what is wrong with its
    shape."""
    schema = load("box.schema")
    value: Any = loaded.value
    findings: list[Finding] = []
    failed: frozenset[Path] = frozenset()
    # Those in keys are none, and stay as they are.
    if braces.openings(loaded.shown):
        from krunc_compiler.values import rendering

        value, findings, failed = rendering.render(
            value, loaded.variables(row), loaded.source, loaded.known.absent, loaded.work
        )
    value = rebased(value, loaded.source, schema)
    # Of a map that lost keys nothing more can be said.
    lost = {item.finding.path for item in loaded.source.faults if item.finding.code == "KR003"}
    broken = failed | lost
    misfits = [found for found in _misfits(value, schema, loaded.value) if found.path not in broken]
    return value, Pieces([*findings, *misfits], broken)


def _misfits(value: Any, schema: dict[str, Any], written: Any) -> list[Finding]:
    if acceptor(schema).accepts(value):
        return []
    # A box that is right needs none of them.
    from krunc_compiler.shape import habits
    from krunc_compiler.shape.checking import check

    return habits.advised(check(value, schema, habits.meant), value, written)


def _compile(
    loaded: Loaded, row: dict[str, Any], inputs: Inputs, images: Images
) -> tuple[Compiled | None, list[Finding]]:
    value, pieces = evaluated(loaded, row)
    schema = load("box.schema")
    findings = pieces.findings
    removed = None
    if findings or pieces.broken:
        # Rules still run on the part that is well-formed.
        part = cut(value, pieces, schema)
        if part is None:
            return None, findings
        value, removed = part
    complete = filled(value, schema)
    image, of_image = images.of(complete)
    whole = complete if image is None else with_image(complete, value, image)
    box = from_filled(whole, loaded.value, image)
    told = _target(complete, box, inputs, loaded.is_matrix)
    target = told or api.target(api.DEFAULT_TARGET)
    assert target is not None
    operations, misfits, line = lower(box, target)
    found = of_image + box_rules.check(box, target) + misfits
    paths = host_paths(operations)
    found += operation_rules.check(operations, paths, target)
    named = written.named(paths)
    replaced, doubts = written.check(named)
    found += replaced
    of_machine = list(architectures.check(box, operations, line, target))
    found += [one for one in of_machine if not one.warning]
    doubts += [one for one in of_machine if one.warning]
    if scripts.are_in(box):
        doubts += scripts.joined(box, loaded.source)
    warned, allowed = lints.silenced(
        lints.check(box, loaded.shown) + doubts, complete.get("allow", [])
    )
    if removed is not None:
        if all(path[:1] != ("allow",) for path in removed):
            found += warned
        return None, findings + [item for item in found if holds(item, removed)]
    findings = found + warned
    if any(not finding.warning for finding in findings) or images.findings:
        return None, findings
    meaning = {
        key: item
        for key, item in value.items()
        if key not in ("extends", "matrix", "allow", "target")  # the plan has it
    }
    meaning["vars"] = loaded.variables(row)
    if image is not None:
        meaning["locked"] = image
    plan = make(box, target, meaning, operations, inputs.prefix)
    text = to_text(plan)
    if too_much := bounds.exceeded(operations, text):
        return None, findings + too_much
    return Compiled(
        plan, text, box, loaded.source, allowed, loaded.is_matrix, named, told is None
    ), findings


def _target(value: dict[str, Any], box: Box, inputs: Inputs, is_matrix: bool) -> api.Target | None:
    """Return the target that is named: by the command line, by the box with this VALUE, or by the
    plan that is there."""
    if inputs.target is not None:
        return inputs.target
    if "target" in value:
        return api.target(str(value["target"]))
    return inputs.kept(box.name, is_matrix)
