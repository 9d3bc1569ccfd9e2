/* extremes: many ordinary calls; then what no column may trip over; then another program, by exec. */
#include "common.h"

static void *keep;

static void ordinary(int count) {
    for (int i = 0; i < count; i++) {
        keep = malloc(i % 300 + 1);
        free(keep);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) {
        keep = malloc(20081);
        return 0;
    }
    /* More than readers look at to guess the types. */
    ordinary(60000);
    volatile size_t huge = SIZE_MAX;
    keep = malloc(huge);
    keep = calloc(huge, huge);
    keep = malloc(20061);
    if (realloc(keep, huge)) die("realloc");
    free(keep);
    if (posix_memalign(&keep, 64, 20063)) die("posix_memalign");
    keep = realloc(keep, 20065);
    keep = realloc(keep, 0);
    keep = aligned_alloc(huge, 20067);
    keep = aligned_alloc(48, 20069);
    free(keep);
    ordinary(1000);
    execl("/proc/self/exe", argv[0], "again", (char *)NULL);
    die("execl");
}
