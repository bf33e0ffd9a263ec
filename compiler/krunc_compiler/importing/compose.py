"""A service of a Compose file as a box."""

from __future__ import annotations

from typing import Any

from krunc_compiler.findings.finding import Finding, Path, Source, reject
from krunc_compiler.findings.wording import allowed
from krunc_compiler.importing import compose_values, network, program, storage
from krunc_compiler.importing.boxlite import Imported
from krunc_compiler.importing.compose_keys import keys
from krunc_compiler.importing.configuration import configuration
from krunc_compiler.importing.draft import OUTSIDE, WRONG, At, Draft, box_name, shown
from krunc_compiler.importing.extending import extended
from krunc_compiler.importing.interpolation import fill
from krunc_compiler.rules.lints import names_a_secret

_SHOWN = 12
_DOLLAR = "write $$ for the character; a default has no variable in it here"


def convert(name: str, text: str, service: str | None, home: str) -> Imported:
    """Return the box of SERVICE in the Compose file TEXT, which came from NAME.

    None stands for the only one. HOME leads from the box's directory to the file's. Raises Rejected
    with everything that is wrong with the service.
    """
    value, source = configuration(name, text, "compose.schema")
    chosen = _chosen(value, source, service)
    draft = Draft(home)
    whole = extended(value["services"], chosen, draft)
    if not draft.findings:
        _read(draft, value, chosen, whole)
    if draft.findings:
        raise reject(source, draft.findings)
    return draft.imported()


def _chosen(value: dict[str, Any], source: Source, service: str | None) -> str:
    """Return the name of the service that is meant."""
    services: dict[str, Any] = value["services"]
    started = [key for key, one in services.items() if not one.get("profiles")]
    if service is None and len(started or services) == 1:
        return (started or list(services))[0]
    path: Path = ("services",)
    names = ", ".join(list(services)[:_SHOWN]) + (", ..." if len(services) > _SHOWN else "")
    if service is None:
        hint = f"name one behind the file: {names}"
        message = f"one of {len(services)} services has to be named"
        raise reject(source, [Finding(OUTSIDE, message, path, hint=hint)])
    if service not in services:
        hint = allowed(service, list(services)[:_SHOWN])
        raise reject(source, [Finding(WRONG, f"no service is called {service!r}", path, hint=hint)])
    return service


def _read(draft: Draft, value: dict[str, Any], chosen: str, given: dict[str, Any]) -> None:
    """Read the service CHOSEN, which with what it extends is GIVEN, into the draft."""
    top: Path = ("services", chosen)
    environment = given.pop("environment", None)
    whole = {key: _filled(draft, At(key, (*top, key)), one) for key, one in given.items()}
    draft.name = box_name(chosen)
    others = [key for key in value["services"] if key != chosen]
    if others:
        draft.note(
            At("services"), f"a box is one VM; not in this one: {', '.join(others[:_SHOWN])}"
        )
    if value.get("include"):
        draft.note(At("include"), "files that are included are not read")
    for key, one in whole.items():
        known = keys().get(key)
        if known is None or known.quiet or (one is None and key not in ("command", "entrypoint")):
            continue
        at = At(key, (*top, key))
        if known.act is not None:
            known.act(draft, at, one)
        elif one not in (False, [], {}):
            draft.note(at, known.says.removeprefix("noted: "))
    _environment(draft, At("environment", (*top, "environment")), environment)
    _image(draft, whole.get("image"), At("image", top))
    _networks(draft, value.get("networks") or {}, whole, At("networks", (*top, "networks")))
    _volumes(draft, value.get("volumes") or {})
    storage.settle(draft)
    network.settle(draft)
    program.settle(draft, At("entrypoint", (*top, "entrypoint")))


def _filled(draft: Draft, at: At, value: Any) -> Any:
    """Return VALUE with the defaults of its variables; one without a default is an error."""
    if isinstance(value, dict):
        return {key: _filled(draft, at.below(key), one) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(draft, at.below(i), one) for i, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    found = fill(value)
    for name in found.unknown:
        hint = f"write its value, or a default: ${{{name}:-VALUE}}"
        draft.wrong(at, f"the value of ${name} is not known here", hint, OUTSIDE)
    if found.odd:
        draft.wrong(at, "a $ that is not a variable", _DOLLAR)
    for name in found.defaulted:
        draft.note(at, f"${{{name}}} is taken as its default")
    return found.text


def _environment(draft: Draft, at: At, value: Any) -> None:
    """Take the program's variables; what is the engine's variable is the launcher's."""
    for part, name, one in compose_values.pairs(value):
        where = at.below(part)._replace(name=f"{at.name}.{name}")
        if one is None:
            program.take_variable(draft, where, name, name)
            continue
        text = compose_values.text_of(one)
        found = fill(text)
        if found.odd:
            draft.wrong(where, "a $ that is not a variable", _DOLLAR)
        elif found.only and (found.unknown or names_a_secret(name)):
            program.take_variable(draft, where, name, found.only)
            if found.defaulted:
                draft.note(where, "its default is omitted: the plan would show it")
        elif found.unknown:
            program.take_variable(draft, where, name, name)
            others = ", ".join(f"${{{other}}}" for other in found.unknown)
            draft.note(
                where, f"a box puts no variable into a string: give all of it, with {others}"
            )
        else:
            program.set_variable(draft, where, name, found.text)
            for other in found.defaulted:
                draft.note(where, f"${{{other}}} is taken as its default")


def _image(draft: Draft, image: Any, at: At) -> None:
    if not image:
        hint = "build it, push it or write it to an archive, and write image: NAME"
        draft.wrong(at, "the service names no image", hint)
        return
    draft.rootfs = {"image": str(image), **draft.rootfs}
    if not draft.rootfs.get("read_only"):
        draft.rootfs["changes"] = "discard"


def _networks(draft: Draft, known: dict[str, Any], service: dict[str, Any], at: At) -> None:
    """Take the networks of a service, by what the file says of them."""
    if "network_mode" in service:
        return
    names = list(service.get("networks") or ["default"])
    for name in names:
        if name not in known and name != "default":
            hint = f"networks of the file: {', '.join(list(known)[:_SHOWN]) or 'none'}"
            draft.wrong(at, f"no network is called {shown(name)}", hint)
    inner = [name for name in names if _is_internal(known.get(name))]
    if inner and len(inner) == len(names):
        network.set_internal(draft, at)
        return
    for name in names:
        if (known.get(name) or {}).get("external"):
            said = "its own file does not say whether it is internal: then write mode: none"
            draft.note(at, f"{name}: {said}")
    addresses = service.get("networks")
    for name, one in addresses.items() if isinstance(addresses, dict) else ():
        if one:
            draft.note(
                at.below(name),
                "addresses and aliases have no counterpart: passt's guest is "
                "10.0.2.15, and VMs have no network among them",
            )
    if names != ["default"]:
        draft.note(
            at,
            "VMs have no network among them: what one publishes, another reaches by a host address",
        )


def _volumes(draft: Draft, known: dict[str, Any]) -> None:
    """Tell of volumes that are made otherwise than empty, on a disk of the host."""
    for disk in draft.disks:
        made = known.get(disk["id"])
        for key in ("driver", "driver_opts", "external"):
            if isinstance(made, dict) and made.get(key):
                said = "the disk is empty instead, and not what this makes or finds"
                draft.note(At(f"volumes.{disk['id']}.{key}"), said)


def _is_internal(value: Any) -> bool:
    return isinstance(value, dict) and value.get("internal") in (True, "true")
