/* A plugin, in two builds of the same layout and other names. */
#include <stdlib.h>

static __attribute__((noinline, noclone)) void INNER(size_t size) {
    free(malloc(size));
    __asm__ volatile("");
}
void enter(size_t size) {
    INNER(size);
    __asm__ volatile("");
}
