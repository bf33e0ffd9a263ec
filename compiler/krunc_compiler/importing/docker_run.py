"""A `docker run` command, or podman's or nerdctl's, as a box."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.findings.finding import Finding, Source, reject
from krunc_compiler.findings.wording import nearest
from krunc_compiler.importing import network, program, storage
from krunc_compiler.importing.amounts import switch
from krunc_compiler.importing.boxlite import Imported
from krunc_compiler.importing.docker_options import (
    ENGINE_FLAGS,
    ENGINE_VALUED,
    Option,
    long_name,
    options,
)
from krunc_compiler.importing.draft import WRONG, At, Draft, box_name, shown
from krunc_compiler.importing.reasons import REASONS
from krunc_compiler.importing.words import HERE, Word, words

_ENGINES = ("docker", "podman", "nerdctl")
_SHOWN = 60
# MAX_ARG_STRLEN of Linux.
_MOST = 1 << 17
_LIKE = "give one command: docker run [OPTION...] IMAGE [ARGUMENT...]"


def convert(name: str, text: str) -> Imported:
    """Return the box of the command in TEXT, which came from NAME.

    Raises Rejected with everything that is wrong with it.
    """
    if len(text) > _MOST:
        hint = "check that this is the right text: Linux takes no longer command"
        found = Finding(WRONG, f"the command has more than {_MOST:,} characters", hint=hint)
        raise reject(Source(name, "", {}), [found])
    given, findings = words(text)
    draft = Draft()
    draft.findings += findings
    command = _Command(draft, given)
    command.read()
    if draft.findings:
        raise reject(Source(name, text, {}), draft.findings)
    return draft.imported()


class _Command:
    """Goes once over the words."""

    def __init__(self, draft: Draft, given: list[Word]) -> None:
        self._draft = draft
        self._words = given
        self._next = 0
        self._seen: set[str] = set()
        self._engine = ""

    def read(self) -> None:
        """Read all of it into the draft."""
        if not self._start():
            return
        for word in self._options():
            if word.text.startswith("--") and len(word.text) > 2:
                self._long(word)
            else:
                self._cluster(word)
        rest = self._words[self._next :]
        if not rest:
            end = self._words[-1]
            self._wrong(end, "no image follows the options", _LIKE)
            return
        image, *arguments = rest
        self._known(image)
        self._image(image)
        if arguments:
            self._draft.command = [word.text for word in arguments if self._known(word)]
        self._settle()

    def _start(self) -> bool:
        """Pass over the engine's name, its own options and `run`."""
        given = self._words
        if given and given[0].text == "sudo":
            self._draft.note(At("sudo"), "krunc launch needs no root")
            self._next = 1
        at = self._next
        if len(given) <= at or given[at].text.rsplit("/", 1)[-1] not in _ENGINES:
            where = given[at] if len(given) > at else None
            found = shown(where.text) if where is not None else "nothing"
            self._wrong(where, f"expected docker, podman or nerdctl, got {found}", _LIKE)
            return False
        self._engine = given[at].text.rsplit("/", 1)[-1]
        at += 1
        while at < len(given) and given[at].text.startswith("-"):
            option, sign, _ = given[at].text.partition("=")
            if option not in ENGINE_VALUED and option not in ENGINE_FLAGS:
                message = f"the option {shown(option)} of {self._engine} is not known"
                self._wrong(given[at], message, "remove it: krunc asks no engine")
                return False
            self._draft.note(At(option), REASONS["engine"])
            at += 1 if sign or option in ENGINE_FLAGS else 2
        if at < len(given) and given[at].text == "container":
            at += 1
        if at >= len(given) or given[at].text != "run":
            where = given[min(at, len(given) - 1)]
            self._wrong(where, "expected run here: only that starts a program", _LIKE)
            return False
        self._next = at + 1
        return True

    def _options(self) -> Iterator[Word]:
        """Yield the words that are options; the words behind them are left to who reads them."""
        while self._next < len(self._words):
            word = self._words[self._next]
            if not word.text.startswith("-") or word.text == "-":
                return
            self._next += 1
            if word.text == "--":
                return
            yield word

    def _long(self, word: Word) -> None:
        name, sign, _ = word.text.partition("=")
        option = options().get(long_name(name))
        if option is None:
            self._unknown(word.part(0, len(name)), name)
        elif sign:
            self._do(option, name, word.part(len(name) + 1))
        elif option.takes:
            self._do(option, name, self._value(name, word))
        else:
            self._do(option, name, None)

    def _cluster(self, word: Word) -> None:
        """Read -itd, -p80:80, -itp 80:80."""
        for i in range(1, len(word.text)):
            name = f"-{word.text[i]}"
            option = options().get(long_name(name))
            if option is None:
                self._unknown(word.part(i, i + 1), name)
                return
            if not option.takes and word.text[i + 1 : i + 2] != "=":
                self._do(option, name, None)
                continue
            rest = word.part(i + 1)
            if option.takes:
                is_here = bool(rest.text)
                behind = rest.part(1) if rest.text[:1] == "=" else rest
                self._do(option, name, behind if is_here else self._value(name, word))
                return
            self._do(option, name, rest.part(1))
            return

    def _value(self, name: str, word: Word) -> Word | None:
        if self._next < len(self._words):
            self._next += 1
            return self._words[self._next - 1]
        self._wrong(word, f"a value is missing behind {name}", f"write {name} VALUE")
        return None

    def _do(self, option: Option, name: str, value: Word | None) -> None:
        """Do what an option says; a flag alone has no VALUE."""
        self._seen.add(option.name)
        span = value.span if value is not None else None
        at = At(name, (), span)
        if not option.takes:
            is_on = switch(value.text) if value is not None else True
            if is_on is None and value is not None:
                self._wrong(
                    value, f"{shown(value.text)} is not a value of {name}", "write true or false"
                )
            if is_on is False:
                self._seen.discard(option.name)
            if is_on and option.act is not None:
                option.act(self._draft, at, "true")
            elif is_on and not option.quiet:
                self._draft.note(at, option.says.removeprefix("noted: "))
            return
        if value is None:
            return
        if option.name == "--env" and self._from_variable(at, value):
            return
        text = value.text if not option.is_path else self._from_here(name, value)
        if not self._known(value, option.is_path):
            return
        if option.is_shown and len(text) < _SHOWN:
            at = at._replace(name=f"{name} {text}")
        if option.act is not None:
            option.act(self._draft, at, text)
        elif not option.quiet:
            self._draft.note(at, option.says.removeprefix("noted: "))

    def _from_variable(self, at: At, value: Word) -> bool:
        """Take NAME=$OTHER, where all of the value is a variable of the shell's."""
        name, _, rest = value.text.partition("=")
        (*_, last) = value.variables or (None,)
        if last is None or last.name == HERE or not last.name.isidentifier():
            return False
        if (last.start, last.end) != (len(name) + 1, len(value.text)) or not rest:
            return False
        program.take_variable(self._draft, at, name, last.name)
        return True

    def _from_here(self, name: str, value: Word) -> str:
        """Return the text of VALUE, in which $PWD is the box's directory."""
        text = value.text
        for one in reversed(value.variables):
            if one.name == HERE:
                text = f"{text[: one.start]}.{text[one.end :]}"
                self._draft.note(At(name), "$PWD is the box's own directory")
        return text

    def _known(self, word: Word, with_here: bool = False) -> bool:
        """Tell whether all of WORD is known here; what is not is told."""
        unknown = [one for one in word.variables if not (with_here and one.name == HERE)]
        for one in unknown:
            program.unknown_value(self._draft, At("", (), one.span), one.name)
        return not unknown

    def _image(self, word: Word) -> None:
        draft, text = self._draft, word.text
        if "path" in draft.rootfs:
            path, _, option = text.partition(":")
            # No image says what the program is.
            draft.entrypoint = draft.entrypoint or []
            draft.rootfs |= {"path": draft.host_path(path), "changes": "discard"}
            if option not in ("", "O"):
                draft.note(At("--rootfs"), f"the option {shown(option)} has no counterpart")
        else:
            draft.rootfs = {"image": text, **draft.rootfs}
            if not draft.rootfs.get("read_only"):
                draft.rootfs["changes"] = "discard"
        if draft.rootfs.get("read_only"):
            draft.rootfs.pop("changes", None)
        if not draft.name:
            last = text.partition("@")[0].rstrip("/").rsplit("/", 1)[-1]
            draft.name = box_name(last.partition(":")[0])

    def _settle(self) -> None:
        """Tell of what the options leave to the engine."""
        draft = self._draft
        if "--rm" not in self._seen and draft.rootfs.get("changes") == "discard":
            said = "a container keeps its changes until it is removed; here they are lost with the "
            draft.note(At("no --rm"), f"{said}VM: changes: {{disk: ID}} keeps them")
        is_read_only = self._engine == "podman" and draft.rootfs.get("read_only")
        if is_read_only and "--read-only-tmpfs" not in self._seen:
            said = "podman mounts tmpfs at /run, /tmp and /var/tmp too: write what the program uses"
            draft.note(At("--read-only"), f"{said} under tmpfs")
        storage.settle(draft)
        network.settle(draft)
        program.settle(draft, At("", (), self._words[-1].span))

    def _unknown(self, word: Word, name: str) -> None:
        close = nearest(long_name(name), options()) if len(name) > 2 else None
        hint = f"did you mean {close}? " if close else ""
        said = f"{hint}docs/importing.md has every option that is known"
        self._wrong(word, f"the option {shown(name)} is not known", said)

    def _wrong(self, word: Word | None, message: str, hint: str) -> None:
        span = word.span if word is not None else None
        self._draft.findings.append(Finding(WRONG, message, hint=hint, span=span))
