/* Reads the file of orders: strings that end in NUL, checked against the table before anything is done. */
#define ORDERS_TABLE
#include "stage.h"

/* Reads a decimal number without sign or leading zeros: returns what follows it, or NULL. */
char *decimal(const char *text, unsigned most, unsigned *value) {
    unsigned long long sum = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if ((sum = sum * 10 + (unsigned)(*at - '0')) > most) return NULL;
    if (at == text || (*text == '0' && at > text + 1)) return NULL;
    *value = (unsigned)sum;
    return (char *)at;
}

char *next_text(char *text) { return text + strlen(text) + 1; }

/* Takes one string of the file. The file ends in NUL, so a string that starts in it ends in it. */
static char *take(struct orders *orders) {
    char *text = orders->at;
    if (text >= orders->end) return NULL;
    orders->at = next_text(text);
    return text;
}

static int fits(const struct param *param, struct orders *orders, struct value *value) {
    char *text = value->text = take(orders), *end;
    value->number = 0;
    if (!text) return 0;
    if (param->nullable && !*text) return 1;
    switch (param->kind) {
    case INT:
        end = decimal(text, param->most, &value->number);
        return end && !*end && value->number >= param->least;
    case TEXT:
        if (strncmp(text, param->prefix, strlen(param->prefix))) return 0;
        return strlen(text) >= param->least && strlen(text) <= param->most;
    case ENUM:
        while (value->number <= param->most && strcmp(text, param->words[value->number])) value->number++;
        return value->number <= param->most;
    default: /* LIST or VARIABLES: so many strings follow */
        end = decimal(text, param->most, &value->number);
        if (!end || *end) return 0;
        value->text = orders->at;
        for (unsigned i = 0; i < value->number; i++)
            if (!(text = take(orders)) || (param->kind == VARIABLES && (*text == '=' || !strchr(text, '=')))) return 0;
        return 1;
    }
}

/* Reads the next order into now: 1, or 0 where the orders end, or one is wrong (then at is not the end). */
int next(struct orders *orders) {
    struct order *now = &orders->now;
    char *before = orders->at, *word = take(orders);
    order_index = ++now->index;
    for (now->name = 0; word && now->name < NAMES; now->name++) {
        const struct shape *shape = &shapes[now->name];
        if (strcmp(word, shape->name)) continue;
        int i = 0;
        while (i < shape->params && fits(&shape->param[i], orders, &now->value[i])) i++;
        if (i == shape->params) return 1;
        break;
    }
    orders->at = before;
    return 0;
}

/* Reads the first order. */
int begin(struct orders *orders, char *text, size_t size) {
    *orders = (struct orders){text, text, text + size, 0, {.index = -1}};
    order_index = 0;
    return size && !text[size - 1] && next(orders);
}

/* Checks all orders: 1 if they are right; else order_index tells where not. */
int check(struct orders *orders, char *text, size_t size) {
    int rank = -1;
    for (int is_read = begin(orders, text, size); is_read; is_read = next(orders)) {
        const struct shape *shape = &shapes[orders->now.name];
        if (shape->rank < rank || (shape->rank == rank && !shape->many)) return 0;
        rank = shape->rank;
        orders->seen |= 1u << orders->now.name;
    }
    if (orders->at != orders->end || (orders->seen & REQUIRED) != REQUIRED || !(orders->seen & A_ROOT)) return 0;
    return 1;
}
