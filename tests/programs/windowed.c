/* windowed END [family]: pairs of 20001, pairs of 20003 until the input ends, and pairs of 20005. Then it ends with
 * this code, or by this signal if it is negative. In a family a forked child and another program do the same at
 * once, and when all have ended one more program makes pairs of 20007. */
#include "common.h"
#include <poll.h>

extern char **environ;

static void pairs(size_t size, int count) {
    while (count--) free(malloc(size));
}

static void work(void) {
    pairs(20001, 10);
    struct pollfd input = { .fd = 0, .events = POLLIN };
    while (poll(&input, 1, 1) == 0) pairs(20003, 10);
    pairs(20005, 10);
}

static pid_t start(char *program, char *how) {
    pid_t child;
    char *arguments[] = { program, how, NULL };
    if (posix_spawn(&child, program, NULL, NULL, arguments, environ)) die("posix_spawn");
    return child;
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    if (!strcmp(arguments[1], "late")) {
        pairs(20007, 10);
        return 0;
    }
    pid_t forked = 0, other = 0;
    if (count > 2) {
        forked = fork();
        if (forked == 0) {
            work();
            return 0;
        }
        other = start(arguments[0], "0");
    }
    work();
    if (count > 2) {
        wait_for(forked);
        wait_for(other);
        wait_for(start(arguments[0], "late"));
    }
    int end = atoi(arguments[1]);
    if (end < 0) raise(-end);
    return end;
}
