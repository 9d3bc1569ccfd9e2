/* deny ERRNO CALL... -- PROGRAM [ARGUMENT...]: runs a program in which these calls fail with this error: "linkat",
 * "mremap", "fallocate", "tmpfile" (openat with O_TMPFILE), "populate" (madvise with MADV_POPULATE_WRITE),
 * "mprotect" (that makes pages writable). The variable DENIED_PRELOAD becomes LD_PRELOAD for it. */
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static struct sock_filter filter[64];
static int length;

static void put(unsigned short code, unsigned value, int yes, int no) {
    filter[length++] = (struct sock_filter)BPF_JUMP(code, value, yes, no);
}

static void load(unsigned offset) { put(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }

/* Fails if the call has this number, and its third argument any of these bits, or this value. */
static void refuse(long number, unsigned bits, unsigned value) {
    load(offsetof(struct seccomp_data, nr));
    put(BPF_JMP | BPF_JEQ | BPF_K, number, 0, bits || value ? 3 : 1);
    if (bits || value) {
        load(offsetof(struct seccomp_data, args[2]));
        put(BPF_JMP | (bits ? BPF_JSET : BPF_JEQ) | BPF_K, bits ? bits : value, 0, 1);
    }
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)errno, 0, 0);
}

int main(int count, char **arguments) {
    if (count < 4) return 2;
    errno = atoi(arguments[1]);
    int next = 2;
    for (; next < count && strcmp(arguments[next], "--"); next++) {
        const char *name = arguments[next];
        if (!strcmp(name, "linkat")) refuse(SYS_linkat, 0, 0);
        else if (!strcmp(name, "mremap")) refuse(SYS_mremap, 0, 0);
        else if (!strcmp(name, "fallocate")) refuse(SYS_fallocate, 0, 0);
        else if (!strcmp(name, "tmpfile")) refuse(SYS_openat, O_TMPFILE & ~O_DIRECTORY, 0);
        else if (!strcmp(name, "populate")) refuse(SYS_madvise, 0, 23);
        else if (!strcmp(name, "mprotect")) refuse(SYS_mprotect, 0, PROT_READ | PROT_WRITE);
        else return 2;
    }
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    struct sock_fprog program = { length, filter };
    if (unseen(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0)) die("no_new_privs");
    if (unseen(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program)) die("seccomp");
    if (getenv("DENIED_PRELOAD")) setenv("LD_PRELOAD", getenv("DENIED_PRELOAD"), 1);
    execv(arguments[next + 1], arguments + next + 1);
    die("execv");
}
