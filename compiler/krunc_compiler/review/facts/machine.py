"""The machine: vCPUs, memory, kernel, displays, and devices of the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.facts.storage import content, same
from krunc_compiler.review.facts.streams import stream
from krunc_compiler.review.words import shown, word, words


def size(row: Row) -> Iterator[Fact]:
    """vCPUs and memory; more of them takes more of the host."""
    yield cpus(row, row.args["num_vcpus"])
    yield memory(row, row.args["ram_mib"])


def architecture(row: Row) -> Iterator[Fact]:
    """Yield the processors without which the plan is not launched."""
    name = word(str(row.args["architecture"]))
    yield row.fact("architecture", "architecture", f"{name}; on others it is not started")


def cpus(row: Row, number: int) -> Fact:
    """Tell how many vCPUs."""
    return row.fact("vCPUs", "vCPUs", str(number), Reach("take", "vCPUs", number))


def memory(row: Row, mib: int) -> Fact:
    """Tell how much memory."""
    return row.fact("memory", "memory", f"{mib} MiB", Reach("take", "MiB", mib))


def log(row: Row) -> Iterator[Fact]:
    """Yield libkrun's own log."""
    args = row.args
    target = args.get("target_fd", "stderr")
    where = "libkrun's default" if target == "default" else stream(row, target)
    options = f", {words(args['options'])}" if args.get("options") else ""
    # A descriptor that is named stays open in the VM's process.
    reach = [Reach("stdio", "descriptor", f"fd {target}")] if isinstance(target, int) else []
    style = args.get("style", "auto")
    options += f", style {word(str(style))}" if style != "auto" else ""
    text = f"level {word(str(args['level']))}, on {where}{options}"
    yield row.fact("log", "log", text, *reach)


def kernel(row: Row) -> Iterator[Fact]:
    """Yield a kernel of the host's file system instead of libkrunfw's."""
    args = row.args
    line = f", command line {word(args['cmdline'])}" if args["cmdline"] else ""
    shape = word(str(args["kernel_format"]))
    yield row.fact("kernel", "kernel", f"{word(args['kernel_path'])}, {shape}{line}")
    if args["cmdline"]:
        reach = Reach("boot", "kernel command line", args["cmdline"])
        text = f"the kernel's command line {word(args['cmdline'])}"
        yield row.fact("run", ("run", "kernel command line"), text, reach)
    own = Reach("without", "libkrunfw's kernel")
    yield _read(row, "kernel", args["kernel_path"], own)
    if args["initramfs"] is not None:
        yield _read(row, "initramfs", args["initramfs"])
    yield untold(row)


def untold(row: Row) -> Fact:
    """Return the launcher knows when libkrun's own init starts the program; not how others do
    it."""
    text = "0 also where the guest fails before the program starts"
    return row.fact("status", f"untold {row.name}", text)


def _read(row: Row, what: str, path: str, *more: Reach) -> Fact:
    reach = Reach("read", "file", same(path))
    return row.fact("read", what, f"file {word(path)} ({what})", reach, *more)


def firmware(row: Row) -> Iterator[Fact]:
    """Yield a firmware of the host's file system instead of a kernel: what it boots is on a disk,
    and starts as root what it likes."""
    path = row.args["firmware_path"]
    yield row.fact("firmware", "firmware", word(path))
    yield row.fact("program", "firmware program", "what the firmware boots")
    as_root = Reach("as", "root")
    yield row.fact("guest user", "firmware user", "root, in what the firmware boots", as_root)
    changed = [Reach("change", "root")] if row.written.intersection(row.disks) else []
    yield row.fact("root", "firmware root", "what the firmware finds on a disk", *changed)
    yield _read(row, "firmware", path, Reach("without", "libkrunfw's kernel"))
    yield untold(row)


def enclave_image(row: Row) -> Iterator[Fact]:
    """Yield AWS Nitro: the image of the enclave."""
    rest = {name: value for name, value in row.args.items() if name != "image_path"}
    text = f"AWS Nitro, image {word(row.args['image_path'])} ({_values(rest)})"
    yield row.fact("enclave", "image", text)
    yield _read(row, "enclave image", row.args["image_path"])


def enclave_flags(row: Row) -> Iterator[Fact]:
    """Yield AWS Nitro: 1 is debug mode, in which the host can read the enclave's console."""
    flags = row.args["start_flags"]
    reach = [Reach("without", "an enclave closed to the host")] if flags else []
    yield row.fact("enclave", "flags", f"start flags {flags}", *reach)


def confidential(row: Row) -> Iterator[Fact]:
    """Yield the configuration of a confidential VM."""
    yield _read(row, "TEE configuration", row.args["filepath"])


def own_kernel(row: Row) -> Iterator[Fact]:
    """Yield the kernel when no call names one."""
    yield row.fact("kernel", "kernel", "libkrunfw (bundled)")


def own_init(row: Row) -> Iterator[Fact]:
    """Yield the first program of the guest when no call forbids it."""
    yield row.fact("init", "init", "libkrun (bundled)")


def no_init(row: Row) -> Iterator[Fact]:
    """Yield libkrun's first program is not there."""
    yield row.fact("init", "init", "the root's own /init.krun, not libkrun's")
    yield row.fact(
        "run", ("run", "init"), "an init that is not libkrun's", Reach("run", "own init")
    )
    yield untold(row)


def gpu(row: Row) -> Iterator[Fact]:
    """Yield the GPU of the host."""
    flags = row.args["virgl_flags"]
    size_ = f", window of {row.args['shm_size']} bytes" if "shm_size" in row.args else ""
    text = f"the host's GPU through virglrenderer ({words(flags) or 'no flags'}{size_})"
    reach = [Reach("device", "GPU", flag) for flag in flags]
    yield row.fact("device", "GPU", text, Reach("device", "GPU"), *reach)


def sound(row: Row) -> Iterator[Fact]:
    """Sound over the host's PipeWire."""
    if row.args["enable"]:
        text = "host sound, microphone included, through PipeWire"
        yield row.fact("device", "sound", text, Reach("device", "sound"))


def input_device(row: Row) -> Iterator[Fact]:
    """Yield an input device of the host."""
    leads = stream(row, row.args["input_fd"])
    yield row.fact(
        "device",
        ("input", leads),
        f"input from {leads}{row.known_as()}",
        Reach("device", "input", leads),
    )


def backend(row: Row) -> Iterator[Fact]:
    """Yield a device that a program of the host implements; it shares the guest's memory."""
    args = row.args
    kind, path = args["device_type"], args["socket_path"]
    named = f" {word(args['name'])}" if args.get("name") else ""
    text = (
        f"socket {word(path)}: the program behind it is the {word(str(kind))} device"
        f"{named}{row.known_as()}"
    )
    reach = Reach("connect", f"vhost-user {kind}", same(path))
    subject = ("vhost-user", str(kind), str(args.get("name") or ""))
    yield row.fact("connect", subject, text, reach)


def display(row: Row) -> Iterator[Fact]:
    """Yield a display."""
    text = f"{row.args['width']} x {row.args['height']} pixels{row.known_as()}"
    yield row.fact("display", "display", text)


def display_setting(row: Row) -> Iterator[Fact]:
    """Tell what a display says of itself."""
    what = row.name.removeprefix("krun_display_set_").replace("_", " ")
    rest = {name: value for name, value in row.args.items() if name != "display_id"}
    number = row.args["display_id"]
    subject = ("display", str(number), what)
    yield row.fact("display", subject, f"{number}: {what} {_values(rest)}")
    for value in rest.values():
        if isinstance(value, dict):
            yield from content(row, subject, value, f"display {number}'s {what}")


def _values(args: dict[str, Any]) -> str:
    return ", ".join(
        word(value if isinstance(value, str) else shown(value)) for value in args.values()
    )


def nested(row: Row) -> Iterator[Fact]:
    """Tell whether the guest can have VMs of its own."""
    yield nesting(row, row.args["enabled"])


def nesting(row: Row, enabled: bool) -> Fact:
    """Return the same, of the value that says so."""
    if not enabled:
        return row.fact("nested", "nested", "off")
    text = "the guest can run VMs of its own"
    return row.fact("nested", "nested", text, Reach("without", "nested virtualization off"))


def interrupts(row: Row) -> Iterator[Fact]:
    """Who emulates the interrupt controller."""
    who = "split between libkrun and KVM" if row.args["enable"] else "in KVM"
    yield row.fact("interrupts", "interrupts", f"the controller is {who}")


def smbios(row: Row) -> Iterator[Fact]:
    """Strings in the guest's SMBIOS tables."""
    strings = row.args["oem_strings"]
    yield row.fact("smbios", "smbios", words(strings) or "no strings")
    # systemd takes credentials from them (systemd.system-credentials(7)): units, kernel arguments.
    for text in strings:
        if text.startswith("io.systemd."):
            reach = Reach("run", "SMBIOS", text)
            yield row.fact(
                "run", ("run", "SMBIOS", text), f"{word(text)}, which systemd obeys", reach
            )


def cpu(row: Row) -> Iterator[Fact]:
    """Yield a profile that hides CPU features."""
    yield row.fact("cpu", "cpu", f"template {_values(row.args)}")


def user(row: Row) -> Iterator[Fact]:
    """Yield the user or group that the VMM becomes before the VM is built. 0 may do everything."""
    what = "uid" if row.name == "krun_setuid" else "gid"
    yield becomes(row, what, row.args[what])


def becomes(row: Row, what: str, number: int) -> Fact:
    """Return the user or group, WHAT, with that number."""
    reach = Reach("user", what, str(number) if number else None)
    return row.fact("user", what, f"the VMM runs with {what} {number}", reach)
