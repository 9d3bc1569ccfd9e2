/* A library to be loaded and unloaded again and again: 7 pairs of 20051 each time. */
#include "../common.h"

static void some(int count) {
    while (count--) free(malloc(20051));
}
__attribute__((constructor)) static void constructor(void) { some(4); }
__attribute__((destructor)) static void destructor(void) { some(3); }
