"""Options and fixtures of all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A test says what holds, not how fast: the machine may be busy.
settings.register_profile("krunc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("krunc")

pytest_plugins = [
    "boots",
    "debian_host",
    "libraries",
    "packages",
    "recorder.fixtures",
    "registry",
    "slurm",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write golden files instead of comparing"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session", autouse=True)
def usual_signals() -> Iterator[None]:
    """Programs that tests start take signals as usual: what nohup(1), or a shell for what it starts
    in the background, has ignored, they would ignore, too. What is handled here is not ignored in
    them, and still does not end the tests."""
    # Python ignores these two itself, and not for those that it starts.
    own = {signal.SIGPIPE, signal.SIGXFSZ}
    ignored = {
        number
        for number in signal.valid_signals() - own
        if signal.getsignal(number) is signal.SIG_IGN
    }
    for number in ignored:
        signal.signal(number, lambda number, frame: None)
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
