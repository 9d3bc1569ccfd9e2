/* A few of everything, in a known order; the addresses are said at the end. */
#include "common.h"

int main(void) {
    void *block[12] = {0};
    begin();
    block[0] = malloc(10007);
    block[1] = calloc(3, 10009);
    block[2] = realloc(block[0], 300007);
    block[3] = realloc(NULL, 10037);
    block[4] = reallocarray(block[3], 11, 911);
    if (posix_memalign(&block[5], 64, 10039)) die("posix_memalign");
    block[6] = aligned_alloc(128, 10061);
    block[7] = memalign(256, 10067);
    block[8] = valloc(10069);
    block[9] = pvalloc(10079);
    block[10] = malloc(((size_t)1 << 32) + 15);
    block[11] = malloc(PTRDIFF_MAX);
    free(block[1]);
    free(NULL);
    free(block[10]);
    for (int i = 4; i < 10; i++) free(block[i]);
    block[11] = realloc(block[2], 0);
    end();
    for (int i = 0; i < 12; i++) say("%c 0x%zx\n", 'A' + i, (size_t)block[i]);
    return 0;
}
