/* Good and bad calls of every allocation function; says result and errno after each. */
#include "common.h"

static volatile size_t big = PTRDIFF_MAX, half = SIZE_MAX / 2, most = SIZE_MAX;
static const int before[] = { 0, 1234 };

static void result(const char *call, void *block, int code, int error) {
    say("%s: %s %d errno %d\n", call, block ? "block" : "null", code, error);
}

/* Each once with errno 0 and once with another value before; what came out is released. */
#define TRY(call) do { \
    for (int i = 0; i < 2; i++) { \
        void *block = NULL; \
        int code = 0; \
        errno = before[i]; \
        call; \
        int error = errno; \
        result(#call, block, code, error); \
        errno = before[i]; \
        free(block); \
        say("  free: errno %d\n", errno); \
    } \
} while (0)

/* The old block of a failed reallocation is still there, with what was in it. */
#define RETRY(call) do { \
    for (int i = 0; i < 2; i++) { \
        char *old = malloc(100), *block; \
        memset(old, 'x', 100); \
        errno = before[i]; \
        block = call; \
        int error = errno; \
        char kept = block ? *block : *old; \
        result(#call, block, kept, error); \
        free(block ? block : old); \
    } \
} while (0)

int main(void) {
    const size_t sizes[] = { 0, 1, 24, 1000, 100000, (size_t)40 << 20 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t size = sizes[s];
        say("size %zu\n", size);
        TRY(block = malloc(size));
        TRY(block = calloc(size, 1));
        TRY(block = realloc(NULL, size));
        TRY(block = reallocarray(NULL, size, 1));
        TRY(code = posix_memalign(&block, 64, size));
        TRY(block = aligned_alloc(64, size));
        TRY(block = memalign(64, size));
        TRY(block = valloc(size));
        if (size) {
            RETRY(realloc(old, size));
            RETRY(reallocarray(old, size, 1));
        }
    }
    TRY(block = malloc(big));
    TRY(block = malloc(big + 1));
    TRY(block = malloc(most));
    TRY(block = calloc(big, 1));
    TRY(block = calloc(half, 3));
    TRY(block = calloc(most, most));
    TRY(block = calloc(most, 0));
    TRY(block = calloc(0, most));
    TRY(block = realloc(NULL, big));
    TRY(block = realloc(NULL, most));
    TRY(block = reallocarray(NULL, half, 3));
    TRY(block = reallocarray(NULL, big, 1));
    TRY(block = reallocarray(NULL, most, 0));
    RETRY(realloc(old, big));
    RETRY(realloc(old, most));
    RETRY(reallocarray(old, half, 3));
    RETRY(reallocarray(old, most, most));
    RETRY(reallocarray(old, big, 1));
    const size_t alignments[] = { 1, 2, 3, 4, 8, 24, 48, 4096, 65536, ((size_t)1 << 63) + 1 };
    for (size_t a = 0; a < sizeof alignments / sizeof *alignments; a++) {
        size_t alignment = alignments[a];
        say("alignment %zu\n", alignment);
        TRY(code = posix_memalign(&block, alignment, 100));
        TRY(block = aligned_alloc(alignment, 100));
        TRY(block = memalign(alignment, 100));
    }
    TRY(code = posix_memalign(&block, 64, big));
    TRY(code = posix_memalign(&block, 0, 100));
    TRY(block = aligned_alloc(64, big));
    TRY(block = memalign(64, most));
    TRY(block = valloc(big));
    TRY(block = valloc(most));
    return 0;
}
