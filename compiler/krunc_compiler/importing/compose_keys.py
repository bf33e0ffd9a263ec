"""Every key of a Compose service: what it becomes, or why it does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler.importing import compose_values as values
from krunc_compiler.importing.draft import At, Draft
from krunc_compiler.importing.reasons import REASONS

Act = Callable[[Draft, At, Any], None]


class Key(NamedTuple):
    """A key: what the page of keys says, and what it does. Without an `act` it is told, unless it
    is `quiet`: then something else looks at it, or nothing has to."""

    name: str
    says: str
    act: Act | None = None
    quiet: bool = False


_BECOMES: tuple[tuple[str, str, Act], ...] = (
    ("command", "`entrypoint.args`, one string as a shell splits it", values.command),
    ("container_name", "`name`", values.name),
    ("cpus", "`machine.cpus`, whole ones", values.cpus),
    (
        "deploy",
        "`resources.limits` as `cpus`, `mem_limit`, `pids_limit`; the rest is noted",
        values.deploy,
    ),
    ("dns", "`dns`", values.dns),
    ("entrypoint", "`entrypoint.executable` and `args`", values.entrypoint),
    ("extra_hosts", "`hosts`", values.hosts),
    ("hostname", "`hostname`", values.hostname),
    ("labels", "`labels`, where a name fits one", values.labels),
    ("mac_address", "`network.mac`", values.mac),
    ("mem_limit", "`machine.memory`", values.memory),
    (
        "network_mode",
        "`network`: none, and another's, is none; all others are passt",
        values.network_mode,
    ),
    ("pids_limit", "`limits.nproc`", values.pids),
    ("platform", "`arch`", values.platform),
    ("ports", "`network.ports`, on every address where none is said", values.ports),
    ("privileged", f"noted: {REASONS['privileged']}", values.privileged),
    ("read_only", "`rootfs.read_only`", values.read_only),
    ("security_opt", "noted: what it bounds, and what it would open", values.security),
    ("stop_grace_period", "`stop.grace`", values.grace),
    ("stop_signal", "`stop.on_sigterm`", values.stop_signal),
    ("tmpfs", "`tmpfs`", values.tmpfs),
    ("ulimits", "`limits`", values.ulimits),
    ("user", "`entrypoint.user`", values.user),
    (
        "volumes",
        "`shares` for a path, `disks` for a name; writable unless read-only",
        values.volumes,
    ),
    ("working_dir", "`entrypoint.workdir`", values.workdir),
    *(
        (key, f"noted: {REASONS['namespace']}", values.namespace)
        for key in ("cgroup", "ipc", "pid", "userns_mode", "uts")
    ),
)
_TOLD = {
    "blkio": "blkio_config",
    "build": "build develop",
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "cgroup": "cgroup_parent cpu_rt_period cpu_rt_runtime",
    "config": "configs",
    "cpuset": "cpuset",
    "cpu_weight": "cpu_shares cpu_period cpu_quota",
    "device": "devices device_cgroup_rules",
    "dns_option": "dns_opt dns_search domainname",
    "engine": "annotations attach post_start pre_start pre_stop provider models use_api_socket",
    "env_file": "env_file",
    "gpu": "gpus",
    "group_add": "group_add",
    "depends": "depends_on",
    "health": "healthcheck",
    "init": "init",
    "isolation": "isolation cpu_count cpu_percent credential_spec",
    "label_file": "label_file",
    "link": "links external_links",
    "log": "logging log_driver log_opt",
    "memory_reserve": "mem_reservation",
    "memory_swap": "memswap_limit mem_swappiness",
    "oom": "oom_kill_disable oom_score_adj",
    "pull": "pull_policy pull_refresh_after",
    "restart": "restart scale",
    "runtime": "runtime",
    "secret": "secrets",
    "shm": "shm_size",
    "storage": "storage_opt volume_driver",
    "sysctl": "sysctls",
    "volumes_from": "volumes_from",
}
_QUIET = {
    "environment": "`entrypoint.env`; `${NAME}` and a name alone are `{from_env: NAME}`",
    "expose": "nothing: it publishes nothing",
    "extends": "what the service of this file has; another file is an error",
    "image": "`rootfs.image`",
    "networks": "`network: {mode: none}` where all are internal, else passt",
    "profiles": "nothing: a service that is named is taken",
    "stdin_open": "nothing: the console is krunc launch's own",
    "tty": f"nothing: {REASONS['tty']}",
}


@cache
def keys() -> dict[str, Key]:
    """Return all keys by their names, in the order of the names."""
    found = [Key(name, says, act) for name, says, act in _BECOMES]
    found += [Key(name, says, quiet=True) for name, says in _QUIET.items()]
    found += [
        Key(name, f"noted: {REASONS[reason]}")
        for reason, names in _TOLD.items()
        for name in names.split()
    ]
    return {key.name: key for key in sorted(found, key=lambda key: key.name)}
