"""What pairs of measurements tell: how much more the second of each is, and how sure that is."""

from __future__ import annotations

import random
import statistics
from typing import NamedTuple

_RESAMPLES = 4000
_OUTSIDE = 0.05  # of the resamples, on both sides together
# With fewer, all differences lie on one side by chance more often than that.
_FEWEST = 6


class Pairs(NamedTuple):
    """What is compared, in which UNIT, as pairs of a value without and one with what is measured;
    and the most that it may be more: of what it is without, in percent, or else in units. What is
    EXACT needs no second pair."""

    what: str
    unit: str
    pairs: list[tuple[float, float]]
    most: float
    percent: bool
    exact: bool = False

    def more(self, pairs: list[tuple[float, float]]) -> float:
        """Tell the median of the differences of PAIRS."""
        told = statistics.median(with_it - without for without, with_it in pairs)
        if self.percent:
            return 100 * told / statistics.median(without for without, _ in pairs)
        return told

    def interval(self) -> tuple[float, float]:
        """Tell between which two values `more` lies by the bootstrap, at 95 %. It is the same for
        the same pairs."""
        chance = random.Random(0)
        found = sorted(
            self.more(chance.choices(self.pairs, k=len(self.pairs))) for _ in range(_RESAMPLES)
        )
        outside = int(_RESAMPLES * _OUTSIDE / 2)
        return found[outside], found[-outside - 1]

    def verdict(self) -> str:
        """Tell whether the goal is met: undecided where it lies in the interval, and by few."""
        if len(self.pairs) < _FEWEST and not self.exact:
            return "undecided"
        low, high = self.interval()
        return "met" if high <= self.most else "**missed**" if low > self.most else "undecided"

    def row(self) -> str:
        """Return a row of a table."""
        without, with_it = (statistics.median(side) for side in zip(*self.pairs, strict=True))
        unit = "%" if self.percent else f" {self.unit}"
        low, high = self.interval()
        between = f"{low:+.1f} to {high:+.1f}{unit}" if not self.exact else "exact"
        return (
            f"| {self.what} | {without:.2f} {self.unit} | {with_it:.2f} {self.unit} "
            f"| {self.more(self.pairs):+.1f}{unit} | {between} | {self.most:g}{unit} "
            f"| {self.verdict()} |"
        )
