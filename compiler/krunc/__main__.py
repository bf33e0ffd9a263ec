"""python -m krunc."""

from __future__ import annotations

import sys

from krunc import main

sys.exit(main())
