"""krunc import docker-run: every option by its table, the words as a shell has them, what is wrong."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import compiles, ran, refused
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.importing.docker_options import long_name, options
from krunc_compiler.importing.words import words
from krunc_compiler.text.parsing import parse

MOUNT = {"tag": "a", "path": "./a", "mount": "/a"}
# An option, the keys of the box that it makes, and a word of each comment.
CARRIED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("", {"rootfs": {"image": "app:1", "changes": "discard"}}, ["4 vCPUs, 4 GiB"]),
    ("--read-only", {"rootfs": {"image": "app:1", "read_only": True}}, []),
    ("--read-only=false", {"rootfs": {"image": "app:1", "changes": "discard"}}, []),
    ("--cpus 2 -m 1g", {"machine": {"cpus": 2, "memory": "1GiB"}}, []),
    ("--cpus=.5 --memory=1536m", {"machine": {"cpus": 1, "memory": "1536MiB"}}, ["0.5 became 1"]),
    ("--memory 16m", {"machine": {"memory": "64MiB"}}, ["which is more"]),
    ("--memory 1000000000", {"machine": {"memory": "953MiB"}}, ["whole MiB"]),
    ("--name web", {"name": "web"}, []),
    ("--name Web_X", {"name": "web_x"}, ["became web_x"]),
    ("-u 1000:1000", {"entrypoint": {"user": "1000:1000"}}, []),
    ("-u 0:0", {"entrypoint": {"user": "root"}}, []),
    ("-u root:staff", {"entrypoint": {"user": "root"}}, ["not 'staff'"]),
    ("-w /srv", {"entrypoint": {"workdir": "/srv"}}, []),
    ("-h web-1", {"hostname": "web-1"}, []),
    ("-h web.example", {"hostname": None}, ["omitted"]),
    ("--network none", {"network": {"mode": "none"}}, []),
    ("--net=none -p 80:80", {"network": {"mode": "none"}}, ["nothing is published"]),
    ("--network bridge", {"network": {"mode": "passt"}}, []),
    ("--network host", {"network": {"mode": "passt"}}, ["open the host's own network"]),
    ("--network container:vpn", {"network": {"mode": "none"}}, ["cannot be joined"]),
    ("--pod p", {"network": {"mode": "none"}}, ["cannot be joined"]),
    ("--network back", {"network": {"mode": "passt"}}, ["where that one was internal"]),
    ("-p 127.0.0.1:8080:80", {"network.ports": ["127.0.0.1:8080:80"]}, []),
    ("-p 8080:80", {"network.ports": ["0.0.0.0:8080:80"]}, []),
    ("-p 53:53/udp", {"network.ports": ["0.0.0.0:53:53/udp"]}, []),
    ("-p 1-2:3-4", {"network.ports": ["0.0.0.0:1:3", "0.0.0.0:2:4"]}, []),
    ("-p 8000-8009:80", {"network.ports": ["0.0.0.0:8000:80"]}, ["not chosen"]),
    ("-p 80", {"network.ports": None}, ["no host port"]),
    ("-p 127.0.0.1::80", {"network.ports": None}, ["no host port"]),
    ("-p [::1]:80:80", {"network.ports": None}, ["IPv4 alone"]),
    ("-p 9:9/sctp", {"network.ports": None}, ["TCP and UDP"]),
    ("-P", {"network.ports": None}, ["write each port"]),
    ("-v ./a:/a", {"shares": [{**MOUNT, "read_only": False}]}, []),
    ("-v ./a:/a:ro", {"shares": [MOUNT]}, []),
    ("-v ./a:/a:rro,rprivate", {"shares": [MOUNT]}, []),
    ("-v ./a:/a:O", {"shares": [MOUNT]}, ["read-only instead"]),
    ("-v ./a:/a:ro,noexec", {"shares": [MOUNT]}, ["noexec does not hold"]),
    ("-v $PWD/a:/a:ro", {"shares": [MOUNT]}, ["$PWD is the box's own"]),
    ('-v "$(pwd)/a":/a:ro', {"shares": [MOUNT]}, ["$PWD is the box's own"]),
    ("--mount type=bind,src=./a,dst=/a,readonly", {"shares": [MOUNT]}, []),
    ("--mount type=bind,src=./a,dst=/a,ro=false", {"shares": [{**MOUNT, "read_only": False}]}, []),
    ("--mount type=bind,src=./a,dst=/a,rw=false", {"shares": [MOUNT]}, []),
    ("-e A_TOKEN=b", {"entrypoint": {"env": {"A_TOKEN": "b"}}}, ["looks like a secret"]),
    ("-v ~/a:/a", {"shares": None}, ["home directory"]),
    ("-v /var/run/docker.sock:/s", {"shares": None}, ["omitted"]),
    ("-v /:/host", {"shares": None}, ["open / on the host"]),
    ("-v //dev/../dev//kvm:/k", {"shares": None}, ["open /dev/kvm"]),
    ("-v /dev/kvm:/k", {"shares": None}, ["open /dev/kvm"]),
    ("-v /proc:/p:ro", {"shares": None}, ["open /proc"]),
    ("-v ./a:/proc/x", {"shares": None}, ["guest's own"]),
    ("-v ./hosts:/etc/hosts", {"shares": None}, ["VM's own"]),
    ("-v ./a.conf:/etc/a.conf:ro", {"shares": [{"tag": "a.conf", "path": "./a.conf", "mount": "/etc/a.conf"}]}, ["a share is a directory"]),
    ("-v db:/db", {"disks": [{"id": "db", "path": "./db.img", "format": "raw", "mount": "/db"}]}, ["mke2fs -q -t ext4 ./db.img", "new disk"]),
    ("-v db:/db:ro", {"disks": [{"id": "db", "path": "./db.img", "format": "raw", "mount": "/db", "read_only": True}]}, ["mke2fs"]),
    ("-v db:/db -u app", {"entrypoint": {"user": "app", "before": "chown app /db"}}, ["gives it"]),
    ("-v /data", {"shares": None, "disks": None, "tmpfs": None}, ["lost with its container"]),
    ("-v /data --read-only", {"tmpfs": ["/data"]}, ["became a tmpfs"]),
    ("--tmpfs /t:size=64m,mode=1777,exec", {"tmpfs": [{"path": "/t", "size": "64MiB", "mode": "1777"}]}, []),
    ("--tmpfs /t", {"tmpfs": ["/t"]}, ["is noexec"]),
    ("--tmpfs /t:size=50%", {"tmpfs": ["/t"]}, ["not a size of a tmpfs"]),
    ("--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=0700", {"tmpfs": [{"path": "/t", "size": "1MiB", "mode": "0700"}]}, ["is noexec"]),
    ("--mount type=image,source=x,target=/t", {"tmpfs": None}, ["no counterpart"]),
    ("--dns 10.0.0.1 --add-host db:10.0.0.2", {"dns": ["10.0.0.1"], "hosts": {"db": "10.0.0.2"}}, []),
    ("--add-host h:host-gateway", {"hosts": None}, ["opens all of it"]),
    ("-e A=b -e C", {"entrypoint": {"env": {"A": "b", "C": {"from_env": "C"}}}}, ["C is read"]),
    ("-e A=$B", {"entrypoint": {"env": {"A": {"from_env": "B"}}}}, ["B is read"]),
    ('-e "A=${B}"', {"entrypoint": {"env": {"A": {"from_env": "B"}}}}, ["B is read"]),
    ("-e 'A=$B'", {"entrypoint": {"env": {"A": "$B"}}}, []),
    ("-e A.B=c", {"entrypoint": None}, ["no box can write"]),
    ("--ulimit nofile=1:2 --pids-limit 3", {"limits": {"nofile": "1:2", "nproc": 3}}, ["not root"]),
    ("--ulimit core=-1", {"limits": {"core": (1 << 64) - 1}}, []),
    ("--pids-limit -1", {"limits": None}, []),
    ("--stop-signal SIGINT --stop-timeout 5", {"stop": {"on_sigterm": "interrupt", "grace": 5}}, []),
    ("--stop-signal SIGQUIT", {"stop": None}, ["none of them"]),
    ("--timeout 60", {"timeout": "60s"}, []),
    ("--label owner=a --label A.B=c", {"labels": {"owner": "a"}}, ["fits no label"]),
    ("--platform linux/arm64", {"arch": "arm64"}, []),
    ("--mac-address 5a:94:ef:e4:0c:01", {"network.mac": "5a:94:ef:e4:0c:01"}, []),
    ("--privileged", {}, ["open the host"]),
    ("--pid host", {}, ["open the host's own"]),
    ("--cap-add ALL", {}, ["every capability"]),
    ("--cap-drop ALL", {}, ["keeps all"]),
    ("--security-opt seccomp=unconfined", {}, ["take a bound away"]),
    ("--security-opt label=disable", {}, ["take a bound away"]),
    ("--security-opt no-new-privileges:true", {}, ["setuid"]),
    ("--device /dev/kvm", {}, ["open a host device"]),
    ("--entrypoint /bin/sh", {"entrypoint": {"executable": "/bin/sh"}}, []),
    ("--entrypoint sh", {"entrypoint": {"script": 'exec "$@"', "args": ["sh"]}}, ["looked up in PATH"]),
    ("-itd", {}, ["a supervisor"]),
    ("-ite A=b", {"entrypoint": {"env": {"A": "b"}}}, []),
    ("-itp80:81", {"network.ports": ["0.0.0.0:80:81"]}, []),
]  # fmt: skip


def found_in(value: dict[str, Any], key: str) -> Any:
    """What VALUE has at a dotted key."""
    for part in key.split("."):
        value = value.get(part, {})
    return value or None


@pytest.mark.parametrize(("option", "keys", "told"), CARRIED, ids=[row[0] for row in CARRIED])
def test_an_option(option: str, keys: dict[str, Any], told: list[str], tmp_path: Path) -> None:
    box = ran(f"docker run --rm {option} app:1")
    compiles(box, tmp_path)
    for key, wanted in keys.items():
        assert found_in(box.value, key) == wanted
    notes = [note for note in box.notes if not note.startswith("machine:")] if option else box.notes
    for word in told:
        assert any(word in note for note in notes), notes
    if not told:
        assert notes == []


@pytest.mark.parametrize("name", options())
def test_every_option_is_carried_told_or_the_same(name: str) -> None:
    """No option with a value that works is lost: the box changes, or a comment names it."""
    option = options()[name]
    if option.quiet or name in ("--rm", "--read-only-tmpfs"):
        return
    value = VALUES.get(name, "x")
    plain = ran("docker run app:1 /a")
    box = ran(f"docker run {name} {value if option.takes else ''} app:1 /a")
    assert box.value != plain.value or any(name in note for note in box.notes), name


VALUES = {
    "--add-host": "a:10.0.0.1", "--cpus": "1", "--dns": "10.0.0.1", "--env": "A=b", "--memory": "1g",
    "--mac-address": "5a:94:ef:e4:0c:01", "--mount": "type=bind,src=/a,dst=/a", "--platform": "arm64",
    "--pids-limit": "1", "--publish": "1:1", "--stop-signal": "INT", "--stop-timeout": "3",
    "--timeout": "3", "--tmpfs": "/a", "--ulimit": "core=1", "--volume": "/a:/a", "--workdir": "/a",
    "--arch": "arm64", "--label": "a=b",
}  # fmt: skip


def test_the_table_has_every_option_of_docker() -> None:
    """As the docker of this host tells them, where there is one."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker")
    done = subprocess.run(
        ["docker", "run", "--help"],
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip("docker does not run")
    rows = re.findall(r"(?m)^ +(?:(-\w), )?(--[a-z0-9-]+) ?([a-z0-9-]*)", done.stdout)
    assert len(rows) > 90
    for short, name, kind in rows:
        assert options()[name].takes == bool(kind), name
        assert not short or long_name(short) == name


PROGRAMS = [
    ("docker run -it app sh -c 'echo $A; ls | wc'", ["sh", "-c", "echo $A; ls | wc"]),
    ('docker run app "a  b" \\\n  c\\ d \'e\'"f" # not this\n', ["a  b", "c d", "ef"]),
    ("podman run app -- -x --rm", ["--", "-x", "--rm"]),
    ("nerdctl -n k8s run app a\\$b", ["a$b"]),
    ("sudo docker --context x container run -- app '' é", ["", "é"]),
    ("# a comment\n\n/usr/bin/docker run app x#y '#z'", ["x#y", "#z"]),
    ('docker run app "\\$x" "\\a" "5$"', ["$x", "\\a", "5$"]),
]


@pytest.mark.parametrize(
    "text", [".nan", ".inf", "-.inf", "1e999", "010", "007", "0x1F", "no", "~"]
)
def test_a_word_that_looks_like_a_number_stays_a_word(text: str) -> None:
    written = to_yaml({"entrypoint": {"args": [text], "env": {"A": text}}}, [], "a box")
    value, _ = parse("x", written)
    assert value == {"entrypoint": {"args": [text], "env": {"A": text}}}


@pytest.mark.parametrize(("command", "args"), PROGRAMS)
def test_the_words_are_those_of_a_shell(command: str, args: list[str]) -> None:
    assert ran(command).value["entrypoint"] == {"args": args}


# What is wrong with a command: each finding's line, column, and words.
WRONG: list[tuple[str, list[str]]] = [
    ("", ["expected docker, podman or nerdctl"]),
    ("ls", ["1:1:", "expected docker, podman or nerdctl, got 'ls'"]),
    ("docker ps", ["1:8:", "expected run here"]),
    ("docker", ["1:1:", "expected run here"]),
    ("docker --nope run x", ["1:8:", "'--nope' of docker"]),
    ("docker run", ["no image"]),
    ("docker run -p", ["1:12:", "a value is missing"]),
    ("docker run --read-onyl app", ["1:12:", "did you mean --read-only"]),
    ("docker run \\\n  -itX app", ["2:6:", "'-X' is not known"]),
    ("docker run --rm=maybe app", ["1:17:", "not a value of --rm"]),
    ("docker run -p 1:99999 -p x:1 app", ["1:15:", "1:26:", "publishes no port"]),
    ("docker run --cpus many --memory lots -u '' app", ["1:19:", "1:33:", "1:41:", "not a user"]),
    ("docker run -w srv -v a:b -v x/y:/z app", ["1:15:", "1:22:", "1:29:", "neither a volume nor a path"]),
    ("docker run --name $USER $IMAGE $1", ["1:19:", "$USER", "1:25:", "$IMAGE", "1:32:", "KR513"]),
    ("docker run app `date` $(date) ${A:-b}", ["1:16:", "1:23:", "1:31:", "KR513"]),
    ("docker run -e A=$B$C app", ["1:17:", "1:19:"]),
    ("docker run -v $PWD:$PWD app", ["1:15:", "'.' is not an absolute path"]),
    ("docker run app | cat", ["1:16:", "for the shell"]),
    ("docker run app\ndocker run b", ["2:1:", "a second command"]),
    ("docker run 'app", ["1:12:", "not closed"]),
    ("docker run app \\", ["1:16:", "nothing follows"]),
    ("docker run --ulimit files=1 app", ["1:21:", "not a limit"]),
    ("docker run --dns here --add-host a app", ["1:18:", "1:34:"]),
    ("docker run --tmpfs t --tmpfs /t:mode=9,size=x app", ["1:20:", "1:30:", "not a mode", "not a size"]),
    ("docker run --platform windows app", ["not a platform"]),
    ("docker run --mount type=bind,dst=/a app", ["no source"]),
    ("docker run --entrypoint= app", ["1:26:", "which program"]),
    ("podman run --rootfs ./r", ["which program"]),
    ("docker run -v ./a:/a:r0 app", ["1:15:", "'r0' is not an option"]),
    ("docker run --mount type=bind,src=/a,dst=/a,read-only app", ["1:20:", "'read-only' is not an option"]),
    ("docker run -v /a:/ app", ["the root itself"]),
    ("docker run app " + "x" * 200_000, ["more than 131,072 characters"]),
    ("docker run " + "-v /a:/a " * 70 + "app", ["one mount too many"]),
    ("docker run " + "".join(f"-p {n}00-{n}99:{n}00-{n}99 " for n in range(10, 30)) + "app", ["too many ports"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "told"), WRONG, ids=[row[0][:60] for row in WRONG])
def test_what_is_wrong_is_told_at_its_place(command: str, told: list[str]) -> None:
    with pytest.raises(Rejected) as rejected:
        ran(command)
    said = refused(rejected.value)
    for word in told:
        assert word in said, said


def test_the_words_behind_two_dashes_are_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["docker", "run", "--rm", "app:1", "sh", "-c", "a  $b", "--", "-o", "x"]
    assert main(["import", "docker-run", "--", *command]) == 0
    words_out = capsys.readouterr().out
    assert main(["import", "docker-run", shlex.join(command)]) == 0
    assert capsys.readouterr().out == words_out
    value, _ = parse("box", words_out)
    assert value["entrypoint"]["args"] == ["sh", "-c", "a  $b", "--", "-o", "x"]


def test_what_cannot_compile_is_told_before_a_box_is_written(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    box = tmp_path / "box.yaml"
    command = "docker run --memory 64m --tmpfs /t:size=1g -v a:/x -v b:/x app:1"
    assert main(["import", "docker-run", command, "-o", str(box)]) == 1
    said = capsys.readouterr().err
    assert "tmpfs[0].size" in said
    assert "disks[1].mount" in said
    assert not box.exists()


def test_no_comment_tells_a_secret() -> None:
    secrets = "-e A=hunter2 --creds u:hunter2 --health-cmd hunter2"
    box = ran(f"docker run {secrets} --log-opt t=hunter2 --secret hunter2 app")
    assert not any("hunter2" in note for note in box.notes)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_quoted_words_come_back(given_words: list[str]) -> None:
    found, findings = words(shlex.join(given_words))
    assert findings == []
    assert [word.text for word in found] == given_words


@settings(deadline=None, max_examples=200)
@given(st.text("ab \t'\"\\#$\n=", max_size=14))
def test_the_words_are_those_of_the_shell_of_this_host(text: str) -> None:
    found, findings = words(f"x {text}")
    if findings or any(word.variables for word in found):
        return
    done = subprocess.run(
        ["sh", "-fc", f"printf '%s\\0' x {text}"], capture_output=True, check=True
    )
    assert [word.text for word in found] == done.stdout.decode().split("\0")[:-1]


PIECES = st.sampled_from(
    [*options(), "-it", "-v", "-p", "-e", "=", " ", " ", "\n", "\\\n", "'", '"', "$A", "$(", "`", "#",
     "docker run ", "a:/b", "/a:/b:ro,z", "80:80", "1-9:2-3/udp", "A=b", "type=bind,", "src=a", "~", ":",
     "64m", "-1", "99999999999999999999", "é\x85", "\x00", "[::1]:1:1", "@", "{{ x }}", "--"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=12))
def test_any_text_gives_a_box_or_findings(pieces: list[str]) -> None:
    try:
        box = ran("docker run " + "".join(pieces))
    except Rejected as rejected:
        assert refused(rejected)
        return
    value, _ = parse("box.yaml", to_yaml(box.value, box.notes, "title"))
    assert value["name"]


def test_a_long_command_takes_no_long_time() -> None:
    for body in ("-" + "i" * 100_000 + " app", "app " + "$A" * 40_000, "-e A=b " * 4000 + "app"):
        try:
            ran(f"docker run {body}")
        except Rejected as rejected:
            assert rejected.findings
