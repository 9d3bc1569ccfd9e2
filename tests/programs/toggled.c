// A busy family for pauses from outside: threads hand blocks to each other, and the main thread forks
// children that do so as well, until the standard input ends.
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3
#define PLACES 256

static _Atomic(void *) places[PLACES];
static atomic_int stop;

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void step(uint64_t *state)
{
    uint64_t word = next(state);
    void *mine = malloc(16 + word % 500);
    if (word >> 60 == 0) mine = realloc(mine, 1000 + (word >> 20) % 500);
    free(atomic_exchange(&places[(word >> 40) % PLACES], mine));
    // Traces that are quickly read.
    if (word % 64 == 0) usleep(100);
}

static void *worker(void *seed)
{
    uint64_t state = (uintptr_t)seed;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) step(&state);
    return NULL;
}

static void child(uint64_t seed)
{
    pthread_t thread;
    pthread_create(&thread, NULL, worker, (void *)(uintptr_t)(seed | 1));
    for (int i = 0; i < 2000; i++) step(&seed);
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    exit(0);
}

int main(void)
{
    pthread_t threads[THREADS];
    uint64_t state = 88172645463325252;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)(1000 + i));
    puts("ready");
    fflush(stdout);
    struct pollfd input = { .fd = 0, .events = POLLIN };
    int children = 0;
    while (poll(&input, 1, 0) == 0) {
        for (int i = 0; i < 500; i++) step(&state);
        pid_t pid = fork();
        if (pid == 0) child(next(&state) | 1);
        if (pid > 0) waitpid(pid, NULL, 0);
        children++;
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    printf("children %d\n", children);
    return 0;
}
