/* short PAIRS HOW [FILE]: makes so many pairs of calls, half of them in another thread that is still there at the end, and
 * ends: by "exit", "_exit" (of libc), "exec" of FILE, "kill", or by "failed": an exec that fails, more pairs, and an exit. */
#include "common.h"

static long pairs;
static pthread_barrier_t barrier;

static void *work(void *unused) {
    for (long i = 0; i < pairs / 2; i++) free(malloc(20003));
    pthread_barrier_wait(&barrier);
    pause();
    return unused;
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    pairs = atol(arguments[1]);
    const char *how = arguments[2];
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pairs > 1) {
        pthread_create(&thread, NULL, work, NULL);
        pthread_barrier_wait(&barrier);
    }
    for (long i = pairs > 1 ? pairs / 2 : 0; i < pairs; i++) free(malloc(20003));
    if (!strcmp(how, "_exit")) _exit(7);
    if (!strcmp(how, "exec")) execl(arguments[3], arguments[3], NULL);
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "failed")) {
        for (int i = 0; i < 3; i++) {
            execl("/nowhere/at/all", "nothing", NULL);
            for (int pair = 0; pair < 20000; pair++) free(malloc(20005));
        }
    }
    return 7;
}
