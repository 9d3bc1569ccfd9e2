/* exchange THREADS: so many threads swap blocks through a table, for ever, so that mostly another thread
 * releases a block than has made it; they rest now and then, so that their trace does not fill the disk. */
#include "common.h"

enum { PLACES = 64 };
static _Atomic(void *) places[PLACES];

static void *work(void *argument) {
    unsigned seed = (unsigned)(long)argument * 7919 + 1;
    for (long round = 1;; round++) {
        if (round % 64 == 0) usleep(1000);
        seed = seed * 1103515245 + 12345;
        void *block = malloc(17 + (seed >> 16) % 200);
        block = __atomic_exchange_n(&places[(seed >> 8) % PLACES], block, __ATOMIC_SEQ_CST);
        if (seed & 0x40000) block = realloc(block, 301);
        free(block);
    }
    return NULL;
}

int main(int argc, char **argv) {
    long threads = argc > 1 ? atol(argv[1]) : 2;
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)i)) die("pthread_create");
    }
    work((void *)0);
}
