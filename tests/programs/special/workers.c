/* A library whose constructor starts 8 threads that allocate: 1000 pairs each, of 1001, 1003...
 * It waits for their first pairs, while the loader still holds its lock. */
#include "../common.h"

static pthread_t workers[8];
static pthread_barrier_t begun;

static void *work(void *size) {
    for (int i = 0; i < 1000; i++) {
        free(malloc((size_t)size));
        if (i == 0) pthread_barrier_wait(&begun);
    }
    return NULL;
}

__attribute__((constructor)) static void constructor(void) {
    alarm(60);
    pthread_barrier_init(&begun, NULL, 9);
    for (size_t i = 0; i < 8; i++) pthread_create(&workers[i], NULL, work, (void *)(1001 + 2 * i));
    pthread_barrier_wait(&begun);
    alarm(0);
}

void finish(void) {
    for (int i = 0; i < 8; i++) pthread_join(workers[i], NULL);
}
