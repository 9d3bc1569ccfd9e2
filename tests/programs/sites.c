// Allocates by 32 768 different call stacks, in two rounds; every eighth block is never freed. Then by
// some of them again and again.
#include <stdlib.h>

static void *kept[1 << 15];
static int step;

#define STEP(name, next, bit)                                                                      \
    static void name##_left(int path) { next(path); }                                              \
    static void name##_right(int path) { next(path); }                                             \
    static void name(int path) {                                                                   \
        if (path >> bit & 1)                                                                       \
            name##_left(path);                                                                     \
        else                                                                                       \
            name##_right(path);                                                                    \
    }

static void end(int path) { kept[path] = malloc(step ? 520 + random() % 500 : 16 + path % 1000); }
STEP(a, end, 0)
STEP(b, a, 1)
STEP(c, b, 2)
STEP(d, c, 3)
STEP(e, d, 4)
STEP(f, e, 5)
STEP(g, f, 6)
STEP(h, g, 7)
STEP(i, h, 8)
STEP(j, i, 9)
STEP(k, j, 10)
STEP(l, k, 11)
STEP(m, l, 12)
STEP(n, m, 13)
STEP(o, n, 14)

int main(void) {
    for (int round = 0; round < 2; round++) {
        for (int path = 0; path < 1 << 15; path++)
            o(path);
        for (int path = 0; path < 1 << 15; path++)
            if (path % 8)
                free(kept[path]);
    }
    for (step = 1; step < 80; step++) {
        for (int path = 0; path < 4096; path++)
            o(path);
        for (int path = step % 7; path < 4096; path += 1 + random() % 3)
            free(kept[path]);
    }
}
