/* pause HOW: with traces in mnt, which is a small disk: fills it, and empties it again, while it makes calls. "back":
 * pairs of 20003 while it is full, and what was written goes back to the disk between them. "copied": likewise, after
 * more pairs of 20001, and with a copy of the trace that shares its blocks. "cut": after
 * more pairs of 20001, and an exec that fails, before which the trace is cut off. "start":
 * it is full before the first call; "later": after one of 20001 and more than the trace has space for. Then pairs of
 * 20003 while it is full, and of 20007 when it is not, and one of 20009. Says how many moments that were. */
#include "small_disk.h"
#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* A copy of the trace that shares its blocks, where the file system can do that. Without allocating. */
static int copy_trace(void) {
    static char entries[4096];
    int directory = open("mnt", O_RDONLY | O_DIRECTORY), copy = open("mnt/copy", O_RDWR | O_CREAT, 0600), length;
    while ((length = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0)
        for (int at = 0; at < length; at += ((struct dirent64 *)(entries + at))->d_reclen) {
            const char *name = ((struct dirent64 *)(entries + at))->d_name;
            if (strncmp(name, "trace.", 6) == 0) return ioctl(copy, FICLONE, openat(directory, name, O_RDONLY)) == 0;
        }
    return 0;
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    if (!strcmp(arguments[1], "copied")) {
        pairs(20001, 60000);
        int copied = copy_trace();
        /* The block in use is shared now: on to the next ones. */
        pairs(20001, 1200);
        fill();
        syncfs(open("mnt", O_RDONLY));
        fill();
        pairs(20003, 60000);
        say("performed %ld\ncopied %d\n", performed, copied);
        return 7;
    }
    if (!strcmp(arguments[1], "later")) {
        pairs(20001, 1);
        pairs(20003, 10000);
    }
    if (!strcmp(arguments[1], "back")) pairs(20001, 1);
    if (!strcmp(arguments[1], "cut")) {
        pairs(20001, 20000);
        execl("/nowhere/at/all", "nothing", NULL);
    }
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
    empty();
    /* What is lost before the next try. */
    pairs(20005, 35000);
    pairs(20007, 65000);
    pairs(20009, 1);
    say("performed %ld\n", performed);
    return 7;
}
