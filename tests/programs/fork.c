/* fork CASE: the process and its children make allocations of their own: 20001 the first process
 * before, 20005 after; 20003 a child, 20007 a grandchild. Says the PID of each. */
#include "common.h"

static const char *self;
static volatile int stop;
static volatile sig_atomic_t forks, armed;

static void child(void) {
    free(malloc(20003));
    say("child %d\n", getpid());
}

static void leave(pid_t pid) {
    if (pid < 0) die("fork");
    if (pid == 0) { child(); exit(0); }
    wait_for(pid);
}

static void plain(void) { leave(fork()); }

static void many(void) {
    for (int i = 0; i < 200; i++) leave(fork());
}

static void at_once(void) {
    pid_t pid[20];
    for (int i = 0; i < 20; i++)
        if ((pid[i] = fork()) == 0) { child(); exit(0); }
    for (int i = 0; i < 20; i++) wait_for(pid[i]);
}

static void silent(void) {
    pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    wait_for(pid);
}

static void raw(void) {
    pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) { child(); _exit(0); }
    wait_for(pid);
}

static void grandchild(void) {
    pid_t pid = fork();
    if (pid == 0) {
        child();
        pid_t next = fork();
        if (next == 0) { free(malloc(20007)); say("grandchild %d\n", getpid()); exit(0); }
        wait_for(next);
        exit(0);
    }
    wait_for(pid);
}

/* A child that allocates nothing has a child that does. */
static void skipped(void) {
    pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        pid_t next = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (next == 0) { free(malloc(20007)); say("grandchild %d\n", getpid()); _exit(0); }
        wait_for(next);
        _exit(0);
    }
    wait_for(pid);
}

static void *churn(void *unused) {
    while (!stop) free(malloc(501));
    return unused;
}

static void *fork_often(void *unused) {
    for (int i = 0; i < 20; i++) leave(fork());
    return unused;
}

static void thread(void) {
    pthread_t others[4], forker;
    for (int i = 0; i < 4; i++) pthread_create(&others[i], NULL, churn, NULL);
    pthread_create(&forker, NULL, fork_often, NULL);
    pthread_join(forker, NULL);
    stop = 1;
    for (int i = 0; i < 4; i++) pthread_join(others[i], NULL);
}

/* The handler interrupts malloc itself, whose locks and lists are not to be touched there: so the
 * child replaces itself by a fresh program. */
static void on_alarm(int unused) {
    (void)unused;
    int error = errno;
    pid_t pid = fork();
    if (pid == 0) { execl(self, self, "leaf", NULL); _exit(97); }
    wait_for(pid);
    forks++;
    armed = 0;
    errno = error;
}

static void handler(void) {
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    begin();
    for (int i = 0; forks < 20; i++) {
        if (!armed) {
            armed = 1;
            setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_usec = 100 + 37 * forks }, NULL);
        }
        free(malloc(1001 + 2 * (i % 1009)));
    }
    end();
}

static void on_usr1(int unused) { (void)unused; leave(fork()); }

static void raised(void) {
    signal(SIGUSR1, on_usr1);
    for (int i = 0; i < 5; i++) raise(SIGUSR1);
}

static void by_vfork(void) {
    pid_t pid = vfork();
    if (pid == 0) { execl(self, self, "leaf", NULL); _exit(97); }
    wait_for(pid);
}

/* Its events belong to the parent, whose memory it uses. */
static void vfork_allocates(void) {
    void *volatile block;
    pid_t pid = vfork();
    if (pid == 0) { block = malloc(20009); free(block); _exit(0); }
    wait_for(pid);
}

static void spawn(void) {
    pid_t pid;
    char *arguments[] = { (char *)self, "leaf", NULL };
    if (posix_spawn(&pid, self, NULL, NULL, arguments, environ)) die("posix_spawn");
    wait_for(pid);
}

static void by_system(void) {
    char command[4096];
    snprintf(command, sizeof command, "exec '%s' leaf", self);
    if (system(command)) die("system");
}

static const struct { const char *name; void (*run)(void); } cases[] = {
    { "plain", plain }, { "many", many }, { "at_once", at_once }, { "silent", silent }, { "raw", raw },
    { "grandchild", grandchild }, { "skipped", skipped }, { "thread", thread }, { "handler", handler },
    { "raised", raised }, { "vfork", by_vfork }, { "vfork_allocates", vfork_allocates },
    { "spawn", spawn }, { "system", by_system }, { "leaf", child },
};

int main(int count, char **arguments) {
    self = arguments[0];
    for (size_t i = 0; count == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].name, arguments[1])) continue;
        if (cases[i].run == child) { child(); return 0; }
        say("parent %d\n", getpid());
        free(malloc(20001));
        cases[i].run();
        free(malloc(20005));
        return 0;
    }
    return 2;
}
