"""Options and fixtures of all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A test says what holds, not how fast: the machine may be busy.
settings.register_profile("krunc", deadline=None)
settings.load_profile("krunc")

pytest_plugins = ["libraries", "recorder.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write golden files instead of comparing"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All boots go to one worker: two emulated machines would only slow each other down."""
    for item in items:
        if item.get_closest_marker("boot"):
            item.add_marker(pytest.mark.xdist_group("boot"))
