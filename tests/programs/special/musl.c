/* Each allocation function of musl once, each kind of failure, and what errno is after it. */
#include "../common.h"

int main(void) {
    void *block = NULL;
    int sum = 0, result;
    begin();
    free(malloc(46003));
    block = calloc(3, 15331);
    for (int i = 0; i < 45993; i++) sum |= ((char *)block)[i];
    memset(block, 7, 45993);
    free(block);
    /* The same memory again, or fresh pages: zeros. */
    block = calloc(1, 45993);
    for (int i = 0; i < 45993; i++) sum |= ((char *)block)[i];
    free(block);
    block = realloc(NULL, 46021);
    free(realloc(block, 146023));
    free(reallocarray(NULL, 7, 6577));
    result = posix_memalign(&block, 64, 46049);
    if (result || (size_t)block % 64) die("posix_memalign");
    free(block);
    block = aligned_alloc(128, 46051);
    if ((size_t)block % 128) die("aligned_alloc");
    free(block);
    block = memalign(256, 46061);
    if ((size_t)block % 256) die("memalign");
    free(block);
    block = valloc(46073);
    if ((size_t)block % 4096) die("valloc");
    free(block);
    free(strdup("by libc"));
    volatile size_t half = SIZE_MAX / 2;
    errno = 0;
    say("calloc %d\n", calloc(half, 3) ? 0 : errno);
    errno = 0;
    result = posix_memalign(&block, 4, 46091);
    say("posix_memalign %d %d\n", result, errno);
    errno = 0;
    say("memalign %d\n", memalign(48, 46093) ? 0 : errno);
    end();
    say("sum %d\n", sum);
    return 0;
}
