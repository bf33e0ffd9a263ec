"""The options of krunc launch and krunc doctor, as tables: the parser, the help texts and the
completion are made from them."""

from __future__ import annotations

from krunc_launcher.errors import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Option:
    """One option. VALUE is the word for its value in help texts, empty for a flag; DOC says what
    the option does, SHORT is its other name."""

    __slots__ = ("doc", "name", "short", "value")

    def __init__(self, name: str, value: str, doc: str, short: str = "") -> None:
        self.name = name
        self.value = value
        self.doc = doc
        self.short = short


_HELP = Option("--help", "", "print this help", "-h")
_LIBKRUN = "the libkrun to use; else KRUNC_LIBKRUN, else libkrun.so.1 or .2 of the system, else "
_LIBKRUN += "the one of pip install 'krunc[libkrun]'"
LAUNCH = (
    Option(
        "--dry-run",
        "",
        "print each call as it would be made, with the host steps between; warn about a program "
        "that the root directory does not have; needs neither libkrun nor KVM",
    ),
    Option("--libkrun", "FILE", _LIBKRUN),
    Option(
        "--runtime-dir",
        "DIR",
        "the directory for runtime: paths; else krunc/BOX below XDG_RUNTIME_DIR or /run/user/UID, "
        "else /tmp/krunc-UID/BOX",
    ),
    Option(
        "--store",
        "DIR",
        "where krunc pull keeps images; else KRUNC_STORE, else krunc/store below XDG_DATA_HOME or "
        "~/.local/share",
    ),
    Option(
        "--secrets",
        "DIR",
        "where the plan's secrets are files: a variable by its name, file descriptor 3 as fd-3; "
        "comes before the environment; else systemd's CREDENTIALS_DIRECTORY",
    ),
    Option(
        "--base",
        "DIR",
        "where relative paths of the plan start; else the plan's directory, for - the working "
        "directory",
    ),
    Option(
        "--require-digest",
        "DIGEST|FILE",
        "refuse every plan but those approved: sha256:... as krunc digest prints it, or a file of "
        "such lines",
    ),
    Option(
        "--digests",
        "LIST",
        "with --require-digest of a fleet (krunc digest --fleet): the list of its plans; each is "
        "taken under its own file name",
    ),
    Option("--exit-record", "FILE", "write how it ended into FILE, as JSON, when it has"),
    Option(
        "--log-dir",
        "DIR",
        "for several plans: where each VM's output goes, NAME.out and NAME.err; then "
        "--exit-record and --runtime-dir name directories with one entry for each",
    ),
    Option(
        "--jobs",
        "N",
        "of several plans: so many VMs at a time, the next when one has ended; else all together",
        "-j",
    ),
    Option(
        "--console-max",
        "SIZE",
        "let no file that a console writes, nor one of --log-dir, take more than SIZE (10MiB); the "
        "newest is kept, the file's length stays",
    ),
    Option("--die-with-parent", "", "end the VM when the process that started the launcher ends"),
    _HELP,
    Option("--version", "", "print krunc's version"),
)
# What krunc launch BOX.yaml takes besides; the launcher alone compiles nothing.
OF_A_BOX = (
    Option("--target", "1|1.N|2", "the libkrun to compile for; else the one found"),
    Option("--set", "NAME=VALUE", "change a variable of the box, as in krunc compile"),
    Option("--vars", "FILE", "a YAML map of variables"),
    Option("--box", "NAME", "of a file whose matrix makes several boxes, only this one"),
)
DOCTOR = (
    Option("--json", "", "the checks as JSON: name, state (ok, warning, failed), text, fix"),
    Option("--libkrun", "FILE", "the libkrun to check; else those that krunc launch would find"),
    _HELP,
)
# As in a box ($defs/size of its schema), and KiB.
_UNITS = {"K": 10, "M": 20, "G": 30}
_LEAST_SIZE = 1 << 16
_MOST_DIGITS = 9


# The command line asks for something that cannot be.
UsageError = ValueError


def parse(argv: Iterable[str], table: tuple[Option, ...]) -> tuple[list[str], dict[str, list[str]]]:
    """Split ARGV into words and the options of TABLE, each with its values in order (none for a
    flag). Raises UsageError."""
    known = {option.name: option for option in table}
    known |= {option.short: option for option in table if option.short}
    given: dict[str, list[str]] = {}
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if word[:2] in known and len(word) > 2:  # -j8
            name, equals, value = word[:2], word[2:], word[2:].removeprefix("=")
        option = known.get(name)
        if word == "--":
            words += rest
        elif word == "-" or not word.startswith("-"):
            words.append(word)
        elif option is None or (equals and not option.value):
            raise UsageError(f"there is no option {plain(word)}{_advice(word)}")
        elif option.value:
            value = value if equals else next(rest, "")
            if not value:
                raise UsageError(f"{name} needs a value")
            given.setdefault(option.name, []).append(value)
        else:
            given.setdefault(option.name, [])
    if "" in words:  # most likely a shell's variable that is not set
        raise UsageError("PLAN needs a value, got an empty string")
    return words, given


def _advice(word: str) -> str:
    """Tell what to write instead of the option WORD, where it is known from other tools."""
    from krunc_launcher._box_options import BOX_OPTIONS

    name = word.partition("=")[0]
    if any(name == option.name for option in OF_A_BOX):
        return ": it is for a box, as in krunc launch BOX.yaml; a plan is compiled already"
    if name[1:2] != "-" and not name[1:].isalpha():  # -p8080:80
        name = name[:2]
    said = BOX_OPTIONS.get(name, "")
    return f": {said}" if said else ""


class Options:
    """What krunc launch is asked for: a field for each option that takes part in a launch."""

    __slots__ = (
        "base",
        "console_max",
        "die_with_parent",
        "digests",
        "dry_run",
        "exit_record",
        "help",
        "jobs",
        "libkrun",
        "log_dir",
        "require_digest",
        "runtime_dir",
        "secrets",
        "store",
        "version",
    )

    def __init__(self, given: dict[str, list[str]]) -> None:
        last = {name: values[-1] for name, values in given.items() if values}
        self.base = last.get("--base")
        self.console_max = _size(last.get("--console-max"))
        self.die_with_parent = "--die-with-parent" in given
        self.digests = last.get("--digests")
        self.dry_run = "--dry-run" in given
        self.exit_record = last.get("--exit-record")
        self.help = "--help" in given
        self.jobs = _count(last.get("--jobs"))
        self.libkrun = last.get("--libkrun")
        self.log_dir = last.get("--log-dir")
        self.require_digest = last.get("--require-digest")
        self.runtime_dir = last.get("--runtime-dir")
        self.secrets = last.get("--secrets")
        self.store = last.get("--store")
        self.version = "--version" in given

    def of(self, name: str) -> Options:
        """Return the options of the VM called NAME, of several: each has a runtime directory and an
        exit record of its own in those that the options name."""
        own = Options({})
        for option in self.__slots__:
            setattr(own, option, getattr(self, option))
        if self.runtime_dir is not None:
            own.runtime_dir = f"{self.runtime_dir}/{name}"
        if self.exit_record is not None:
            own.exit_record = f"{self.exit_record}/{name}.json"
        return own


def options(argv: Iterable[str]) -> tuple[list[str], Options]:
    """Read the command line of krunc launch: the plans' paths and the options. Raises
    UsageError."""
    paths, given = parse(argv, LAUNCH)
    return paths, checked(paths, given)


def checked(paths: list[str], given: dict[str, list[str]]) -> Options:
    """Check that PATHS and the options that were GIVEN go together. Raises UsageError."""
    found = Options(given)
    if found.help or found.version:
        return found
    if not paths:
        raise UsageError("expected a plan")
    if found.digests is not None and found.require_digest is None:
        raise UsageError("--digests needs --require-digest, the digest of the fleet")
    if len(paths) > 1 and found.dry_run:
        raise UsageError("--dry-run takes one plan")
    if len(paths) > 1 and found.log_dir is None:
        raise UsageError("several plans need --log-dir DIR, for what each VM prints")
    return found


def _count(given: str | None) -> int:
    """Tell how many VMs may run at once; 0 without a limit."""
    if given is None:
        return 0
    good = given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS
    found = int(given) if good else 0
    if found < 1:
        raise UsageError("--jobs takes a number of VMs, 1 or more")
    return found


def _size(given: str | None) -> int:
    """Tell what a console's file may take, in bytes; 0 without a limit."""
    if given is None:
        return 0
    short = given.removesuffix("iB")
    whole, point, part = short[:-1].rstrip(" ").partition(".")
    digits = whole + part if point else whole
    good = digits.isascii() and digits.isdigit() and short[-1:] in _UNITS and len(digits) < 9
    found = (int(digits) << _UNITS[short[-1]]) // 10 ** len(part) if good else 0
    if found < _LEAST_SIZE:
        raise UsageError("--console-max takes a size of 64KiB or more, such as 10MiB or 1.5GiB")
    return found


def listing(table: tuple[Option, ...]) -> str:
    """Return the help of all options of TABLE, in two columns, as the compiler's are."""
    return "".join(_described(option) for option in table)


def _described(option: Option) -> str:
    short = f"{option.short}, " if option.short else ""
    name = f"  {short}{option.name} {option.value}".rstrip()
    lines = [name] if len(name) > _COLUMN - 2 else []
    line = name.ljust(_COLUMN) if not lines else " " * _COLUMN
    for word in option.doc.split():
        if len(line) + len(word) >= _WIDTH:
            lines.append(line.rstrip())
            line = " " * _COLUMN
        line += f"{word} "
    return "".join(f"{text}\n" for text in [*lines, line.rstrip()])


_COLUMN, _WIDTH = 21, 100
