"""Options and fixtures of all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A test says what holds, not how fast: the machine may be busy.
settings.register_profile("krunc", deadline=None)
settings.load_profile("krunc")

pytest_plugins = ["boots", "libraries", "packages", "recorder.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write golden files instead of comparing"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are written instead of compared."""
    return bool(request.config.getoption("--update-golden"))
