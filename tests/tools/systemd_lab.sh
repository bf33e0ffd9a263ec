#!/bin/sh
# systemd as the first program of namespaces of its own, in the emulated machine: mounts what would
# otherwise be this machine's (/etc, /run, /var/lib), and runs $1/driver.sh under it. Whatever
# systemd, the units and the driver write there is gone when the namespaces are; $1 stays.
set -e
lab=$1
if [ "$2" != inside ]; then
    # The driver ends the first process, and with it the namespaces.
    unshare -m -p -C -f --mount-proc --kill-child sh "$0" "$lab" inside
    exit 0
fi
mount --make-rshared /
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/etc /run/lib /run/lab /run/none
mount --bind /run/none /lib/systemd/system-generators
cp -a /etc/. /run/etc/
rm -rf /run/etc/systemd/system /run/etc/fstab
mount --bind /run/etc /etc
mount --bind /run/lib /var/lib
mkdir -p /etc/krunc/plans /etc/systemd/system /etc/credstore
cp -r "$lab"/units/. /etc/systemd/system/
cp "$lab"/plans/*.plan.json /etc/krunc/plans/
systemd-sysusers /etc/systemd/system/krunc.sysusers.conf
sh "$lab/before.sh"
cat >/etc/systemd/system/lab.service <<END
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sh $lab/driver.sh
ExecStopPost=/bin/systemctl --force --force poweroff
StandardOutput=file:$lab/driver.out
StandardError=file:$lab/driver.err
END
cat >/etc/systemd/system/lab.target <<END
[Unit]
Requires=lab.service
AllowIsolate=yes
END
exec env container=lab SYSTEMD_UNIT_PATH=/etc/systemd/system:/lib/systemd/system \
    /lib/systemd/systemd --system --unit=lab.target --log-target=console >"$lab/systemd.log" 2>&1
