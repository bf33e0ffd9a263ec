"""The translated configurations: their plans are current, and a launch does what the original asks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from places import ROOT
from ports import free_ports
from recorder.expected import LAUNCH, expected, furnished
from recorder.fixtures import Launch

DIRECTORY = ROOT / "examples" / "translated"
PASST = "interface eth0 10.0.2.15 24 10.0.2.2"
RESOLVER = "nameserver 10.0.2.3"
# What happens in the guest before the program, and what the program is; as the originals have it.
ORDERS = {
    "agent": [
        "root_share krunc-root read",
        "discard_changes",
        "mount_share /opt/tools tools read",
        "mount_tmpfs /tmp 64 1777",
        "mount_share /work work read-write",
        "hostname agent-1",
        "user agent",
        "workdir /work",
        "program /usr/bin/agent --listen vsock://2695 --notify vsock://2696",
    ],
    "builder": [
        "root_disk /dev/vda1 ext4 read-write",
        "mount_share /work work read-write",
        PASST,
        "host registry.internal 10.30.0.9",
        RESOLVER,
        "user dev",
        "before set -eu mkdir -p /var/cache/build chown dev /var/cache/build",
        "workdir /",
        'program /bin/sh -c set -eu mkdir -p "$HOME/bin" exec make -C /work serve script',
    ],
    "check": [
        "root_share krunc-root read",
        "discard_changes",
        "mount_tmpfs /builds 1777",
        "mount_share /checkout checkout read",
        "mount_share /report report read-write",
        PASST,
        RESOLVER,
        "workdir /",
        "program /bin/sh -c set -eu cp -R /checkout /builds/app cd /builds/app mkdir -p report "
        "trap 'cp -R report/. /report' EXIT ./configure make -j \"$JOBS\" make check script",
    ],
    "devbox": [
        "root_share krunc-root read-write",
        "mount_share /src src read-write",
        "nameserver 9.9.9.9",
        "workdir /src",
        "program /usr/bin/make -C /src serve",
    ],
    "nginx": [
        "root_share krunc-root read",
        "discard_changes",
        "mount_share /usr/share/nginx/html site read",
        "mount_tmpfs /var/cache/nginx 64 1777",
        PASST,
        RESOLVER,
        "workdir /",
        "program /docker-entrypoint.sh nginx -g daemon off;",
    ],
    "postgres": [
        "root_share krunc-root read",
        "discard_changes",
        "mount_tmpfs /run/postgresql 0775",
        "mount_tmpfs /tmp 1777",
        "mount_disk /var/lib/postgresql/data /dev/vda ext4 read-write",
        PASST,
        RESOLVER,
        "user 999:999",
        "before chown 999:999 /var/lib/postgresql/data /run/postgresql",
        "workdir /",
        "program /usr/local/bin/docker-entrypoint.sh postgres -c shared_buffers=128MB",
    ],
    "service": [
        "root_disk /dev/vda ext4 read",
        "mount_disk /var/lib/service /dev/vdb ext4 read-write",
        "workdir /",
        "program /usr/bin/service",
    ],
    "shell": [
        "root_share krunc-root read",
        "keep_changes /dev/vda ext4",
        "mount_disk /home/dev /dev/vdb ext4 read-write",
        "mount_share /workspaces/app app read-write",
        PASST,
        RESOLVER,
        "user dev",
        "before chown dev /home/dev",
        "workdir /workspaces/app",
        "program /bin/bash -l",
    ],
    "thumbnail": [
        "root_share krunc-root read",
        "mount_share /in in read",
        "mount_share /out out read-write",
        "mount_tmpfs /tmp 64 1777",
        "user 1000:1000",
        "workdir /out",
        "program /usr/bin/thumbnail --size 200 /in /out",
    ],
    "worker": [
        "root_share krunc-root read",
        "discard_changes",
        PASST,
        "hostname worker-1",
        "host queue.internal 10.20.0.5",
        "host db.internal 10.20.0.6",
        "nameserver 10.20.0.2",
        "nameserver 10.20.0.3",
        "user app",
        "workdir /app",
        "program /usr/local/bin/celery -A shop.tasks worker --loglevel info",
    ],
}
# Variables of the program; a map names where the value is read at launch.
ENV: dict[str, dict[str, Any]] = {
    "agent": {"AGENT_MODE": "batch", "AGENT_TOKEN": {"from_file": "agent/token"}},
    "builder": {"MAKEFLAGS": "-j2"},
    "check": {
        "CI": "true",
        "CFLAGS": "-O1 -g",
        "JOBS": "2",
        "CI_JOB_TOKEN": {"from_env": "CI_JOB_TOKEN"},
    },
    "devbox": {},
    "nginx": {"NGINX_ENTRYPOINT_QUIET_LOGS": "1"},
    "postgres": {
        "POSTGRES_USER": "shop",
        "POSTGRES_DB": "shop",
        "POSTGRES_PASSWORD": {"from_env": "DB_PASSWORD"},
        "PGDATA": "/var/lib/postgresql/data/pgdata",
    },
    "service": {},
    "shell": {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "FORGE_TOKEN": {"from_env": "FORGE_TOKEN"},
    },
    "thumbnail": {},
    "worker": {
        "BROKER_URL": "amqp://queue.internal:5672//",
        "LANG": "C.UTF-8",
        "SENTRY_DSN": {"from_env": "SENTRY_DSN"},
    },
}
# What leads into the VM, the time that it has, and how it is asked to stop: signal and grace time.
PORTS = {
    "builder": ["127.0.0.1:8001:8000"],
    "devbox": ["8081:80"],
    "nginx": ["127.0.0.1:8080:80"],
    "postgres": ["127.0.0.1:5432:5432"],
    "shell": ["127.0.0.1:8000:8000"],
}
TIMEOUT = {"agent": 3600, "check": 1200, "thumbnail": 60}
STOP = {
    "agent": ("TERM", 15),
    "nginx": ("TERM", 20),
    "postgres": ("INT", 60),
    "worker": ("TERM", 45),
}
# What libkrun 1.16 can do; the others ask it for what it cannot enforce.
FITS_1_16 = {"builder", "devbox"}


def test_each_has_an_original_a_plan_and_rows_in_the_table() -> None:
    names = {path.stem for path in DIRECTORY.glob("*.yaml")}
    assert names == ORDERS.keys()
    assert len(names) == 10
    table = (DIRECTORY / "README.md").read_text("utf-8")
    for name in names:
        assert (DIRECTORY / f"{name}.from.txt").exists()
        assert f"[{name}]({name}.yaml)" in table
        assert f"({name}.from.txt)" in table
        assert f"| **{name}** " in table


def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DIRECTORY)]) == 0
    assert capsys.readouterr().out == "krunc: checked 10 boxes, 10 plans: no problems found\n"


@pytest.mark.parametrize("name", ORDERS)
def test_what_an_older_libkrun_cannot_enforce_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["compile", str(DIRECTORY / f"{name}.yaml"), "--target", "1.16", "-o", "-"])
    said = capsys.readouterr().err
    assert status == (0 if name in FITS_1_16 else 1), said
    assert status == 0 or "KR208" in said


def said(row: dict[str, Any]) -> str:
    """An order with its values as one line, the program's variables aside."""
    words = [row["order"]]
    for value in row["args"].values():
        if isinstance(value, list):
            words += value
        elif isinstance(value, (str, int)):
            words.append(str(value))
    return " ".join(" ".join(words).split())


@pytest.mark.parametrize("name", ORDERS)
def test_the_plan_does_what_the_original_asks(name: str) -> None:
    plan = json.loads((DIRECTORY / f"{name}.plan.json").read_text("utf-8"))
    rows = plan["operations"]
    orders = [row for row in rows if "order" in row]
    assert [said(row) for row in orders] == ["report 2694", *ORDERS[name]]
    assert orders[-1]["args"]["envp"] == ENV[name]
    steps = {row["step"]: row.get("args", {}) for row in rows if "step" in row}
    calls = {row["call"]: row.get("args", {}) for row in rows if "call" in row}
    ports = steps.get("start_passt", {}).get("tcp_ports", [])
    assert ports + calls.get("krun_set_port_map", {}).get("port_map", []) == PORTS.get(name, [])
    assert steps.get("end_after", {}).get("seconds") == TIMEOUT.get(name)
    stop = steps["pass_sigterm"]
    assert (stop["signal"], stop["grace_s"]) == STOP.get(name, ("TERM", 10))
    unconnected = {row["implicit"] for row in rows if "implicit" in row} & {"no_network"}
    assert bool(unconnected) == (name in ("agent", "service", "thumbnail"))


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("name", ORDERS)
def test_launched_against_the_recorder(
    name: str, target: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    text = (DIRECTORY / f"{name}.yaml").read_text("utf-8")
    # A port that somebody has is no fault of the box.
    text = re.sub(r'(?<=[":])\d+(?=:\d+"\])', lambda _: str(free_ports()), text)
    (tmp_path / "box.yaml").write_text(text, "utf-8")
    assert main(["compile", str(tmp_path / "box.yaml"), "--target", target]) == 0
    file = tmp_path / "box.plan.json"
    plan = json.loads(file.read_text("utf-8"))
    orders = [said(row) for row in plan["operations"] if "order" in row]
    assert orders == ["report 2694", *ORDERS[name]], "the guest's part is the same for each libkrun"
    (tmp_path / name).mkdir()
    secrets = [value for value in ENV[name].values() if isinstance(value, dict)]
    for secret in secrets:
        if "from_file" in secret:
            (tmp_path / secret["from_file"]).write_text("s3cret\n")
    env = {secret["from_env"]: "s3cret" for secret in secrets if "from_env" in secret}
    runtime = tmp_path / "run"
    with furnished(tmp_path, plan, runtime):
        done = launch(file, KRUN_RECORDER_EXIT="7", **env)
    assert (done.returncode, done.stderr) == (7, "")
    wanted = expected(plan, tmp_path, runtime)
    assert [call["call"] for call in done.calls] == [call["call"] for call in wanted]
    for call, seen in zip(wanted, done.calls, strict=True):
        for value, got in zip(call["args"], seen["args"], strict=True):
            if isinstance(value, dict):  # a descriptor that the launcher opened
                assert got > 2
            elif isinstance(got, str):
                assert re.sub(r"/launch-[0-9a-f]{12}/", f"/{LAUNCH}/", got) == value
            else:
                assert got == value
    assert not list(runtime.glob("launch-*"))
