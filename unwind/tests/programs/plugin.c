/* The same code at the same addresses, with frames of another size, and called by another. */
void (*event)(void);

#ifndef OUTER
#define OUTER 40
#define INNER 104
#endif

static __attribute__((noinline, noclone)) unsigned long inner(unsigned long levels) {
    volatile char room[INNER];
    room[levels % 8] = 1;
    event();
    unsigned long below = levels ? inner(levels - 1) : 0;
    event();
    return below + room[levels % 8];
}

#define CALLER(name)                                                                               \
    static __attribute__((noinline, noclone)) unsigned long name(unsigned long levels) {           \
        volatile char room[OUTER];                                                                 \
        room[levels % 8] = 1;                                                                      \
        return inner(levels) + room[levels % 8];                                                   \
    }
CALLER(one)
CALLER(other)

unsigned long run(unsigned long levels, unsigned long which) {
    return which ? other(levels) : one(levels);
}
