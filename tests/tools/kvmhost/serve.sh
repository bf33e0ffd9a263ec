# Runs jobs in the emulated machine, told by the host which ones.
#
# The host writes one order per line to the terminal $kvmhost_orders: "run JOB" or "kill JOB". JOB is a
# directory in $state, on the file system that both share. The host puts a shell script there,
# "command"; the job's output appears there in "out" and "err" and, at the very end, the exit
# status in "status". As in init.sh, every command is an applet of busybox.
state=$(echo "$kvmhost_state" | base64 -d)
here=/dev/kvmhost
cgroups=/sys/fs/cgroup

job() {
    mkfifo "$here/$1/out" "$here/$1/err"
    # Pipes, as a command expects them, not the files themselves: writing to /dev/stderr would
    # truncate those. dd passes on at once what it gets, and up to 64 KiB at a time.
    dd bs=64k <"$here/$1/out" >"$state/$1/out" 2>/dev/null &
    out=$!
    dd bs=64k <"$here/$1/err" >"$state/$1/err" 2>/dev/null &
    err=$!
    (
        echo 0 >"$cgroups/$1/cgroup.procs"
        if [ -e "$here/$1/killed" ]; then exit 137; fi
        . "$state/$1/command"
    ) </dev/null >"$here/$1/out" 2>"$here/$1/err"
    status=$?
    if grep -q "populated 1" "$cgroups/$1/cgroup.events"; then
        # Left in the background, and perhaps holding the pipes: a second for what is under way.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ -e /proc/$out/fd/0 ] || [ -e /proc/$err/fd/0 ] || break
            usleep 100000
        done
    else
        wait $out $err
    fi
    echo $status >"$state/$1/status"
    rmdir "$cgroups/$1" 2>/dev/null
    rm -r "${here:?}/$1"
}

working() {
    for directory in "$here"/*/; do [ -d "$directory" ] && return; done
    return 1
}

# Reads the next order. After $kvmhost_idle seconds with neither order nor job it takes back
# "ready", so that no host process sends more, and fails unless one just did.
next_order() {
    while ! read -r -t "$kvmhost_idle" order name; do
        working && continue
        rm "$state/ready"
        read -r -t 1 order name || return
        : >"$state/ready"
        return
    done
}

ulimit -n 65536
echo 4 >/proc/sys/vm/drop_caches # say nothing in the kernel's log when dropping
stty -F "/dev/$kvmhost_orders" raw -echo
exec <"/dev/$kvmhost_orders"
: >"$state/ready"
while next_order; do
    case $order in
        run)
            # Whatever the host has changed since: forget clean pages, names and inodes.
            echo 3 >/proc/sys/vm/drop_caches
            mkdir "$here/$name" "$cgroups/$name"
            # As a child of process 1. Our own would interrupt "read" with SIGCHLD when it ends, and
            # busybox then forgets the half of a line that it has read.
            (job "$name" &)
            ;;
        kill)
            # In this order: a job that is just starting looks for "killed" once it is in its group.
            # Both fail when it has ended meanwhile.
            touch "$here/$name/killed"
            echo 1 >"$cgroups/$name/cgroup.kill"
            ;;
        *)
            echo "serve.sh: not an order: '$order'"
            exit 1
            ;;
    esac
done
