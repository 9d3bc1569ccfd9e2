/* handoff THREADS ROUNDS: blocks are freed by whichever thread comes next, so that addresses move
 * from thread to thread as fast as the allocator lets them. */
#include "common.h"

enum { PLACES = 8 };
static _Atomic(void *) place[PLACES];
static pthread_barrier_t barrier;
static long rounds;

static void *work(void *argument) {
    pthread_barrier_wait(&barrier);
    for (long round = 0; round < rounds; round++) {
        void *mine = malloc(2001);
        free(__atomic_exchange_n((void **)&place[(round + (long)argument) % PLACES], mine, __ATOMIC_SEQ_CST));
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    long threads = atol(arguments[1]);
    rounds = atol(arguments[2]);
    pthread_t thread[threads];
    pthread_barrier_init(&barrier, NULL, threads);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)i)) die("pthread_create");
    for (long i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < PLACES; i++) free(place[i]);
    return 0;
}
