/* errno CASE [DIRECTORY]: makes calls while system calls of the recorder fail, and looks at errno after each.
 * descriptors: it has lost its descriptor. threads: it looks for dead ones. fork: in a child that cannot create
 * its trace, as DIRECTORY, where that would be, is gone. Says how often errno has changed. */
#include "common.h"

enum { VALUE = 1234 };
static long changed;

static void pairs(long count) {
    while (count--) {
        errno = VALUE;
        void *block = malloc(1001);
        changed += errno != VALUE;
        errno = VALUE;
        free(block);
        changed += errno != VALUE;
    }
}

static void *brief(void *unused) { pairs(1); return unused; }

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const char *name = arguments[1];
    pairs(1);
    if (strcmp(name, "descriptors") == 0) {
        if (syscall(SYS_close_range, 3, ~0U, 0)) die("close_range");
        pairs(500000);
    } else if (strcmp(name, "threads") == 0) {
        for (int i = 0; i < 200; i++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, brief, NULL)) die("pthread_create");
            pthread_join(thread, NULL);
        }
    } else if (strcmp(name, "fork") == 0 && count == 3) {
        if (rename(arguments[2], "elsewhere")) die("rename");
        pid_t pid = fork();
        if (pid == 0) { pairs(2000); say("changed %ld\n", changed); _exit(0); }
        wait_for(pid);
    } else return 2;
    say("changed %ld\n", changed);
    return 0;
}
