"""The C text of a recording libkrun of one era."""

from __future__ import annotations

from typing import Any

from krunc_schema import load

_HEAD = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <termios.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* The launcher scrubs the environment, so it is read when the library is loaded. */
static const char *copied(const char *name) {
    const char *value = getenv(name);
    return value ? strdup(value) : NULL;
}
static const char *record, *wanted, *fail, *status, *die, *stay, *kept, *says, *floods, *report;
static int64_t *stamp; /* when a VM was entered, in ns of CLOCK_MONOTONIC */
__attribute__((constructor)) static void load(void) {
    record = copied("KRUN_RECORDER");
    wanted = copied("KRUN_RECORDER_REACH");
    fail = copied("KRUN_RECORDER_FAIL");
    status = copied("KRUN_RECORDER_EXIT");
    die = copied("KRUN_RECORDER_SIGNAL");
    stay = copied("KRUN_RECORDER_STAY");
    kept = copied("KRUN_RECORDER_KEPT");
    says = copied("KRUN_RECORDER_SAYS");
    floods = copied("KRUN_RECORDER_FLOODS");
    int fd = open(copied("KRUN_RECORDER_STAMP") ?: "", O_RDWR);
    if (fd >= 0) {
        stamp = mmap(NULL, sizeof *stamp, PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
}
static FILE *out(void) {
    static FILE *file;
    const char *path = record;
    if (!file) file = fopen(path ? path : "/dev/null", "a");
    return file;
}
static void text(const char *s) {
    if (!s) { fputs("null", out()); return; }
    fputc('"', out());
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') fprintf(out(), "\\%c", c);
        else if (c < 32) fprintf(out(), "\\u%04x", c);
        else fputc(c, out());
    }
    fputc('"', out());
}
static void texts(const char *const *list) {
    if (!list) { fputs("null", out()); return; }
    fputc('[', out());
    for (int i = 0; list[i]; i++) { if (i) fputs(", ", out()); text(list[i]); }
    fputc(']', out());
}
static void bytes(const uint8_t *data, size_t size) {
    fputc('"', out());
    for (size_t i = 0; i < size; i++) fprintf(out(), "%02x", data[i]);
    fputc('"', out());
}
static void end(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    fprintf(out(), "], \"nofile\": %llu}\n", (unsigned long long)limit.rlim_cur);
}
static void numbers(const uint16_t *list, size_t count) {
    if (!list) { fputs("null", out()); return; }
    fputc('[', out());
    for (size_t i = 0; i < count; i++) fprintf(out(), "%s%u", i ? ", " : "", list[i]);
    fputc(']', out());
}
static int early[2];
/* One thing that a guest that broke out would try, of those below; -1 and errno when it fails. */
static int attempt(char what, const char *path) {
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un unix_name = {.sun_family = AF_UNIX};
    size_t length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    char other[4096];
    int fd = -1, number = atoi(path), result;
    peer.sin_port = htons((uint16_t)number);
    strncpy(unix_name.sun_path, path, sizeof unix_name.sun_path - 1);
    if (*path == '@') unix_name.sun_path[0] = 0;
    switch (what) {
    case 'r': /* past the KVM that pretends */
        result = fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
        break;
    case 'w': result = fd = open(path, O_WRONLY); break;
    case 'c': result = fd = open(path, O_WRONLY | O_CREAT, 0600); break;
    case 'd': result = fd = open(path, O_RDONLY | O_DIRECTORY); break;
    case 'i': fd = open(path, O_RDONLY); result = ioctl(fd, TCGETS, other); break;
    case 'k': result = truncate(path, 1); break;
    case 'u': result = unlink(path); break;
    case 'e': result = rmdir(path); break;
    case 'm': result = mkdir(path, 0700); break;
    case 'f': result = mkfifo(path, 0600); break;
    case 'C': result = mknod(path, S_IFCHR | 0666, makedev(1, 3)); break;
    case 'D': result = mknodat(AT_FDCWD, path, S_IFBLK | 0600, makedev(7, 0)); break;
    case 'W': /* no device: overlayfs marks with it what is deleted */
        result = mknod(path, S_IFCHR, makedev(0, 0));
        break;
    case 'h': /* by the other call */
        result = syscall(SYS_mknodat, AT_FDCWD, path, S_IFCHR | 0600, makedev(1, 9));
        break;
    case 'l': result = symlink("x", path); break;
    case 'v': /* to the directory below */
        snprintf(other, sizeof other, "%.*s/below%s", (int)(strrchr(path, '/') - path), path,
                 strrchr(path, '/'));
        result = rename(path, other);
        break;
    case 's': case 'o': /* make the socket of a path, or call it */
        if ((result = fd = socket(AF_UNIX, SOCK_STREAM, 0)) < 0) break;
        result = (what == 's' ? bind : connect)(fd, (struct sockaddr *)&unix_name, length);
        break;
    case 't': case 'b': /* TCP to a port of this host, or from it */
        if ((result = fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) break;
        result = (what == 't' ? connect : bind)(fd, (struct sockaddr *)&peer, sizeof peer);
        break;
    case 'T': case 'B': /* the same by a socket that was open before */
        result = (what == 'T' ? connect : bind)(early[what == 'T'], (struct sockaddr *)&peer,
                                               sizeof peer);
        break;
    case 'n': result = fd = socket(AF_INET, SOCK_DGRAM, 0); break;
    case 'g': result = kill(number, 0); break;
    case 'x': result = execl(path, path, (char *)NULL); break;
    case 'a': /* a capability that could be had */
        result = prctl(PR_CAPBSET_READ, number) == 1 ? 0 : -1;
        errno = EPERM;
        break;
    case 'q': result = syscall(number, -1, -1, -1, -1, -1); break;
    case 'y': result = ioctl(0, number, "x"); break;
    case 'j': /* the limits of a process */
        result = syscall(SYS_prlimit64, number, RLIMIT_CPU, NULL, other);
        break;
    case 'p': result = chmod(path, 0640); break;
    case 'P': result = chown(path, getuid(), getgid()); break;
    case 'X': result = setxattr(path, "user.krunc", "x", 1, 0); break;
    case 'U': result = utimensat(AT_FDCWD, path, NULL, 0); break;
    case 'z': /* a thread or process in namespaces of its own */
        result = unshare(number);
        break;
    default: abort();
    }
    number = errno;
    if (fd >= 0) close(fd);
    errno = number;
    return result;
}
/* KRUN_RECORDER_REACH holds lines of a letter of these and a path or number. */
static void reach(void) {
    char *lines = strdup(wanted ? wanted : "");
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        int failed = attempt(*line, line + 2) < 0 ? errno : 0;
        fprintf(out(), "{\"reach\": \"%s\", \"errno\": %d}\n", line, failed);
    }
    free(lines);
}
static void entered(void) {
    if (kept) { /* the names of all variables that are left */
        fputs("{\"kept\": [", out());
        for (char **name = environ; *name; name++)
            fprintf(out(), "%s\"%.*s\"", name > environ ? ", " : "", (int)strcspn(*name, "="), *name);
        fputs("]}\n", out());
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (stamp) *stamp = now.tv_sec * 1000000000LL + now.tv_nsec;
}
/* What the stage of a guest says: that the program started, and how it ended, or what
   KRUN_RECORDER_SAYS has, and then KRUN_RECORDER_FLOODS until nobody listens. */
static int stage(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(name.sun_path, report, sizeof name.sun_path - 1);
    if (connect(fd, (struct sockaddr *)&name, sizeof name)) abort();
    dprintf(fd, "%s", says ? says : "started\n");
    if (floods) {
        static char sea[1 << 16];
        size_t size = strlen(floods), all = sizeof sea / size * size;
        for (size_t i = 0; i < all; i++) sea[i] = floods[i % size];
        while (send(fd, sea, all, MSG_NOSIGNAL) > 0);
    }
    return fd;
}
static void stage_ends(int fd) {
    char rest;
    if (!says) dprintf(fd, "exit %s\n", status ? status : "0");
    shutdown(fd, SHUT_WR);
    while (read(fd, &rest, 1) > 0);
}
static int answer(const char *name) {
    size_t size = strlen(name);
    fflush(out());
    if (fail && !strncmp(fail, name, size) && fail[size] == '=') return atoi(fail + size + 1);
    return 0;
}
"""
_NUMBERS = {"bool", "int", "size_t", "uid_t", "gid_t"}


def functions(era: str, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The functions that a libkrun of ERA has, but for those in WITHOUT."""
    flat = era == "v2_flat"
    return {
        name: row
        for name, row in load("krun")["functions"].items()
        if name not in without
        and row["returns"] != "const char *"
        and ("removed" not in row if flat else row["since"] != "2.0")
    }


def source(era: str, without: frozenset[str] = frozenset()) -> str:
    """C for a library of ERA."""
    return _HEAD + "\n".join(_function(name, row) for name, row in functions(era, without).items())


def _function(name: str, row: dict[str, Any]) -> str:
    params = ", ".join(f"{param['c']} {param['name']}" for param in row["params"]) or "void"
    if row["role"] == "query":
        # The launcher asks these; what it asks is no call of a plan. 1 is yes for krun_has_feature.
        answer = {"krun_get_shutdown_eventfd": -22, "krun_get_max_vcpus": 255}.get(name, 1)
        return f"{row['returns']} {name}({params}) {{ return {answer}; }}"
    body = [f'fputs("{{\\"call\\": \\"{name}\\", \\"args\\": [", out());']
    for i, param in enumerate(row["params"]):
        if i:
            body.append('fputs(", ", out());')
        body.append(_print(param, row["params"]))
    body.append("end();")
    if name.startswith("krun_add_vsock_port"):
        body.append(f"if (port == {load('orders')['port']}) report = strdup(filepath);")
    if name == "krun_setuid":
        body.append("prctl(PR_SET_PDEATHSIG, 0);  /* as the kernel does when the user changes */")
    if row["role"] == "enter":
        body.append("entered(); reach();")
        body.append(f'int result = answer("{name}"); if (result < 0) return result;')
        body.append("if (die) raise(atoi(die));")
        body.append("int fd = report ? stage() : -1;")
        body.append("fflush(out()); while (stay) pause();")
        body.append("if (report) stage_ends(fd);")
        body.append("_exit(status ? atoi(status) : 0);")
    elif row["role"] == "create":
        body.append("for (int i = 0; i < 2; i++) early[i] = socket(AF_INET, SOCK_STREAM, 0);")
        body.append(f'int result = answer("{name}"); return result < 0 ? result : 42;')
    else:
        body.append(f'return answer("{name}");')
    return f"{row['returns']} {name}({params}) {{\n    " + "\n    ".join(body) + "\n}"


def _print(param: dict[str, Any], params: list[dict[str, Any]]) -> str:
    name, kind, c = param["name"], param["kind"], param["c"]
    if kind == "mac":
        return f"bytes({name}, 6);"
    if kind == "bytes":
        length = next(other["name"] for other in params if other.get("of") == name)
        return f"bytes({name}, {length});"
    if kind == "u16s":
        return f"numbers({name}, {param['count']});"
    if kind == "pointer":
        return 'fputs("null", out());'
    if c == "bool":
        return f'fputs({name} ? "true" : "false", out());'
    if c in _NUMBERS or c.startswith("uint"):
        return f'fprintf(out(), "%lld", (long long){name});'
    return f"texts({name});" if "const *" in c else f"text({name});"
