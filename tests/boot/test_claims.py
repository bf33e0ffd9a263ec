"""What the review claims of a guest, seen in real microVMs."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boots import Boot

pytestmark = pytest.mark.boot

Booting = Callable[..., Boot]
Shown = Callable[[str], None]


def written(boxes: Path, script: str, **keys: Any) -> str:
    """The name of a box that runs SCRIPT."""
    box = {
        "krunc": 1,
        "name": "claim",
        "machine": {"cpus": 1, "memory": "256MiB"},
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {"script": script},
        **keys,
    }
    (boxes / "claim.yaml").write_text(json.dumps(box))
    return "claim"


ADDRESSES = ("10.9.0.1", "127.0.0.1", "127.5.5.5", "::1")
CALL = """\
for a in ADDRESSES; do
  echo "$a [$(echo ping | /bin/busybox nc -w 10 $a 7001 2>/dev/null)]"
done
""".replace("ADDRESSES", " ".join(ADDRESSES))


def answered(boot: Booting, boxes: Path, **keys: Any) -> set[str]:
    """Which addresses of the host answer to a guest with TSI."""
    places = [f"[{one}]:7001" if ":" in one else f"{one}:7001" for one in ADDRESSES]
    setup = [
        ["busybox", "ip", "address", "replace", "10.9.0.1/32", "dev", "lo"],
        ["busybox", "ip", "link", "set", "lo", "up"],
    ]
    host = {"setup": setup, "tcp": dict.fromkeys(places, "yes")}
    done = boot(written(boxes, CALL, **keys), prints=True, host=host)
    assert all(f"{one} [" in done.stdout for one in ADDRESSES), done
    return {one for one in ADDRESSES if f"{one} [yes]" in done.stdout}


def test_the_loopback_of_the_host_with_tsi(
    boot: Booting, boxes: Path, libkrun: tuple[Path, str], shown: Shown
) -> None:
    found = answered(boot, boxes)
    assert found == ({"10.9.0.1"} if libkrun[1].startswith("2") else set(ADDRESSES)), found
    shown("TSI without an egress policy")


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_an_egress_policy_opens_loopback_and_closes_the_rest(
    boot: Booting, boxes: Path, shown: Shown
) -> None:
    policy = {"smolmachines": {"egress": {"cidrs": ["127.0.0.0/8"]}}}
    assert answered(boot, boxes, extensions=policy) == {"127.0.0.1", "127.5.5.5"}
    shown("TSI with an egress policy of 127.0.0.0/8")


WATCH = """\
import sys, time
from pathlib import Path
seen = set()
while True:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[1].endswith(":1F91") and words[1] not in seen:
            seen.add(words[1])
            Path(sys.argv[1]).write_text("\\n".join(seen))
    time.sleep(0.05)
"""


@pytest.mark.parametrize(("bound", "listens"), [("0.0.0.0", "00000000"), ("127.0.0.1", "0100007F")])
def test_the_guest_chooses_the_address_of_a_published_port(
    boot: Booting, boxes: Path, shown: Shown, bound: str, listens: str
) -> None:
    script = f"/bin/busybox httpd -f -p {bound}:80 -h / & sleep 4; echo ended"
    (boxes / "watch.py").write_text(WATCH)
    python = ["python3", str(boxes / "watch.py"), str(boxes / "listens")]
    network = {"mode": "tsi", "ports": ["8081:80"]}
    done = boot(written(boxes, script, network=network), prints=True, host={"beside": [python]})
    assert (boxes / "listens").exists(), done
    assert (boxes / "listens").read_text() == f"{listens}:1F91"
    shown("the guest chooses the host address of a published port")


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_an_overlay_file_runs_as_init(boot: Booting, boxes: Path, shown: Shown) -> None:
    text = "#!/bin/sh\necho another init as $$\n"
    overlay = [{"path": "/init.krun", "text": text, "mode": "0755"}]
    name = written(boxes, "echo the program", rootfs={"path": "./rootfs", "overlay": overlay})
    done = boot(name)
    assert "another init as 1" in done.stdout + done.stderr, done
    assert "the program" not in done.stdout + done.stderr
    shown("an overlay file that runs as init")


def test_the_order_of_disks_names_them(boot: Booting, boxes: Path, shown: Shown) -> None:
    for name in "ab":
        (boxes / f"{name}.img").write_bytes(f"disk {name}\n".encode().ljust(1 << 20, b"\0"))
    disks = [{"id": name, "path": f"./{name}.img", "format": "raw"} for name in "ba"]
    script = "for d in vda vdb; do echo $d $(/bin/busybox head -n 1 /dev/$d); done"
    done = boot(written(boxes, script, disks=disks), prints=True)
    assert "vda disk b\nvdb disk a\n" in done.stdout, done
    shown("the order of disks is that of /dev/vda, /dev/vdb")


def test_what_root_leaves_and_what_nproc_holds(boot: Booting, boxes: Path, shown: Shown) -> None:
    script = (
        "mount -t virtiofs out /out || exit 9; cp /bin/busybox /out/suid; chmod 4755 /out/suid;"
        " for i in 1 2 3 4 5 6; do sleep 2 & done && echo all started"
    )
    shares = [{"tag": "out", "path": "./out", "read_only": False}]
    script = script.replace("cp ", "/bin/busybox cp ").replace("chmod", "/bin/busybox chmod")
    done = boot(written(boxes, script, shares=shares, limits={"nproc": 3}), prints=True)
    assert done.stdout == "all started\n", done
    left = os.stat(boxes / "out/suid")
    assert (left.st_uid, left.st_mode & stat.S_ISUID) == (0, stat.S_ISUID)
    shown("a setuid-root file left in a writable share; nproc does not hold root")
