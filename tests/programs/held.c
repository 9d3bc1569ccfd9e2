/* held PAIRS: makes so many pairs of calls, then says which descriptors are open, and whether the pages before and
 * behind each shared mapping that is there can be touched. */
#include "common.h"
#include <setjmp.h>

static sigjmp_buf back;
static void on_fault(int signal) { siglongjmp(back, signal); }

static int faults(const char *place) {
    if (sigsetjmp(back, 1)) return 1;
    volatile char seen = *place;
    (void)seen;
    return 0;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    for (long i = atol(arguments[1]); i > 0; i--) free(malloc(20003));
    for (int i = 0; i < 4096; i++)
        if (fcntl(i, F_GETFD) >= 0) say("open %d\n", i);
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    static char maps[1 << 16];
    int file = open("/proc/self/maps", O_RDONLY), length = 0, mappings = 0, guarded = 0;
    for (int got; (got = read(file, maps + length, sizeof maps - 1 - length)) > 0;) length += got;
    close(file);
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start, stop;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &stop, rights) != 3) return 3;
        if (strcmp(rights, "rw-s")) continue;
        mappings++;
        guarded += faults((char *)start - 1) && faults((char *)stop);
    }
    say("mappings %d\nguarded %d\n", mappings, guarded);
    return 7;
}
