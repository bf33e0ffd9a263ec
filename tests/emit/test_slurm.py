"""Job arrays of Slurm: real ones on two nodes, and scripts that no text of a plan breaks out of."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.emit.engine import engine
from krunc_compiler.emit.needs import Allowed, Needs, needs_of
from krunc_compiler.emit.texts import Unspeakable
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from places import ROOT
from processes import gone, wait_until
from recorder.fixtures import LAUNCHER
from slurm import HAS_SLURM, NODES, Cluster
from whole_boxes import compiled

needs_slurm = pytest.mark.skipif(not HAS_SLURM, reason="slurm-wlm, munge and root are needed")
LINE = "/usr/bin/python3 -IS /usr/bin/krunc-launch"
HELLO = read_plan("hello", (ROOT / "boxes/hello.plan.json").read_text())


def scripts(needs: list[Needs]) -> dict[str, str]:
    """The files for some plans."""
    slurm = engine("slurm")
    return {
        piece.name: piece.text for piece in slurm.whole((one, slurm.part(one)) for one in needs)
    }


TEXTS = st.text(
    st.one_of(
        st.sampled_from("\"'\\%${}() \t\n;#=[]*?&|`!<>@"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=20,
)


@given(TEXTS, TEXTS)
@settings(max_examples=40)
@example("a\n#SBATCH --uid=0\n", "a\n#SBATCH --uid=0")
@example("') ;;\n*) evil ;;\n(", "@) set -- ")
@example("$(evil) `evil`", "x\\")
def test_no_text_breaks_out_of_a_script(base: str, reason: str) -> None:
    needs = needs_of(HELLO, "/x")._replace(
        base=f"/{base}", name=f"n{base.replace('/', '')}", allowed=(Allowed("a", "b", reason),)
    )
    (text,) = scripts([needs_of(HELLO, "/x"), needs]).values()
    assert subprocess.run(["sh", "-n"], input=text.encode()).returncode == 0
    assert subprocess.run(["bash", "-n"], input=text.encode()).returncode == 0
    # sbatch reads its options up to the first line that is no comment.
    options = [line for line in text.split("\nset -eu")[0].splitlines() if "SBATCH" in line]
    plain = next(iter(scripts([needs_of(HELLO, "/x")] * 2).values()))
    assert options == [line for line in plain.splitlines() if line.startswith("#SBATCH")]
    done = subprocess.run(
        ["sh", "-s", "/p", "/s"],
        input=text.replace(LINE, "printf '%s\\0'").encode(),
        env={"PATH": os.environ["PATH"], "SLURM_ARRAY_TASK_ID": "1"}
        | {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10"},
        capture_output=True,
    )
    assert done.stderr == b""
    words = done.stdout.decode().split("\0")[:-1]
    assert words == [
        *("--require-digest", needs.digest, "--base", f"/{base}"),
        *("--store", "/var/lib/krunc/store", "--runtime-dir", "/tmp/krunc-slurm-12"),
        *("--exit-record", f"{needs.name}-10_1.exit.json", f"/p/{needs.name}.plan.json"),
    ]


def test_a_text_that_is_none_is_refused() -> None:
    with pytest.raises(Unspeakable):
        engine("slurm").part(needs_of(HELLO, "/a\0b"))


def test_each_shape_is_an_array_and_a_thousand_of_a_shape_is_one() -> None:
    small = needs_of(HELLO, "/x")
    large = small._replace(ram_mib=small.ram_mib + 1)
    made = scripts([small] * 1001 + [large])
    sizes = {
        name: text.partition("--array=0-")[2].partition("\n")[0] for name, text in made.items()
    }
    assert sizes == {
        "krunc-1cpu-352MiB-10s.sbatch": "999",
        "krunc-1cpu-352MiB-10s-2.sbatch": "0",
        "krunc-1cpu-353MiB-10s.sbatch": "0",
    }


def test_a_grace_beyond_slurms_own_is_told() -> None:
    (text,) = scripts([needs_of(HELLO, "/x")._replace(grace_s=60)]).values()
    assert "KillWait" in text
    assert "--signal=B:TERM@70" in text


@pytest.fixture
def array(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> Callable[..., tuple[Path, Path]]:
    """Writes plans of boxes box-0, box-1 and so on, and the script for them, in which a launcher
    with a recording library stands for the real one; returns script and plans. A guest ends with
    its box's number modulo 126, or stays. All of it is in the directory AT."""

    def make(count: int, stays: bool = False, at: Path = tmp_path) -> tuple[Path, Path]:
        plans, root = at / "plans", at / "root"
        for name in ("bin", "dev", "proc", "sys"):
            (root / name).mkdir(parents=True)
        plans.mkdir()
        shutil.copy("/bin/busybox", root / "bin/a")
        (root / "bin/a").chmod(0o755)
        box = f"krunc: 1\nname: box\nrootfs: {{path: {root}, read_only: true}}\nnetwork: {{mode: none}}\n"
        box += "machine: {cpus: 1, memory: 64MiB}\nentrypoint: {executable: /bin/a}\n"
        plan = compiled(box, "2")
        for number in range(count):
            one = plan._replace(box=f"box-{number}")
            (plans / f"box-{number}.plan.json").write_text(to_text(one))
        status = main(["emit", "slurm", str(plans), "-o", str(at)], refusals)
        assert status == 0
        (script,) = at.glob("*.sbatch")
        launcher = at / "launcher"
        launcher.write_text(
            "#!/bin/sh\n"
            "for plan; do :; done; plan=${plan%.plan.json}; number=${plan##*box-}\n"
            f"export LD_PRELOAD={fake_kvm} FAKE_KVM=works\n"
            f"export KRUN_RECORDER={at}/calls-$number\n"
            # The launcher has to see that the guest opens its program.
            f"export KRUN_RECORDER_REACH='r {root}/bin/a'\n"
            + ("export KRUN_RECORDER_STAY=1\n" if stays else "")
            + "export KRUN_RECORDER_EXIT=$((number % 125))\n"
            f'exec {shlex.join(LAUNCHER)} --libkrun {build(plan.era)} "$@"\n'
        )
        launcher.chmod(0o755)
        text = script.read_text()
        assert LINE in text
        script.write_text(text.replace(LINE, str(launcher)))
        return script, plans

    return make


# Stands for Slurm: what it does with a script, for each task of the array.
SBATCH = """\
#!/bin/sh
script=$0.script
sed 's|LINE|launch|' "$1" >"$script"
last=$(sed -n 's/^#SBATCH --array=0-//p' "$1")
shift
for task in $(seq 0 "$last"); do
    SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=1$task SLURM_ARRAY_JOB_ID=9 sh "$script" "$@"
done
"""


@pytest.mark.parametrize("page", ["engines", "fleets"])
def test_the_commands_of_the_pages_work_as_they_stand(page: str, tmp_path: Path) -> None:
    text = (ROOT / f"docs/{page}.md").read_text("utf-8")
    block = text[text.index("krunc emit slurm") :].partition("```")[0]
    commands = f"$ {block}".replace("\n$ ", "\n").removeprefix("$ ")
    shared = tmp_path / "shared"
    fleet = shared / ("fleet" if page == "engines" else "workers")
    fleet.mkdir(parents=True)
    for name in ("hello", "disk", "boxlite-agent"):
        shutil.copy(ROOT / f"boxes/{name}.plan.json", fleet)
    (programs := tmp_path / "bin").mkdir()
    for name, lines in {
        "sbatch": SBATCH.replace("LINE", LINE),
        # It reads its plan, and says that it was started with it.
        "launch": 'for plan; do :; done; test -r "$plan" && basename "$plan" >&2\n',
        "krunc": f'exec {sys.executable} -m krunc "$@"\n',
    }.items():
        (programs / name).write_text(lines if lines.startswith("#!") else f"#!/bin/sh\n{lines}")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-eu", "-c", commands.replace("/shared", str(shared))],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    started = {line for line in done.stderr.splitlines() if line.endswith(".plan.json")}
    assert started == {path.name for path in fleet.iterdir()}


@needs_slurm
def test_two_hundred_plans_end_as_their_guests(
    slurm: Cluster, array: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    script, plans = array(200)
    (plans / "box-199.plan.json").write_text((plans / "box-1.plan.json").read_text())
    job = slurm.submit(script, str(plans), cwd=tmp_path)
    tasks = slurm.waits_for(job, 200)
    order = sorted(range(200), key=lambda number: f"box-{number}.plan.json")
    for task, number in enumerate(order):
        expected = 125 if number == 199 else number % 125
        log = tmp_path / f"{script.stem}-{job}_{task}.log"
        said = log.read_text() if log.exists() else "no log"
        assert tasks[task] == ("FAILED" if expected else "COMPLETED", expected, 0), said
        record = tmp_path / f"box-{number}-{job}_{task}.exit.json"
        assert json.loads(record.read_text())["status"] == expected


@needs_slurm
def test_scancel_reaches_the_launcher(
    slurm: Cluster, array: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    script, plans = array(1, stays=True)
    job = slurm.submit(script, str(plans), cwd=tmp_path)
    record = tmp_path / f"box-0-{job}_0.exit.json"
    wait_until(
        lambda: (
            (tmp_path / "calls-0").exists() and "start_enter" in (tmp_path / "calls-0").read_text()
        )
    )
    slurm.run("scancel", job)
    (task,) = slurm.waits_for(job, 1).values()
    assert task.state == "CANCELLED"
    wait_until(record.exists)
    assert json.loads(record.read_text())["reason"] == "signal"


@needs_slurm
def test_a_lost_node_is_never_told_as_done(
    slurm: Cluster, array: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    """One job as it is written and one to be requeued, of one node: Slurm takes 40 s to miss it."""
    jobs = {}
    for name, options in (("as-written", []), ("requeue", ["--requeue"])):
        at = tmp_path / name
        script, plans = array(1, stays=True, at=at)
        given = [*options, f"--nodelist={NODES[0]}"]
        jobs[name] = slurm.submit(script, str(plans), cwd=at, options=given)
    records = [tmp_path / name / "calls-0" for name in jobs]
    wait_until(lambda: all(at.exists() and "start_enter" in at.read_text() for at in records))
    pids = slurm.kill_node(NODES[0])
    assert len(pids) >= 6  # of each: the daemon of the step, the launcher, and the VM's process
    assert all(map(gone, pids))
    states = {"as-written": ("NODE_FAIL", "FAILED"), "requeue": ("PENDING", "REQUEUED")}
    try:
        wait_until(lambda: all(slurm.tasks(job)[0].state != "RUNNING" for job in jobs.values()))
        for name, job in jobs.items():
            assert slurm.tasks(job)[0].state in states[name]
        assert not list(tmp_path.rglob("*.exit.json"))
    finally:
        slurm.run("scancel", *jobs.values())
        slurm.start_node(NODES[0])
        wait_until(lambda: set(slurm.node_states().values()) == {"IDLE"})
