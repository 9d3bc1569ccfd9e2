/* soak FAMILIES SEED: families of processes that allocate in many threads, hand blocks from thread
 * to thread, start and end threads, fork, exec and spawn while all that goes on, and end in every
 * way there is. `tally.c` counts what they do. */
#include "tally.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { SLOTS = 256, WORKERS = 6 };
static void *slot[SLOTS];
static volatile int stop;
static char *self;

static unsigned below(uint64_t *state, unsigned bound) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return (*state >> 11) % bound;
}

static uint64_t seeded(uint64_t seed) { return seed * 0x9e3779b97f4a7c15 | 1; }

static void *birth(uint64_t *state) {
    size_t size = below(state, 1 << (2 + below(state, 13)));
    void *block = NULL;
    switch (below(state, 20)) {
    case 0: return calloc(1 + below(state, 9), size);
    case 1: return aligned_alloc(64, (size + 63) & ~63ul);
    case 2: if (posix_memalign(&block, 16 << below(state, 9), size)) die("posix_memalign"); return block;
    case 3: return realloc(NULL, size);
    case 4: return below(state, 8) ? malloc(size) : malloc(size << 8);
    default: return malloc(size);
    }
}

/* Puts a new block, or none, where an old one was, maybe another thread's, and lets go of that. */
static void step(uint64_t *state) {
    void **place = &slot[below(state, SLOTS)];
    void *old = __atomic_exchange_n(place, NULL, __ATOMIC_ACQ_REL), *new = NULL;
    unsigned kind = below(state, 8);
    if (kind == 0 && old) new = realloc(old, 1 + below(state, 3000));
    else free(old), new = kind < 6 ? birth(state) : NULL;
    if (new) *(volatile char *)new = 1;
    free(__atomic_exchange_n(place, new, __ATOMIC_ACQ_REL));
}

static void steps(uint64_t *state, int number) { while (number--) step(state); }

static void *work(void *seed) {
    uint64_t state = seeded((uint64_t)seed);
    while (!stop) {
        steps(&state, 2000);
        usleep(below(&state, 1500));
    }
    return NULL;
}

static void *brief(void *seed) {
    uint64_t state = seeded((uint64_t)seed);
    steps(&state, 5);
    return NULL;
}

static pthread_t start(void *(*function)(void *), uint64_t seed) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, (void *)seed)) die("pthread_create");
    return thread;
}

static void exec_leaf(uint64_t *state) {
    char seed[24];
    snprintf(seed, sizeof seed, "%u", below(state, 1 << 30));
    execl(self, self, "leaf", seed, NULL);
    die("execl");
}

/* Any of them, other threads running or not. */
static void end_suddenly(uint64_t *state) {
    switch (below(state, 4)) {
    case 0: _exit(0);
    case 1: kill(getpid(), SIGKILL); break;
    case 2: abort();
    default: exec_leaf(state);
    }
}

static void end_alone(uint64_t *state) {
    tally()->exact = 1;
    switch (below(state, 3)) {
    case 0: exit(0);
    case 1: quick_exit(0);
    default: end_suddenly(state);
    }
}

/* A process that goes on with what its parent left it, and ends. */
static void leaf(uint64_t *state) {
    stop = 0;
    steps(state, 500);
    if (below(state, 4)) end_alone(state);
    for (int i = 0; i < 2; i++) start(work, below(state, 1 << 30));
    steps(state, 500);
    end_suddenly(state);
}

static void reap(pid_t child) {
    int status;
    if (child < 0) die("fork");
    while (waitpid(child, &status, 0) != child) if (errno != EINTR) die("waitpid");
    if (WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGABRT)
        say("failed %d: %d\n", child, status);
}

/* A child that dies of a signal out of the blue, in the midst of its threads' work. */
static void kill_child(uint64_t *state) {
    int ready[2];
    if (pipe(ready)) die("pipe");
    pid_t child = fork();
    if (child == 0) {
        stop = 0;
        step(state), free(malloc(1));
        for (int i = 0; i < 3; i++) start(work, below(state, 1 << 30));
        if (write(ready[1], "", 1) != 1) die("write");
        for (;;) steps(state, 100), usleep(100);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) die("read");
    close(ready[0]), close(ready[1]);
    usleep(below(state, 3000));
    kill(child, SIGKILL);
    reap(child);
}

/* A filter as servers have it: ordinary calls on memory and time pass, any other kills. No file can be
 * opened, which glibc tries before it shrinks an arena. */
static void enter_filter(void) {
    static const int allowed[] = {
        SYS_brk, SYS_clock_gettime, SYS_close, SYS_exit, SYS_exit_group, SYS_futex, SYS_getpid, SYS_gettid, SYS_madvise,
        SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_nanosleep, SYS_read, SYS_rt_sigprocmask, SYS_write,
    };
    enum { CALLS = sizeof allowed / sizeof *allowed };
    struct sock_filter filter[CALLS + 5] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0) };
    for (int i = 0; i < CALLS; i++)
        filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], CALLS + 2 - i, 0);
    filter[CALLS + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1);
    filter[CALLS + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES);
    filter[CALLS + 3] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[CALLS + 4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { CALLS + 5, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
}

/* A child that locks itself in and goes on allocating. */
static void confined(uint64_t *state) {
    steps(state, 300);
    tally()->exact = 1;
    if (below(state, 2)) {
        enter_filter();
        steps(state, 3000);
        _exit(0);
    }
    for (int i = 0; i < 100; i++) free(malloc(31));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) die("strict");
    for (int i = 0; i < 100; i++) free(malloc(31));
    syscall(SYS_exit, 0);
}

/* A child that takes all descriptors from whoever holds one, and gives up its rights. */
static void closes(uint64_t *state) {
    if (below(state, 2)) steps(state, 300);
    for (int i = 0; i < 3; i++) {
        syscall(SYS_close_range, 3, ~0u, 0);
        int own = open("/dev/null", O_RDWR);
        for (int number = own + 1; number < 20; number++) dup2(own, number);
        steps(state, 2000);
        if (i == 1 && getuid() == 0 && (setgid(65534) || setuid(65534))) die("setuid");
    }
    tally()->exact = 1;
    _exit(0);
}

/* A daemon: the child of a child, in a session of its own, without descriptors. Whoever is its
 * parent in the end waits for it. */
static void daemonise(uint64_t *state) {
    int number[2];
    if (pipe(number) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) die("pipe, subreaper");
    pid_t child = fork(), daemon = 0;
    if (child == 0) {
        if (below(state, 2)) steps(state, 100);
        if (setsid() < 0) die("setsid");
        daemon = fork();
        if (daemon == 0) {
            syscall(SYS_close_range, 0, ~0u, 0);
            if (chdir("/")) _exit(1);
            steps(state, 3000);
            tally()->exact = 1;
            if (below(state, 2)) exit(0);
            _exit(0);
        }
        if (write(number[1], &daemon, sizeof daemon) != sizeof daemon) die("write");
        tally()->exact = 1;
        _exit(0);
    }
    reap(child);
    if (read(number[0], &daemon, sizeof daemon) != sizeof daemon) die("read");
    close(number[0]), close(number[1]);
    reap(daemon);
}

static void act(uint64_t *state) {
    pid_t child;
    pthread_t threads[10];
    switch (below(state, 9)) {
    case 0:
        child = fork();
        if (child == 0) leaf(state);
        return reap(child);
    case 1:
        child = vfork();
        if (child == 0) { free(malloc(77)); exec_leaf(state); }
        return reap(child);
    case 2: {
        char *arguments[] = { self, "leaf", "7", NULL };
        extern char **environ;
        if (posix_spawn(&child, self, NULL, NULL, arguments, environ)) die("posix_spawn");
        return reap(child);
    }
    case 3: return kill_child(state);
    case 5:
        child = fork();
        if (child == 0) confined(state);
        return reap(child);
    case 6:
        child = fork();
        if (child == 0) closes(state);
        return reap(child);
    case 7: return daemonise(state);
    case 4:
        for (int i = 0; i < 10; i++) threads[i] = start(brief, below(state, 1 << 30));
        for (int i = 0; i < 10; i++) pthread_join(threads[i], NULL);
        return;
    default: steps(state, 5000);
    }
}

/* A thread beside the workers that forks and execs as the first one does. */
static void *acts(void *seed) {
    uint64_t state = seeded((uint64_t)seed);
    for (int i = 0; i < 8; i++) act(&state);
    return NULL;
}

static void family(uint64_t seed) {
    uint64_t state = seeded(seed);
    int workers = below(&state, WORKERS + 1);
    pthread_t thread[WORKERS + 1];
    for (int i = 0; i < workers; i++) thread[i] = start(work, seed * 100 + i);
    thread[workers] = start(acts, seed * 100 + 99);
    acts((void *)(seed * 100 + 98));
    pthread_join(thread[workers], NULL);
    if (below(&state, 4) == 0) end_suddenly(&state);
    stop = 1;
    for (int i = 0; i < workers; i++) pthread_join(thread[i], NULL);
    end_alone(&state);
}

int main(int count, char **arguments) {
    struct rlimit no_core = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_core);
    /* Else glibc reads the number of processors from a file when it makes an arena, which is no call
     * for a process that has confined itself. */
    mallopt(M_ARENA_MAX, 16);
    if (count != 3) return 2;
    self = arguments[0];
    uint64_t seed = strtoul(arguments[2], NULL, 10), state = seeded(seed);
    if (strcmp(arguments[1], "leaf") == 0) leaf(&state);
    long families = atol(arguments[1]), running = 0;
    while (families || running) {
        if (families && running < 2) {
            pid_t child = fork();
            if (child == 0) family(seed + families);
            if (child < 0) die("fork");
            families--, running++;
        } else {
            int status;
            if (wait(&status) < 0) die("wait");
            running--;
        }
    }
    tally()->exact = 1;
    return 0;
}
