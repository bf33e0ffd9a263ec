"""Why parts of a container have no counterpart in a box: one sentence each, for every importer."""

from __future__ import annotations

_KERNEL = "the VM has a kernel of its own"

REASONS = {
    "blkio": "libkrun weighs and limits no disk access; a cgroup around krunc launch can",
    "build": "krunc builds no images: build it, push it or write it to an archive, and pull that",
    "cap_add": "the guest's root has every capability in the guest's kernel, and none on the host",
    "cap_drop": "a user other than root has no capability; the guest's root keeps all, of the "
    "guest's own kernel: write entrypoint.user where the image runs as root",
    "cgroup": f"{_KERNEL}, and cgroups of its own; a cgroup around krunc launch holds it",
    "config": "the file is not made in the guest: put it into a directory and share that",
    "cpuset": "vCPUs are not pinned: taskset or a cgroup around krunc launch does that",
    "cpu_weight": "a share of the CPUs is for a cgroup around krunc launch; machine.cpus bounds it",
    "depends": "krunc starts one VM of a box: start what it needs before it",
    "detach": "krunc launch stays in the foreground: a supervisor keeps it (docs/launch.md)",
    "device": "it would open a host device, and is omitted: a VM has its own; disks, "
    "gpu and input_devices name some host devices",
    "dns_option": "options and search domains of resolv.conf are not written: put the file into "
    "the root, or a script into entrypoint.before",
    "engine": "it is about the engine that runs containers, and krunc does not use one",
    "env_file": "the file is not read: write its variables under entrypoint.env, secrets as "
    "{from_env: NAME}",
    "gpu": "it would open the host's GPU, and is omitted: a VM has a virtio GPU by the key gpu",
    "group_add": "further groups are those of /etc/group in the root: add the program's user there",
    "hook": "no host program is run around a VM: do it around krunc launch",
    "health": "krunc watches over nothing in a VM: check the program from outside",
    "init": "krunc's stage is the first process, and takes care of orphans",
    "ipc": f"{_KERNEL}, and so nothing to share memory with",
    "isolation": "it is about Windows",
    "label_file": "the file is not read: write its lines under labels",
    "link": "VMs have no network among them: what one publishes, another reaches by a host "
    "address; write it under hosts",
    "log": "the program's output is krunc launch's own: its supervisor keeps it, or console.output",
    "memory_reserve": "a VM has the memory of machine.memory; nothing less is promised to it",
    "masked": "/proc and /sys are those of the guest's own kernel, and show nothing from the host",
    "memory_swap": "the guest has no swap, and so less than the container: machine.memory is all",
    "namespace": f"{_KERNEL}, and so users, processes and names of its own",
    "host_namespace": "it would open the host's own, and is omitted: a VM cannot have it",
    "network_address": "passt gives the guest 10.0.2.15; VMs have no network among them",
    "oom": "what the guest's kernel ends when memory is short is its own affair",
    "other_system": "it is about another operating system than Linux",
    "privileged": "it would open the host, and is omitted: the guest's root has every right in "
    "the guest, and none on the host",
    "publish_all": "what the image exposes is not known here: write each port under network.ports",
    "pull": "krunc pull fetches the image, once; krunc launch never does",
    "restart": "krunc launch starts a VM once: systemd restarts it (docs/launch.md)",
    "runtime": "krunc runs a VM by libkrun, with any runtime of the container",
    "secret": "no file with the secret is made in the guest: write it as a variable, {from_env: "
    "NAME} or {from_file: PATH}",
    "security_label": "labels of SELinux and AppArmor are the host's, which sees one process",
    "security_open": "it would take a bound away, and is omitted",
    "no_new_privileges": "a setuid program in the root gives its user the guest's root: that of a "
    "kernel of its own, with nothing from the host",
    "seccomp": "the filter held the container off the host's kernel: the guest has its own, and "
    "krunc launch confines the VM's process",
    "shm": "/dev/shm holds half of the VM's memory",
    "scheduling": "it is about the host's scheduler: taskset, chrt or ionice around krunc launch",
    "storage": "it is about the container's own layer: rootfs.size bounds discarded changes",
    "sysctl": "the guest's kernel keeps its values: write them to /proc/sys in entrypoint.before",
    "tty": "the console is a terminal where krunc launch has one",
    "umask": "the program starts with the mask 022: set it in entrypoint.script",
    "volumes_from": "volumes of another container are not known here: write shares or disks",
}
