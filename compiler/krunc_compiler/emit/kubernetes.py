"""Kubernetes: an indexed Job for plans that ask for the same pod, with a ConfigMap of the plans; or
a Pod for each plan. Where the plans are in a volume of the cluster, each is a Job or Pod of its
own, with the digest among its arguments.

/dev/kvm comes from a device plugin, as one of a resource. What of a host a plan names is a volume
hostPath, which the policy of a cluster may forbid. A pod has a network of its own: the ports of two
plans do not meet, and devices of the host's network are not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from krunc_compiler.emit.engine import REFUSED, Engine, Piece, Refused, head
from krunc_compiler.emit.engine import allowed as allowed_losses
from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.pods import Settings, pod_of
from krunc_compiler.emit.texts import comment, label
from krunc_compiler.emit.yaml_text import to_yaml
from krunc_compiler.findings.finding import Finding

# Kubernetes takes 1 MiB for keys and values together; a part of that is left for names.
MOST_BYTES = 1_000_000
_ROOM = 40


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
        | {"host_device", "shared_socket", "shared_writable_disk", "shared_writable_path"},
        object_name=object_name,
        part=partial(part, settings),
        whole=partial(whole, settings),
        holds_plans=settings.plans_volume is None,
    )


def part(settings: Settings, needs: Needs) -> str:
    """Return comments on one plan and, as one line of JSON, the pod that it asks for. Raises
    Refused for a plan that fits no ConfigMap, Unspeakable for a path that no volume can have."""
    if len(needs.text.encode()) > MOST_BYTES - 1000:
        message = f"the plan has more than the {MOST_BYTES} bytes that a ConfigMap takes"
        hint = "give --plans-volume CLAIM, a volume of the cluster that has the plans"
        raise Refused(Finding("KR830", message, hint=hint))
    told = [comment(f"{needs.name} {needs.digest}: {needs.memory_mib} MiB"), *_told(needs)]
    return "\n".join([*told, json.dumps(pod_of(settings, needs))])


def whole(settings: Settings, parts: Iterable[tuple[Needs, str]]) -> Iterator[Piece]:
    """Yield a file for each plan that has an object of its own, else for each group of plans that
    ask for the same pod and fit one ConfigMap. No more of them than two such are kept."""
    groups: dict[str, list[_Member]] = {}
    sizes: dict[str, int] = {}
    for needs, text in parts:
        comments, _, pod = text.rpartition("\n")
        member = _Member(comments, needs.name, needs.digest, needs.text)
        if settings.has_one_each:
            yield _file(settings, pod, [member])
            continue
        size = len(needs.text.encode()) + len(needs.digest) + 32
        if pod in groups and sizes[pod] + size > MOST_BYTES:
            yield _file(settings, pod, groups.pop(pod))
            del sizes[pod]
        while groups and sum(sizes.values()) + size > 2 * MOST_BYTES:
            oldest = next(iter(groups))
            yield _file(settings, oldest, groups.pop(oldest))
            del sizes[oldest]
        groups.setdefault(pod, []).append(member)
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


def _file(settings: Settings, pod: str, members: list[_Member]) -> Piece:
    """Return the file of a group: a ConfigMap, unless the plans are in a volume, and a Job or
    Pod."""
    first = object_name(members[0].box)
    name = first if len(members) == 1 else f"{first}-x{len(members)}"
    spec = json.loads(pod)
    spec["volumes"].insert(0, {"name": "plans", **_plans(settings, name)})
    for volume in spec["volumes"]:
        if "secret" in volume:
            volume["secret"] = {"secretName": name, **volume["secret"]}
    metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": "krunc"}}
    objects = [
        *(() if settings.plans_volume is not None else (_config_map(metadata, members),)),
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        if settings.pods
        else _job(metadata, len(members), spec),
    ]
    texts = [head(ENGINE.name), *(f"{one.comments}\n" for one in members)]
    texts += [f"---\n{to_yaml(one)}" for one in objects]
    return Piece(f"{name}.yaml", "".join(texts))


def _plans(settings: Settings, name: str) -> dict[str, Any]:
    """Return where the volume with the plans comes from."""
    if settings.plans_volume is None:
        return {"configMap": {"name": name}}
    return {"persistentVolumeClaim": {"claimName": settings.plans_volume, "readOnly": True}}


def _config_map(metadata: Mapping[str, Any], members: list[_Member]) -> dict[str, Any]:
    data: dict[str, str] = {}
    for number, one in enumerate(members):
        data[f"{number}.digest"] = one.digest + "\n"
        data[f"{number}.plan.json"] = one.text
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return config | {"immutable": True, "data": data}


def _job(metadata: Mapping[str, Any], count: int, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Job that starts each plan once. A plan that is refused ends its index, and no other:
    where a cluster has no limit for each index (before 1.29), it refuses this Job."""
    codes = {"containerName": "krunc", "operator": "In", "values": [REFUSED]}
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
