"""From boxes to plans, and plans for review."""
