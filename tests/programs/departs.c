/* departs HOW: makes a pair of 20001, closes all descriptors, gives up root by "setuid", "setresuid" or "seteuid", or
 * leaves by "chroot" or "unshare" (and a chroot that nothing sees); then a million pairs of 20003 and one of 20005. */
#include "common.h"
#include <grp.h>
#include <sched.h>
#include <sys/stat.h>

int main(int count, char **arguments) {
    if (count != 2) return 2;
    const char *how = arguments[1];
    free(malloc(20001));
    for (int i = 3; i < 4096; i++) close(i);
    int failed = 0;
    if (!strcmp(how, "setuid")) failed = setgid(65534) || setuid(65534);
    else if (!strcmp(how, "setresuid")) failed = setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534);
    else if (!strcmp(how, "seteuid")) failed = seteuid(65534);
    else if (!strcmp(how, "chroot")) failed = mkdir("empty", 0700) || chroot("empty");
    else if (!strcmp(how, "unshare")) failed = unshare(CLONE_NEWNS) || mkdir("empty", 0700) || unseen(SYS_chroot, (long)"empty", 0, 0);
    else return 2;
    if (failed) die(how);
    for (int i = 0; i < 1000000; i++) free(malloc(20003));
    free(malloc(20005));
    return 7;
}
