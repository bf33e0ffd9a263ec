"""The version of the roots that krunc writes."""

from __future__ import annotations

# The same layers and the same version give the same bytes for ever: where those of
# tests/image/test_unpacked.py change, this has to.
WRITER = 1
