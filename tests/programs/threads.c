/* threads THREADS ROUNDS: each thread makes five calls a round, whose sizes tell thread and round. */
#include "common.h"

static pthread_barrier_t barrier;
static long threads, rounds;

static size_t size(long thread, long round, long call) {
    return 1001 + 2 * (((round * 3 + call) % 2003) * threads + thread);
}

static void *work(void *argument) {
    long thread = (long)argument;
    pthread_barrier_wait(&barrier);
    begin();
    for (long round = 0; round < rounds; round++) {
        char *block = malloc(size(thread, round, 0));
        char *other = calloc(1, size(thread, round, 1));
        block = realloc(block, size(thread, round, 2));
        free(other);
        free(block);
    }
    end();
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    threads = atol(arguments[1]), rounds = atol(arguments[2]);
    pthread_t thread[threads];
    pthread_barrier_init(&barrier, NULL, threads);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)i)) die("pthread_create");
    for (long i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    return 0;
}
