/* An allocator that counts its calls, in moments as the traces do, and leaves the work to glibc's.
 * The counts lie in a file that outlives every process: tally.table, in the working directory. */
#include "tally.h"

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static struct entry *table;
/* In a page of its own, which a fork wipes: a child has to take an entry. */
static struct entry **current;

static void fail(const char *what) {
    if (write(2, what, strlen(what))) _exit(97);
    _exit(97);
}

static struct entry *take(void) {
    if (!table) {
        int file = open("tally.table", O_RDWR | O_CLOEXEC);
        if (file < 0) fail("tally.table is missing\n");
        table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        current = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (table == MAP_FAILED || current == MAP_FAILED) fail("tally: mmap\n");
        if (madvise(current, 4096, MADV_WIPEONFORK)) fail("tally: madvise\n");
        close(file);
    }
    /* The first entry counts the others. */
    uint64_t index = 1 + __atomic_fetch_add(&table->events, 1, __ATOMIC_RELAXED);
    if (index >= ENTRIES) fail("tally.table is full\n");
    *current = table + index;
    table[index].pid = getpid();
    return *current;
}

struct entry *tally(void) { return current && *current ? *current : take(); }

static void count(int moments) { __atomic_fetch_add(&tally()->events, moments, __ATOMIC_RELAXED); }

void *malloc(size_t size) { count(1); return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { count(1); return __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { count(old ? 2 : 1); return __libc_realloc(old, size); }
void free(void *block) { if (block) count(1); __libc_free(block); }
void *memalign(size_t alignment, size_t size) { count(1); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) {
    count(1);
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **block, size_t alignment, size_t size) {
    count(1);
    return (*block = __libc_memalign(alignment, size)) ? 0 : ENOMEM;
}
