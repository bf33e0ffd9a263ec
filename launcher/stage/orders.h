/* Made by build.py of schema/krunc_schema/orders.json. */
#ifndef ORDERS_H
#define ORDERS_H
enum { NEVER_ENDED = 125, MOST_VALUES = 5 };
enum name { REPORT, ROOT_SHARE, ROOT_DISK, DISCARD_CHANGES, KEEP_CHANGES, MOUNT_TMPFS, MOUNT_SHARE, MOUNT_DISK, INTERFACE, HOSTNAME, HOST, NAMESERVER, USER, BEFORE, WORKDIR, PROGRAM, NAMES };
enum guest_access { READ, READ_WRITE };
enum step { NO_STEP, ORDERS_STEP, DIAL_STEP, SPACE_STEP, MOUNT_STEP, CHANGES_STEP, MKDIR_STEP, LINK_STEP, HIDDEN_STEP, OPEN_STEP, WRITE_STEP, PIVOT_STEP, HOSTNAME_STEP, INTERFACE_STEP, LOOPBACK_STEP, USER_STEP, GROUP_STEP, START_STEP, TERMINAL_STEP, WORKDIR_STEP, EXEC_STEP, EXITED_STEP, SIGNAL_STEP };
#define SEARCH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
enum { REQUIRED = 1u << REPORT | 1u << WORKDIR | 1u << PROGRAM, A_ROOT = 1u << ROOT_SHARE | 1u << ROOT_DISK };
#endif
#ifdef STEP_WORDS
static const char *const step_words[] = { "", "orders", "dial", "space", "mount", "changes", "mkdir", "link", "hidden", "open", "write", "pivot", "hostname", "interface", "loopback", "user", "group", "start", "terminal", "workdir", "exec", "exited", "signal" };
#endif
#ifdef ORDERS_TABLE
enum kind { INT, TEXT, ENUM, LIST, VARIABLES };
struct param { enum kind kind; int nullable; unsigned least, most; const char *prefix; const char *const *words; };
struct shape { const char *name; int rank, many, params; struct param param[MOST_VALUES]; };
static const char *const guest_access_words[] = { "read", "read-write" };
static const struct shape shapes[] = {
    {"report", 0, 0, 1, {{INT, 0, 1, 4294967294u, "", NULL}}},
    {"root_share", 1, 0, 2, {{TEXT, 0, 1, 36u, "", NULL}, {ENUM, 0, 0, 1u, "", guest_access_words}}},
    {"root_disk", 1, 0, 4, {{TEXT, 0, 6, 255u, "/dev/", NULL}, {TEXT, 0, 1, 255u, "", NULL}, {TEXT, 1, 1, 255u, "", NULL}, {ENUM, 0, 0, 1u, "", guest_access_words}}},
    {"discard_changes", 2, 0, 1, {{INT, 1, 1, 16777216u, "", NULL}}},
    {"keep_changes", 2, 0, 2, {{TEXT, 0, 6, 255u, "/dev/", NULL}, {TEXT, 0, 1, 255u, "", NULL}}},
    {"mount_tmpfs", 3, 1, 3, {{TEXT, 0, 1, 4095u, "/", NULL}, {INT, 1, 1, 16777216u, "", NULL}, {TEXT, 0, 3, 4u, "", NULL}}},
    {"mount_share", 3, 1, 3, {{TEXT, 0, 1, 4095u, "/", NULL}, {TEXT, 0, 1, 36u, "", NULL}, {ENUM, 0, 0, 1u, "", guest_access_words}}},
    {"mount_disk", 3, 1, 5, {{TEXT, 0, 1, 4095u, "/", NULL}, {TEXT, 0, 6, 255u, "/dev/", NULL}, {TEXT, 0, 1, 255u, "", NULL}, {TEXT, 1, 1, 255u, "", NULL}, {ENUM, 0, 0, 1u, "", guest_access_words}}},
    {"interface", 4, 0, 4, {{TEXT, 0, 1, 15u, "", NULL}, {TEXT, 0, 7, 15u, "", NULL}, {INT, 0, 1, 30u, "", NULL}, {TEXT, 0, 7, 15u, "", NULL}}},
    {"hostname", 5, 0, 1, {{TEXT, 0, 1, 64u, "", NULL}}},
    {"host", 6, 1, 2, {{TEXT, 0, 1, 253u, "", NULL}, {TEXT, 0, 2, 45u, "", NULL}}},
    {"nameserver", 7, 1, 1, {{TEXT, 0, 2, 45u, "", NULL}}},
    {"user", 8, 0, 1, {{TEXT, 0, 1, 255u, "", NULL}}},
    {"before", 9, 0, 1, {{TEXT, 0, 1, 131071u, "", NULL}}},
    {"workdir", 10, 0, 1, {{TEXT, 0, 1, 4095u, "/", NULL}}},
    {"program", 11, 0, 3, {{TEXT, 0, 1, 4095u, "", NULL}, {LIST, 0, 0, 4096u, "", NULL}, {VARIABLES, 0, 0, 4096u, "", NULL}}},
};
#endif
