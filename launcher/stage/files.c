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

/* Makes what is missing of a directory and of those above it. */
void make_directories(const char *path) {
    char name[PATH_MAX];
    copy(name, path);
    for (char *at = name + 1, *end;; at = end + 1) {
        if ((end = strchr(at, '/'))) *end = 0;
        if (mkdir(name, 0755) && errno != EEXIST) fail(MKDIR_STEP);
        if (!end) return;
        *end = '/';
    }
}

/* Makes an empty file where none is, at the end of links that lead to none. */
void make_file(const char *path) {
    char name[PATH_MAX], link[PATH_MAX], above[PATH_MAX];
    if (access(path, F_OK) == 0) return;
    copy(name, path);
    for (int links = 0; links < 40; links++) {
        ssize_t size = readlink(name, link, sizeof link - 1);
        if (size < 0) break;
        link[size] = 0;
        char *file = *link == '/' ? name : strrchr(name, '/') + 1;
        if ((size_t)(file - name + size) >= sizeof name) break;
        strcpy(file, link);
    }
    copy(above, name);
    char *slash = strrchr(above, '/');
    *slash = 0;
    if (*above) make_directories(above);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) fail(OPEN_STEP);
    close(fd);
}
