/* scarce HOW: a moment without address space (RLIMIT_AS, all of it taken), or a life in which little may be locked ("lock":
 * RLIMIT_MEMLOCK of 8 MiB, mlockall of the future), or 3 MiB of addresses are left ("little"): pairs of 20003 before, of 20005 in it, of 20007 after. Says how many
 * moments that were. */
#include "common.h"
#include <sys/resource.h>

int main(int count, char **arguments) {
    if (count != 2) return 2;
    int lock = !strcmp(arguments[1], "lock");
    free(malloc(20003));
    long performed = 2;
    if (lock) {
        /* Not as root, whom the limit does not bind. */
        struct rlimit limit = { 8 << 20, 8 << 20 };
        if (setrlimit(RLIMIT_MEMLOCK, &limit)) die("setrlimit");
        if (setuid(65534)) die("setuid");
        if (mlockall(MCL_FUTURE)) die("mlockall");
    } else if (!strcmp(arguments[1], "little")) {
        char text[64] = "";
        if (read(open("/proc/self/statm", O_RDONLY), text, sizeof text - 1) < 0) die("statm");
        rlim_t most = atol(text) * 4096 + (3 << 20);
        struct rlimit limit = { most, most };
        if (setrlimit(RLIMIT_AS, &limit)) die("setrlimit");
    } else {
        struct rlimit limit = { 256 << 20, 256 << 20 };
        if (setrlimit(RLIMIT_AS, &limit)) die("setrlimit");
        static struct { void *start; size_t length; } taken[4096];
        int count = 0;
        for (size_t length = 64 << 20; length >= 4096; length /= 2)
            for (void *start; count < 4096; count++) {
                start = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                if (start == MAP_FAILED) break;
                taken[count].start = start, taken[count].length = length;
            }
        for (int i = 0; i < 200000; i++) free(malloc(20005));
        performed += 400000;
        while (count--) munmap(taken[count].start, taken[count].length);
    }
    for (int i = 0; i < 1000000; i++) free(malloc(20007));
    performed += 2000000;
    say("performed %ld\n", performed);
    return 7;
}
