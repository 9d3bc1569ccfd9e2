/* The same code at the same addresses, with frames of another size. */
void (*event)(void);

#ifndef SIZE
#define SIZE 40
#endif

static __attribute__((noinline, noclone)) unsigned long level(unsigned long levels) {
    volatile char room[SIZE];
    room[levels % SIZE] = 1;
    event();
    unsigned long below = levels ? level(levels - 1) : 0;
    event();
    return below + room[levels % SIZE];
}

unsigned long run(unsigned long levels, unsigned long unused) {
    (void)unused;
    return level(levels);
}
