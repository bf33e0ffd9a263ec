"""What is wrong with an input: findings, their catalogue, words, and formats."""
