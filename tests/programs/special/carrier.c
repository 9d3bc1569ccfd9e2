/* Carries an allocator under a name of its own, as programs of Rust do. */
#include <stdlib.h>

__attribute__((noinline)) void *_rjem_malloc(size_t size) {
    static char heap[64];
    return heap + size % 64;
}

int main(void) {
    free(malloc(47003));
    return _rjem_malloc(3) == NULL;
}
