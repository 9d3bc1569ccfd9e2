/* The counts of every process, as they lie in the file; tests/soak.rs reads them. */
#include "../common.h"

struct entry {
    uint64_t events;
    uint32_t pid;
    /* Whether the process ended while no other thread of it ran, and by itself. */
    uint32_t exact;
};

enum { ENTRIES = 1 << 18, TABLE_BYTES = ENTRIES * sizeof(struct entry) };

/* The entry of this process. */
struct entry *tally(void);
