/* Tells the launcher what happens, by lines on a vsock connection, and hears what it wants sent to the program. */
#define STEP_WORDS
#include "stage.h"

enum { PATIENCE = 2000 }; /* ms: a launcher that does not read, or does not close, must not hold the VM */

int order_index, report = -1;

char *put_number(char *at, long number) {
    char digits[24], *first = digits + sizeof digits - 1;
    *first = 0;
    do *--first = (char)('0' + number % 10); while (number /= 10);
    return stpcpy(at, first);
}

/* Makes a line; a number below 0, or no step, is left out. */
size_t line(char out[256], const char *word, long index, const char *step, long number) {
    char *at = stpcpy(out, word);
    if (index >= 0) at = put_number(stpcpy(at, " "), index);
    if (step) at = stpcpy(stpcpy(at, " "), step);
    if (number >= 0) at = put_number(stpcpy(at, " "), number);
    return (size_t)(stpcpy(at, "\n") - out);
}

/* Understands "signal N" or "size R C": returns how many numbers came, 0 for anything else. */
int command(char *line, unsigned number[2]) {
    int one = !strncmp(line, "signal ", 7), two = !strncmp(line, "size ", 5);
    char *end = one ? decimal(line + 7, 64, number) : two ? decimal(line + 5, 65535, number) : NULL;
    if (two && end) end = *end == ' ' ? decimal(end + 1, 65535, number + 1) : NULL;
    return end && !*end ? one + 2 * two : 0;
}

int dial(unsigned port) {
#ifdef TEST_SOCKET /* the tests run where there is no vsock */
    struct sockaddr_un to = {AF_UNIX, TEST_SOCKET};
    (void)port;
#else
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
#endif
    report = socket(*(sa_family_t *)&to, SOCK_STREAM | SOCK_CLOEXEC, 0);
#ifndef TEST_SOCKET /* vsock's own limit is 2 s, which a busy host can take */
    struct timeval most = {30, 0};
    setsockopt(report, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &most, sizeof most);
#endif
    if (report >= 0 && !connect(report, (struct sockaddr *)&to, sizeof to)) return 1;
    report = -1;
    return 0;
}

static void send_line(const char *text, size_t size) {
    while (report >= 0 && size) {
        ssize_t sent = send(report, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        struct pollfd room = {report, POLLOUT, 0};
        if (sent > 0) text += sent, size -= (size_t)sent;
        else if (errno != EINTR && (errno != EAGAIN || poll(&room, 1, PATIENCE) <= 0)) report = -1;
    }
}

void say(const char *word, long number) {
    char text[256];
    send_line(text, line(text, word, -1, NULL, number));
}

void say_failed(int index, enum step step, int number) {
    char text[256];
    size_t size = line(text, "failed", index, step_words[step], number);
    if (report < 0 || step == ORDERS_STEP) write_all(2, "stage: "), write_all(2, text);
    send_line(text, size);
}

/* Ends the inner process for errno; the outer one then ends the VM with the same status. */
void fail(enum step step) {
    say_failed(order_index, step, errno);
    _exit(NEVER_ENDED);
}

/* Waits until the launcher has closed: the VM's end may drop what it has not read. vsock tells a close that answers the
   stage's own shutdown as an error of recv(2). */
void finish(void) {
    struct timespec now, since;
    char rest[64];
    struct pollfd closed = {report, POLLIN, 0};
    if (report < 0) return;
    shutdown(report, SHUT_WR);
    clock_gettime(CLOCK_MONOTONIC, &since);
    for (long left = PATIENCE; left > 0;) {
        ssize_t got = poll(&closed, 1, (int)left) > 0 ? recv(report, rest, sizeof rest, MSG_DONTWAIT) : 1;
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = PATIENCE - (now.tv_sec - since.tv_sec) * 1000 - (now.tv_nsec - since.tv_nsec) / 1000000;
    }
}
