"""A shell script as one argument of the guest's /bin/sh that survives a kernel command line.

The command line takes printable ASCII without double quotes. So the script is written as a format
of printf, with an octal escape for every other byte, and evaluated: with IFS empty and globbing
off, the shell takes printf's output as one word and changes nothing in it (POSIX, 2.6.5 and
2.6.6).
"""

from __future__ import annotations

# The first line of the script goes on behind this, so its line numbers stay.
_RESTORE = "unset IFS;set +f;"


def for_command_line(script: str) -> str:
    """Return the argument for sh -c that runs SCRIPT exactly as it stands."""
    return f"IFS=;set -f;eval $(printf '{''.join(map(_escaped, _RESTORE + script))}')"


def _escaped(character: str) -> str:
    if character == "\n":
        return "\\n"
    if character == "%":
        return "%%"
    if character == "\\":
        return "\\\\"
    if " " <= character <= "~" and character not in "\"'":
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogatepass"))
