/* heirs COUNT: threads that leave half-filled blocks to the main thread, which makes so many pairs after the last
 * one and ends at once. */
#include "common.h"

static void pairs(size_t size, long count) {
    while (count--) free(malloc(size));
}

static void *brief(void *unused) { pairs(501, 800); return unused; }

int main(int count, char **arguments) {
    if (count != 2) return 2;
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pairs(601, 3000);
        if (pthread_create(&thread, NULL, brief, NULL)) die("pthread_create");
        pthread_join(thread, NULL);
    }
    pairs(701, atol(arguments[1]));
    _exit(0);
}
