/* steps PREFIX: a child makes calls while its parent steps it from instruction to instruction and looks at its
 * trace, as a reader would find it if the child were killed there: a slot that has a kind must never change
 * again, nor the header of a block that is open. Says how many instructions and slots it has seen, how many
 * changes that must not be, and how many slots that were there before the one in front of them. */
#include "common.h"
#include <glob.h>
#include <sys/ptrace.h>

enum { HEADER = 16384, BLOCK = 16384, BLOCKS = 4, BLOCK_HEADER = 128, OPEN = 2, LENGTH = HEADER + BLOCKS * BLOCK };

static void child(void) {
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(77);
    /* Nearly a block, so that the next one begins while every instruction is looked at. */
    for (int i = 0; i < 490; i++) free(malloc(501));
    raise(SIGSTOP);
    for (int i = 0; i < 40; i++) {
        void *block = malloc(1001 + 2 * i);
        block = realloc(block, 2001 + 2 * i);
        free(block);
        if (malloc(PTRDIFF_MAX)) _exit(3);
    }
    raise(SIGSTOP);
    _exit(0);
}

static int stopped(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid) die("waitpid");
    if (WIFEXITED(status)) {
        if (WEXITSTATUS(status) == 77) say("unavailable ptrace\n");
        _exit(WEXITSTATUS(status) == 77 ? 0 : 97);
    }
    return WSTOPSIG(status);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    pid_t pid = fork();
    if (pid == 0) child();
    while (stopped(pid) != SIGSTOP) ptrace(PTRACE_CONT, pid, 0, 0);
    char pattern[4096];
    snprintf(pattern, sizeof pattern, "%s.%d.*", arguments[1], pid);
    glob_t found;
    if (glob(pattern, 0, NULL, &found) || found.gl_pathc != 1) die("the trace");
    int file = open(found.gl_pathv[0], O_RDONLY);
    const char *now = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || now == MAP_FAILED) die("the trace");
    static char before[LENGTH] __attribute__((aligned(64)));
    memcpy(before, now, LENGTH);
    long steps = 0, slots = 0, changed = 0, ahead = 0;
    for (;; steps++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0)) die("ptrace");
        if (stopped(pid) != SIGTRAP) break;
        for (int block = HEADER; block < LENGTH; block += BLOCK) {
            if (memcmp(before + block, now + block, BLOCK) == 0) continue;
            /* The state, whose lowest bits are the phase; two totals; and what the block is opened with. */
            const uint64_t *was = (const uint64_t *)(before + block), *is = (const uint64_t *)(now + block);
            changed += (*was & 3) == OPEN && *was >> 2 == *is >> 2 && memcmp(was + 3, is + 3, 48);
            for (int slot = block + BLOCK_HEADER; slot < block + BLOCK; slot += 16) {
                const uint64_t *old = (const uint64_t *)(before + slot), *new = (const uint64_t *)(now + slot);
                int same = old[0] == new[0] && old[1] == new[1];
                if (old[0] >> 48 & 0x3f && !same) {
                    changed++;
                } else if (!same && new[0] >> 48 & 0x3f) {
                    slots++;
                    ahead += slot > block + BLOCK_HEADER && !(new[-2] >> 48 & 0x3f);
                }
            }
            memcpy(before + block, now + block, BLOCK);
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    say("steps %ld\nslots %ld\nchanged %ld\nahead %ld\n", steps, slots, changed, ahead);
    return 0;
}
