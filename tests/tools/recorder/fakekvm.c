/* An LD_PRELOAD library: /dev/kvm as the variable FAKE_KVM says it is, by default one that works.
 * Real ones cannot run a guest on every machine that runs the tests, and cannot fail on demand.
 *   works  absent  denied  busy  old (API 11)  novm (no VM can be made)  emulated (internal error)
 *
 * With FAKE_OPENAT2, which valgrind before 3.22 does not know, openat2(2) is done by openat(2), for
 * paths without links: what is counted is then what runs on a kernel that has it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int kvm = -1, cpu = -1;

static char wanted[16] = "works";
static int without_openat2;

/* The launcher scrubs the environment, so it is read at the start. */
__attribute__((constructor)) static void load(void) {
    const char *given = getenv("FAKE_KVM");
    if (given) strncpy(wanted, given, sizeof wanted - 1);
    without_openat2 = getenv("FAKE_OPENAT2") != NULL;
}

static int is(const char *state) { return !strcmp(wanted, state); }

static int pretend(void) {
    if (is("absent")) { errno = ENOENT; return -1; }
    if (is("denied")) { errno = EACCES; return -1; }
    if (is("busy")) { errno = EBUSY; return -1; }
    return kvm = memfd_create("kvm", MFD_CLOEXEC);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        static int (*real)(const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        if (!strcmp(path, "/dev/kvm") && !(flags & O_PATH)) return pretend(); \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (!real) real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    uint32_t reason = is("emulated") ? 17 : 5;
    switch ((uint32_t)request) {
    case 0xAE00: return is("old") ? 11 : 12;
    case 0xAE01: if (is("novm")) { errno = ENOMEM; return -1; } return dup(kvm);
    case 0xAE04: return 4096;
    case 0xAE41: cpu = memfd_create("cpu", MFD_CLOEXEC); return ftruncate(cpu, 4096) ? -1 : cpu;
    case 0xAE80: return pwrite(fd, &reason, 4, 8) == 4 ? 0 : -1;
    case 0x4020AE46: case 0x8138AE83: case 0x4138AE84: case 0x4090AE82: return 0;
    default: return real(fd, request, argument);
    }
}

long syscall(long number, ...) {
    static long (*real)(long, ...);
    va_list rest;
    va_start(rest, number);
    long words[6];
    for (int i = 0; i < 6; i++) words[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_openat2 && without_openat2) {
        const char *path = (const char *)words[1];
        const uint64_t *how = (const uint64_t *)words[2]; /* struct open_how */
        if (how[2] & 0x10) { /* RESOLVE_IN_ROOT */
            path += strspn(path, "/");
            if (!*path) path = ".";
        }
        return openat((int)words[0], path, (int)how[0], (mode_t)how[1]);
    }
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
