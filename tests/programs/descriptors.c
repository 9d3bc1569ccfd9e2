/* descriptors HOW [LINK DIRECTORY]: takes the descriptors away, by close_range, a loop, /proc/self/fd
 * or dup2 of a file of its own, then makes calls that need a larger trace, and looks at its file.
 * With LINK: renames the trace so, and removes the directory of the trace, before the calls. */
#include "common.h"
#include <dirent.h>
#include <sys/stat.h>

static const char text[] = "this belongs to the host\n";

/* What it does with each descriptor above 2; returns how many there were. */
static int each_descriptor(void (*act)(int)) {
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) die("opendir");
    int found[64], count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        int descriptor = atoi(entry->d_name);
        if (descriptor > 2 && descriptor != dirfd(directory) && count < 64) found[count++] = descriptor;
    }
    closedir(directory);
    for (int i = 0; i < count; i++) act(found[i]);
    return count;
}

static int own = -1, replaced;
static void close_one(int descriptor) { close(descriptor); }

/* Counts the traces among what it replaces: regular files of more than a header. */
static void replace_one(int descriptor) {
    if (descriptor == own) return;
    struct stat status;
    if (fstat(descriptor, &status)) die("fstat");
    replaced += S_ISREG(status.st_mode) && status.st_size > 16384;
    if (dup2(own, descriptor) < 0) die("dup2");
}

/* Gives the trace another name, elsewhere, and takes its own away. */
static void move_trace(const char *from, const char *to) {
    DIR *directory = opendir(from);
    if (!directory) die("opendir");
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[4096], target[4096];
        if (strncmp(entry->d_name, "trace.", 6)) continue;
        snprintf(name, sizeof name, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s%s", to, entry->d_name + strlen("trace"));
        if (rename(name, target)) die("rename");
    }
    closedir(directory);
}

int main(int count, char **arguments) {
    if (count != 2 && count != 4) return 2;
    const char *how = arguments[1];
    free(malloc(20001));
    own = open("own", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (own < 0 || write(own, text, sizeof text - 1) != sizeof text - 1) die("own");
    if (count == 4) {
        move_trace(arguments[3], arguments[2]);
        if (rmdir(arguments[3])) die("rmdir");
    }
    if (!strcmp(how, "close_range") && syscall(SYS_close_range, 3, ~0U, 0)) die("close_range");
    if (!strcmp(how, "loop"))
        for (long i = 3, most = sysconf(_SC_OPEN_MAX); i < (most > 65536 ? 65536 : most); i++) close(i);
    if (!strcmp(how, "proc")) each_descriptor(close_one);
    if (!strcmp(how, "dup2")) {
        each_descriptor(replace_one);
        say("replaced %d\n", replaced);
    }
    if (!strcmp(how, "dup2_low")) {
        /* The host's new files take the lowest numbers, whatever was there. */
        each_descriptor(close_one);
        for (int i = 0; i < 4; i++)
            if (open("own", O_RDWR) < 0) die("open");
    }
    for (int i = 0; i < 500000; i++) free(malloc(20003));
    struct stat file;
    char content[sizeof text] = "";
    int again = open("own", O_RDONLY);
    if (again < 0 || fstat(again, &file) || read(again, content, sizeof content) < 0) die("own");
    if (file.st_size != sizeof text - 1 || strcmp(content, text)) die("the host's file has changed");
    if (file.st_blocks > 8) die("the host's file has grown");
    free(malloc(20005));
    return 6;
}
