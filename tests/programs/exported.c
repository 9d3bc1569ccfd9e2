/* Something of everything that a format may have a place for: leaks, churn, chains of reallocations,
 * alignments, failures, a peak, and memory of one thread that another one frees. */
#include "common.h"

__attribute__((noinline)) static void *leak_here(int number) { return malloc(30001 + 2 * number); }

__attribute__((noinline)) static void churn(int count) {
    for (int i = 0; i < count; i++) free(malloc(101 + i % 8));
}

static void *thread(void *of_main) {
    free(of_main);
    churn(100);
    void *block = realloc(malloc(31001), 31003);
    leak_here(50);
    return block;
}

int main(void) {
    for (int i = 0; i < 20; i++)
        if (!leak_here(i)) die("malloc");
    churn(500);
    void *grown = NULL;
    for (int i = 0; i < 5; i++) grown = realloc(grown, 32001 + 40000 * i);
    void *aligned[6];
    if (posix_memalign(&aligned[0], 64, 33001)) die("posix_memalign");
    aligned[1] = aligned_alloc(128, 33003);
    aligned[2] = memalign(256, 33005);
    aligned[3] = valloc(33007);
    aligned[4] = pvalloc(33009);
    aligned[5] = calloc(3, 11003);
    void *blocks[10];
    for (int i = 0; i < 10; i++) blocks[i] = malloc(100001);
    for (int i = 0; i < 10; i++) free(blocks[i]);
    for (int i = 0; i < 6; i++) free(aligned[i]);
    if (malloc(PTRDIFF_MAX) || realloc(grown, PTRDIFF_MAX)) die("malloc");
    free(malloc(0));
    if (realloc(grown, 0)) die("realloc");
    pthread_t other;
    void *of_other;
    if (pthread_create(&other, NULL, thread, malloc(34001))) die("pthread_create");
    pthread_join(other, &of_other);
    free(of_other);
    return 0;
}
