/* Reads, writes and makes files of the guest. */
#include "stage.h"

/* Reads a file into memory of its own, with a NUL behind it; NULL and errno where that fails. */
char *read_file(const char *path, size_t most, size_t *size) {
    struct stat is;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* of a FIFO, none waits for a writer */
    if (fd < 0) return NULL;
    char *text = MAP_FAILED;
    if (fstat(fd, &is) == 0 && (errno = EINVAL, S_ISREG(is.st_mode)) && (errno = EFBIG, (size_t)is.st_size <= most))
        text = mmap(NULL, (size_t)is.st_size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ssize_t got = 1;
    for (*size = 0; text != MAP_FAILED && got > 0 && *size < (size_t)is.st_size;)
        if ((got = read(fd, text + *size, (size_t)is.st_size - *size)) > 0) *size += (size_t)got;
        else if (got < 0 && errno == EINTR) got = 1;
    close(fd);
    return text == MAP_FAILED || got < 0 ? NULL : text;
}

int write_all(int fd, const char *text) {
    for (size_t left = strlen(text); left;) {
        ssize_t n = write(fd, text, left);
        if (n > 0) text += n, left -= (size_t)n;
        else if (errno != EINTR) return 0;
    }
    return 1;
}

/* Writes to a file of the kernel's, as far as that is possible. */
void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) write_all(fd, text), close(fd);
}

static void copy(char to[PATH_MAX], const char *path) {
    if (strlen(path) >= PATH_MAX) errno = ENAMETOOLONG, fail(OPEN_STEP);
    strcpy(to, path);
}

/* The number of the mount that a file lies on, and whether it is a link. */
unsigned long long mount_of(int fd, int *is_link) {
    struct statx is = {0};
    if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_TYPE | MNT_ID, &is)) return 0;
    if (is_link) *is_link = S_ISLNK(is.stx_mode);
    return ((uint64_t *)&is)[MNT_ID_AT]; /* which musl has no name for; 0 before Linux 5.8 */
}

/* What is at a path, as a descriptor; what is missing of it is made, at its end a directory or, with is_file, an empty
   file. Links of the root lead where they lead in the guest. Others are an error: who can write to a share or a disk
   could lead the mount to any place with them. */
int reach(const char *path, int is_file) {
    char rest[PATH_MAX], link[PATH_MAX];
    copy(rest, path);
    int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), links = 0, is_link = 0;
    if (at < 0) fail(OPEN_STEP);
    unsigned long long root = mount_of(at, NULL);
    for (char *name = rest; *name;) {
        size_t size = strcspn(name, "/"), more = strspn(name + size, "/");
        char *after = name + size + more;
        name[size] = 0;
        int is_last_file = is_file && !*after;
        int found = *name ? openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : dup(at);
        if (found < 0 && errno == ENOENT) {
            if (!is_last_file && mkdirat(at, name, 0755) && errno != EEXIST) fail(MKDIR_STEP);
            found = openat(at, name, is_last_file ? O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC : O_PATH | O_NOFOLLOW | O_CLOEXEC, 0644);
        }
        if (found < 0) fail(is_last_file ? OPEN_STEP : MKDIR_STEP);
        unsigned long long here = mount_of(found, &is_link);
        if (is_link) {
            ssize_t got = readlinkat(found, "", link, sizeof link);
            if (got <= 0 || here != root || links++ == 40 || (size_t)got + 1 + strlen(after) >= sizeof link) errno = ELOOP, fail(LINK_STEP);
            link[got] = '/';
            strcpy(link + got + 1, after);
            strcpy(rest, link);
            after = rest;
            close(found);
            found = *rest == '/' ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : dup(at);
            if (found < 0) fail(OPEN_STEP);
        }
        close(at);
        at = found;
        name = after;
    }
    return at;
}
