/* The stage: krunc's own first program in the VM. It makes the guest that the orders describe, starts the program in
   it, and tells the launcher how that ended. It is two processes: this one keeps the VM's first root, and with it the
   exit status; the inner one is process 1 of the PID space of all that the guest runs. */
#include "stage.h"

enum { EXIT_STATUS = 0x7602 /* libkrun's own ioctl on its root share */, MOST_BYTES = 4 << 20 };

int main(int argc, char **argv) {
    lift_limits();
    int top = open("/", O_RDONLY | O_CLOEXEC), status;
    ioctl(top, EXIT_STATUS, NEVER_ENDED); /* before all else: a panic must not end with 0 */
    close(top);
    write_file("/proc/self/oom_score_adj", "-1000"); /* the witness goes last */
    umask(022);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    struct orders orders;
    size_t size;
    char *text = argc == 2 && chdir("/") == 0 ? read_file(argv[1], MOST_BYTES, &size) : NULL;
    if (!text) return say_failed(0, OPEN_STEP, errno), NEVER_ENDED;
    int wrong = check(&orders, text, size) ? -1 : order_index;
    unsigned seen = orders.seen;
    if (!begin(&orders, text, size) || orders.now.name != REPORT || !dial(orders.now.value[0].number)) {
        if (wrong < 0) return say_failed(0, DIAL_STEP, errno), NEVER_ENDED;
    }
    orders.seen = seen;
    if (wrong >= 0) return say_failed(wrong, ORDERS_STEP, EINVAL), finish(), NEVER_ENDED;
    /* The inner one can end before it says that the program was started: by a program whose first act is to power off. */
    volatile int *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t inner = -1;
    if (progress != MAP_FAILED && unshare(CLONE_NEWPID) == 0) inner = fork();
    if (inner < 0) return say_failed(0, SPACE_STEP, errno), finish(), NEVER_ENDED;
    if (!inner) {
        next(&orders);
        build(&orders);
        _exit(carry_out(&orders, signalfd(-1, &all, SFD_CLOEXEC), progress));
    }
    munmap(text, size);
    while (waitpid(inner, &status, 0) != inner) {}
    if (WIFSIGNALED(status)) { /* reboot(2) in a PID space sends these two to its process 1 */
        int number = WTERMSIG(status), off = number == SIGINT || number == SIGHUP;
        if (*progress == EXECUTED) say("started", -1);
        if (off) say(number == SIGINT ? "poweroff" : "reboot", -1);
        else say("lost", number);
        status = off ? 0 : NEVER_ENDED;
    } else status = WEXITSTATUS(status);
    finish();
    return status;
}
