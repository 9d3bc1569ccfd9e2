/* churn CALLS [SETUP...]: makes two calls, then so many, and says how many, and the most memory that it had.
 * SETUP, before the calls: fsize=BYTES, nofile=N, as=BYTES set limits; flood=N opens files until no
 * descriptor is left, at most N, and says how many; fork makes a child do the same first. The limits
 * come after the first call. */
#include "common.h"
#include <sys/resource.h>

enum { BLOCKS = 64 };

/* Pairs of calls, such that some blocks live long; each block holds what was written there. */
static void churn(long calls) {
    static unsigned char *block[BLOCKS];
    for (long i = 0; i < calls / 2; i++) {
        int place = i % 7 ? i % BLOCKS : 5;
        if (block[place] && *block[place] != (unsigned char)place) die("content");
        free(block[place]);
        block[place] = malloc(100 + i % 37);
        if (!block[place]) die("malloc");
        *block[place] = (unsigned char)place;
    }
    for (int i = 0; i < BLOCKS; i++) free(block[i]), block[i] = NULL;
}

/* With the first pair. The frees of missing blocks are no events: as many as there are births. */
static long performed(long calls) { return 2 + calls / 2 * 2; }

static void limit(int resource, const char *value) {
    struct rlimit limit = { strtoul(value, NULL, 10), strtoul(value, NULL, 10) };
    if (setrlimit(resource, &limit)) die("setrlimit");
}

static void say_memory(void) {
    char status[8192] = "";
    int file = open("/proc/self/status", O_RDONLY);
    if (file < 0 || read(file, status, sizeof status - 1) < 0) return;
    const char *peak = strstr(status, "VmHWM:");
    if (peak) say("peak_kib %ld\n", atol(peak + 6));
    close(file);
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    long calls = atol(arguments[1]);
    free(malloc(50));
    for (int i = 2; i < count; i++) {
        char *argument = arguments[i];
        if (!strncmp(argument, "fsize=", 6)) limit(RLIMIT_FSIZE, argument + 6);
        if (!strncmp(argument, "nofile=", 7)) limit(RLIMIT_NOFILE, argument + 7);
        if (!strncmp(argument, "as=", 3)) limit(RLIMIT_AS, argument + 3);
        if (!strncmp(argument, "flood=", 6)) {
            int files = 0;
            while (files < atoi(argument + 6) && open("/dev/null", O_RDONLY) >= 0) files++;
            say("files %d\n", files);
        }
        if (!strcmp(argument, "fork")) {
            pid_t child = fork();
            if (child == 0) {
                churn(calls);
                _exit(0);
            }
            if (child < 0) die("fork");
            wait_for(child);
        }
    }
    churn(calls);
    say("performed %ld\n", performed(calls));
    say_memory();
    return 7;
}
