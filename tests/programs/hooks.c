/* hooks CASE: calls one allocation function, and says which addresses came out (A, B) and errno. */
#include "common.h"

static void (*sized_free)(void *, size_t);
static void (*aligned_sized_free)(void *, size_t, size_t);
static void (*dynamic_cfree)(void *);
/* As an old program is bound to it: libc keeps the symbol for those, hidden from new ones. */
extern void old_cfree(void *);
__asm__(".symver old_cfree, cfree@GLIBC_2.2.5");

static void free_by_size(void *block, size_t size) { (void)size; free(block); }
static void free_by_all(void *block, size_t alignment, size_t size) { (void)alignment, (void)size; free(block); }

static void *a, *b;
static int result;
static const size_t huge = (size_t)5 << 30;
/* Not known to the compiler, which would warn. */
static volatile size_t half = SIZE_MAX / 2;

/* A successful call leaves errno alone: counts those that do not. */
static int changed;
#define KEEP(call) do { errno = 1234; call; changed += errno != 1234; } while (0)

#define CASES(X) \
    X(malloc, KEEP(a = malloc(10007)); KEEP(free(a))) \
    X(calloc, KEEP(a = calloc(3, 10009)); KEEP(free(a))) \
    X(realloc, a = malloc(10007); KEEP(b = realloc(a, 20011)); KEEP(free(b))) \
    X(reallocarray, a = malloc(10007); KEEP(b = reallocarray(a, 7, 2861)); KEEP(free(b))) \
    X(realloc_null, KEEP(a = realloc(NULL, 10037)); KEEP(free(a))) \
    X(reallocarray_null, KEEP(a = reallocarray(NULL, 7, 1433)); KEEP(free(a))) \
    X(posix_memalign, KEEP(result = posix_memalign(&a, 64, 10039)); KEEP(free(a))) \
    X(aligned_alloc, KEEP(a = aligned_alloc(128, 10061)); KEEP(free(a))) \
    X(memalign, KEEP(a = memalign(256, 10067)); KEEP(free(a))) \
    X(valloc, KEEP(a = valloc(10069)); KEEP(free(a))) \
    X(pvalloc, KEEP(a = pvalloc(10079)); KEEP(free(a))) \
    X(cfree, a = malloc(10091); KEEP(dynamic_cfree(a))) \
    X(old_cfree, a = malloc(10093); KEEP(old_cfree(a))) \
    X(free_sized, a = malloc(10099); KEEP(sized_free(a, 10099))) \
    X(free_aligned_sized, a = aligned_alloc(64, 10103); KEEP(aligned_sized_free(a, 64, 10103))) \
    X(free_null, KEEP(free(NULL)); KEEP(dynamic_cfree(NULL)); KEEP(sized_free(NULL, 1)); \
        KEEP(aligned_sized_free(NULL, 16, 1))) \
    X(malloc_zero, KEEP(a = malloc(0)); KEEP(free(a))) \
    X(realloc_zero, a = malloc(10007); KEEP(b = realloc(a, 0))) \
    X(malloc_huge, KEEP(a = malloc(huge)); KEEP(free(a))) \
    X(realloc_huge, a = malloc(10007); KEEP(b = realloc(a, huge + 1)); KEEP(sized_free(b, huge + 1))) \
    X(memalign_odd, KEEP(a = memalign(48, 10111)); KEEP(free(a))) \
    X(memalign_odd_huge, KEEP(a = memalign(48, huge + 3)); KEEP(free(a))) \
    X(malloc_fails, errno = 1; a = malloc(PTRDIFF_MAX)) \
    X(calloc_overflow, errno = 1; a = calloc(half, 3)) \
    X(calloc_fails, errno = 1; a = calloc(PTRDIFF_MAX / 8, 8)) \
    X(realloc_fails, a = malloc(10007); errno = 1; b = realloc(a, PTRDIFF_MAX); int e = errno; free(a); errno = e) \
    X(reallocarray_overflow, a = malloc(10007); errno = 1; b = reallocarray(a, half, 3); int e = errno; \
        free(a); errno = e) \
    X(reallocarray_null_overflow, errno = 1; b = reallocarray(NULL, half, 3)) \
    X(reallocarray_fails, a = malloc(10007); errno = 1; b = reallocarray(a, PTRDIFF_MAX / 8, 8); int e = errno; \
        free(a); errno = e) \
    X(posix_memalign_bad, a = &result; KEEP(result = posix_memalign(&a, 24, 10039)); \
        if (a != &result) die("pointer changed")) \
    X(posix_memalign_fails, a = &result; errno = 1; result = posix_memalign(&a, 64, PTRDIFF_MAX); \
        if (a != &result) die("pointer changed")) \
    X(aligned_alloc_bad, errno = 1; a = aligned_alloc(((size_t)1 << 63) + 1, 10061)) \
    X(memalign_fails, errno = 1; a = memalign(256, PTRDIFF_MAX)) \
    X(valloc_fails, errno = 1; a = valloc(PTRDIFF_MAX)) \
    X(pvalloc_fails, errno = 1; a = pvalloc(SIZE_MAX - 2); int e = errno; free(a); errno = e)

#define FUNCTION(name, ...) static void case_##name(void) { __VA_ARGS__; }
CASES(FUNCTION)
#define ENTRY(name, ...) { #name, case_##name },
static const struct { const char *name; void (*run)(void); } cases[] = { CASES(ENTRY) };

static void *find(const char *name, void *other) {
    void *found = dlsym(RTLD_DEFAULT, name);
    return found ? found : other;
}

int main(int count, char **arguments) {
    sized_free = find("free_sized", free_by_size);
    aligned_sized_free = find("free_aligned_sized", free_by_all);
    dynamic_cfree = find("cfree", free);
    for (size_t i = 0; count == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].name, arguments[1])) continue;
        begin();
        errno = 0;
        cases[i].run();
        int error = errno;
        end();
        say("errno %d\nresult %d\nchanged %d\nA 0x%zx\nB 0x%zx\n", error, result, changed, (size_t)a, (size_t)b);
        return 0;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) say("%s\n", cases[i].name);
    return 2;
}
