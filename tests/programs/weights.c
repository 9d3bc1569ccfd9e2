/* weights SIZE: a forked child and its parent hold a block of this size each, and make pairs of 20001 until the input
 * ends, and one of 20003 after that. "weights SIZE turns": children hold one each, one after the other, until the
 * input ends; half of them end by exit, half by _exit. "weights SIZE apart": a child ends, and when there is something
 * to be read another one holds a block, and makes pairs as above. These two programs allocate in children alone. */
#include "common.h"
#include <poll.h>

static int goes_on(void) {
    struct pollfd input = { .fd = 0, .events = POLLIN };
    return poll(&input, 1, 1) == 0;
}

static void hold(size_t size) {
    void *volatile held = malloc(size);
    while (goes_on()) free(malloc(20001));
    free(malloc(20003));
    free(held);
}

static void apart(size_t size) {
    pid_t child = fork();
    if (child == 0) {
        free(malloc(20005));
        exit(0);
    }
    wait_for(child);
    char word;
    if (read(0, &word, 1) != 1) die("read");
    child = fork();
    if (child == 0) {
        hold(size);
        exit(0);
    }
    wait_for(child);
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    size_t size = atol(arguments[1]);
    if (count > 2 && !strcmp(arguments[2], "apart")) {
        apart(size);
        return 7;
    }
    for (int turn = 0; count > 2 && goes_on(); turn++) {
        pid_t child = fork();
        if (child == 0) {
            void *volatile held = malloc(size);
            (void)held;
            if (turn % 2) exit(0);
            _exit(0);
        }
        wait_for(child);
    }
    if (count > 2) return 7;
    pid_t child = fork();
    hold(size);
    if (child) wait_for(child);
    return child ? 7 : 0;
}
