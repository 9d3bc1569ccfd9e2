/* Allocates so many blocks of 1003 bytes as each line of the input says, and answers each line. */
#include "common.h"

static void *volatile sink;
static void asked(int count) {
    for (int i = 0; i < count; i++) sink = malloc(1003);
}

int main(void) {
    char line[64];
    ssize_t length;
    while ((length = read(0, line, sizeof line - 1)) > 0) {
        line[length] = 0;
        asked(atoi(line));
        say("done\n");
    }
}
