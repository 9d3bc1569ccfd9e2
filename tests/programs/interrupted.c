/* interrupted CASE SIGNALS: signal handlers that allocate while the program does, over an allocator that can
 * bear it (special/bump.c). Pairs of 21 in the program, of 35 in a handler, of 49 in a handler of a handler.
 * Says how many of each, and how many moments the allocator has counted. */
#include "common.h"
#include <setjmp.h>

static volatile long outer, inner, jumps, pairs;
static unsigned long (*moments)(void);
static sigjmp_buf place;

static void on_inner(int unused) {
    (void)unused;
    free(malloc(49));
    inner++;
}

static void on_signal(int unused) {
    (void)unused;
    free(malloc(35));
    /* From time to time by another one in the middle of this. */
    if (outer % 16 == 0) raise(SIGUSR2);
    outer++;
}

static void on_jump(int unused) {
    (void)unused;
    free(malloc(35));
    outer++;
    jumps++;
    siglongjmp(place, 1);
}

static void handle(int number, void (*handler)(int)) {
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    if (sigaction(number, &action, NULL)) die("sigaction");
}

/* Works until so many signals have come, one each few microseconds if the machine can. */
static void work(void (*handler)(int), int microseconds, long signals) {
    handle(SIGALRM, handler);
    struct itimerval often = { { 0, microseconds }, { 0, microseconds } };
    if (setitimer(ITIMER_REAL, &often, NULL)) die("setitimer");
    sigsetjmp(place, 1);
    while (outer < signals) {
        free(malloc(21));
        pairs++;
        for (volatile int i = 0; i < 30; i++) {}
    }
    setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
    handle(SIGALRM, SIG_IGN);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    moments = (unsigned long (*)(void))dlsym(RTLD_DEFAULT, "bump_moments");
    if (!moments) die("bump_moments");
    long signals = atol(arguments[2]);
    handle(SIGUSR2, on_inner);
    if (strcmp(arguments[1], "timer") == 0) work(on_signal, 100, signals);
    else if (strcmp(arguments[1], "storm") == 0) work(on_signal, 60, signals);
    else if (strcmp(arguments[1], "jumps") == 0) work(on_jump, 100, signals);
    else return 2;
    say("outer %ld\ninner %ld\njumps %ld\npairs %ld\nmoments %lu\n", outer, inner, jumps, pairs, moments());
    return 0;
}
