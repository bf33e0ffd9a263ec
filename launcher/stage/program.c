/* Starts the program as its user, sends it what the launcher sends, and waits for it as process 1 of its PID space. */
#include "stage.h"

/* Of the program `progress` is where it is kept that it was executed; of the script before it NULL. */
struct start { char **argv, **env, *directory; struct user *user; volatile int *progress; int index, directory_index, terminal; };
struct failure { int index, number; enum step step; };

/* Init has set the box's limits, which are the program's: what the stage itself needs of them it has, and a script too. */
static struct { int which; rlim_t least; struct rlimit own; } limits[] = {
    {.which = RLIMIT_CPU, .least = RLIM_INFINITY}, {.which = RLIMIT_FSIZE, .least = RLIM_INFINITY},
    {.which = RLIMIT_DATA, .least = RLIM_INFINITY}, {.which = RLIMIT_AS, .least = RLIM_INFINITY},
    {.which = RLIMIT_STACK, .least = 8 << 20}, {.which = RLIMIT_NOFILE, .least = 1024}};

static rlim_t at_least(rlim_t least, rlim_t limit) { return limit < least ? least : limit; }

void lift_limits(void) {
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit *own = &limits[i].own;
        getrlimit(limits[i].which, own);
        struct rlimit lifted = {at_least(limits[i].least, own->rlim_cur), at_least(limits[i].least, own->rlim_max)};
        setrlimit(limits[i].which, &lifted);
    }
}

/* A console by the name that it has in the guest, or ttyname(3) finds none. */
static void name_console(void) {
    unsigned console, is;
    int fd = open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TIOCGDEV, &console)) return;
    for (int i = 0; i < 3; i++) if (!ioctl(i, TIOCGDEV, &is) && is == console) dup2(fd, i);
    close(fd);
}

/* The program may open its own input and outputs again, as /dev/stdout; as runc gives them. */
static void own_streams(uid_t uid) {
    struct stat is;
    for (int i = 0; i < 3; i++)
        if (!fstat(i, &is) && is.st_uid != uid && is.st_rdev != makedev(1, 3) && fchown(i, uid, (gid_t)-1)) continue;
}

static _Noreturn void tell(int out, int index, enum step step) {
    struct failure failure = {index, errno, step};
    if (write(out, &failure, sizeof failure)) {}
    _exit(NEVER_ENDED);
}

static _Noreturn void become(const struct start *start, int out) {
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < _NSIG; i++) signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    write_file("/proc/self/oom_score_adj", "0");
    setsid();
    int input = start->progress ? 0 : open("/dev/null", O_RDONLY | O_CLOEXEC); /* the program's is its own */
    if (input > 0) dup2(input, 0);
    if (start->terminal) {
        name_console();
        if (ioctl(0, TIOCSCTTY, 1)) tell(out, start->index, TERMINAL_STEP); /* 1: also from the session that has it */
    }
    own_streams(start->user->uid);
    if (setgroups(start->user->count, start->user->groups) || setresgid(start->user->gid, start->user->gid, start->user->gid)
        || setresuid(start->user->uid, start->user->uid, start->user->uid)) tell(out, start->index, USER_STEP);
    if (chdir(start->directory)) tell(out, start->directory_index, WORKDIR_STEP);
    syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
    for (size_t i = 0; start->progress && i < sizeof limits / sizeof *limits; i++) setrlimit(limits[i].which, &limits[i].own);
    environ = start->env; /* its PATH is looked through */
    if (start->progress) *start->progress = EXECUTED;
    execvpe(start->argv[0], start->argv, start->env);
    if (start->progress) *start->progress = BEFORE_PROGRAM;
    tell(out, start->index, EXEC_STEP);
}

static pid_t launch(const struct start *start) {
    struct failure failure;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) fail(START_STEP);
    pid_t child = fork();
    if (child < 0) fail(START_STEP);
    if (!child) become(start, ends[1]);
    close(ends[1]);
    if (read(ends[0], &failure, sizeof failure) == sizeof failure) {
        say_failed(failure.index, failure.step, failure.number);
        int status = failure.number == ENOENT ? 127 : 126; /* as a shell's */
        _exit(start->progress && failure.step == EXEC_STEP ? status : NEVER_ENDED);
    }
    close(ends[0]);
    return child;
}

/* On a terminal the program is a shell, perhaps, whose jobs have groups of their own; else its group is what it started. */
static void pass_on(pid_t child, int terminal, int number) {
    if (terminal || kill(-child, number)) kill(child, number);
}

/* Does what the launcher says; 0 when it says no more. */
static int hear(pid_t child, int terminal) {
    static char text[64];
    static size_t got;
    ssize_t size = recv(report, text + got, sizeof text - got, MSG_DONTWAIT);
    if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
    got += (size_t)size;
    for (char *end; (end = memchr(text, '\n', got));) {
        unsigned number[2];
        *end++ = 0;
        int count = command(text, number);
        struct winsize window = {(unsigned short)number[0], (unsigned short)number[1], 0, 0};
        if (count == 1) pass_on(child, terminal, (int)number[0]);
        if (count == 2) ioctl(0, TIOCSWINSZ, &window);
        memmove(text, end, got -= (size_t)(end - text));
    }
    if (got == sizeof text) got = 0;
    return 1;
}

/* Waits for a child, and for all that are left to process 1. */
static int attend(pid_t child, int terminal, int signals) {
    static int hears = 1;
    for (;;) {
        int status;
        for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) if (ended == child) return status;
        struct pollfd sources[2] = {{signals, POLLIN, 0}, {hears ? report : -1, POLLIN, 0}};
        struct signalfd_siginfo info;
        if (poll(sources, 2, -1) < 0) continue;
        if (sources[1].revents) hears = hear(child, terminal);
        if (sources[0].revents && read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD)
            pass_on(child, terminal, (int)info.ssi_signo);
    }
}

static char **room(size_t count) {
    char **memory = calloc(count, sizeof *memory);
    if (!memory) fail(START_STEP);
    return memory;
}

static char **copy(char **to, struct value *list) {
    char *text = list->text;
    for (unsigned i = 0; i < list->number; i++, text = next_text(text)) *to++ = text;
    return to;
}

static void add_missing(char **env, const char *name, const char *text) {
    size_t size = strlen(name);
    for (; *env; env++) if (!strncmp(*env, name, size)) return;
    *env = (char *)room((size + strlen(text)) / sizeof *env + 1);
    stpcpy(stpcpy(*env, name), text);
}

/* Carries out the orders from the user to the program; returns the exit status. */
int carry_out(struct orders *orders, int signals, volatile int *progress) {
    char nobody[] = "0", *script[] = {"/bin/sh", "-c", NULL, NULL};
    struct order *now = &orders->now;
    int is_given = now->name == USER, terminal = isatty(0);
    struct user root = {.home = "/"}, user = look_up(is_given ? now->value[0].text : nobody);
    struct start before = {script, NULL, "/", &root, NULL, 0, 0, 0}, program = {.user = &user, .progress = progress, .terminal = terminal};
    if (is_given) next(orders);
    if (now->name == BEFORE) {
        before.index = now->index;
        script[2] = now->value[0].text;
        next(orders);
    }
    program.directory = now->value[0].text;
    program.directory_index = now->index;
    next(orders);
    program.index = now->index;
    program.argv = room(now->value[1].number + 2);
    program.argv[0] = now->value[0].text;
    copy(program.argv + 1, &now->value[1]);
    program.env = before.env = room(now->value[2].number + 4);
    copy(program.env, &now->value[2]);
    add_missing(program.env, "HOME=", user.home);
    add_missing(program.env, "PATH=", SEARCH);
    if (terminal) add_missing(program.env, "TERM=", "linux");
    int status = before.index ? attend(launch(&before), 0, signals) : 0;
    if (status) {
        if (WIFSIGNALED(status)) say_failed(before.index, SIGNAL_STEP, WTERMSIG(status));
        else say_failed(before.index, EXITED_STEP, WEXITSTATUS(status));
        return NEVER_ENDED;
    }
    pid_t child = launch(&program);
    *progress = SAID; /* first: what is said wakes the launcher, and this process may not run again before it is ended */
    say("started", -1);
    free(program.argv);
    free(program.env);
    munmap(orders->start, (size_t)(orders->end - orders->start)); /* what waits in the guest's memory stays small */
    status = attend(child, terminal, signals);
    if (WIFSIGNALED(status)) say("signal", WTERMSIG(status));
    else say("exit", WEXITSTATUS(status));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
