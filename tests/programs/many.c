/* many LINES COUNT PROGRAM: so many lines start the program one time after the other, COUNT times in
 * all. Says how many ended with 0. */
#include "common.h"

int main(int count, char **arguments) {
    extern char **environ;
    if (count != 4) return 2;
    long lines = atol(arguments[1]), left = atol(arguments[2]), running = 0, good = 0;
    char *child[] = { arguments[3], NULL };
    while (left || running) {
        if (left && running < lines) {
            pid_t pid;
            if (posix_spawn(&pid, child[0], NULL, NULL, child, environ)) die("posix_spawn");
            left--, running++;
            continue;
        }
        int status;
        if (wait(&status) < 0) die("wait");
        running--, good += status == 0;
    }
    say("good %ld\n", good);
    return 0;
}
