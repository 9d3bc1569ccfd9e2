/* pairs THREADS PAIRS [FILE]: each thread makes malloc/free pairs whose sizes tell thread and turn.
 * FILE: two counters a thread, events begun and events done, in memory that outlives a SIGKILL. */
#include "common.h"

static pthread_barrier_t barrier;
static long threads, pairs;
static volatile uint64_t *counters;

static void *work(void *argument) {
    long thread = (long)argument;
    volatile uint64_t *begun = counters + thread * 16, *done = begun + 8;
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < pairs; i++) {
        *begun += 1;
        void *block = malloc(1 + (i % 509) * threads + thread);
        *done += 1;
        *begun += 1;
        free(block);
        *done += 1;
    }
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    threads = atol(arguments[1]), pairs = atol(arguments[2]);
    int file = count > 3 ? open(arguments[3], O_RDWR) : -1;
    counters = mmap(NULL, threads * 128, PROT_READ | PROT_WRITE,
                    MAP_SHARED | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    if (counters == MAP_FAILED) die("mmap");
    pthread_t thread[threads];
    pthread_barrier_init(&barrier, NULL, threads);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)i)) die("pthread_create");
    for (long i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    return 0;
}
