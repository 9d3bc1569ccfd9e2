/* An allocator to be preloaded after ours, which may be called from signal handlers and after any
 * fork: it never gives an address out twice. It counts the calls that have to be recorded. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static const size_t space = (size_t)1 << 36;
static _Atomic(char *) start;
static atomic_size_t used;
static atomic_ulong moments;

static char *memory(void) {
    char *now = atomic_load(&start);
    if (now) return now;
    char *fresh = mmap(NULL, space, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (atomic_compare_exchange_strong(&start, &now, fresh)) return fresh;
    munmap(fresh, space);
    return now;
}

static void *take(size_t alignment, size_t size) {
    if (alignment < 16) alignment = 16;
    size_t whole = size + 16 + alignment;
    size_t at = whole < size ? space : atomic_fetch_add(&used, (whole + 15) & ~(size_t)15);
    if (at > space - whole) { errno = ENOMEM; return NULL; }
    uintptr_t block = ((uintptr_t)memory() + at + 16 + alignment - 1) & ~(alignment - 1);
    ((size_t *)block)[-1] = size;
    return (void *)block;
}

/* Call moments so far. */
unsigned long bump_moments(void) { return moments; }

void *malloc(size_t size) { moments++; return take(16, size); }
void *calloc(size_t count, size_t size) { moments++; return take(16, count * size); }
void free(void *block) { if (block) moments++; }
void *aligned_alloc(size_t alignment, size_t size) { moments++; return take(alignment, size); }
void *memalign(size_t alignment, size_t size) { moments++; return take(alignment, size); }
int posix_memalign(void **place, size_t alignment, size_t size) {
    moments++;
    *place = take(alignment, size);
    return *place ? 0 : ENOMEM;
}
void *realloc(void *old, size_t size) {
    moments += old ? 2 : 1;
    void *block = take(16, size);
    size_t before = old ? ((size_t *)old)[-1] : 0;
    return block && old ? memcpy(block, old, before < size ? before : size) : block;
}
