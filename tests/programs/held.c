/* held PAIRS: makes so many pairs of calls, then says which descriptors are open, and whether each shared mapping
 * that is there lies between others of which nothing can be touched. */
#include "common.h"

static char maps[1 << 16];

/* Whether a mapping without any right starts, or stops, at this address: where nothing is mapped, another one may come. */
static int is_guard(unsigned long at, int starts) {
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start, stop;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &stop, rights) != 3) return 0;
        if (strncmp(rights, "---", 3) == 0 && (starts ? start : stop) == at) return 1;
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    for (long i = atol(arguments[1]); i > 0; i--) free(malloc(20003));
    for (int i = 0; i < 4096; i++)
        if (fcntl(i, F_GETFD) >= 0) say("open %d\n", i);
    int file = open("/proc/self/maps", O_RDONLY), length = 0, mappings = 0, guarded = 0;
    for (int got; (got = read(file, maps + length, sizeof maps - 1 - length)) > 0;) length += got;
    close(file);
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        unsigned long start, stop;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &stop, rights) != 3) return 3;
        if (strcmp(rights, "rw-s")) continue;
        mappings++;
        guarded += is_guard(start, 0) && is_guard(stop, 1);
    }
    say("mappings %d\nguarded %d\n", mappings, guarded);
    return 7;
}
