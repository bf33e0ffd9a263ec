/* Finds the program's user in the guest's own /etc/passwd and /etc/group, as runc does: a number is an ID, not a
   name, and need not be in passwd (then: group 0, home /). The first line of a name counts. Further groups are those
   that list the user's name; a group that is given is the only one. */
#include "stage.h"

enum { MOST_GROUPS = 65536 /* NGROUPS_MAX */, MOST_BYTES = 16 << 20 };

static int id(const char *text, unsigned *value) {
    char *end = decimal(text, 0xfffffffe, value); /* the last one means "unchanged" */
    return end && !*end;
}

/* Splits the next line into fields, empty ones where it has fewer; 0 at the end. */
static int fields(char **text, char *field[], int count) {
    static char empty[] = "";
    char *line = strsep(text, "\n");
    int is_line = line != NULL;
    for (int i = 0; i < count; i++) field[i] = line ? strsep(&line, ":") : empty;
    return is_line;
}

static int lists(char *names, const char *name) {
    for (char *one; (one = strsep(&names, ","));) if (!strcmp(one, name)) return 1;
    return 0;
}

static void add_group(struct user *user, gid_t gid) {
    if (!(user->count & (user->count - 1))) { /* full: twice as many */
        user->groups = realloc(user->groups, (user->count ? 2 * user->count : 1) * sizeof gid);
        if (!user->groups) fail(GROUP_STEP);
    }
    user->groups[user->count++] = gid;
}

/* Fills in a user from both files' texts: 0, or the step that failed. */
enum step find_user(char *passwd, char *group, char *spec, struct user *user) {
    char *field[6], *name = strsep(&spec, ":"), *only = spec, *listed = NULL;
    unsigned uid, gid;
    *user = (struct user){.home = "/"};
    int numeric = id(name, &user->uid);
    while (!listed && fields(&passwd, field, 6)) {
        if (!id(field[2], &uid) || !id(field[3], &gid) || (numeric ? uid != user->uid : strcmp(field[0], name))) continue;
        user->uid = uid, user->gid = gid, listed = field[0];
        if (*field[5]) user->home = field[5];
    }
    if (!*name || (!listed && !numeric)) return USER_STEP;
    if (only && id(only, &user->gid)) return 0;
    while ((only || listed) && user->count < MOST_GROUPS && fields(&group, field, 4)) {
        if (!id(field[2], &gid)) continue;
        if (!only && lists(field[3], listed)) add_group(user, gid);
        if (only && *only && !strcmp(field[0], only)) return user->gid = gid, 0;
    }
    return only ? GROUP_STEP : 0;
}

static char *text_of(const char *path, enum step step) {
    static char none[] = "";
    size_t size;
    char *text = read_file(path, MOST_BYTES, &size);
    if (!text && errno != ENOENT) fail(step);
    return text ? text : none;
}

struct user look_up(char *spec) {
    struct user user;
    enum step step = find_user(text_of("/etc/passwd", USER_STEP), text_of("/etc/group", GROUP_STEP), spec, &user);
    errno = ENOENT;
    if (step) fail(step);
    errno = EPERM; /* a review takes who is not called root for another */
    if (!user.uid && strcmp(spec, "0") && strcmp(spec, "root")) fail(USER_STEP);
    return user;
}
