"""Every operation that a plan may hold: how it is read, or why it tells nothing of the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from krunc_compiler.review.fact import Fact, Row
from krunc_compiler.review.facts import (
    console,
    host,
    image,
    machine,
    network,
    process,
    stage,
    storage,
)

Reading = Callable[[Row], Iterator[Fact]]

CALLS: dict[str, Reading] = {
    "krun_set_log_level": machine.log,
    "krun_init_log": machine.log,
    "krun_set_vm_config": machine.size,
    "krun_set_cpu_template": machine.cpu,
    "krun_set_nested_virt": machine.nested,
    "krun_split_irqchip": machine.interrupts,
    "krun_set_smbios_oem_strings": machine.smbios,
    "krun_setuid": machine.user,
    "krun_setgid": machine.user,
    "krun_set_kernel": machine.kernel,
    "krun_set_firmware": machine.firmware,
    "krun_disable_implicit_init": machine.no_init,
    "krun_set_tee_config_file": machine.confidential,
    "krun_set_attestation_url": network.attestation,
    "krun_nitro_set_image": machine.enclave_image,
    "krun_nitro_set_start_flags": machine.enclave_flags,
    "krun_set_root": storage.directory,
    "krun_add_virtiofs": storage.directory,
    "krun_add_virtiofs2": storage.directory,
    "krun_add_virtiofs3": storage.directory,
    "krun_add_virtiofs4": storage.directory,
    "krun_fs_add_overlay_file": storage.overlay,
    "krun_fs_add_overlay_dir": storage.overlay_directory,
    "krun_set_mapped_volumes": storage.volumes,
    "krun_add_disk": storage.disk,
    "krun_add_disk2": storage.disk,
    "krun_add_disk3": storage.disk,
    "krun_set_root_disk": storage.disk,
    "krun_set_data_disk": storage.disk,
    "krun_set_root_disk_remount": storage.root_disk,
    "krun_set_exec": process.executed,
    "krun_set_env": process.replaced_environment,
    "krun_set_workdir": process.workdir,
    "krun_set_rlimits": process.limits,
    "krun_add_vsock": network.vsock,
    "krun_add_vsock_port": network.port,
    "krun_add_vsock_port2": network.port,
    "krun_set_port_map": network.ports,
    "krun_set_egress_policy": network.allowed,
    "krun_set_control_socket": network.control,
    "krun_add_net_unixstream": network.device,
    "krun_add_net_unixgram": network.device,
    "krun_add_net_tap": network.device,
    "krun_set_passt_fd": network.passt,
    "krun_set_gvproxy_path": network.gvproxy,
    "krun_set_net_mac": network.mac,
    "krun_set_gpu_options": machine.gpu,
    "krun_set_gpu_options2": machine.gpu,
    "krun_set_snd_device": machine.sound,
    "krun_add_display": machine.display,
    "krun_display_set_edid": machine.display_setting,
    "krun_display_set_dpi": machine.display_setting,
    "krun_display_set_physical_size": machine.display_setting,
    "krun_display_set_refresh_rate": machine.display_setting,
    "krun_add_input_device_fd": machine.input_device,
    "krun_add_vhost_user_device": machine.backend,
    "krun_set_console_output": console.output,
    "krun_set_kernel_console": console.kernel_console,
    "krun_add_virtio_console_default": console.descriptors,
    "krun_add_serial_console_default": console.descriptors,
    "krun_add_console_port_tty": console.descriptors,
    "krun_add_console_port_inout": console.descriptors,
}

STEPS: dict[str, Reading] = {
    "require_image": image.required,
    "open_file": host.file,
    "open_device": host.device,
    "start_passt": host.program,
    "make_runtime_directory": host.runtime_directory,
    "clear_stale_socket": host.stale_socket,
    "raise_nofile": host.open_files,
    "confine": host.confine,
    "stop_on_sigterm": host.stop,
    "pass_sigterm": host.stop,
    "end_after": host.timeout,
    "lay_stage": stage.laid,
    "require_architecture": machine.architecture,
}

ORDERS: dict[str, Reading] = {
    "root_share": stage.root_share,
    "root_disk": stage.root_disk,
    "discard_changes": stage.discarded,
    "keep_changes": stage.kept,
    "mount_tmpfs": stage.tmpfs,
    "mount_share": stage.share,
    "mount_disk": stage.disk,
    "interface": stage.interface,
    "hostname": stage.hostname,
    "host": stage.host,
    "nameserver": stage.nameserver,
    "user": stage.user,
    "before": stage.before,
    "workdir": stage.workdir,
    "program": stage.program,
}

IMPLICIT: dict[str, Reading] = {
    "vsock_with_tsi": network.tsi,
    "all_guest_ports_published": network.all_ports,
    "console_on_stdio": console.on_stdio,
    "kernel": machine.own_kernel,
    "init": machine.own_init,
    "program_of_the_root": process.of_the_root,
}

_DEMAND = "a demand: the launch stops where it is not met, and the call that uses it is read"
_STATED = "what follows from its presence or absence is in the plan as an implicit operation"

# What says nothing of the host, and why that is so.
SILENT: dict[str, str] = {
    "krun_create_ctx": "an empty configuration",
    "krun_start_enter": "builds what the other calls configured",
    "krun_disable_implicit_vsock": _STATED,
    "krun_disable_implicit_console": _STATED,
    "krun_add_virtio_console_multiport": "an empty console; each of its ports is read",
    "require_hypervisor": _DEMAND,
    "require_directory": _DEMAND,
    "require_file": _DEMAND,
    "require_socket": _DEMAND,
    "require_tap": _DEMAND,
    "require_nested_virtualization": _DEMAND,
    "report": "how the launcher hears of the program; the vsock port that it names is read",
    "balloon": "the guest gives unused memory back",
    "rng": "host random numbers, each like any other",
    "vsock": "a device without TSI; each of its ports is read",
    "no_network": "the isolation list is made from what reaches a network",
}
# The arguments of what is read that no fact shows, and why the guest cannot tell one from another.
UNSHOWN: dict[tuple[str, str], str] = {
    ("krun_add_vhost_user_device", "num_queues"): "how a device works, not what is behind it",
    ("krun_add_vhost_user_device", "queue_sizes"): "how a device works, not what is behind it",
    ("require_image", "layer_bytes"): "what an image weighs in a registry",
}
# Those of SILENT that come and go with a fact: a difference names them where no fact shows it.
STATED = frozenset(name for name, why in SILENT.items() if why == _STATED) | {"no_network", "vsock"}
READINGS: dict[str, dict[str, Reading]] = {
    "call": CALLS,
    "step": STEPS,
    "order": ORDERS,
    "implicit": IMPLICIT,
}
