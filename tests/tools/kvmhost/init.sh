#!/bin/busybox sh
# The first program of the emulated machine. It mounts the host's file system, makes it the root
# and hands over to serve.sh. A root of its own is handed
# to the systemd in it, beside serve.sh. Whatever fails here ends the machine; the reason is on its
# console.
#
# Every command is an applet of busybox: Debian's shell prefers them to programs on the path. The
# environment holds kvmhost_state, kvmhost_idle, kvmhost_root and kvmhost_orders, from the kernel's
# command line.
set -e
trap '/bin/busybox poweroff -f' EXIT
/bin/busybox mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t devtmpfs dev /dev

load() {
    for module in /modules/"$1"/*.ko; do
        if [ -e "$module" ]; then insmod "$module"; fi
    done
}
load other &
other=$!
load root
if [ -n "$kvmhost_own_root" ]; then
    # What is written goes to memory, /tmp by itself, and the host's directory stays as it is.
    load overlay
    mount -t virtiofs root /lower
    mount -t tmpfs upper /upper
    mkdir /upper/files /upper/work
    mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work own /root
    mount -t tmpfs -o mode=1777 tmp /root/tmp
    mount -t virtiofs shared /root/srv
elif [ -z "$kvmhost_root" ]; then
    mount -t virtiofs root /root
else
    # A root of its own, and of the host's what is not its system; see foreign.py.
    mount -t virtiofs root /host
    mount -o bind "/host$(echo "$kvmhost_root" | base64 -d)" /root
    for directory in /host/*; do
        case ${directory#/host/} in
            bin | boot | dev | etc | lib* | proc | run | sbin | sys | usr | var) continue ;;
        esac
        [ -d "$directory" ] && [ ! -h "$directory" ] || continue
        mkdir -p "/root/${directory#/host/}"
        mount -o bind "$directory" "/root/${directory#/host/}"
    done
    mount -t tmpfs -o mode=755 run /root/run
fi

mkdir /dev/pts /dev/shm /dev/kvmhost
mount -t devpts -o mode=620,gid=5,ptmxmode=666 pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
cp /bin/busybox /serve.sh /dev/kvmhost
hostname kvmhost
ip link set lo up

wait $other
chmod 666 /dev/kvm /dev/net/tun
if [ -e /keep_branches ]; then /keep_branches; fi

# /proc last: the shell finds its applets by /proc/self/exe.
for directory in dev sys proc; do mount -o move /$directory /root/$directory; done
if [ -n "$kvmhost_own_root" ]; then
    : >/dev/null # the shell reads it for what runs in the background; the real one is moved
    serve='sh /dev/kvmhost/serve.sh; poweroff -f'
    /bin/busybox chroot /root /dev/kvmhost/busybox sh -c "$serve" &
    exec /bin/busybox switch_root /root /lib/systemd/systemd
fi
# The shell that stays as process 1 only waits, so it also reaps what others leave behind.
exec /bin/busybox switch_root /root /dev/kvmhost/busybox sh -c 'sh /dev/kvmhost/serve.sh; poweroff -f'
