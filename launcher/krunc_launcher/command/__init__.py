"""The command line: options, messages, and the commands beside a launch."""
