// Pauses itself, goes on and marks, as `docs/mallook.h` shows. What it allocates tells when: sizes from
// 20001 while it records, from 30001 while it pauses, both by four threads. The other threads make
// their allocations between barriers, so that all of a stage come before the next one. ROUNDS times.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../docs/mallook.h"

#define THREADS 4

static pthread_barrier_t barrier;
static int rounds;

static void touch(size_t size)
{
    void *volatile own = malloc(size);
    free(own);
}

static void *worker(void *number)
{
    size_t own = (size_t)number;
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        // The main thread has resumed.
        for (int i = 0; i < 10; i++) touch(20001 + 2 * own);
        pthread_barrier_wait(&barrier);
        // It has paused.
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < 10; i++) touch(30001 + 2 * own);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    rounds = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, worker, (void *)i);
    errno = 42;
    printf("marked %d\n", mallook_mark("first\033[2J\n<script>&\"'\xff"));
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        touch(20009);
        pthread_barrier_wait(&barrier);
        mallook_pause();
        touch(30009);
        pthread_barrier_wait(&barrier);
        touch(30011);
        pthread_barrier_wait(&barrier);
        mallook_resume();
        touch(20011);
    }
    printf("errno %d\n", errno == 42);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    int last = 0;
    for (int i = 0; i < 200; i++) last += mallook_mark("many") == 0;
    printf("more %d\n", last);
    return 0;
}
