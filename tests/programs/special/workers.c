/* A library whose constructor starts 8 threads that allocate: 1000 pairs each, of 1001, 1003...
 * They begin while the loader still holds its lock. */
#include "../common.h"

static pthread_t workers[8];

static void *work(void *size) {
    for (int i = 0; i < 1000; i++) free(malloc((size_t)size));
    return NULL;
}

__attribute__((constructor)) static void constructor(void) {
    for (size_t i = 0; i < 8; i++) pthread_create(&workers[i], NULL, work, (void *)(1001 + 2 * i));
}

void finish(void) {
    for (int i = 0; i < 8; i++) pthread_join(workers[i], NULL);
}
