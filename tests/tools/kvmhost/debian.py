"""Debians that are made once: one for emulated machines whose root is their own, with systemd,
Python and Slurm, and one of other packages for who asks."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from kvmhost import kernel
from kvmhost.errors import HostError
from kvmhost.lock import locked

_SUITE = "bookworm"
_PACKAGES = (
    *("systemd", "systemd-sysv", "python3", "python3-cffi-backend"),
    *("munge", "slurmd", "slurmctld", "slurm-client"),
)
# Slurm's services are started by the tests that want them. What tidies up, looks for updates or
# asks for a login only takes time, of which an emulated machine has little.
_MASKED = (
    *("munge.service", "slurmctld.service", "slurmd.service"),
    *("systemd-tmpfiles-clean.timer", "systemd-tmpfiles-setup.service", "getty.target"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "logrotate.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer"),
)


def root(packages: tuple[str, ...] = _PACKAGES, masked: tuple[str, ...] = _MASKED) -> Path:
    """The directory with it, made (350 MB, a minute) when the cache has none."""
    made_of = repr((_SUITE, packages, masked)).encode()
    path = kernel.cache() / f"debian-{hashlib.sha256(made_of).hexdigest()[:16]}"
    with locked(kernel.cache()):
        if not path.exists():
            _make(path, packages, masked)
    return path


def _make(path: Path, packages: tuple[str, ...], masked: tuple[str, ...]) -> None:
    if not shutil.which("mmdebstrap"):
        raise HostError("missing on this machine: mmdebstrap (apt-get install mmdebstrap)")
    new = path.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)  # of a run that was killed
    words = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(packages)}"]
    for unit in masked:
        words.append(f'--customize-hook=ln -sf /dev/null "$1/etc/systemd/system/{unit}"')
    done = subprocess.run([*words, _SUITE, str(new)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"mmdebstrap failed:\n{done.stdout}{done.stderr}"[-3000:])
    new.rename(path)
