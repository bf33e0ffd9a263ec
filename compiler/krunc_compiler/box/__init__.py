"""A box as the compiler knows it: typed, with every default filled in."""
