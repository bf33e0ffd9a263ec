/* Calls functions of the stage for test_unit.py. Standard input is calls: how many arguments, then each one's size and
   bytes; every argument is in memory of just its size, so that a sanitizer sees what reads beyond it. */
#include "stage.h"
#include <stdio.h>

static char *item(size_t *size, int ends) {
    unsigned n;
    if (fread(&n, sizeof n, 1, stdin) != 1) return NULL;
    char *text = malloc(n + (size_t)ends ? n + (size_t)ends : 1);
    if (fread(text, 1, n, stdin) != n) abort();
    if (ends) text[n] = 0;
    if (size) *size = n;
    return text;
}

static void show(const char *text) {
    putchar(' ');
    for (; *text; text++) printf("%02x", (unsigned char)*text);
    putchar('.');
}

static void show_orders(void) {
    size_t size;
    char *text = item(&size, 0);
    struct orders orders;
    int right = check(&orders, text, size), goes_on;
    if (!right) printf("wrong %d", order_index);
    for (goes_on = right && begin(&orders, text, size); goes_on; goes_on = next(&orders)) {
        printf("%d", orders.now.name);
        for (int i = 0; i < MOST_VALUES; i++) {
            struct value *value = &orders.now.value[i];
            char *at = value->text;
            printf(" %u", value->number);
            int is_list = orders.now.name == PROGRAM && i;
            if (at && !is_list) show(at);
            for (unsigned k = 0; is_list && k < value->number && i < 3; k++, at = next_text(at)) show(at);
            value->text = NULL, value->number = 0;
        }
        putchar(';');
    }
    free(text);
}

static void show_user(void) {
    char *passwd = item(NULL, 1), *group = item(NULL, 1), *spec = item(NULL, 1);
    struct user user;
    enum step step = find_user(passwd, group, spec, &user);
    if (step) printf("%d", step);
    else {
        printf("%u %u", user.uid, user.gid);
        show(user.home);
        for (size_t i = 0; i < user.count; i++) printf(" %u", user.groups[i]);
    }
    free(user.groups), free(passwd), free(group), free(spec);
}

/* How the launcher's end can look: closed, closed with a line unread, gone as vsock has it (recv(2) fails), open. */
static void show_finish(void) {
    char *how = item(NULL, 1);
    int ends[2];
    struct timespec since, now;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    report = ends[0];
    if (!strcmp(how, "unread")) say("exit", 0);
    if (!strcmp(how, "fails")) close(ends[0]), report = socket(AF_UNIX, SOCK_STREAM, 0);
    if (strcmp(how, "open")) close(ends[1]);
    clock_gettime(CLOCK_MONOTONIC, &since);
    finish();
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%s", now.tv_sec - since.tv_sec > 1 ? "waited" : "at once");
    if (!strcmp(how, "open")) close(ends[1]);
    close(report), report = -1, free(how);
}

int main(void) {
    for (char *what; (what = item(NULL, 1)); free(what), putchar('\n')) {
        if (!strcmp(what, "orders")) show_orders();
        else if (!strcmp(what, "user")) show_user();
        else if (!strcmp(what, "finish")) show_finish();
        else if (!strcmp(what, "options")) {
            char *text = item(NULL, 1);
            printf("%lu", mount_options(text));
            show(text);
            free(text);
        } else if (!strcmp(what, "command")) {
            char *text = item(NULL, 1);
            unsigned number[2] = {0, 0};
            int count = command(text, number);
            printf("%d", count);
            for (int i = 0; i < count; i++) printf(" %u", number[i]);
            free(text);
        } else if (!strcmp(what, "line")) {
            char *word = item(NULL, 1), *index = item(NULL, 1), *step = item(NULL, 1), *number = item(NULL, 1);
            char *out = malloc(256);
            size_t size = line(out, word, atol(index), *step ? step : NULL, atol(number));
            if (strlen(out) != size) abort();
            show(out);
            free(word), free(index), free(step), free(number), free(out);
        } else abort();
    }
}
