"""Why a VM was not started, where libkrun's own words tell more than the number it returned."""

import pytest
from krunc_launcher.supervise import not_entered

BUILD = "build microVM: Internal error while starting microVM: "


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        pytest.param(f"{BUILD}VcpuResume", "fewer VMs at a time (--jobs)", id="a busy host"),
        pytest.param(
            "Internal(VcpuResume)", "fewer VMs at a time (--jobs)", id="as its log says it"
        ),
        pytest.param(f"{BUILD}VcpuPause", "set log: ", id="another error"),
        pytest.param("", "set log: ", id="none"),
    ],
)
def test_advice(said: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(not_entered, "full", lambda memory_mib: [])
    first, *words, last = not_entered.reasons(f"-22 1 {said}")
    assert (
        first == "the VM was not started: krun_start_enter returned -22, EINVAL, invalid argument"
    )
    assert words == ([f"libkrun says: {said}"] if said else [])
    assert advice in last
