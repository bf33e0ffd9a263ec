"""Nomad: a job with a task for each plan, of the driver raw_exec.

The driver exec has a file system of its own, in which neither the paths of a plan nor /dev/kvm are.
What Nomad does with these jobs was not tried; the files are read by a parser of HCL in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from krunc_compiler.emit.engine import OF_A_SCHEDULER, PLANS, STORE, Engine, Piece, allowed, head
from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.texts import Unspeakable, hcl_string, label

_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}
_AFTER_GRACE_S = 10


def object_name(box: str) -> str:
    """Return the job of the box called BOX; its name is part of the paths of variables."""
    return f"krunc-{label(box, 57)}"


def part(needs: Needs) -> str:
    """Return the job of one plan. Raises Unspeakable for a text that HCL cannot hold."""
    if "${" in needs.base:  # Nomad's client would look for a variable, and knows no escape
        raise Unspeakable("a --base with ${")
    name = hcl_string(object_name(needs.name))
    lines = [
        *allowed(needs),
        f"job {name} {{",
        '  type = "batch"',
        *_constraints(needs),
        '  group "vm" {',
        *_never_again(),
        '    task "krunc" {',
        '      driver = "raw_exec"',
        '      kill_signal = "SIGTERM"',
        f'      kill_timeout = "{(needs.grace_s or 0) + _AFTER_GRACE_S}s"',
        "      config {",
        '        command = "/usr/bin/python3"',
        "        args = [",
        *(f"          {word}," for word in _arguments(needs)),
        "        ]",
        "      }",
        "      resources {",
        f"        cores = {needs.vcpus}",
        f"        memory = {needs.memory_mib}",
        "      }",
        *(line for name in needs.secret_files for line in _secret(name)),
        "    }",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def whole(parts: Iterable[tuple[Needs, str]]) -> Iterator[Piece]:
    """Yield a file for each job: nomad job run takes one."""
    for needs, text in parts:
        yield Piece(f"{object_name(needs.name)}.nomad.hcl", head(ENGINE.name) + text)


ENGINE = Engine(
    name="nomad",
    lacks=OF_A_SCHEDULER,
    object_name=object_name,
    part=part,
    whole=whole,
)


def _constraints(needs: Needs) -> Iterator[str]:
    wanted = {"kernel.name": "linux"}
    if needs.platform is not None:
        wanted["cpu.arch"] = _ARCHITECTURES[needs.platform]
    for attribute, value in wanted.items():
        yield "  constraint {"
        yield f'    attribute = "${{attr.{attribute}}}"'
        yield f'    value = "{value}"'
        yield "  }"


def _never_again() -> Iterator[str]:
    """Yield that nothing is started again: Nomad cannot tell the status 125 from others."""
    yield '    restart {\n      attempts = 0\n      mode = "fail"\n    }'
    yield "    reschedule {\n      attempts = 0\n      unlimited = false\n    }"


def _arguments(needs: Needs) -> Iterator[str]:
    """Yield the words of the launcher's command line. The variables are Nomad's own."""
    yield from ('"-IS"', '"/usr/bin/krunc-launch"')
    yield from ('"--require-digest"', hcl_string(needs.digest))
    yield from ('"--base"', hcl_string(needs.base))
    yield from ('"--store"', hcl_string(STORE))
    yield from ('"--runtime-dir"', '"${NOMAD_TASK_DIR}/run"')
    yield from ('"--exit-record"', '"${NOMAD_ALLOC_DIR}/exit.json"')
    if needs.secret_files:
        yield from ('"--secrets"', '"${NOMAD_SECRETS_DIR}"')
    yield hcl_string(f"{PLANS}/{needs.name}.plan.json")


def _secret(name: str) -> Iterator[str]:
    """Yield a file with an item of the job's Nomad variable, readable for the task alone. The name
    is a variable's, or fd-3, whose hyphen `index` alone can look up."""
    yield "      template {"
    yield f'        destination = "secrets/{name}"'
    yield '        perms = "0400"'
    yield '        change_mode = "noop"'
    path = 'print "nomad/jobs/" (env "NOMAD_JOB_NAME")'
    item = f'index . "{name}"' if "-" in name else f".{name}"
    text = f"{{{{ with nomadVar ({path}) }}}}{{{{ {item} }}}}{{{{ end }}}}"
    yield f"        data = {hcl_string(text)}"
    yield "      }"
