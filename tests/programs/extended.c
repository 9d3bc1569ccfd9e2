/* extended: jemalloc's own functions, found by name as a program finds them that does without jemalloc, too. */
#include "common.h"

static void *find(const char *name) {
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found) say("missing %s\n", name);
    return found;
}

int main(void) {
    void *(*mallocx)(size_t, int) = find("mallocx");
    void *(*rallocx)(void *, size_t, int) = find("rallocx");
    size_t (*xallocx)(void *, size_t, size_t, int) = find("xallocx");
    void (*dallocx)(void *, int) = find("dallocx");
    void (*sdallocx)(void *, size_t, int) = find("sdallocx");
    if (!mallocx || !rallocx || !xallocx || !dallocx || !sdallocx) return 0;
    enum { LG_ALIGN_64 = 6, ZERO = 0x40 };
    begin();
    for (int i = 0; i < 2; i++) {
        void *a = mallocx(42003, ZERO), *b = mallocx(42013, LG_ALIGN_64), *c;
        if (((char *)a)[42002] || (size_t)b % 64) die("mallocx");
        c = rallocx(a, 142007, 0);
        size_t real = xallocx(c, 142011, 0, 0), huge = xallocx(c, (size_t)1 << 40, 0, 0);
        if (real < 142011 || huge >= (size_t)1 << 40) die("xallocx");
        dallocx(c, 0);
        sdallocx(b, 42013, LG_ALIGN_64);
        if (mallocx(PTRDIFF_MAX, 0)) die("mallocx");
    }
    end();
    return 0;
}
