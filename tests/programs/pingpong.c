/* pingpong ROUNDS: one thread allocates all blocks, another one releases them, so that the first is
 * given at once what the second has released. Says how many blocks it were, and how many addresses
 * the one released and the other was given next. */
#include "common.h"

enum { QUEUE = 256, TABLE = 1 << 16 };
static _Atomic long pushed, popped;
static long *queue[QUEUE];
static _Atomic char released[TABLE];
static long rounds, moved;

static void *make(void *unused) {
    for (long round = 0; round < rounds; round++) {
        while (round - popped >= QUEUE) sched_yield();
        long *block = malloc(40);
        if (!block) die("malloc");
        _Atomic char *before = &released[((size_t)block >> 4) % TABLE];
        moved += *before;
        *before = 0;
        *block = round;
        queue[round % QUEUE] = block;
        pushed = round + 1;
    }
    return unused;
}

static void *release(void *unused) {
    for (long round = 0; round < rounds; round++) {
        while (pushed <= round) sched_yield();
        long *block = queue[round % QUEUE];
        if (*block != round) die("content");
        released[((size_t)block >> 4) % TABLE] = 1;
        free(block);
        popped = round + 1;
    }
    return unused;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    rounds = atol(arguments[1]);
    pthread_t thread[2];
    if (pthread_create(&thread[0], NULL, make, NULL)) die("pthread_create");
    if (pthread_create(&thread[1], NULL, release, NULL)) die("pthread_create");
    for (long i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    say("handed_over %ld\nmoved %ld\n", rounds, moved);
    return 0;
}
