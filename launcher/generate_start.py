"""Makes the launcher of a wheel: of the modules of every launch one, krunc_launcher/start.py, which
is one file to find and to read where there were three dozen. What runs is their text without its
annotations, each in a namespace of its own, when it is first imported. Those that a plan with the
stage takes are among them: a file of their own takes such a launch twice as long to read as they
take the others here. What only the process above the VM's has of these is start_report.py, which is
read behind the fork; start_image.py is for a plan with an image. The other modules are files as
before, without annotations too: `from __future__` is a real import, as long as that of two.

A third of the functions of a launch run only where it is refused, or is no launch: these are in a
file of their own, start_rest.py, and each module's are made when the first of them is called.
launch_functions.txt lists the others, of rooms that may be split.

How a module imports another one is written otherwise: Python's own statement takes 20,000
instructions for one of ours, for it asks whether it is a package, and 5,000 for a second time."""

from __future__ import annotations

import ast
import io
import symtable
import tokenize
from pathlib import Path

from generate_rest import part, rare_functions
from generate_untyped import without_types

_HEAD = '''\
"""All modules of a launch, made one by launcher/generate_start.py when krunc was built: each is a
function here, whose names are global, and runs in the namespace of its module when it is first
imported."""

import sys


'''
_FOOT = """\
def _of(name):
    # A module: of the launcher, or of the standard library.
    return sys.modules.get(name) or _made(name)


def _made(name):
    body = _MODULES.get(name)
    if body is None:
        if name not in _ELSEWHERE:
            return __import__(name)
        body = _modules_of(_ELSEWHERE[name])[name]
    module = sys.modules[name] = type(sys)(name)
    # As exec would: C code that imports something looks for it in its caller's globals.
    module.__builtins__ = __builtins__
    above, _, last = name.rpartition(".")
    setattr(sys.modules[above], last, module)
    space = module.__dict__
    for function in _REST.get(name, ()):
        space[function] = _later(name, function)
    type(body)(body.__code__, space)(_of)
    return module


def _modules_of(file):
    # The functions of a file beside this one, for which Python's own import would look first.
    name = f"krunc_launcher.{file}"
    if not hasattr(__loader__, "path"):  # in an archive
        return __import__(name, None, None, ["MODULES"]).MODULES
    module = sys.modules.get(name)
    if module is None:
        above, _, ending = __file__.rpartition("start")
        loader = type(__loader__)(name, f"{above}{file}{ending}")
        sys.modules[name] = module = type(sys)(name)
        exec(loader.get_code(name), module.__dict__)
    return module.MODULES


def _later(name, function):
    # Stands for a function of start_rest.py until it is called.
    def first(*args, **named):
        _complete(name)
        return sys.modules[name].__dict__[function](*args, **named)

    return first


def _complete(name):
    # Makes the functions of a module that are in start_rest.py, once.
    body = _modules_of("start_rest").pop(name, None)
    if body is not None:
        type(body)(body.__code__, sys.modules[name].__dict__)(_of)


def _find(name, path=None, target=None):
    return type(__spec__)(name, _finder) if name in _MODULES or name in _ELSEWHERE else None


# For modules that are not in here, and import some that are. No class: to make one takes as long
# as to import half a module.
_finder = type(sys)("krunc_launcher.start")
_finder.find_spec = _find
_finder.create_module = lambda spec: _made(spec.name)
_finder.exec_module = lambda module: None
sys.meta_path.insert(0, _finder)

_PACKAGE = sys.modules["krunc_launcher"]
for _name in _DIRECTORIES:
    _full = f"krunc_launcher.{_name}"
    if _full not in sys.modules:
        _directory = sys.modules[_full] = type(sys)(_full)
        _directory.__path__ = [f"{_path}/{_name}" for _path in _PACKAGE.__path__]
        setattr(_PACKAGE, _name, _directory)

main = _of("krunc_launcher.__main__").main
run = _of("krunc_launcher.__main__").run
"""
# What a launch imports, with what these import; all but the first late, by others, where the plan
# has a use for it.
_ROOTS = (
    "__main__", "accept", "launch", "host.ports", "plan.orders", "supervise.end",
    "supervise.launch_directory", "vm.confine", "vm.sigterm", "vm.stage",
)  # fmt: skip
# What some plans take besides: the process above the VM's of those with the stage, and an image's.
_OTHERS = {
    "start_report": ("supervise.report", "supervise.staged_end"),
    "start_image": ("host.image_root", "host.store", "vm.store"),
}
_GENERATED = ("__init__", "_krun", "_rules", "start")


def modules(package: Path) -> list[str]:
    """Return the modules of a launch, of those in the directory PACKAGE, each behind what it
    imports."""
    order: list[str] = []
    for root in _ROOTS:
        _behind_its_imports(package, root, order)
    return order


def other_modules(package: Path) -> dict[str, list[str]]:
    """Return the modules that some plans take besides, alike, by the file that has them."""
    order = modules(package)
    found = {}
    for file, roots in _OTHERS.items():
        count = len(order)
        for root in roots:
            _behind_its_imports(package, root, order)
        found[file] = order[count:]
    return found


def made(package: Path) -> dict[str, str]:
    """Return the files that a wheel has in place of those in PACKAGE, by their paths in it."""
    launch, others = modules(package), other_modules(package)
    order = [*launch, *(name for names in others.values() for name in names)]
    rest = {name: rare for name in order if (rare := rare_functions(package, name))}
    other_files = {
        f"{file}.py": "".join(_function(package, name, order) for name in names) + _table(names)
        for file, names in others.items()
    }
    rest_file = "".join(_function(package, name, order, True) for name in rest) + _table([*rest])
    unchanged = {
        str(path.relative_to(package)): without_types(_text(path))
        for path in sorted(package.rglob("*.py"))
        if path.stem not in _GENERATED and _name(package, path) not in order
    }
    return {
        "start.py": _start(package, launch, others, rest),
        **other_files,
        "start_rest.py": rest_file,
        **unchanged,
    }


def _start(
    package: Path, launch: list[str], beside: dict[str, list[str]], rest: dict[str, list[str]]
) -> str:
    elsewhere = {name: file for file, names in beside.items() for name in names}
    functions = [_function(package, name, [*launch, *elsewhere]) for name in launch]
    directories = sorted({name.partition(".")[0] for name in launch if "." in name})
    rare = "".join(f"    {_full(name)!r}: {tuple(names)!r},\n" for name, names in rest.items())
    others = "".join(f"    {_full(name)!r}: {file!r},\n" for name, file in elsewhere.items())
    named = f"_DIRECTORIES = {directories!r}\n_ELSEWHERE = {{\n{others}}}\n"
    tables = f"{named}_REST = {{\n{rare}}}\n"
    return _HEAD + "".join(functions) + tables + f"_{_table(launch)}\n\n" + _FOOT


def _table(order: list[str]) -> str:
    rows = "".join(f"    {_full(name)!r}: {called(name)},\n" for name in order)
    return f"MODULES = {{\n{rows}}}\n"


def _full(name: str) -> str:
    return f"krunc_launcher.{name}"


def _function(package: Path, name: str, order: list[str], rest: bool = False) -> str:
    """Return the function that is made of a module: of its rare functions alone, or of all but
    these."""
    return f"def {called(name)}(_of):\n{_body(package, name, order, rest)}\n\n"


def called(name: str) -> str:
    """Return the function that is made of the module NAME."""
    return "_" + name.replace(".", "__")


def _behind_its_imports(package: Path, name: str, order: list[str]) -> None:
    if name in order:
        return
    for statement in ast.parse(_text(_file(package, name))).body:
        for other, _, _ in own_imports(package, statement):
            _behind_its_imports(package, other, order)
    order.append(name)


def own_imports(package: Path, statement: ast.stmt) -> list[tuple[str, list[str], list[str]]]:
    """Tell which modules of PACKAGE a statement imports, the names that it takes of each, and those
    that it gives them: no names taken for a module itself."""
    if not isinstance(statement, ast.ImportFrom):
        return []
    first, _, module = (statement.module or "").partition(".")
    if first != "krunc_launcher":
        return []
    given = [row.asname or row.name for row in statement.names]
    if _file(package, module).exists():
        return [(module, [row.name for row in statement.names], given)]
    inner = [f"{module}.{row.name}".lstrip(".") for row in statement.names]
    return [(name, [], [as_]) for name, as_ in zip(inner, given, strict=True)]


def _body(package: Path, name: str, order: list[str], rest: bool) -> str:
    """Return a module as the body of a function; those of ORDER are functions, too."""
    text = without_types(_text(_file(package, name)))
    text = part(text, rare_functions(package, name), rest)
    text = _imported_otherwise(package, text, order)
    names = sorted(
        symbol.get_name()
        for symbol in symtable.symtable(text, name, "exec").get_symbols()
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
        if symbol.get_name() != "_other"
    )
    inside = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        for line in range(token.start[0] + 1, token.end[0] + 1)
    }
    lines = [
        line if number in inside or not line.strip() else f"    {line}"
        for number, line in enumerate(text.splitlines(keepends=True), 1)
    ]
    return f"    global {', '.join(names)}\n" + "".join(lines)


def _imported_otherwise(package: Path, text: str, order: list[str]) -> str:
    """Return TEXT with the imports of modules of ORDER by start.py's own function."""
    lines = text.splitlines(keepends=True)
    for statement in [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]:
        made = imported(package, statement, order)
        if made:
            lines[statement.lineno - 1] = f"{' ' * statement.col_offset}{made}\n"
            for number in range(statement.lineno, statement.end_lineno or 0):
                lines[number] = "\n"
    return "".join(lines)


def imported(package: Path, statement: ast.stmt, order: list[str]) -> str:
    """Return what takes the place of an import of modules of ORDER, or of the standard library;
    empty for any other statement."""
    rows = own_imports(package, statement)
    if rows and all(module in order for module, _, _ in rows):
        return "; ".join(_taken(_full(module), *row) for module, *row in rows)
    if isinstance(statement, ast.Import):
        names = [(row.name, row.asname or row.name) for row in statement.names]
        if not any("." in name for name, _ in names):
            return "; ".join(_taken(name, [], [given]) for name, given in names)
    if isinstance(statement, ast.ImportFrom) and not rows and statement.module != "__future__":
        module = statement.module or "."
        given = [row.asname or row.name for row in statement.names]
        if "." not in module and module != "krunc_launcher":
            return _taken(module, [row.name for row in statement.names], given)
    return ""


def _taken(module: str, taken: list[str], given: list[str]) -> str:
    """Return the statements that give the names GIVEN to what is TAKEN of MODULE, or to itself."""
    made = f'_of("{module}")'
    if not taken:
        return f"{given[0]} = {made}"
    rows = [f"{name} = _other.{what}" for name, what in zip(given, taken, strict=True)]
    return "; ".join([f"_other = {made}", *rows])


def _text(path: Path) -> str:
    return path.read_text("utf-8")


def _name(package: Path, path: Path) -> str:
    return ".".join(path.relative_to(package).with_suffix("").parts)


def _file(package: Path, name: str) -> Path:
    return package / (name.replace(".", "/") + ".py")
