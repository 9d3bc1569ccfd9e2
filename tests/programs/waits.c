/* waits CALL [FILE BEFORE TEXT]: a forked child starts eight threads, which record their first events at once, while the
 * system call "linkat" or "ftruncate" takes twenty milliseconds: the one is of the opening of a trace, the other of its
 * growth, too. BEFORE, unless it is empty, is written to the file before the fork, and TEXT before the call goes on. */
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

enum { THREADS = 8, PAIRS = 20000 };
static volatile int listener = -1;
static char **text;
static pthread_barrier_t barrier;

static void put(const char *line) {
    int file = open(text[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, line, strlen(line)) < 0) die(text[0]);
    close(file);
}

static void *hold_up(void *unused) {
    while (listener < 0) usleep(100);
    for (;;) {
        struct seccomp_notif stopped;
        memset(&stopped, 0, sizeof stopped);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &stopped)) return unused;
        usleep(20000);
        if (text) put(text[2]);
        struct seccomp_notif_resp go_on = { .id = stopped.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on);
    }
}

static void *work(void *pairs) {
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < (long)pairs; i++) free(malloc(20003));
    return NULL;
}

/* Their stacks are small, so that the C library keeps them, and needs no memory for as many threads in a child. */
static void threads(long pairs) {
    pthread_t thread[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], &small, work, (void *)pairs)) die("pthread_create");
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
}

int main(int count, char **arguments) {
    if (count != 2 && count != 5) return 2;
    text = count == 5 ? arguments + 2 : NULL;
    long call = strcmp(arguments[1], "linkat") == 0 ? SYS_linkat : SYS_ftruncate;
    free(malloc(20001));
    pthread_t thread;
    if (pthread_create(&thread, NULL, hold_up, NULL)) die("pthread_create");
    threads(0);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    unseen(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0);
    int listens = unseen(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, (long)&program);
    if (listens < 0) { say("unavailable seccomp\n"); return 6; }
    if (text && *text[1]) put(text[1]);
    listener = listens;
    pid_t child = fork();
    if (child == 0) {
        threads(PAIRS);
        say("child %d\n", getpid());
        _exit(0);
    }
    wait_for(child);
    return 6;
}
