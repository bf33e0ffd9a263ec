"""Manifests of Kubernetes: valid for old and new versions, and texts that stay texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from engine_texts import TEXTS
from hypothesis import assume, example, given, settings
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.emit.engine import Refused
from krunc_compiler.emit.kubernetes import MOST_BYTES, made
from krunc_compiler.emit.needs import Needs, needs_of
from krunc_compiler.emit.pods import Settings
from krunc_compiler.emit.texts import Unspeakable
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from places import ROOT
from whole_boxes import ONLY, WHOLE, compiled

BOXES = sorted((ROOT / "boxes").glob("*.plan.json"))
# The three newest that the validator knows, and two old ones.
VERSIONS = ["1.37", "1.36", "1.35", "1.29", "1.28"]
PLANS = [
    (name, box, target)
    for name, box in WHOLE.items()
    for target in ("1", "2")
    if ONLY.get(box, target) == target
]
HELLO = (ROOT / "boxes/hello.plan.json").read_text()


def needs(text: str = HELLO) -> Needs:
    """What a plan needs, with its text."""
    return needs_of(read_plan("hello", text), "/srv/x")._replace(text=text)


# The boxes of the project write to one root.
ONE_AT_A_TIME = ("--allow-loss", "shared_writable_path=one at a time")


def documents(some: list[Needs], **more: Any) -> list[list[dict[str, Any]]]:
    """The objects in each file for some plans."""
    engine = made(Settings(**more))
    pieces = engine.whole((one, engine.part(one)) for one in some)
    return [list(yaml.safe_load_all(piece.text)) for piece in pieces]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pods", [False, True], ids=["jobs", "pods"])
def test_every_box_is_valid(version: str, pods: bool, tmp_path: Path) -> None:
    words = ["emit", "kubernetes", str(ROOT / "boxes"), "--base", "/srv/boxes", *ONE_AT_A_TIME]
    words += ["-o", str(tmp_path)]
    assert main([*words, *(["--pods"] if pods else [])], refusals) == 0
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(BOXES)
    for file in files:
        for one in yaml.safe_load_all(file.read_text()):
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize(
    ("box", "target"), [row[1:] for row in PLANS], ids=[f"{a}-{c}" for a, _, c in PLANS]
)
def test_every_kind_of_plan_is_valid(box: str, target: str) -> None:
    plan = compiled(box, target)
    one = needs_of(plan, "/srv/x")._replace(text=to_text(plan))
    for pods in (False, True):
        for item in documents([one], pods=pods)[0]:
            kubernetes_validate.validate(item, VERSIONS[0], strict=True)


def test_plans_of_one_shape_are_one_job_with_each_plan_as_it_was() -> None:
    plan = read_plan("hello", HELLO)
    some = [needs(to_text(plan._replace(box=f"box-{number}"))) for number in range(200)]
    ((config, job),) = documents(some)
    assert job["spec"]["completions"] == 200
    assert [config["data"][f"{number}.plan.json"] for number in range(200)] == [
        one.text for one in some
    ]
    assert [config["data"][f"{number}.digest"] for number in range(200)] == [
        f"{one.digest}\n" for one in some
    ]
    rule = job["spec"]["podFailurePolicy"]["rules"][0]
    assert rule["onExitCodes"]["values"] == [125]


def test_a_config_map_stays_below_its_limit() -> None:
    """Plans of two kinds come in turn, and no file holds more than a ConfigMap takes."""
    text = HELLO.ljust(300_000)
    small, large = needs(), needs()._replace(ram_mib=4096)
    some = [one._replace(text=text, name=f"n{n}") for n in range(8) for one in (small, large)]
    made_of = documents(some)
    assert sum(job["spec"]["completions"] for _, job in made_of) == len(some)
    for config, _ in made_of:
        assert sum(len(key) + len(value) for key, value in config["data"].items()) < 1 << 20
    with pytest.raises(Refused) as refused:
        documents([small._replace(text=HELLO.ljust(MOST_BYTES))])
    assert refused.value.finding.code == "KR830"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("more", [[], ["--pods"]], ids=["jobs", "pods"])
def test_a_volume_has_the_plans_and_each_object_its_digest(
    version: str, more: list[str], tmp_path: Path
) -> None:
    """A volume holds a plan of any size, and cannot approve what is in it."""
    large = tmp_path / "large.plan.json"
    large.write_text(HELLO.replace('"hello"', '"large"', 1).ljust(1 << 20))
    words = ["emit", "kubernetes", str(large), str(ROOT / "boxes"), "--base", "/srv/x"]
    words += ONE_AT_A_TIME
    words += ["--plans-volume", "plans.of-mine", *more, "-o", str(tmp_path / "out")]
    assert main(words, refusals) == 0
    for plan in (large, *BOXES):
        name, text = plan.name.removesuffix(".plan.json"), plan.read_text()
        (one,) = yaml.safe_load_all((tmp_path / f"out/krunc-{name}.yaml").read_text())
        kubernetes_validate.validate(one, version, strict=True)
        assert one["kind"] == ("Pod" if more else "Job")
        pod = one["spec"] if more else one["spec"]["template"]["spec"]
        claim = {"claimName": "plans.of-mine", "readOnly": True}
        assert pod["volumes"][0] == {"name": "plans", "persistentVolumeClaim": claim}
        (container,) = pod["containers"]
        mounts = {row["mountPath"]: row["readOnly"] for row in container["volumeMounts"][:1]}
        assert mounts == {"/etc/krunc/plans": True}
        args = container["args"]
        assert args[:2] == ["--require-digest", needs(text).digest]
        assert args[-1] == f"/etc/krunc/plans/{name}.plan.json"


@pytest.mark.parametrize("more", [{"pods": True}, {"plans_volume": "plans"}])
def test_objects_of_their_own_are_written_one_by_one(more: dict[str, Any]) -> None:
    """None is kept until another comes, however many there are."""
    engine = made(Settings(**more))
    read = []

    def parts() -> Iterator[tuple[Needs, str]]:
        for number in range(3):
            one = needs()._replace(name=f"n{number}")
            read.append(one.name)
            yield one, engine.part(one)

    for number, piece in enumerate(engine.whole(parts())):
        assert piece.name == f"krunc-n{number}.yaml"
        assert read == [f"n{before}" for before in range(number + 1)]


@given(TEXTS)
@settings(max_examples=80)
@example("$(JOB_COMPLETION_INDEX)")
@example("a\n  privileged: true\n")
@example("--- # x")
@example("\u2028- a: b")
def test_no_text_breaks_out_of_a_manifest(text: str) -> None:
    assume(text not in (".", ".."))
    one = needs()
    paths = tuple(path._replace(path=f"/srv/{text}/{n}") for n, path in enumerate(one.paths))
    hostile = one._replace(paths=paths, base=f"/srv/{text}", text=f"{HELLO}{text}\n{text}")
    ((config, job),) = documents([one])
    try:
        ((bad_config, bad_job),) = documents([hostile])
    except Unspeakable:
        assert ":" in text or "\0" in text
        return
    assert bad_config["data"]["0.plan.json"] == hostile.text
    assert bad_config | {"data": None} == config | {"data": None}
    pod, bad = (item["spec"]["template"]["spec"] for item in (job, bad_job))
    args = bad["containers"][0]["args"]
    at = args.index("--base") + 1
    # What Kubernetes reads: $$ is a $, and $( without another before it a variable.
    assert args[at].replace("$$", "$") == f"/srv/{text}"
    assert "$(" not in args[at].replace("$$", "")
    assert shape(bad) == shape(pod)


def shape(value: Any) -> Any:
    """The keys of VALUE and the kinds of what they have."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def test_secrets_are_files_of_a_secret_by_name() -> None:
    text = (ROOT / "boxes/isolated.plan.json").read_text()
    one = needs(text)
    ((_, job),) = documents([one])
    pod = job["spec"]["template"]["spec"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert secret["secretName"] == "krunc-isolated"
    assert secret["items"] == [{"key": "AGENT_TOKEN", "path": "AGENT_TOKEN"}]
    assert "--secrets" in pod["containers"][0]["args"]


def test_options_of_another_engine_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emit", "slurm", str(BOXES[0]), "--kvm-resource", "a/kvm"], refusals) == 2
    assert "--kvm-resource is for kubernetes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "name"),
    [
        *(("--plans-volume", name) for name in ("A", "a_b", "-a", "a-", "a..b", "a/b", "a\nb")),
        ("--plans-volume", "a" * 254),
        *(("--kvm-resource", name) for name in ("kvm", "/kvm", "a/", "a/b/c", "A.b/kvm", "a/k vm")),
        ("--kvm-resource", "a/" + "k" * 64),
        *(("--image", name) for name in ("a b", "a\n  privileged: true")),
    ],
)
def test_a_name_that_no_cluster_has_is_wrong_usage(
    option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emit", "kubernetes", str(BOXES[0]), f"{option}={name}"], refusals) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{option} " in err
    assert "it has to be the name of " in err


def test_two_pods_have_one_port(tmp_path: Path) -> None:
    box = "krunc: 1\nname: NAME\nrootfs: {path: /srv/x, read_only: true}\n"
    box += "network: {mode: tsi, ports: ['80:80']}\nentrypoint: {executable: /bin/a}\n"
    for name in "ab":
        plan = compiled(box.replace("NAME", name), "2")
        (tmp_path / f"{name}.plan.json").write_text(to_text(plan))
    assert main(["emit", "kubernetes", str(tmp_path)], refusals) == 0
    assert main(["emit", "slurm", str(tmp_path)], refusals) == 1


def test_what_a_pod_cannot_have_is_a_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = compiled(
        "krunc: 1\nname: web\nrootfs: {path: /srv/x}\nnetwork: {mode: tap, device: tap0}\n"
        "entrypoint: {executable: /bin/a}\n",
        "2",
    )
    path = tmp_path / "web.plan.json"
    path.write_text(to_text(plan))
    assert main(["emit", "kubernetes", str(path)], refusals) == 1
    assert "KR831" in capsys.readouterr().err
