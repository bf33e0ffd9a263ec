"""A plan's text to plain values, of which none is believed yet, and the place of each."""
