/* Programs whose traces are in mnt, which is a small disk. */
#include "common.h"

static long performed;

/* Pairs of calls, whose moments are counted. */
static inline void pairs(size_t size, long count) {
    performed += 2 * count;
    while (count--) free(malloc(size));
}

/* Fills the disk. Without allocating. */
static inline void fill(void) {
    static char zeros[4096];
    int file = open("mnt/filler", O_WRONLY | O_CREAT, 0600);
    if (file < 0) die("filler");
    while (write(file, zeros, sizeof zeros) > 0) {}
    close(file);
}

/* There is space again. */
static inline void empty(void) {
    if (unlink("mnt/filler")) die("unlink");
}
