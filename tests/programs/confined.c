/* confined THREADS PAIRS NUMBER...: threads that have started already make so many pairs of calls
 * after a filter came into force that kills for any system call but those numbers. */
#include "common.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static pthread_barrier_t started, confined, done;
static long pairs;

static void *work(void *unused) {
    free(malloc(20001));
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&confined);
    for (long i = 0; i < pairs; i++) free(malloc(20003));
    pthread_barrier_wait(&done);
    return unused;
}

static void confine(int count, char **numbers) {
    struct sock_filter filter[2 * 64 + 2];
    int end = 0;
    if (count > 64) exit(2);
    filter[end++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++) {
        filter[end++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(numbers[i]), 0, 1);
        filter[end++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[end++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = { end, filter };
    /* As a program does it that our library cannot look through. */
    if (unseen(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0)) die("no_new_privs");
    if (unseen(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, (long)&program)) die("seccomp");
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    long threads = atol(arguments[1]);
    pairs = atol(arguments[2]);
    pthread_barrier_init(&started, NULL, threads + 1);
    pthread_barrier_init(&confined, NULL, threads + 1);
    pthread_barrier_init(&done, NULL, threads + 1);
    pthread_t thread;
    for (long i = 0; i < threads; i++)
        if (pthread_create(&thread, NULL, work, NULL)) die("pthread_create");
    pthread_barrier_wait(&started);
    confine(count - 3, arguments + 3);
    pthread_barrier_wait(&confined);
    for (long i = 0; i < pairs; i++) free(malloc(20005));
    pthread_barrier_wait(&done);
    say("pairs %ld\n", (threads + 1) * pairs);
    return 8;
}
