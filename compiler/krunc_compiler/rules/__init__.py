"""What a box may not say, beyond its shape: errors of one box, of many, and warnings."""
