/* places CASE: the place of the trace goes away, or the right to write there. 20001 before, 20005 after,
 * and in between more than the first window holds: 20000 pairs of 601. A child makes a pair of 20003, ends with 7. */
#include "common.h"
#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void check(int result, const char *what) {
    if (result) die(what);
}

static void child(int drop) {
    pid_t pid = fork();
    if (pid == 0) {
        if (drop) {
            check(setgroups(0, NULL), "setgroups");
            check(setresgid(65534, 65534, 65534), "setresgid");
            check(setresuid(65534, 65534, 65534), "setresuid");
        }
        free(malloc(20003));
        for (int i = 0; i < 20000; i++) free(malloc(603));
        _exit(7);
    }
    int status;
    waitpid(pid, &status, 0);
    say("child %d\nended %d\n", pid, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Keeps the trace by a second name outside, and removes the directory "out". */
static void erase(void) {
    DIR *directory = opendir("out");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char from[600], to[600];
        snprintf(from, sizeof from, "out/%s", entry->d_name);
        snprintf(to, sizeof to, "kept.%s", entry->d_name + strlen("trace."));
        if (entry->d_name[0] == '.') continue;
        check(link(from, to), "link");
        check(unlink(from), "unlink");
    }
    closedir(directory);
    check(rmdir("out"), "rmdir");
}

static void jail(void) {
    check(mkdir("jail", 0755), "mkdir");
    check(chroot("jail"), "chroot");
    check(chdir("/"), "chdir");
}

static void pivot(void) {
    check(unshare(CLONE_NEWNS), "unshare");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
    check(mkdir("root", 0755), "mkdir");
    check(mount("none", "root", "tmpfs", 0, NULL), "mount");
    check(chdir("root"), "chdir");
    check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "umount");
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    const char *name = arguments[1];
    say("secure %lu\n", getauxval(AT_SECURE));
    free(malloc(20001));
    if (strcmp(name, "erase") == 0) erase();
    else if (strcmp(name, "jail") == 0) jail();
    else if (strcmp(name, "pivot") == 0) pivot();
    else if (strcmp(name, "leave") == 0) check(chdir("/"), "chdir");
    else if (strcmp(name, "drop") && strcmp(name, "stay")) return 2;
    for (int i = 0; i < 20000; i++) free(malloc(601));
    child(strcmp(name, "drop") == 0);
    for (int i = 0; i < 20000; i++) free(malloc(601));
    free(malloc(20005));
    return 9;
}
