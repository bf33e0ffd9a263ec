"""Run a command of this machine inside an emulated machine that has a working /dev/kvm.

QEMU's software emulation (TCG) includes AMD's SVM, so a stock Debian kernel inside it offers real
KVM on hosts without usable hardware virtualization. The emulated machine's root file system is
this machine's own, read-write, through virtiofs: the command finds the same paths, environment,
working directory and user, and its output and exit status come back.

What differs inside:

- /dev, /proc, /sys and the host name are the emulated machine's own. There is no network but the
  loopback interface. Processes of this machine cannot be seen or signalled.
- A unix socket is a meeting point of one kernel. One made inside appears as a file here, but only
  processes inside can connect to it, and the other way round. The same is true of FIFOs, of file
  locks and of shared memory; inotify does not see the other side's changes.
- What this machine changes is visible to the next job at once, to a running job within a second.
- It is slow: expect a tenth to a thirtieth of this machine's speed.

An emulated machine of another architecture (--arch) has EL2 or SVM likewise, and a root of its own:
Debian's packages and Python's wheels for it, see foreign.py. Of this machine it sees every directory
that is not the system's.

Needs root, and from apt: qemu-system-x86 or qemu-system-arm, virtiofsd (part of qemu-system-common
in Debian 12), busybox-static, gcc, libc6-dev. The kernel package is fetched with apt and never installed.
"""
