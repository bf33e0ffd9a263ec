/* What the parts of the stage share. orders.h is made from the table of orders. */
#ifndef STAGE_H
#define STAGE_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/close_range.h>
#include <linux/vm_sockets.h>
#include "orders.h"

/* orders.c */
struct value { char *text; unsigned number; }; /* of a list: its first item, and how many */
struct order { enum name name; int index; struct value value[MOST_VALUES]; };
struct orders { char *start, *at, *end; unsigned seen; struct order now; }; /* seen: a bit for each name */
char *decimal(const char *text, unsigned most, unsigned *value);
char *next_text(char *text);
int begin(struct orders *orders, char *text, size_t size);
int next(struct orders *orders);
int check(struct orders *orders, char *text, size_t size);

/* report.c */
extern int report, order_index; /* the connection; the order that is carried out, for what fails */
char *put_number(char *at, long number);
size_t line(char out[256], const char *word, long index, const char *step, long number);
int command(char *line, unsigned number[2]);
int dial(unsigned port);
void say(const char *word, long number);
void say_failed(int index, enum step step, int number);
_Noreturn void fail(enum step step);
void finish(void);

/* files.c */
char *read_file(const char *path, size_t most, size_t *size);
void write_file(const char *path, const char *text);
int write_all(int fd, const char *text);
#define MNT_ID 0x1000u /* linux/stat.h: STATX_MNT_ID, and the place of stx_mnt_id, as one of uint64_t */
#define MNT_ID_AT 18
unsigned long long mount_of(int fd, int *is_link);
int reach(const char *path, int is_file);

/* root.c */
unsigned long mount_options(char *options);
void build(struct orders *orders);

/* user.c */
struct user { unsigned uid, gid; char *home; gid_t *groups; size_t count; };
enum step find_user(char *passwd, char *group, char *spec, struct user *user);
struct user look_up(char *spec);

/* program.c */
enum progress { BEFORE_PROGRAM, EXECUTED, SAID };
void lift_limits(void);
int carry_out(struct orders *orders, int signals, volatile int *progress);
#endif
