/* Blocks of many sizes: all that malloc_usable_size promises is written and read back, through
 * reallocations as well. Says how many blocks and bytes it has written. */
#include "common.h"

static long blocks, bytes;

static void fill(unsigned char *block, int value) {
    size_t usable = malloc_usable_size(block);
    memset(block, value, usable);
    blocks++, bytes += usable;
}

static void look(const unsigned char *block, size_t length, int value) {
    for (size_t i = 0; i < length; i++)
        if (block[i] != value) die("content");
}

int main(void) {
    enum { LIVE = 50 };
    unsigned char *live[LIVE] = { 0 };
    if (malloc_usable_size(NULL) != 0) die("usable size of NULL");
    for (size_t i = 0, size = 0; i < 3000; i++, size = (size * 31 + 7) % (i % 20 ? 3000 : 300000)) {
        unsigned char **place = &live[i % LIVE];
        if (*place) look(*place, malloc_usable_size(*place), (int)(i % LIVE));
        if (i % 3 == 0) free(*place), *place = NULL;
        size_t kept = *place ? malloc_usable_size(*place) : 0;
        *place = i % 3 == 1 && !*place ? memalign(256, size + 1) : realloc(*place, size + 1);
        if (!*place || malloc_usable_size(*place) < size + 1) die("usable");
        look(*place, kept < size + 1 ? kept : size + 1, (int)(i % LIVE));
        fill(*place, (int)(i % LIVE));
    }
    for (int i = 0; i < LIVE; i++) free(live[i]);
    say("written %ld blocks %ld bytes\n", blocks, bytes);
    return 0;
}
