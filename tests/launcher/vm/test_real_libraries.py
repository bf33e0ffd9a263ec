"""Plans are replayed against both real libkruns, up to the call that enters the VM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from places import ROOT
from processes import PATIENCE
from recorder.expected import furnished
from whole_boxes import DATAGRAM, DEVICES, DIRECTORY, FAMILY_2, STORAGE, STREAM, for_here

# The launcher without its last step: libkrun itself is asked, nothing is entered.
_ALL_BUT_ENTER = """
import os, sys
from krunc_launcher.host.libkrun import fits, locate
from krunc_launcher.text.reading import parse, read
from krunc_launcher.plan.verify import verify
from krunc_launcher.paths import Directories
from krunc_launcher.resolve.resolve import reader, resolve
from krunc_launcher.vm.replay import replay, take
plan = verify(parse(read(sys.argv[2])))
directories = Directories(os.path.dirname(sys.argv[2]), sys.argv[3])
done, found = resolve(plan, directories, reader(os.environ.get, directories))
library = locate(sys.argv[1], None)
print("|".join(fits(library, plan)), found)
take(done)
replay(library, done[:-1], directories, os.open(os.devnull, os.O_WRONLY), {})
print("ready to enter")
"""


def without(box: str, *lines: str) -> str:
    """BOX without what the real libraries, or this machine, do not have."""
    for line in lines:
        assert line in box, line
        box = box.replace(line, "")
    return box


# The whole surface, as far as the builds of the two libraries go: neither is for TEEs, neither
# has vhost-user, and no machine here has a tap interface, a terminal or nested virtualization.
_TAP = next(line for line in DEVICES.splitlines(True) if "mode: tap" in line)
_VHOST = next(line for line in DEVICES.splitlines(True) if line.startswith("vhost_user"))
_SERVED = without(DEVICES, _TAP, _VHOST, "{name: p, terminal: /dev/null}, ")
# The fork has the template for some processors only.
_TEMPLATE = "    cpu_template: portable\n"
# What 1.16.0 lacks is asked of 2.0-dev.
NEWER = {"build", "isolated", "directory-none"}
TEXTS = {
    # An image has to be pulled first; tests/boot/test_pulled.py boots it.
    **{
        path.stem: path.read_text()
        for path in sorted((ROOT / "boxes").glob("*.yaml"))
        if path.stem != "image"
    },
    "directory": DIRECTORY,
    "stream": STREAM,
    "datagram": DATAGRAM,
    "directory-none": DIRECTORY.replace('{mode: tsi, ports: ["1:1"]}', "{mode: none}"),
}
# What each of the two has beside these.
OLD = {
    "devices": without(
        _SERVED,
        *(line for line in DEVICES.splitlines(True) if line.startswith(("gpu", "input_devices"))),
        *(line for line in DEVICES.splitlines(True) if line.startswith(("displays", "  - {width"))),
    ).replace("dhcp: true", "dhcp: false"),
    "machine": DIRECTORY
    + """\
boot: {kernel: {path: ./vmlinux, format: elf, initramfs: ./initrd, cmdline: console=hvc0}}
run_as: {uid: 0, gid: 0}
""",
}
FLAT = {
    "storage": without(STORAGE, ", tee: ./tee.json", "nested: true, "),
    "devices": _SERVED,
    "fork": without(FAMILY_2, _TEMPLATE),
}


CASES = [
    *(("1.16.0", name, text) for name, text in {**TEXTS, **OLD}.items()),
    *(("2.0-dev", name, text) for name, text in {**TEXTS, **FLAT}.items()),
]


def configured(
    text: str, library: Path, target: str, directory: Path
) -> subprocess.CompletedProcess[str]:
    """The box TEXT, compiled for TARGET and replayed against LIBRARY as far as it goes."""
    box = directory / "box.yaml"
    box.write_text(text)
    main(["compile", str(box), "--target", target])
    file = directory / "box.plan.json"
    with furnished(directory, json.loads(file.read_text()), directory / "run"):
        return subprocess.run(
            [sys.executable, "-c", _ALL_BUT_ENTER, str(library), str(file), str(directory / "run")],
            env={**os.environ, "AGENT_TOKEN": "x", "C": "x"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )


@pytest.mark.parametrize(
    ("libkrun", "name", "text"),
    CASES,
    ids=lambda value: value if len(value) < 20 else "",
    indirect=["libkrun"],
)
def test_configured(name: str, text: str, libkrun: tuple[Path, str], tmp_path: Path) -> None:
    library, target = libkrun
    done = configured(for_here(text), library, target, tmp_path)
    if target == "1" and name in NEWER:
        assert (
            "krun_disable_implicit_vsock, which came with libkrun 1.17.0 (network)" in done.stdout
        )
        return
    assert done.stdout == " []\nready to enter\n", done


def test_the_template_of_processors(libkrun_2: Path, tmp_path: Path) -> None:
    done = configured(FAMILY_2, libkrun_2, "2", tmp_path)
    refused = "krun_set_cpu_template(ctx, 1); returned -95, ENOTSUP" in done.stderr
    assert refused != (done.stdout == " []\nready to enter\n"), done


def test_the_extra_is_found_without_being_named(libkrun_2: Path) -> None:
    program = "from krunc_launcher.host.libkrun import locate; print(locate(None, 'v2_flat').path)"
    environment = {name: value for name, value in os.environ.items() if name != "KRUNC_LIBKRUN"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() in (str(libkrun_2), "libkrun.so.2")


def test_the_symbols_of_the_table_are_those_of_the_libraries(
    libkrun_1: Path, libkrun_2: Path
) -> None:
    """The table says what a released library has; BoxLite's build has some of 1.17 besides."""
    from krunc_compiler import libkrun as api
    from krunc_launcher.host.libkrun import load

    one, two = load(str(libkrun_1)), load(str(libkrun_2))
    assert (one.era, two.era) == ("v1", "v2_flat")
    chosen = api.target("1.16")
    flat = api.target("2")
    assert chosen is not None
    assert flat is not None
    optional = {"gpu", "input", "tee"}
    for name, function in api.functions().items():
        if function.feature in optional or "tee" in name or "nitro" in name:
            continue
        if api.lacks(function, chosen) is None:
            assert one.function(name) is not None, name
        if api.lacks(function, flat) is None and "vhost" not in name:
            assert two.function(name) is not None, name
