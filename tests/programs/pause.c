/* pause HOW: with traces in mnt, which is a small disk: fills it, and empties it again, while it makes calls. "back":
 * pairs of 20003 while it is full, and what was written goes back to the disk between them. "start":
 * it is full before the first call; "later": after one of 20001 and more than the trace has space for. Then pairs of
 * 20003 while it is full, and of 20007 when it is not, and one of 20009. Says how many moments that were. */
#include "common.h"

static long performed;

static void pairs(size_t size, long count) {
    performed += 2 * count;
    while (count--) free(malloc(size));
}

/* Without allocating. */
static void fill(void) {
    static char zeros[4096];
    int file = open("mnt/filler", O_WRONLY | O_CREAT, 0600);
    if (file < 0) die("filler");
    while (write(file, zeros, sizeof zeros) > 0) {}
    close(file);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    if (!strcmp(arguments[1], "later")) {
        pairs(20001, 1);
        pairs(20003, 10000);
    }
    if (!strcmp(arguments[1], "back")) pairs(20001, 1);
    fill();
    if (!strcmp(arguments[1], "back")) {
        int disk = open("mnt", O_RDONLY);
        for (int i = 0; i < 400; i++) {
            if (i % 40 == 0 && syncfs(disk) && errno != ENOSPC) die("syncfs");
            pairs(20003, 1);
        }
        say("performed %ld\n", performed);
        return 7;
    }
    pairs(20003, 100000);
    if (unlink("mnt/filler")) die("unlink");
    /* What is lost before the next try. */
    pairs(20005, 35000);
    pairs(20007, 65000);
    pairs(20009, 1);
    say("performed %ld\n", performed);
    return 7;
}
