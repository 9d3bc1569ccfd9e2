/* Two threads allocate in a known order, for ever. Thread 0 uses odd sizes, thread 1 even ones. */
#include "common.h"

static void *work(void *argument) {
    long thread = (long)argument;
    for (long i = 0;; i++) {
        size_t size = 3001 + 2 * (i % 1511) + thread;
        char *block = malloc(size);
        memset(block, (int)i, size);
        if (i % 7 == 3) block = realloc(block, size + 3022 + thread * 0);
        free(block);
    }
    return NULL;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, (void *)1)) die("pthread_create");
    work((void *)0);
}
