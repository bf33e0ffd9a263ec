"""The outputs for people and programs, whole, of two plans that no lowering changes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from golden import agree
from krunc_compiler.review.change_sheet import change_sheet, difference_document
from krunc_compiler.review.difference import compare
from krunc_compiler.review.document import review_document
from krunc_compiler.review.markdown import to_markdown
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.text import to_text
from places import GOLDEN
from reviews import call, reviewed, step

_VM = call("krun_set_vm_config", num_vcpus=2, ram_mib=1024)
_EXEC = {"exec_path": "/bin/a", "argv": ["-c", "a b"]}
OLD = reviewed(
    step("require_hypervisor"),
    {"call": "krun_create_ctx"},
    _VM,
    call("krun_disable_implicit_vsock"),
    call("krun_add_disk2", block_id="a", disk_path="a.img", disk_format="raw", read_only=True),
    call("krun_add_disk2", block_id="b", disk_path="b.img", disk_format="raw", read_only=True),
    call("krun_set_root", root_path="rootfs"),
    call("krun_set_exec", **_EXEC, envp={"A": "x", "T": {"from_env": "TOKEN"}}),
    {"implicit": "no_network", "from": "network"},
    {"call": "krun_start_enter"},
)
NEW = reviewed(
    step("require_hypervisor"),
    step("open_file", path="console log", name="console"),
    {"call": "krun_create_ctx"},
    _VM,
    call("krun_add_disk2", block_id="b", disk_path="b.img", disk_format="raw", read_only=True),
    call("krun_add_disk2", block_id="a", disk_path="a.img", disk_format="raw", read_only=False),
    call("krun_set_root", root_path="rootfs"),
    call("krun_set_exec", **_EXEC, envp={"A": "caf\u00e9\u202e"}),
    call("krun_set_snd_device", enable=True),
    call(
        "krun_add_virtio_console_default",
        input_fd="none",
        output_fd={"opened": "console"},
        err_fd={"opened": "console"},
    ),
    call("krun_from_tomorrow", path="/etc"),
    {"implicit": "vsock_with_tsi", "from": "network"},
    {"call": "krun_start_enter"},
)

OUTPUTS: dict[str, Callable[[], str]] = {
    "review.show.txt": lambda: to_text(plan_sheet(NEW)),
    "review.show.wide.txt": lambda: to_text(plan_sheet(NEW), 120),
    "review.show.md": lambda: to_markdown(plan_sheet(NEW)),
    "review.show.json": lambda: json.dumps(review_document(NEW), indent=1) + "\n",
    "review.show.html": lambda: plan_page(NEW),
    "review.diff.txt": lambda: to_text(change_sheet(compare(OLD, NEW))),
    "review.diff.md": lambda: to_markdown(change_sheet(compare(OLD, NEW))),
    "review.diff.json": lambda: json.dumps(difference_document(compare(OLD, NEW)), indent=1) + "\n",
    "review.diff.html": lambda: difference_page(compare(OLD, NEW)),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output(name: str, update_golden: bool) -> None:
    agree(GOLDEN / name, OUTPUTS[name](), update_golden)
