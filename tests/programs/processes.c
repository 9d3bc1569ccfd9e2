/* processes CASE [NUMBER]: many processes, made in all ways. A child makes a pair of 20003 for each number of
 * its own; the first process 20001 before, 20005 after. Says the PIDs, and what cannot be had. */
#include "common.h"
#include <sched.h>
#include <sys/stat.h>

static volatile int stop;
static long number;

static void pairs(size_t size, int count) {
    while (count--) free(malloc(size));
}

static void forks(void) {
    for (long i = 0; i < number; i++) {
        pid_t pid = i % 2 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (pid < 0) die("fork");
        /* Its own number in each child: events of one in the file of another would show. */
        if (pid == 0) { pairs(1001 + 2 * i, 1); _exit(0); }
        say("child %d\n", pid);
        wait_for(pid);
    }
}

/* With pauses, which keep the trace small. */
static void *churn(void *unused) {
    while (!stop) {
        pairs(501, 100);
        usleep(20000);
    }
    return unused;
}

static void *fork_often(void *raw) {
    for (long i = 0; i < number; i++) {
        pid_t pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
        if (pid < 0) die("fork");
        if (pid == 0) { alarm(60); pairs(20003, 5000); _exit(0); }
        say("child %d\n", pid);
        wait_for(pid);
    }
    return NULL;
}

static void crowd(int size, void *raw) {
    pthread_t other[size], forker;
    for (int i = 0; i < size; i++)
        if (pthread_create(&other[i], NULL, churn, NULL)) die("pthread_create");
    pthread_create(&forker, NULL, fork_often, raw);
    pthread_join(forker, NULL);
    stop = 1;
    for (int i = 0; i < size; i++) pthread_join(other[i], NULL);
}

/* Threads that live for one event each: all are in the slow path nearly all the time. */
static void *brief(void *unused) { pairs(501, 1); return unused; }
static void *briefly(void *unused) {
    while (!stop) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, brief, NULL)) die("pthread_create");
        pthread_join(thread, NULL);
    }
    return unused;
}

static void slow(void) {
    pthread_t other[16], forker;
    for (int i = 0; i < 16; i++) pthread_create(&other[i], NULL, briefly, NULL);
    pthread_create(&forker, NULL, fork_often, NULL);
    pthread_join(forker, NULL);
    stop = 1;
    for (int i = 0; i < 16; i++) pthread_join(other[i], NULL);
}

/* In a PID namespace of its own: each child has the PID of the first one. */
static void reuse(void) {
    pid_t wanted = 0;
    for (long i = 0; i < number; i++) {
        if (wanted) {
            int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
            if (file < 0 || dprintf(file, "%d", wanted - 1) < 0) die("ns_last_pid");
            close(file);
        }
        pid_t pid = fork();
        if (pid == 0) { pairs(1001 + 2 * i, 1); _exit(0); }
        wait_for(pid);
        say("reused %d\n", pid);
        if (!wanted) wanted = pid;
    }
}

static int shares(void *unused) { (void)unused; pairs(20009, 3000); return 0; }

/* Children that live in their parent's memory. */
static void shared(void) {
    static char stack[256 << 10] __attribute__((aligned(64)));
    for (long i = 0; i < number; i++) {
        pid_t pid = clone(shares, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        if (pid < 0) die("clone");
        wait_for(pid);
        pid = vfork();
        if (pid == 0) { pairs(20007, 3000); _exit(0); }
        wait_for(pid);
    }
}

/* A child in its parent's memory allocates on a thread that has not done so yet; afterwards the
 * thread does, while others come that take over what the dead have left. */
static void *lend(void *unused) {
    pid_t pid = vfork();
    if (pid == 0) { pairs(20011, 10); _exit(0); }
    wait_for(pid);
    pairs(20013, 300000);
    say("thread %ld\n", syscall(SYS_gettid));
    stop = 1;
    return unused;
}
static void lent(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, lend, NULL);
    briefly(NULL);
    pthread_join(thread, NULL);
}

/* A child of a child and so on: the last one says what it has of traces. */
static void lineage(void) {
    for (long i = 0; i < number; i++) {
        pid_t pid = fork();
        if (pid < 0) die("fork");
        if (pid) { wait_for(pid); if (i) _exit(0); return; }
        pairs(20003, 1);
    }
    int descriptors = 0, mappings = 0;
    for (int i = 3; i < 4096; i++) {
        struct stat status;
        descriptors += !fstat(i, &status) && S_ISREG(status.st_mode);
    }
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) die("maps");
    int lines = 0;
    for (char line[4096]; fgets(line, sizeof line, maps); lines++) mappings += strstr(line, " rw-s ") != NULL;
    say("descriptors %d\nmappings %d\nlines %d\n", descriptors, mappings, lines);
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (!statm || fscanf(statm, "%ld", &pages) != 1) die("statm");
    say("kib %ld\n", 4 * pages);
    _exit(0);
}

/* A thread that starts a program before it has allocated anything. */
static void *start_first(void *unused) {
    pid_t pid = vfork();
    if (pid == 0) { execl("/nowhere/at/all", "nothing", NULL); _exit(0); }
    wait_for(pid);
    pairs(20015, 10);
    say("thread %ld\n", syscall(SYS_gettid));
    return unused;
}
static void start(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, start_first, NULL);
    pthread_join(thread, NULL);
}

/* Children in the memory of processes that have not allocated yet. */
static void borrow(size_t size) {
    pid_t pid = vfork();
    if (pid == 0) { pairs(size, 1); _exit(0); }
    wait_for(pid);
}
static void first(void) {
    pid_t pid = fork();
    if (pid == 0) { borrow(20023); pairs(20025, 1); exit(0); }
    say("child %d\n", pid);
    wait_for(pid);
    borrow(20019);
}

/* A child in its parent's memory ends as its parent would; the parent goes on. */
static int leaves(void *unused) { (void)unused; exit(0); }
static void leave(void) {
    static char stack[256 << 10] __attribute__((aligned(64)));
    pid_t pid = clone(leaves, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    if (pid < 0) die("clone");
    wait_for(pid);
    pairs(20017, 3000);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const char *name = arguments[1];
    number = atol(arguments[2]);
    say("parent %d\n", getpid());
    if (strcmp(name, "first") == 0) first();
    pairs(20001, 1);
    if (strcmp(name, "forks") == 0) forks();
    else if (strcmp(name, "crowd") == 0) crowd(64, NULL);
    else if (strcmp(name, "raw_crowd") == 0) crowd(64, &number);
    else if (strcmp(name, "slow") == 0) slow();
    else if (strcmp(name, "reuse") == 0) reuse();
    else if (strcmp(name, "shared") == 0) shared();
    else if (strcmp(name, "lent") == 0) lent();
    else if (strcmp(name, "lineage") == 0) lineage();
    else if (strcmp(name, "start") == 0) start();
    else if (strcmp(name, "leave") == 0) leave();
    else if (strcmp(name, "first")) return 2;
    pairs(20005, 1);
    return 0;
}
