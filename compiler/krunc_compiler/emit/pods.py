"""The pod that a plan asks for: its volumes, its resources, its user and its security context."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from krunc_compiler.emit.engine import PLANS, STORE
from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.texts import Unspeakable
from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, normal
from krunc_compiler.files.hostpath import STORE as IN_STORE
from krunc_compiler.findings.finding import UsageError
from krunc_compiler.findings.report import printable

_AFTER_GRACE_S = 10
_SECRETS = "/etc/krunc/secrets"
_RUN = "/run/krunc"
# Nobody's: the user of images without one of their own, as distroless has it.
_USER = 65532
# What serving a directory, whose files have owners, takes of root.
_SERVING = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID")
_INDEX = "$(JOB_COMPLETION_INDEX)"


# Kubernetes' names of objects, with dots (RFC 1123), and qualified names of resources.
_SUBDOMAIN = r"(?=.{1,253}(?:/|\Z))[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_QUALIFIED = rf"{_SUBDOMAIN}/[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?"
# By setting: what it has to be, and how that is told.
_NAMES = {
    "plans_volume": (_SUBDOMAIN, "the name of a claim: lower-case letters, digits, hyphens, dots"),
    "kvm_resource": (_QUALIFIED, "the name of a resource with its domain, such as squat.ai/kvm"),
    "image": (r"[!-~]+", "the name of an image, without spaces"),
}


class Settings(NamedTuple):
    """What a cluster calls things: the resource of its device plugin, and the image of krunc;
    whether each plan is a Pod, and no Job; and the claim of the volume in which the plans are,
    where they are in no ConfigMap."""

    kvm_resource: str = "devices.kubevirt.io/kvm"
    image: str = "localhost/krunc:latest"
    pods: bool = False
    plans_volume: str | None = None

    @property
    def has_one_each(self) -> bool:
        """Tell whether each plan has an object of its own. The pods of one Job know nothing but
        their index, and a volume has the plans by their names."""
        return self.pods or self.plans_volume is not None


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings that are GIVEN by options; raises UsageError for a name that no object of
    a cluster can have."""
    for name, (allowed, told) in _NAMES.items():
        text = given.get(name)
        if text is not None and not re.fullmatch(allowed, text):
            raise UsageError(f"--{name.replace('_', '-')} '{printable(text)}': it has to be {told}")
    return Settings(**given)


def pod_of(settings: Settings, needs: Needs) -> dict[str, Any]:
    """Return the specification of a pod for a plan, whose place is the same in all of a group.
    Raises Unspeakable for a path that no volume can have."""
    mounts = _mounts(needs)
    secrets = needs.secret_files
    digest, plan = _approved(settings, needs)
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
            *("--require-digest", digest),
            *("--base", _argument(needs.base)),
            *("--store", STORE, "--runtime-dir", f"{_RUN}/vm"),
            *("--exit-record", "/dev/stderr"),
            *(("--secrets", _SECRETS) if secrets else ()),
            plan,
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


def _approved(settings: Settings, needs: Needs) -> tuple[str, str]:
    """Return the arguments that are the digest and the plan. A volume has the plans alone: what is
    in it does not approve itself."""
    if settings.plans_volume is not None:
        return needs.digest, _argument(f"{PLANS}/{needs.name}.plan.json")
    index = "0" if settings.pods else _INDEX
    return f"{PLANS}/{index}.digest", f"{PLANS}/{index}.plan.json"


def _argument(text: str) -> str:
    """Return TEXT as an argument in which Kubernetes puts no variable."""
    return text.replace("$", "$$")


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
