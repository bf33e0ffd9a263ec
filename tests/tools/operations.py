"""Operations of plans with what the review says of them, for each that a plan may hold."""

from __future__ import annotations

from typing import Any

from krunc_compiler import libkrun as api
from reviews import call, order, step

CALLED = [
    name
    for name, row in api.table()["functions"].items()
    if row["role"] in ("log", "create", "configure", "enter")
]

PORT = {"port": 5000, "filepath": "runtime:a"}
DEVICE: dict[str, Any] = {
    "mac": "5a:94:ef:e4:0c:ee",
    "features": [],
    "flags": [],
    "path": None,
    "fd": "none",
}
PASST: dict[str, Any] = {
    "program": "/usr/bin/passt",
    "address": "10.0.2.15",
    "prefix": 24,
    "gateway": "10.0.2.2",
    "resolver": "10.0.2.3",
    "host_loopback": False,
    "tcp_ports": ["127.0.0.1:8080:80"],
    "udp_ports": ["0.0.0.0:53:5353"],
    "name": "passt",
}
PROCESS = {"cwd": "/w", "env": {"A": "x", "T": {"from_env": "TOKEN"}}, "args": ["/bin/a", "b c"]}
OVERLAY = {"fs_tag": "/dev/root", "path": ".krun_config.json", "mode": 0o644, "one_shot": False}
DISK = {"block_id": "d", "disk_path": "d.img", "read_only": False}

# An operation, and the exposure that it shows: kind and text, in order.
EXPOSED: list[tuple[dict[str, Any], list[str]]] = [
    (call("krun_set_root", root_path="r"), ["write directory r (the guest's root)"]),
    (call("krun_add_virtiofs", tag="t", path="p"), ["write directory p (share t)"]),
    (call("krun_add_virtiofs2", tag="t", path="p", shm_size=4096), ["write directory p (share t, a window of 4096 bytes)"]),
    (call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=True), ["read directory p (share t)"]),
    (call("krun_add_virtiofs3", tag="/dev/root", path="p", shm_size=512 << 20, read_only=True), ["read directory p (the guest's root)"]),
    (call("krun_add_virtiofs4", tag="t", path="p", shm_size=0, read_only=False, semantics="simplified"), ["write directory p (share t, ownership is not kept)"]),
    (call("krun_set_mapped_volumes", mapped_volumes=["/a:/b"]), ["write directory /a (mapped volume)"]),
    (call("krun_add_disk", **DISK), ["write raw disk d.img (d, /dev/vda)"]),
    (call("krun_add_disk2", **DISK, disk_format="qcow2"), ["write qcow2 disk d.img (d, /dev/vda)"]),
    (call("krun_add_disk3", **{**DISK, "read_only": True}, disk_format="raw", direct_io=True, sync_mode="none"), ["read raw disk d.img (d, /dev/vda, past the page cache, flushes none)"]),
    (call("krun_set_root_disk", disk_path="d"), ["write raw disk d (root, /dev/vda)"]),
    (call("krun_set_data_disk", disk_path="d"), ["write raw disk d (data, /dev/vda)"]),
    (call("krun_fs_add_overlay_file", **OVERLAY, data={"file": "h"}), ["read file h (as .krun_config.json in the root)"]),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "mode": 0o600, "one_shot": True}, data={"process": PROCESS}), ["secret variable TOKEN as T"]),
    (call("krun_fs_add_overlay_file", **OVERLAY, data={"process": PROCESS}), ["secret variable TOKEN as T (in .krun_config.json in the root, which stays)"]),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "path": "x"}, data={"process": PROCESS}), ["secret variable TOKEN as T (in x in the root)"]),
    (call("krun_set_exec", exec_path="/a", argv=[], envp={"A": {"from_env": "B"}}), ["secret variable B as A (in the guest's /proc/cmdline)"]),
    (call("krun_set_env", envp={"A": {"from_env": "B"}}), ["secret variable B as A (in the guest's /proc/cmdline)"]),
    (call("krun_add_vsock", tsi_features=["hijack_inet"]), ["network any address that the host user can reach, including localhost (TSI)"]),
    (call("krun_add_vsock", tsi_features=["hijack_unix"]), ["network host Unix sockets by their paths (TSI)"]),
    (call("krun_add_vsock", tsi_features=[]), []),
    ({"implicit": "vsock_with_tsi"}, ["network any address that the host user can reach, including localhost (TSI)"]),
    ({"implicit": "all_guest_ports_published"}, ["listen every port that the guest listens on is opened here, on the address that it binds"]),
    ({"implicit": "console_on_stdio"}, ["stdio the launcher's stdin, stdout and stderr (console)"]),
    (call("krun_set_port_map", port_map=["8080:80", "1"]), ["listen host port 8080 to guest port 80, on the address that the guest binds (0.0.0.0: *:8080)", 'listen host port 1 to guest port "", on the address that the guest binds (0.0.0.0: *:1)']),
    (call("krun_add_vsock_port", **PORT), ["connect host socket runtime:a from guest vsock port 5000"]),
    (call("krun_add_vsock_port2", **PORT, listen=False), ["connect host socket runtime:a from guest vsock port 5000"]),
    (call("krun_add_vsock_port2", **PORT, listen=True), ["listen host socket runtime:a to guest vsock port 5000"]),
    (call("krun_set_egress_policy", cidrs=["10.0.0.0/8"], egress_hosts=["a.example"], dns_resolvers=["10.0.0.1"]), ["network only to 10.0.0.0/8, a.example, names resolved by 10.0.0.1 (TSI); a name can lead to localhost"]),
    (call("krun_set_control_socket", socket_path="runtime:c"), ["listen socket runtime:c: who connects to it pauses and resumes the VM"]),
    (call("krun_add_net_unixstream", **{**DEVICE, "path": "s"}), ["network through the network backend at s (eth0)"]),
    (call("krun_add_net_unixgram", **{**DEVICE, "fd": 5}), ["network through the network backend at the inherited file descriptor 5 (eth0)"]),
    (call("krun_add_net_tap", tap_name="tap0", mac="5a:94:ef:e4:0c:ee", features=[], flags=[]), ["network anything that the host's tap device tap0 leads to (eth0)"]),
    (call("krun_set_passt_fd", fd=7), ["network through the network backend at the inherited file descriptor 7 (eth0)"]),
    (call("krun_set_gvproxy_path", path="s"), ["network through the network backend at s (eth0)"]),
    (call("krun_set_attestation_url", url="https://a.example"), ["connect attestation server https://a.example"]),
    (call("krun_set_kernel", kernel_path="k", kernel_format="elf", initramfs="i", cmdline=None), ["read file k (kernel)", "read file i (initramfs)"]),
    (call("krun_set_firmware", firmware_path="f"), ["read file f (firmware)"]),
    (call("krun_set_tee_config_file", filepath="t"), ["read file t (TEE configuration)"]),
    (call("krun_nitro_set_image", image_path="i", image_type=1), ["read file i (enclave image)"]),
    (call("krun_set_gpu_options", virgl_flags=["venus"]), ["device the host's GPU through virglrenderer (venus)"]),
    (call("krun_set_gpu_options2", virgl_flags=[], shm_size=1), ["device the host's GPU through virglrenderer (no flags, window of 1 bytes)"]),
    (call("krun_set_snd_device", enable=True), ["device host sound, microphone included, through PipeWire"]),
    (call("krun_set_snd_device", enable=False), []),
    (call("krun_add_input_device_fd", input_fd=4), ["device input from the inherited file descriptor 4"]),
    (call("krun_add_vhost_user_device", device_type="snd", socket_path="s", name=None, num_queues=1, queue_sizes=None), ["connect socket s: the program behind it is the snd device"]),
    (call("krun_set_console_output", filepath="c"), ["write file c (console)"]),
    (call("krun_add_virtio_console_default", input_fd="stdin", output_fd="stdout", err_fd="stdout"), ["stdio the launcher's stdin and stdout (console)"]),
    (call("krun_add_virtio_console_default", input_fd="none", output_fd="none", err_fd="none"), []),
    (call("krun_add_console_port_tty", console_id=0, name="t", tty_fd=9), ["stdio the inherited file descriptor 9 (console)"]),
    (call("krun_add_console_port_inout", console_id=0, name=None, input_fd="stdin", output_fd="none"), ["stdio the launcher's stdin (console)"]),
    (step("start_passt", **PASST), ["network any IPv4 address that the host user can reach, except localhost (passt)", "listen host TCP port 8080 on 127.0.0.1 to guest port 80", "listen host UDP port 53 on 0.0.0.0 to guest port 5353", "launcher starts /usr/bin/passt beside the VM, whose network it is"]),
    (step("start_passt", **{**PASST, "host_loopback": True, "tcp_ports": [], "udp_ports": []}), ["network any IPv4 address that the host user can reach, including localhost, at 10.0.2.2 (passt)", "launcher starts /usr/bin/passt beside the VM, whose network it is"]),
    (step("open_file", path="f", name="n"), ["write file f (n)"]),
    (step("open_device", path="/dev/input/event3", name="n", access="read"), ["device /dev/input/event3 (n, read)"]),
    (step("open_device", path="/dev/pts/1", name="n", access="read-write"), ["device /dev/pts/1 (n, read-write)"]),
    (step("make_runtime_directory"), ["launcher creates the runtime directory"]),
    (step("clear_stale_socket", path="s"), ["launcher removes a stale socket s"]),
    (step("raise_nofile"), ["launcher raises RLIMIT_NOFILE to the hard limit"]),
    (step("surprise", a="b"), ['other unknown step surprise {a: "b"}']),
    (call("krun_surprise", a=[1]), ["other unknown call krun_surprise {a: [1]}"]),
    ({"implicit": "surprise"}, ["other unknown implicit surprise"]),
]  # fmt: skip

# An operation and what it says of the machine.
MACHINE: list[tuple[dict[str, Any], list[str]]] = [
    (step("lay_stage", path="launch:stage", access="read"), []),
    (step("require_architecture", architecture="arm64"), ["architecture arm64; on others it is not started"]),
    (step("pass_sigterm", signal="TERM", grace_s=5), ["stop SIGTERM asks the program to stop, signal TERM; the VM is killed after 5 seconds or a second SIGTERM"]),
    (step("end_after", seconds=60), ["timeout the VM is ended 60 seconds after its launch"]),
    (order("root_share", tag="r", access="read"), ["root no share of this plan (r), read-only"]),
    (order("root_disk", device="/dev/vda", fstype="ext4", options="noatime", access="read"), ["root disk /dev/vda (no disk of this plan), ext4, options noatime, read-only"]),
    (order("discard_changes", size_mib=64), []),
    (order("keep_changes", device="/dev/vdb", fstype="ext4"), []),
    (order("mount_tmpfs", path="/t", size_mib=None, mode="1777"), ["mount /t: an empty file system in the guest's memory, half at most, mode 1777"]),
    (order("mount_share", path="/s", tag="s", access="read"), ["mount /s: no share of this plan (share s), read-only"]),
    (order("mount_disk", path="/d", device="/dev/vda", fstype="xfs", options=None, access="read-write"), ["mount /d: disk /dev/vda (no disk of this plan), xfs, read-write"]),
    (step("require_image", path="store:sha256:88", access="read", size=36 << 20, reference="app:1.4", platform="linux/amd64", manifest="sha256:8746aabbccddeeff", config="sha256:bb", layers=3, layer_bytes=1), ["image app:1.4 sha256:8746aabbccdd... (3 layers, 36 MiB), linux/amd64, no disk of this plan"]),
    (order("interface", name="eth0", address="10.0.2.15", prefix=24, gateway="10.0.2.2"), ["address eth0 has 10.0.2.15/24, and the gateway 10.0.2.2"]),
    (order("hostname", name="h"), ["host name h"]),
    (order("host", name="db", address="10.0.0.1"), ["hosts db is 10.0.0.1"]),
    (order("nameserver", address="1.1.1.1"), ["name server 1.1.1.1"]),
    (order("user", user="app"), []),
    (order("before", script="true"), ["run true, a script that the guest's root runs before the program"]),
    (order("workdir", workdir_path="/w"), ["workdir /w"]),
    (order("program", exec_path="/a", argv=["b c"], envp={"A": "x"}), ['program /a "b c"', "env A=x"]),
    (step("start_passt", **PASST), ["network device address 10.0.2.15/24, gateway 10.0.2.2, names by 10.0.2.3, behind which is the host's resolver (passt)"]),
    (call("krun_set_vm_config", num_vcpus=2, ram_mib=512), ["vCPUs 2", "memory 512 MiB"]),
    (call("krun_set_log_level", level="warn"), ["log level warn, on the launcher's stderr"]),
    (call("krun_init_log", target_fd="stdout", level="off", style="auto", options=["no_env"]), ["log level off, on the launcher's stdout, no_env"]),
    (call("krun_set_root_disk_remount", device="/dev/vda", fstype=None, options="ro"), ["root disk /dev/vda (no disk of this plan), any file system, options ro", "status always 0, however the program ends"]),
    (call("krun_set_exec", exec_path="/a", argv=["b c", ""], envp={"A": "x y"}), ['program /a "b c" ""', 'env A="x y"']),
    (call("krun_fs_add_overlay_file", **OVERLAY, data={"process": PROCESS}), ['program /bin/a "b c"', "workdir /w", "env A=x", "env T from the launcher's TOKEN", "overlay .krun_config.json in the root: a program's configuration, mode 644"]),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "path": "//./.krun_config.json"}, data={"text": "{}"}), ["run /.krun_config.json, merged onto the root: the program, its arguments and its environment", 'program as the file //./.krun_config.json in the root says: the string "{}"', 'overlay //./.krun_config.json in the root: the string "{}", mode 644']),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "path": "x", "one_shot": True}, data={"base64": "AAA="}), ["overlay x in the root: 2 bytes, sha256 96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7, mode 644, seen once"]),
    (call("krun_fs_add_overlay_dir", fs_tag="t", path="d", mode=0o755), ["overlay d in share t: an empty directory, mode 755"]),
    (call("krun_set_workdir", workdir_path="/w"), ["workdir /w"]),
    (call("krun_set_rlimits", rlimits={"nproc": "1:2"}), ["limits nproc 1:2 (does not hold the guest's root)"]),
    (call("krun_set_net_mac", mac="5a:94:ef:e4:0c:ee"), ["network device MAC 5a:94:ef:e4:0c:ee"]),
    (call("krun_add_display", width=1, height=2), ["display 1 x 2 pixels"]),
    (call("krun_display_set_dpi", display_id=0, dpi=96), ["display 0: dpi 96"]),
    (call("krun_display_set_edid", display_id=0, edid_blob={"base64": "AA=="}), ['display 0: edid "{base64: \\"AA==\\"}"']),
    (call("krun_set_nested_virt", enabled=True), ["nested the guest can run VMs of its own"]),
    (call("krun_split_irqchip", enable=True), ["interrupts the controller is split between libkrun and KVM"]),
    (call("krun_set_smbios_oem_strings", oem_strings=["a", "b c"]), ['smbios a, "b c"']),
    (call("krun_set_cpu_template", cpu_template=1), ["cpu template 1"]),
    (call("krun_setuid", uid=1000), ["user the VMM runs with uid 1000"]),
    ({"implicit": "program_of_the_root"}, ["program what the root's own file /.krun_config.json names, or a shell"]),
    (call("krun_disable_implicit_init"), ["run an init that is not libkrun's", "init the root's own /init.krun, not libkrun's", "status 0 also where the guest fails before the program starts"]),
    (call("krun_set_smbios_oem_strings", oem_strings=["io.systemd.a=b"]), ["run io.systemd.a=b, which systemd obeys", "smbios io.systemd.a=b"]),
    (call("krun_set_kernel_console", console_id="ttyS0"), ["console the kernel's is ttyS0"]),
    (call("krun_add_serial_console_default", input_fd="none", output_fd="stderr"), ["console a serial port on the launcher's stderr"]),
    (call("krun_nitro_set_start_flags", start_flags=1), ["enclave start flags 1"]),
    (step("stop_on_sigterm", grace_s=10), ["stop SIGTERM asks the program to stop; the VM is killed after 10 seconds or a second SIGTERM"]),
    (step("confine", mode="required"), ["confine required (Landlock and seccomp, or the VM does not start)"]),
    (step("confine", mode="best-effort"), ["confine best-effort (Landlock and seccomp, if the host kernel supports them)"]),
    (step("stop_on_sigterm", by="eventfd"), ["stop SIGTERM asks the program to stop, by eventfd"]),
]  # fmt: skip


def sample(rules: dict[str, Any], path: str) -> Any:
    """An argument for the parameter RULES; whatever can name something of the host is PATH."""
    match rules["kind"]:
        case "host_path" | "socket_path":
            return path
        case "bytes":
            return {"file": path}
        case "env":
            return {"A": {"from_env": path}}
        case "texts":
            return [f"{path}:/guest"]
        case "port_map":
            return ["1:1"]
        case "rlimits":
            return {"nproc": "1:1"}
        case "flags" | "u16s":
            return []
        case "int":
            return 1
        case "bool":
            return True
        case "fd":
            return 9
        case "enum":
            return {"access": "read-write", "confinement": "required"}.get(rules["enum"], "raw")
        case _:
            return "a"
