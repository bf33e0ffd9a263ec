/* Puts the guest's root together and makes it the root: shares, disks, what is the VM's own. */
#include "stage.h"
#include <arpa/inet.h>
#include <net/route.h>

/* What is below the root in every guest. Sources are those of the VM's first root, where init mounted them. */
static const struct { const char *source, *path, *type; unsigned long flags; const char *data; } own[] = {
    {"dev", "/dev", NULL, MS_BIND, NULL},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=666,mode=620,gid=5"},
    {"shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
    {"sys", "/sys", NULL, MS_BIND | MS_REC, NULL}};

enum { MOST_MOUNTS = 4096 }; /* as many as a plan has operations */

static const struct { const char *name, *to; } streams[] = {
    {"/dev/stdin", "fd/0"}, {"/dev/stdout", "fd/1"}, {"/dev/stderr", "fd/2"}}; /* init makes /dev/fd */

static const struct { const char *word; unsigned long set, clear; } options[] = {
    {"ro", MS_RDONLY, 0}, {"rw", 0, MS_RDONLY}, {"nosuid", MS_NOSUID, 0}, {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0}, {"dev", 0, MS_NODEV}, {"noexec", MS_NOEXEC, 0}, {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0}, {"async", 0, MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, 0}, {"atime", 0, MS_NOATIME}, {"nodiratime", MS_NODIRATIME, 0},
    {"relatime", MS_RELATIME, 0}, {"strictatime", MS_STRICTATIME, 0}, {"lazytime", MS_LAZYTIME, 0}, {"defaults", 0, 0}};

/* Takes out of mount(8)'s options what mount(2) takes as flags; what is left stays. */
unsigned long mount_options(char *text) {
    unsigned long flags = 0;
    char *rest = text, *word;
    for (char *at = text; (word = strsep(&at, ","));) {
        size_t i = 0, size = strlen(word);
        while (i < sizeof options / sizeof *options && strcmp(word, options[i].word)) i++;
        if (i < sizeof options / sizeof *options) flags = (flags | options[i].set) & ~options[i].clear;
        else if (size) {
            if (rest > text) *rest++ = ',';
            memmove(rest, word, size);
            rest += size;
        }
    }
    *rest = 0;
    return flags;
}

/* The mounts of what the guest sees below its root, in their order. */
static unsigned long long mounted[MOST_MOUNTS];
static size_t mounts;

/* The mount that a path leads to. */
static unsigned long long seen_at(const char *path) {
    int at = reach(path, 0);
    unsigned long long found = mount_of(at, NULL);
    close(at);
    return found;
}

/* Whether what is mounted at a place would hide the root, or what every guest has below it. */
static int hides(int at) {
    struct stat here, root;
    for (size_t i = 0; i < mounts && i < sizeof own / sizeof *own; i++)
        if (mounts >= sizeof own / sizeof *own && mount_of(at, NULL) == mounted[i]) return 1;
    return fstat(at, &here) || stat("/", &root) || (here.st_dev == root.st_dev && here.st_ino == root.st_ino);
}

/* Mounts over what a descriptor is, and closes it: the name may lead to another place by now. */
static void mount_over(int at, const char *source, const char *type, unsigned long flags, const char *data) {
    char target[32] = "proc/self/fd/"; /* of the first root, also for a guest's root that has none yet */
    put_number(target + strlen(target), at);
    if (mount(source, target, type, flags, data)) fail(MOUNT_STEP);
    close(at);
}

static void mount_at(const char *source, const char *path, const char *type, unsigned long flags, const char *data) {
    int at = reach(path, 0);
    if (hides(at)) errno = EBUSY, fail(HIDDEN_STEP);
    mount_over(at, source, type, flags, data);
    if (mounts == MOST_MOUNTS) errno = ENOSPC, fail(MOUNT_STEP);
    mounted[mounts++] = seen_at(path);
}

static void mount_disk(struct value *device, const char *path, struct value *type, char *data, unsigned long flags) {
    flags |= mount_options(data);
    mount_at(device->text, path, type->text, flags, data);
}

static unsigned long access_of(struct value *access) { return access->number == READ ? MS_RDONLY : 0; }

static void mount_tmpfs(const char *path, unsigned mib, const char *mode) {
    char data[64], *end = stpcpy(stpcpy(data, "mode="), mode);
    if (mib) stpcpy(put_number(stpcpy(end, ",size="), mib), "m"); /* else the kernel's own limit, half of the memory */
    mount_at("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, data);
}

/* Linux before 6.17 can change nothing of a share below an overlay, since libkrun's virtiofs has an error of its own for
   ioctls ("failed to retrieve lower fileattr"). Tried on the first root, which is one, too. */
static void try_changes(void) {
    close(reach("/m/try/upper", 0)), close(reach("/m/try/work", 0));
    mount_at("try", "/m/try/new", "overlay", 0, "lowerdir=/,upperdir=/m/try/upper,workdir=/m/try/work");
    if (chmod("/m/try/new/tmp", 0700) && errno == EOPNOTSUPP) fail(CHANGES_STEP);
    if (umount("/m/try/new")) fail(MOUNT_STEP);
}

/* Mounts root and, above it, the changes: returns where the root is. */
static const char *mount_root(struct orders *orders) {
    struct value *value = orders->now.value;
    unsigned long below = orders->seen & (1u << DISCARD_CHANGES | 1u << KEEP_CHANGES) ? MS_RDONLY : 0;
    if (orders->now.name == ROOT_SHARE) mount_at(value[0].text, "/m/root", "virtiofs", below | access_of(&value[1]), NULL);
    else mount_disk(&value[0], "/m/root", &value[1], value[2].text, below | access_of(&value[3]));
    if (below && orders->now.name == ROOT_SHARE) try_changes();
    next(orders);
    if (!below) return "/m/root";
    if (orders->now.name == DISCARD_CHANGES) mount_tmpfs("/m/changes", value[0].number, "0755");
    else mount_at(value[0].text, "/m/changes", value[1].text, MS_NOSUID | MS_NODEV, NULL);
    close(reach("/m/changes/upper", 0)), close(reach("/m/changes/work", 0));
    mount_at("overlay", "/m/new", "overlay", 0, "lowerdir=/m/root,upperdir=/m/changes/upper,workdir=/m/changes/work");
    next(orders);
    return "/m/new";
}

/* Adds A, B to a file of the VM's own; with its first line it is mounted over the guest's. */
static void add(const char *file, const char *path, const char *head, const char *a, const char *b) {
    int is_new = access(file, F_OK) != 0;
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) fail(OPEN_STEP);
    if (is_new && !write_all(fd, head)) fail(WRITE_STEP);
    if (!write_all(fd, a) || !write_all(fd, b) || !write_all(fd, "\n")) fail(WRITE_STEP);
    close(fd);
    if (!is_new) return;
    mount_over(reach(path, 1), file, NULL, MS_BIND, NULL);
}

static void add_host(const char *head, const char *address, const char *name) {
    char start[64];
    stpcpy(stpcpy(start, address), " ");
    add("m/hosts", "/etc/hosts", head, start, name);
}

/* Whether the orders have a line of /etc/hosts for a name, which then has none of the stage's own: programs take the
   first line of a name, or all. */
static int is_given(struct orders ahead, const char *name) {
    int index = order_index, found;
    do found = ahead.now.name == HOST && !strcasecmp(ahead.now.value[0].text, name);
    while (!found && next(&ahead));
    order_index = index;
    return found;
}

/* Fails with the order whose mount is not what its path leads to: another mount hides it. */
static void check_mounts(struct orders ahead) {
    int index = order_index;
    for (size_t i = sizeof own / sizeof *own; i < mounts; next(&ahead))
        if (ahead.now.name == MOUNT_TMPFS || ahead.now.name == MOUNT_SHARE || ahead.now.name == MOUNT_DISK) {
            order_index = ahead.now.index;
            if (!mounted[i] || seen_at(ahead.now.value[0].text) != mounted[i]) errno = EBUSY, fail(HIDDEN_STEP);
            i++;
        }
    order_index = index;
}

/* Brings an interface up: 0 where that cannot be. */
static int raise_interface(int fd, struct ifreq *interface) {
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, interface)) return 0;
    interface->ifr_flags |= IFF_UP;
    return !ioctl(fd, SIOCSIFFLAGS, interface);
}

static void raise_loopback(void) { /* by a family of sockets that TSI leaves alone */
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (!raise_interface(fd, &lo)) fail(LOOPBACK_STEP);
    close(fd);
}

/* Gives an interface its address, and routes by its gateway. */
static void set_interface(const struct value *value) {
    struct sockaddr_in address = {.sin_family = AF_INET}, mask = address, gateway = address;
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    struct ifreq interface = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    stpncpy(interface.ifr_name, value[0].text, sizeof interface.ifr_name - 1);
    if (!inet_aton(value[1].text, &address.sin_addr) || !inet_aton(value[3].text, &gateway.sin_addr)) errno = EINVAL, fail(INTERFACE_STEP);
    mask.sin_addr.s_addr = htonl(~0u << (32 - value[2].number));
    memcpy(&interface.ifr_addr, &address, sizeof address);
    if (fd < 0 || ioctl(fd, SIOCSIFADDR, &interface)) fail(INTERFACE_STEP);
    memcpy(&interface.ifr_netmask, &mask, sizeof mask);
    if (ioctl(fd, SIOCSIFNETMASK, &interface) || !raise_interface(fd, &interface)) fail(INTERFACE_STEP);
    route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
    memcpy(&route.rt_gateway, &gateway, sizeof gateway);
    if (ioctl(fd, SIOCADDRT, &route)) fail(INTERFACE_STEP);
    close(fd);
}

/* Carries out the orders from the root to the name servers: after it, the guest's root is the root. */
void build(struct orders *orders) {
    struct value *value = orders->now.value;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) fail(SPACE_STEP);
    if (mount("tmpfs", "/m", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")) fail(MOUNT_STEP);
    const char *root = mount_root(orders);
    /* Paths now lead where they lead for the guest; those without "/" at the start still in the first root. */
    if (chroot(root)) fail(PIVOT_STEP);
    mounts = 0;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        mount_at(own[i].source, own[i].path, own[i].type, own[i].flags, own[i].data);
    for (int i = 0; i < 3; i++) if (symlink(streams[i].to, streams[i].name) && errno != EEXIST) fail(OPEN_STEP);
    struct orders first = *orders;
    const char *hosts = is_given(*orders, "localhost") ? "" : "127.0.0.1 localhost\n::1 localhost\n";
    for (;; next(orders))
        switch (orders->now.name) {
        case MOUNT_TMPFS:
            mount_tmpfs(value[0].text, value[1].number, value[2].text);
            break;
        case MOUNT_SHARE:
            mount_at(value[1].text, value[0].text, "virtiofs", MS_NODEV | access_of(&value[2]), NULL);
            break;
        case MOUNT_DISK:
            mount_disk(&value[1], value[0].text, &value[2], value[3].text, MS_NODEV | access_of(&value[4]));
            break;
        case INTERFACE:
            set_interface(value);
            break;
        case HOSTNAME:
            if (sethostname(value[0].text, strlen(value[0].text))) fail(HOSTNAME_STEP);
            if (!is_given(*orders, value[0].text)) add_host(hosts, "127.0.1.1", value[0].text);
            break;
        case HOST:
            add_host(hosts, value[1].text, value[0].text);
            break;
        case NAMESERVER:
            add("m/resolv.conf", "/etc/resolv.conf", "", "nameserver ", value[0].text);
            break;
        default:
            check_mounts(first);
            if (chroot(".") || chdir(root) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
                fail(PIVOT_STEP);
            raise_loopback();
            return;
        }
}
