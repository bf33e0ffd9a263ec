"""Kubernetes: an indexed Job for plans that ask for the same pod, with a ConfigMap of the plans; or
a Pod for each plan.

/dev/kvm comes from a device plugin, as one of a resource. What of a host a plan names is a volume
hostPath, which the policy of a cluster may forbid. A pod has a network of its own: the ports of two
plans do not meet, and devices of the host's network are not there.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import yaml

from krunc_compiler.emit.engine import PLANS, STORE, Engine, Piece, Refused, head
from krunc_compiler.emit.engine import allowed as allowed_losses
from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.texts import Unspeakable, comment, label
from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, normal
from krunc_compiler.files.hostpath import STORE as IN_STORE
from krunc_compiler.findings.finding import Finding

# Kubernetes takes 1 MiB for keys and values together; a part of that is left for names.
MOST_BYTES = 1_000_000
# Pods of a Job that run at once are held by the cluster's quota, and by what its nodes have.
_AFTER_GRACE_S = 10
_SECRETS = "/etc/krunc/secrets"
_RUN = "/run/krunc"
# Nobody's: the user of images without one of their own, as distroless has it.
_USER = 65532
# What serving a directory, whose files have owners, takes of root.
_SERVING = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID")
# Of the launcher, when a plan was refused, or this node cannot run it.
_REFUSED = 125
_INDEX = "$(JOB_COMPLETION_INDEX)"
_ROOM = 40


class Settings(NamedTuple):
    """What a cluster calls things: the resource of its device plugin, and the image of krunc; and
    whether each plan is a Pod, and no Job."""

    kvm_resource: str = "devices.kubevirt.io/kvm"
    image: str = "localhost/krunc:latest"
    pods: bool = False


class _Member(NamedTuple):
    """A plan of a group, with what of it is told at the top of the file."""

    comments: str
    box: str
    digest: str
    text: str


def object_name(box: str) -> str:
    """Return the Job or Pod of the box called BOX, when it is the first of its group."""
    return f"krunc-{label(box, _ROOM)}"


def made(settings: Settings) -> Engine:
    """Return the engine for a cluster with SETTINGS."""
    return Engine(
        name="kubernetes",
        lacks=frozenset({"descriptor", "desktop_session", "terminal_console"})
        | {"host_device", "shared_socket", "shared_writable_disk"},
        has_many_files=True,
        object_name=object_name,
        part=partial(part, settings),
        whole=partial(whole, settings),
        holds_plans=True,
    )


def part(settings: Settings, needs: Needs) -> str:
    """Return comments on one plan and, as one line of JSON, the pod that it asks for. Raises
    Refused for a plan that fits no ConfigMap, Unspeakable for a path that no volume can have."""
    if len(needs.text.encode()) > MOST_BYTES - 1000:
        message = f"the plan has more than the {MOST_BYTES} bytes that a ConfigMap takes"
        hint = "put it into an image or a volume, and write the Job by hand"
        raise Refused(Finding("KR830", message, hint=hint))
    told = [comment(f"{needs.name} {needs.digest}: {needs.memory_mib} MiB"), *_told(needs)]
    return "\n".join([*told, json.dumps(_pod(settings, needs))])


def whole(settings: Settings, parts: Iterable[tuple[Needs, str]]) -> Iterator[Piece]:
    """Yield a file for each group of plans that ask for the same pod and fit one ConfigMap. No more
    of them than two such are kept."""
    groups: dict[str, list[_Member]] = {}
    sizes: dict[str, int] = {}
    for needs, text in parts:
        comments, _, pod = text.rpartition("\n")
        size = len(needs.text.encode()) + len(needs.digest) + 32
        if pod in groups and (settings.pods or sizes[pod] + size > MOST_BYTES):
            yield _file(settings, pod, groups.pop(pod))
            del sizes[pod]
        while groups and sum(sizes.values()) + size > 2 * MOST_BYTES:
            oldest = next(iter(groups))
            yield _file(settings, oldest, groups.pop(oldest))
            del sizes[oldest]
        groups.setdefault(pod, []).append(_Member(comments, needs.name, needs.digest, needs.text))
        sizes[pod] = sizes.get(pod, 0) + size
    for pod, members in groups.items():
        yield _file(settings, pod, members)


ENGINE = made(Settings())


def _told(needs: Needs) -> Iterator[str]:
    """Yield what a reader of the file has to know of a plan, as comments."""
    yield from allowed_losses(needs)
    for port in needs.ports:
        if port.address.startswith("127."):
            yield comment(f"port {port.host} is on {port.address}: of the pod, and closed outside")
    if "passt" in needs.networks:
        yield comment("passt makes a user namespace: the profile below admits that")


def _pod(settings: Settings, needs: Needs) -> dict[str, Any]:
    """Return the specification of a pod for a plan, whose place is the same in all of a group."""
    mounts = _mounts(needs)
    secrets = list(dict.fromkeys(one.given for one in needs.secrets if one.source == "from_env"))
    index = "0" if settings.pods else _INDEX
    ask = {
        "cpu": str(needs.vcpus),
        "memory": f"{needs.memory_mib}Mi",
        settings.kvm_resource: "1",
    }
    container: dict[str, Any] = {
        "name": "krunc",
        "image": settings.image,
        "command": ["krunc-launch"],
        "args": [
            *("--require-digest", f"{PLANS}/{index}.digest"),
            *("--base", needs.base.replace("$", "$$")),
            *("--store", STORE, "--runtime-dir", f"{_RUN}/vm"),
            *("--exit-record", "/dev/stderr"),
            *(("--secrets", _SECRETS) if secrets else ()),
            f"{PLANS}/{index}.plan.json",
        ],
        "resources": {"requests": ask, "limits": dict(ask)},
        "securityContext": _security(needs),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "plans", "mountPath": PLANS, "readOnly": True},
            {"name": "run", "mountPath": _RUN},
            *(
                {"name": f"host-{number}", "mountPath": path, "readOnly": is_read}
                for number, (path, (is_read, _)) in enumerate(mounts.items())
            ),
        ],
    }
    volumes: list[dict[str, Any]] = [
        {"name": "run", "emptyDir": {}},
        *(
            {"name": f"host-{number}", "hostPath": {"path": path, "type": kind}}
            for number, (path, (_, kind)) in enumerate(mounts.items())
        ),
    ]
    if secrets:
        container["volumeMounts"].append(
            {"name": "secrets", "mountPath": _SECRETS, "readOnly": True}
        )
        items = [{"key": name, "path": name} for name in secrets]
        volumes.append({"name": "secrets", "secret": {"items": items, "defaultMode": 0o440}})
    ports = {(port.host, port.protocol.upper()): None for port in needs.ports}
    if ports:
        container["ports"] = [{"containerPort": one, "protocol": kind} for one, kind in ports]
    user = {} if _is_root(needs) else {"fsGroup": _USER}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": (needs.grace_s or 0) + _AFTER_GRACE_S,
        **({"securityContext": user} if user else {}),
        **_architecture(needs),
        "containers": [container],
        "volumes": volumes,
    }


def _architecture(needs: Needs) -> dict[str, Any]:
    selector = {"kubernetes.io/os": "linux"}
    if needs.platform is not None:
        selector["kubernetes.io/arch"] = needs.platform.partition("/")[2]
    return {"nodeSelector": selector}


def _is_root(needs: Needs) -> bool:
    """Tell whether the files of a plan have owners that root alone can serve, or it becomes another
    user, or needs a capability."""
    served = any(
        path.is_directory and (path.use == "root" or path.access != "read")
        for path in needs.paths
        if path.use in ("root", "share")
    )
    return served or bool(needs.capabilities) or needs.run_as != (None, None)


def _security(needs: Needs) -> dict[str, Any]:
    """Return the security context of the container. RuntimeDefault of containerd and CRI-O admits
    the four calls that krunc makes itself (docs/engines.md); a user namespace it does not."""
    named = [one.removeprefix("CAP_") for one in needs.capabilities]
    capabilities: dict[str, list[str]] = {"drop": ["ALL"]}
    if _is_root(needs):
        capabilities["add"] = sorted({*_SERVING, *named})
    profile = (
        {"type": "Localhost", "localhostProfile": "krunc/passt.json"}
        if "passt" in needs.networks
        else {"type": "RuntimeDefault"}
    )
    user = {"runAsUser": 0} if _is_root(needs) else {"runAsUser": _USER, "runAsGroup": _USER}
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": not _is_root(needs),
        **user,
        "capabilities": capabilities,
        "seccompProfile": profile,
    }


def _mounts(needs: Needs) -> dict[str, tuple[bool, str]]:
    """Return the places of the host that a plan names: whether they are only read, and their type.
    Raises Unspeakable for those that no volume can have."""
    found: dict[str, tuple[bool, str]] = {}

    def add(path: str, is_read: bool, kind: str) -> None:
        path = normal(path)
        if path == "/" or ":" in path or len(path) > 4000:
            raise Unspeakable("a volume for / or for a path with a colon")
        if path.startswith("/dev/") or path == "/dev":
            return  # the container's own
        known = found.get(path, (True, ""))
        found[path] = (is_read and known[0], kind or known[1])

    for one in needs.paths:
        if one.use == "made":
            add(posixpath.dirname(one.path), False, "Directory")
        elif one.use not in ("program", "device"):
            kind = {True: "Directory", False: "File", None: ""}[one.is_directory]
            # A disk may be a block device.
            add(one.path, one.access == "read", "" if one.use == "disk" else kind)
    for socket in needs.sockets:
        if not socket.path.startswith((RUNTIME, LAUNCH, IN_STORE)):
            add(posixpath.dirname(socket.path), socket.how == "connect", "Directory")
    if needs.image is not None:
        add(STORE, True, "Directory")
    return found


def _file(settings: Settings, pod: str, members: list[_Member]) -> Piece:
    """Return the file of a group: a ConfigMap, and a Job or Pod."""
    first = object_name(members[0].box)
    name = first if len(members) == 1 else f"{first}-x{len(members)}"
    data: dict[str, str] = {}
    for number, one in enumerate(members):
        data[f"{number}.digest"] = one.digest + "\n"
        data[f"{number}.plan.json"] = one.text
    spec = json.loads(pod)
    spec["volumes"].insert(0, {"name": "plans", "configMap": {"name": name}})
    for volume in spec["volumes"]:
        if "secret" in volume:
            volume["secret"] = {"secretName": name, **volume["secret"]}
    metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": "krunc"}}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        | {"immutable": True, "data": data},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        if settings.pods
        else _job(metadata, len(members), spec),
    ]
    texts = [head(ENGINE.name), *(f"{one.comments}\n" for one in members)]
    texts += [f"---\n{_yaml(one)}" for one in objects]
    return Piece(f"{name}.yaml", "".join(texts))


def _job(metadata: Mapping[str, Any], count: int, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Job that starts each plan once. A plan that is refused ends its index, and no other:
    where a cluster has no limit for each index (before 1.29), it refuses this Job."""
    codes = {"containerName": "krunc", "operator": "In", "values": [_REFUSED]}
    # Until 1.28 the schema demands the empty list.
    rule = {"action": "FailIndex", "onExitCodes": codes, "onPodConditions": []}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": count,
            "backoffLimitPerIndex": 0,
            "podFailurePolicy": {"rules": [rule]},
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": spec},
        },
    }


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes texts of several lines as such, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def _yaml(value: Mapping[str, Any]) -> str:
    written: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=100_000)
    return written
