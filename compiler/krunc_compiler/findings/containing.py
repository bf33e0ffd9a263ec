"""One bad file costs its own findings only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from krunc_compiler.findings.finding import Finding, Located, Rejected, UsageError
from krunc_compiler.findings.report import only, printable

_SAID = 200


@contextmanager
def contained(name: str, findings: list[Located]) -> Iterator[None]:
    """Add to FINDINGS what ends the work on the file NAME, so that others are worked on.

    That is the one place which catches everything: a mistake of krunc's own that one file shows
    must not keep the findings about all others, or a comment about them, from their readers.
    """
    try:
        yield
    except Rejected as rejected:
        findings.extend(rejected.findings)
    except UsageError:
        raise
    except Exception as fault:  # noqa: BLE001
        said = printable(f"{type(fault).__name__}: {fault}"[:_SAID])
        hint = "report this, with the file, as a fault of krunc; the other files were worked on"
        finding = Finding("KR012", f"krunc failed on this file: {said}", hint=hint)
        findings.extend(only(name, finding))
