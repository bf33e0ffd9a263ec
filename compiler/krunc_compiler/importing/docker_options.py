"""Every option of docker run, podman run and nerdctl run: what it becomes, or why it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from krunc_compiler.importing import docker_values as values
from krunc_compiler.importing.draft import At, Draft
from krunc_compiler.importing.reasons import REASONS

Act = Callable[[Draft, At, str], None]


class Option(NamedTuple):
    """An option by its long name: whether a value follows, what it says in the page of options,
    and what it does to a box. Without an `act` it is told, unless it is `quiet`."""

    name: str
    takes: bool
    says: str
    act: Act | None = None
    quiet: bool = False
    # Whether its value names a path of the host, in which $PWD is the box's directory.
    is_path: bool = False
    # Whether a comment may repeat its value.
    is_shown: bool = False


_SHORT = {
    "-a": "--attach", "-c": "--cpu-shares", "-d": "--detach", "-e": "--env", "-h": "--hostname",
    "-i": "--interactive", "-l": "--label", "-m": "--memory", "-p": "--publish",
    "-P": "--publish-all", "-q": "--quiet", "-t": "--tty", "-u": "--user", "-v": "--volume",
    "-w": "--workdir",
}  # fmt: skip
_ALIASES = {"--net": "--network", "--net-alias": "--network-alias", "--dns-opt": "--dns-option"}
_BECOMES: tuple[tuple[str, str, Act], ...] = (
    ("--add-host", "`hosts`", values.host),
    ("--arch", "`arch`", values.platform),
    ("--cpus", "`machine.cpus`, whole ones", values.cpus),
    ("--dns", "`dns`", values.dns),
    ("--entrypoint", "`entrypoint.executable` and `args`", values.entrypoint),
    ("--hostname", "`hostname`", values.hostname),
    ("--label", "`labels`, where its name fits one", values.label),
    ("--mac-address", "`network.mac`", values.mac),
    ("--memory", "`machine.memory`", values.memory),
    ("--name", "`name`", values.name),
    (
        "--network",
        "`network`: none, and another container's, is none; all others are passt",
        values.network,
    ),
    ("--pids-limit", "`limits.nproc`", values.pids),
    ("--platform", "`arch`", values.platform),
    ("--publish", "`network.ports`, on every address where none is said", values.port),
    ("--stop-signal", "`stop.on_sigterm`", values.stop_signal),
    ("--stop-timeout", "`stop.grace`", values.grace),
    ("--timeout", "`timeout`", values.timeout),
    ("--tmpfs", "`tmpfs`", values.tmpfs),
    ("--ulimit", "`limits`", values.ulimit),
    ("--user", "`entrypoint.user`", values.user),
    ("--workdir", "`entrypoint.workdir`", values.workdir),
)
_PATHS: tuple[tuple[str, str, Act], ...] = (
    ("--mount", "as `--volume` and `--tmpfs`", values.mount),
    ("--volume", "`shares` for a path, `disks` for a name; writable unless `ro`", values.volume),
)
# By a reason in reasons.py: options with a value, and (behind |) those without.
_TOLD = {
    "blkio": "--blkio-weight --blkio-weight-device --device-read-bps --device-read-iops "
    "--device-write-bps --device-write-iops",
    "cap_add": "--cap-add",
    "cap_drop": "--cap-drop",
    "cgroup": "--cgroup-parent --cgroup-conf --cgroups --cpu-rt-period --cpu-rt-runtime "
    "--rdt-class",
    "cpuset": "--cpuset-cpus --cpuset-mems",
    "cpu_weight": "--cpu-shares --cpu-period --cpu-quota",
    "detach": "| --detach",
    "device": "--device --device-cgroup-rule --hostuser --preserve-fd --preserve-fds",
    "dns_option": "--dns-option --dns-search --domainname",
    "engine": "--annotation --authfile --cert-dir --chrootdirs --cidfile --conmon-pidfile "
    "--cosign-certificate-identity --cosign-certificate-identity-regexp "
    "--cosign-certificate-oidc-issuer --cosign-certificate-oidc-issuer-regexp --cosign-key --creds "
    "--decryption-key --env-merge --image-volume --init-path --ipfs-address --os --passwd-entry "
    "--group-entry "
    "--personality --pidfile --pod-id-file --requires --retry --retry-delay --sdnotify "
    "--variant --verify --volume-driver --hosts-file --soci-index-digest | "
    "--disable-content-trust --passwd --replace --rmi --tls-verify --no-hosts "
    "--no-hostname --use-api-socket",
    "env_file": "--env-file",
    "gpu": "--gpus",
    "group_add": "--group-add",
    "health": "--health-cmd --health-interval --health-log-destination --health-max-log-count "
    "--health-max-log-size --health-on-failure --health-retries --health-start-interval "
    "--health-start-period --health-startup-cmd --health-startup-interval "
    "--health-startup-retries --health-startup-success --health-startup-timeout --health-timeout",
    "init": "--init-binary --systemd | --init",
    "isolation": "--isolation --cpu-count --cpu-percent --io-maxbandwidth --io-maxiops",
    "label_file": "--label-file",
    "link": "--link",
    "log": "--log-driver --log-opt",
    "memory_reserve": "--memory-reservation --kernel-memory",
    "memory_swap": "--memory-swap --memory-swappiness",
    "namespace": "--gidmap --uidmap --subgidname --subuidname",
    "network_address": "--ip --ip6 --link-local-ip --network-alias",
    "oom": "--oom-score-adj | --oom-kill-disable",
    "privileged": "| --privileged",
    "publish_all": "| --publish-all",
    "pull": "--pull",
    "restart": "--restart",
    "runtime": "--runtime",
    "secret": "--secret",
    "shm": "--shm-size --shm-size-systemd",
    "storage": "--storage-opt",
    "sysctl": "--sysctl",
    "umask": "--umask",
    "volumes_from": "--volumes-from",
}
_UNSHOWN = ("engine", "env_file", "health", "log", "secret", "storage")
# What is the same without a word, and why.
_QUIET = (
    ("--attach", True, "the console is krunc launch's own"),
    ("--detach-keys", True, "the console is krunc launch's own"),
    ("--expose", True, "it publishes nothing"),
    ("--interactive", False, "the console is krunc launch's own"),
    ("--tty", False, REASONS["tty"]),
    ("--no-healthcheck", False, "krunc runs no health check"),
    ("--quiet", False, "it is about what the engine says"),
    ("--rm", False, "`rootfs.changes: discard`"),
    ("--sig-proxy", False, "krunc launch passes SIGTERM on"),
    ("--help", False, "it runs nothing"),
)
_ODD: tuple[tuple[str, bool, str, Act], ...] = (
    ("--cgroupns", True, f"noted: {REASONS['namespace']}", values.namespace),
    ("--ipc", True, f"noted: {REASONS['ipc']}", values.namespace),
    ("--pid", True, f"noted: {REASONS['namespace']}", values.namespace),
    ("--userns", True, f"noted: {REASONS['namespace']}", values.namespace),
    ("--uts", True, f"noted: {REASONS['namespace']}", values.namespace),
    ("--env", True, "`entrypoint.env`; a name alone is `{from_env: NAME}`", values.variable),
    ("--env-host", False, "noted: the host's variables are not passed on", values.env_host),
    ("--http-proxy", False, "noted: the host's proxy variables are not passed on", values.env_host),
    ("--pod", True, "`network: {mode: none}`: another's cannot be joined", values.pod),
    ("--read-only", False, "`rootfs.read_only`", values.read_only),
    ("--read-only-tmpfs", False, "noted: write each under `tmpfs`", values.read_only_tmpfs),
    ("--rootfs", False, "`rootfs.path` is what stands for the image", values.rootfs),
    ("--security-opt", True, "noted: what it bounds, and what it would open", values.security),
    ("--seccomp-policy", True, f"noted: {REASONS['seccomp']}", values.seccomp),
    ("--tz", True, "noted: write TZ under `entrypoint.env`", values.time_zone),
    ("--unsetenv", True, "noted: an image's variable stays", values.unset),
    ("--unsetenv-all", False, "noted: an image's variables stay", values.unset),
)


@cache
def options() -> dict[str, Option]:
    """Return all options by their long names, in the order of the names."""
    found = sorted(_all(), key=lambda option: option.name)
    return {option.name: option for option in found}


def _all() -> Iterator[Option]:
    for name, says, act in _BECOMES:
        yield Option(name, True, says, act, is_shown=name != "--label")
    for name, says, act in _PATHS:
        yield Option(name, True, says, act, is_path=True, is_shown=True)
    for name, takes, says, act in _ODD:
        yield Option(name, takes, says, act, is_shown=name != "--env")
    for name, takes, says in _QUIET:
        yield Option(name, takes, says, quiet=True)
    for reason, names in _TOLD.items():
        valued, _, flags = names.partition("|")
        is_shown = reason not in _UNSHOWN
        for name in valued.split():
            yield Option(name, True, f"noted: {REASONS[reason]}", is_shown=is_shown)
        for name in flags.split():
            yield Option(name, False, f"noted: {REASONS[reason]}")


def long_name(text: str) -> str:
    """Return the long name of the option TEXT, which may be another's."""
    return _SHORT.get(text) or _ALIASES.get(text, text)


def spellings(name: str) -> list[str]:
    """Return all ways in which the option NAME is written."""
    others = {**_SHORT, **_ALIASES}
    return [name, *(other for other, long in others.items() if long == name)]


# Options of the engine itself, before `run`; a value follows those of the first line.
ENGINE_VALUED = frozenset(
    [
        "-H",
        "--host",
        "-c",
        "--context",
        "--config",
        "--log-level",
        "-l",
        "-n",
        "--namespace",
        "-a",
        "--address",
        "--root",
        "--runroot",
        "--storage-driver",
        "--storage-opt",
        "--connection",
        "--url",
        "--identity",
        "--cgroup-manager",
        "--snapshotter",
        "--data-root",
        "--events-backend",
        "--runtime",
        "--tmpdir",
        "--tlscacert",
        "--tlscert",
        "--tlskey",
        "--conmon",
        "--hooks-dir",
        "--module",
        "--network-cmd-path",
        "--network-config-dir",
        "--out",
        "--runtime-flag",
        "--ssh",
        "--volumepath",
        "--cni-path",
        "--cni-netconfpath",
        "--host-gateway-ip",
        "--hosts-dir",
    ]
)
ENGINE_FLAGS = frozenset(
    [
        "-D",
        "--debug",
        "--tls",
        "--tlsverify",
        "-r",
        "--remote",
        "--noout",
        "--syslog",
        "--transient-store",
        "--debug-full",
        "--insecure-registry",
        "--experimental",
    ]
)
