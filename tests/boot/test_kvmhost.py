"""The emulated KVM host, as its command line and as a library: real boots, real jobs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kvmhost import job, machine
from kvmhost.errors import HostError
from places import TOOLS
from processes import PATIENCE, wait_until

KVMHOST = [sys.executable, str(TOOLS / "kvmhost")]
ALL_BYTES = bytes(range(256)) * 1024
AWKWARD = ["", "two  words", "it's", '"', "$HOME `id` \\", "line\nbreak", "ünïcode", "*", "-n"]


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a machine that is up, and that KVMHOST_DIR names."""
    at = tmp_path_factory.mktemp("kvmhost") / "it's, up"
    machine.up(at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVMHOST_DIR", str(at))
        yield at
    machine.down(at)
    assert not at.exists()


def kvmhost(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KVMHOST, *argv], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


def machines_of(directory: Path) -> list[str]:
    """The emulated machines whose files are below directory, by their command lines."""
    processes = subprocess.run(
        ["ps", "-wwe", "-o", "args"], capture_output=True, text=True, check=True
    )
    return [line for line in processes.stdout.splitlines() if f"path={directory}" in line]


@pytest.mark.boot
@pytest.mark.usefixtures("directory")
class TestCommandLine:
    def test_output_and_status_come_back_apart(self) -> None:
        done = kvmhost("run", "sh", "-c", "echo out; echo err >&2; exit 7")
        assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")

    def test_arguments_that_look_like_options_are_the_commands(self) -> None:
        assert kvmhost("run", "--", "echo", "-t", "--").stdout == "-t --\n"

    def test_stdin_is_passed_on_when_asked_for(self) -> None:
        done = subprocess.run(
            [*KVMHOST, "run", "-i", "cat"], input=ALL_BYTES, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, ALL_BYTES, b"")

    def test_output_is_passed_on_as_it_appears(self, tmp_path: Path) -> None:
        script = f"echo first; until [ -e '{tmp_path}/go' ]; do sleep 0.1; done; echo last"
        argv = [*KVMHOST, "run", "-t", str(PATIENCE), "sh", "-c", script]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout
            assert running.stdout.readline() == "first\n"
            (tmp_path / "go").touch()
            assert running.stdout.read() == "last\n"
        assert running.returncode == 0

    def test_a_command_that_takes_too_long_is_killed_with_all_it_started(self) -> None:
        script = "echo begun; setsid sleep 98765 & sleep 98765; wait"
        done = kvmhost("run", "-t", "8", "sh", "-c", script)
        message = f"kvmhost: timed out after 8 s, killed: sh -c '{script}'\n"
        assert (done.returncode, done.stdout, done.stderr) == (124, "begun\n", message)
        assert "98765" not in kvmhost("run", "ps", "-eo", "args").stdout

    def test_an_interrupted_run_kills_its_job_and_leaves_the_machine_up(self) -> None:
        argv = [*KVMHOST, "run", "sh", "-c", "echo begun; sleep 87654"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as running:
            assert running.stdout
            assert running.stdout.readline() == b"begun\n"
            running.send_signal(signal.SIGINT)
        assert running.returncode == 128 + signal.SIGINT
        assert kvmhost("status").returncode == 0
        assert "87654" not in kvmhost("run", "ps", "-eo", "args").stdout

    def test_a_reader_that_goes_away_ends_the_job(self) -> None:
        argv = [*KVMHOST, "run", "-t", str(PATIENCE), "yes"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert running.stdout
            assert running.stderr
            assert running.stdout.readline() == b"y\n"
            running.stdout.close()
            assert running.stderr.read() == b""
        assert running.returncode == 128 + signal.SIGPIPE


@pytest.mark.boot
class TestJob:
    @pytest.mark.parametrize(
        ("argv", "status"),
        [
            pytest.param(["true"], 0, id="well"),
            pytest.param(["sh", "-c", "exit 255"], 255, id="highest"),
            pytest.param(["sh", "-c", "kill -9 $$"], 137, id="killed"),
            pytest.param(["sh", "-c", "kill -INT $$"], 130, id="interrupted"),
            pytest.param(["/etc/passwd"], 126, id="not executable"),
            pytest.param(["no-such-command"], 127, id="not found"),
            pytest.param(["no=such-command"], 127, id="not a variable"),
        ],
    )
    def test_status(self, directory: Path, argv: list[str], status: int) -> None:
        assert job.run(directory, argv).returncode == status

    def test_every_byte_comes_back(self, directory: Path, tmp_path: Path) -> None:
        (tmp_path / "bytes").write_bytes(ALL_BYTES)
        done = job.run(directory, ["sh", "-c", "cat bytes; cat bytes >&2"], cwd=tmp_path)
        assert done.stdout == ALL_BYTES
        assert done.stderr == ALL_BYTES

    def test_arguments_environment_and_directory_arrive(
        self, directory: Path, tmp_path: Path
    ) -> None:
        cwd = tmp_path / "a \"b\" 'c'\n$d"
        cwd.mkdir()
        env = {"PATH": os.environ["PATH"], "AWKWARD": "".join(AWKWARD), "BASH_FUNC_f%%": "() {"}
        script = 'printf "%s\\0" "$@"; env -0; pwd; cat'
        done = job.run(directory, ["bash", "-c", script, "bash", *AWKWARD], cwd=cwd, env=env)
        *said, end = os.fsdecode(done.stdout).split("\0")
        assert said[: len(AWKWARD)] == AWKWARD
        assert {f"{k}={v}" for k, v in env.items()} <= set(said[len(AWKWARD) :])
        assert end == f"{cwd}\n"

    def test_a_timeout_carries_the_output_so_far(self, directory: Path) -> None:
        with pytest.raises(subprocess.TimeoutExpired) as raised:
            job.run(directory, ["sh", "-c", "echo begun; sleep 98765"], timeout=8)
        assert raised.value.output == b"begun\n"

    def test_jobs_run_at_the_same_time(self, directory: Path, tmp_path: Path) -> None:
        script = "touch $1; until [ -e 0 ] && [ -e 1 ] && [ -e 2 ]; do sleep 0.1; done; exit $1"

        def meet(number: int) -> int:
            argv = ["sh", "-c", script, "sh", str(number)]
            return job.run(directory, argv, cwd=tmp_path, timeout=PATIENCE).returncode

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(meet, range(3))) == [0, 1, 2]

    def test_what_is_left_in_the_background_does_not_hold_the_job(self, directory: Path) -> None:
        done = job.run(directory, ["sh", "-c", "sleep 1000 & echo done"], timeout=PATIENCE)
        assert (done.returncode, done.stdout) == (0, b"done\n")

    def test_changes_here_are_seen_by_the_next_job(self, directory: Path, tmp_path: Path) -> None:
        for content, name in (("old", "this"), ("new", "that")):
            (tmp_path / "file").write_text(content)
            os.utime(tmp_path / "file", ns=(0, 0))  # as long and as old as before
            (tmp_path / name).touch()
            done = job.run(directory, ["sh", "-c", "cat file; echo; ls"], cwd=tmp_path)
            assert done.stdout.decode().split() == [content, "file", name]
            (tmp_path / name).unlink()

    def test_changes_there_are_seen_here(self, directory: Path, tmp_path: Path) -> None:
        job.run(directory, ["sh", "-c", "mkdir new; echo text >new/file"], cwd=tmp_path)
        assert (tmp_path / "new/file").read_text() == "text\n"


@pytest.mark.boot
class TestInside:
    def test_kvm_works(self, directory: Path) -> None:
        # KVM_GET_API_VERSION, linux/kvm.h
        script = "import fcntl, os; print(fcntl.ioctl(os.open('/dev/kvm', os.O_RDWR), 0xAE00))"
        done = job.run(directory, [sys.executable, "-c", script])
        assert (done.returncode, done.stdout) == (0, b"12\n")

    def test_devices_and_limits(self, directory: Path) -> None:
        script = """
            stat -c %a /dev/kvm /dev/net/tun
            echo text >/dev/shm/file && cat /dev/shm/file
            cat /sys/class/net/lo/carrier
            script -qc tty /dev/null
            echo text >/dev/stderr
            hostname; id -u; ulimit -n
        """
        done = job.run(directory, ["sh", "-c", script])
        said = "666\n666\ntext\n1\n/dev/pts/0\r\nkvmhost\n0\n65536\n"
        assert (done.stdout.decode(), done.stderr) == (said, b"text\n")

    def test_what_a_job_leaves_behind_is_reaped(self, directory: Path) -> None:
        script = (
            "(sleep 0.2 & echo $!) | { read pid; while [ -e /proc/$pid ]; do sleep 0.1; done; }"
        )
        assert job.run(directory, ["sh", "-c", script], timeout=PATIENCE).returncode == 0


@pytest.mark.boot
class TestMachine:
    def test_two_ups_boot_one_that_powers_itself_off(self, tmp_path: Path) -> None:
        env = {**os.environ, "KVMHOST_DIR": str(tmp_path / "two"), "KVMHOST_IDLE": "10"}
        up = [*KVMHOST, "up"]
        with subprocess.Popen(up, env=env) as one, subprocess.Popen(up, env=env) as other:
            assert [one.wait(), other.wait()] == [0, 0]
        assert len(machines_of(tmp_path)) == 1
        wait_until(lambda: not machines_of(tmp_path))
        assert kvmhost("status", KVMHOST_DIR=env["KVMHOST_DIR"]).returncode == 1
        assert kvmhost("down", KVMHOST_DIR=env["KVMHOST_DIR"]).returncode == 0
        assert list(tmp_path.iterdir()) == []

    def test_a_run_without_a_machine_boots_one_and_stops_it(self, tmp_path: Path) -> None:
        env = {**os.environ, "KVMHOST_DIR": str(tmp_path / "none"), "TMPDIR": str(tmp_path)}
        argv = [*KVMHOST, "run", "sh", "-c", "echo begun; sleep 100"]
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as running:
            assert running.stdout
            assert running.stdout.readline() == b"begun\n"
            assert len(machines_of(tmp_path)) == 1
            running.terminate()
        assert running.returncode == 128 + signal.SIGTERM
        assert machines_of(tmp_path) == []
        assert list(tmp_path.iterdir()) == []

    def test_a_machine_that_dies_shows_its_console(self, tmp_path: Path) -> None:
        env = {"KVMHOST_DIR": str(tmp_path / "none"), "TMPDIR": str(tmp_path)}
        done = kvmhost("run", "sh", "-c", "echo c >/proc/sysrq-trigger", **env)
        assert done.returncode == 125
        assert "the emulated machine was lost while it ran sh -c" in done.stderr
        assert "Kernel panic - not syncing: sysrq triggered crash" in done.stderr
        assert list(tmp_path.iterdir()) == []


class TestWithoutMachine:
    def test_a_machine_that_hangs_is_told_to_kill_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        monkeypatch.setattr(machine, "is_up", lambda at: True)
        monkeypatch.setattr(machine, "alive", lambda at: True)
        monkeypatch.setattr(machine, "order", lambda at, line: told.append(line.split()[0]))
        monkeypatch.setattr(job, "_KILL_TIMEOUT", 0.1)
        machine.state(tmp_path).mkdir()
        with pytest.raises(HostError, match="does not kill a job"):
            job.run(tmp_path, ["true"], timeout=0.1)
        assert told == ["run", "kill"]
        assert not list(machine.state(tmp_path).iterdir())

    def test_a_library_call_needs_a_machine(self, tmp_path: Path) -> None:
        with pytest.raises(HostError, match="no emulated machine is up"):
            job.run(tmp_path, ["true"])

    def test_everything_missing_is_named_at_once(self, tmp_path: Path) -> None:
        env = {"PATH": "", "XDG_CACHE_HOME": str(tmp_path), "KVMHOST_DIR": str(tmp_path / "none")}
        done = kvmhost("run", "true", **env)
        assert done.returncode == 125
        for package in ("qemu-system-x86", "busybox-static", "linux-image-cloud-amd64"):
            assert package in done.stderr

    @pytest.mark.parametrize("argv", [["run"], ["run", "-t", "x", "true"], []], ids=" ".join)
    def test_wrong_usage(self, argv: list[str]) -> None:
        assert kvmhost(*argv).returncode == 2
