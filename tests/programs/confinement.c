/* confinement CASE [ARGUMENT...]: a process forbids itself system calls, or the time-stamp counter, before or
 * after it has begun to allocate. Pairs of 20001 before, of 20003 after; of 20005 in a handler, of 20007 in a
 * thread that starts later. */
#include "common.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <ucontext.h>

#define ALLOW(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define DENY(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES)
#define LOAD BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static volatile long handled;
/* What handlers do from here on is not in what is said. */
static volatile int said;

static void pairs(long count, size_t size) {
    for (long i = 0; i < count; i++) free(malloc(size));
}

static void on_signal(int unused) {
    (void)unused;
    if (said) return;
    free(malloc(20005));
    handled++;
}

static void *thread(void *unused) {
    pairs(100, 20007);
    return unused;
}

static volatile long traps;
static int answer;

/* As the broker of a sandbox, which answers calls itself. */
static void on_trap(int unused, siginfo_t *info, void *context) {
    (void)unused, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -answer;
    traps++;
}

/* Nobody sees this filter. */
static void trap(unsigned call, int error) {
    struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGSYS, &action, NULL);
    answer = error;
    struct sock_filter filter[] = {
        LOAD, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    unseen(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0);
    if (unseen(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program)) die("seccomp");
}

static pthread_barrier_t together;

static void *one_of_many(void *size) {
    pairs(10, (size_t)size);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    return NULL;
}

/* Forty threads that live at once; meanwhile a child does the same. */
static void crowd(size_t size, int forks) {
    enum { THREADS = 40 };
    pthread_t threads[THREADS];
    pthread_barrier_init(&together, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, one_of_many, (void *)size);
    pthread_barrier_wait(&together);
    if (forks) {
        pid_t child = fork();
        if (child == 0) {
            crowd(20009, 0);
            _exit(0);
        }
        wait_for(child);
    }
    pthread_barrier_wait(&together);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void load(struct sock_filter *filter, unsigned short length, int how) {
    struct sock_fprog program = { length, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    if (how == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
    if (how == 1 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) die("seccomp");
    /* Nobody sees this one. */
    long result = SYS_prctl;
    register long mode asm("rsi") = SECCOMP_MODE_FILTER;
    register void *third asm("rdx") = &program;
    if (how == 2) asm volatile("syscall" : "+a"(result) : "D"(PR_SET_SECCOMP), "r"(mode), "r"(third) : "rcx", "r11", "memory");
    if (how == 2 && result) die("seccomp");
}

/* What the C library's allocator and the end need, and what a thread needs. All else kills. */
static void narrow(int how) {
    struct sock_filter filter[] = {
        LOAD, ALLOW(SYS_write), ALLOW(SYS_exit_group), ALLOW(SYS_exit), ALLOW(SYS_brk), ALLOW(SYS_mmap), ALLOW(SYS_munmap),
        ALLOW(SYS_mprotect), ALLOW(SYS_madvise), ALLOW(SYS_futex), ALLOW(SYS_clone), ALLOW(SYS_clone3), ALLOW(SYS_set_robust_list),
        ALLOW(SYS_getrandom), ALLOW(SYS_rseq), ALLOW(SYS_rt_sigreturn), ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_wait4), ALLOW(SYS_rt_sigaction),
        KILL,
    };
    load(filter, sizeof filter / sizeof *filter, how);
}

/* OpenSSH 9.2's sandbox-seccomp-filter.c: what it allows is allowed, what it denies fails, all else kills. */
static void like_openssh(void) {
    struct sock_filter filter[] = {
        LOAD, DENY(SYS_lstat), DENY(SYS_fstat), DENY(SYS_open), DENY(SYS_openat), DENY(SYS_newfstatat), DENY(SYS_stat),
        DENY(SYS_shmget), DENY(SYS_shmat), DENY(SYS_shmdt), DENY(SYS_statx), ALLOW(SYS_brk), ALLOW(SYS_clock_gettime),
        ALLOW(SYS_close), ALLOW(SYS_exit), ALLOW(SYS_exit_group), ALLOW(SYS_futex), ALLOW(SYS_geteuid), ALLOW(SYS_getpgid),
        ALLOW(SYS_getpid), ALLOW(SYS_getrandom), ALLOW(SYS_gettid), ALLOW(SYS_gettimeofday), ALLOW(SYS_getuid),
        ALLOW(SYS_madvise), ALLOW(SYS_mmap), ALLOW(SYS_mprotect), ALLOW(SYS_mremap), ALLOW(SYS_munmap), ALLOW(SYS_nanosleep),
        ALLOW(SYS_clock_nanosleep), ALLOW(SYS_poll), ALLOW(SYS_ppoll), ALLOW(SYS_pselect6), ALLOW(SYS_read),
        ALLOW(SYS_rt_sigprocmask), ALLOW(SYS_select), ALLOW(SYS_shutdown), ALLOW(SYS_time), ALLOW(SYS_write), KILL,
    };
    load(filter, sizeof filter / sizeof *filter, 0);
}

static void storm(void) {
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct itimerval often = { { 0, 50 }, { 0, 50 } };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void forbid_counter(void) {
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)) die("PR_SET_TSC");
}

int main(int count, char **arguments) {
    const char *how = count > 1 ? arguments[1] : "";
    long number = count > 2 ? atol(arguments[2]) : 0;
    if (strcmp(how, "counter_before") == 0) {
        /* Before any allocation. An exec would not survive this: glibc's loader reads the counter. */
        forbid_counter();
        how = "plain";
    }
    if (strcmp(how, "counter_unseen") == 0) {
        /* As if it had been so from the start. */
        if (unseen(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0)) die("PR_SET_TSC");
        how = "plain";
    }
    if (strncmp(how, "refused_wipe", 12) == 0) {
        /* gVisor, and Linux before 4.14. */
        struct sock_filter filter[] = {
            LOAD, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 18, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        load(filter, sizeof filter / sizeof *filter, 0);
        execl(arguments[0], arguments[0], how[12] ? how + 13 : "fork", "3000", NULL);
        die("execl");
    }
    if (strcmp(how, "untouched") == 0) narrow(0);
    if (strcmp(how, "scarce") == 0) {
        trap(SYS_openat, ENOSPC);
        how = "plain";
    }
    if (strcmp(how, "crowd") == 0) {
        crowd(20003, 1);
        return 8;
    }
    pairs(100, 20001);
    if (strcmp(how, "prctl") == 0) narrow(0);
    else if (strcmp(how, "syscall") == 0) narrow(1);
    else if (strcmp(how, "unseen") == 0) narrow(2);
    else if (strcmp(how, "openssh") == 0) like_openssh();
    else if (strcmp(how, "storm") == 0) {
        storm();
        narrow(0);
    } else if (strcmp(how, "strict") == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) die("strict");
    } else if (strcmp(how, "probe") == 0) {
        /* These change nothing, so all is recorded. */
        unsigned action = SECCOMP_RET_ALLOW;
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL);
        syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL);
    } else if (strcmp(how, "vfork") == 0) {
        /* A child that confines itself in its parent's memory, as one does before an exec. */
        pid_t child = vfork();
        if (child == 0) _exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0);
        wait_for(child);
    } else if (strcmp(how, "trapped") == 0) {
        trap(SYS_madvise, ENOSYS);
    } else if (strcmp(how, "named") == 0) {
        /* Names are asked for once, and again after a change. */
        prctl(PR_SET_NAME, "second");
        pairs(2000, 20003);
        pthread_setname_np(pthread_self(), "third");
        pairs(2000, 20003);
        syscall(SYS_prctl, PR_SET_NAME, "fourth");
        pairs(2000, 20003);
    } else if (strcmp(how, "counter") == 0) {
        forbid_counter();
        pthread_t started;
        pthread_create(&started, NULL, thread, NULL);
        pthread_join(started, NULL);
    } else if (strcmp(how, "children") == 0) {
        narrow(0);
        pid_t child = fork();
        if (child == 0) {
            pairs(100, 20009);
            _exit(0);
        }
        if (child < 0 || waitpid(child, NULL, 0) != child) _exit(3);
        /* More than the library has room for from the start. */
        for (int i = 0; i < 50; i++) {
            pthread_t started;
            pthread_create(&started, NULL, thread, NULL);
            pthread_join(started, NULL);
        }
    } else if (strcmp(how, "fork") == 0) {
        pid_t child = fork();
        if (child == 0) {
            pairs(number, 20009);
            _exit(0);
        }
        pairs(number, 20003);
        wait_for(child);
        return 8;
    } else if (strcmp(how, "plain") != 0 && strcmp(how, "untouched") != 0) return 2;
    pairs(number, 20003);
    said = 1;
    say("pairs %ld\nhandled %ld\ntraps %ld\n", number, handled, traps);
    if (strcmp(how, "strict") == 0) syscall(SYS_exit, 8);
    _exit(8);
}
