/* troubled CASE [ROUNDS]: pauses where something goes wrong. Sizes below 30001 are born while the process records, those
 * from there on while it pauses, or is to. Says how many moments it made, but for those of children. */
#include "small_disk.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "../../docs/mallook.h"

extern char **environ;

/* A pause is to begin while there is no room for its marker. */
static void full_at_pause(void) {
    pairs(20001, 1);
    fill();
    pairs(20003, 60000);
    mallook_pause();
    pairs(30001, 1000);
    empty();
    pairs(30003, 70000);
    mallook_resume();
    pairs(20005, 10);
}

/* Marks while there is no room for any, from inside and from outside, and as many as there are places when there is. */
static void full_at_mark(char *mallook) {
    char pid[16], *arguments[] = { mallook, "ctl", "mark", pid, "lost", NULL }, *nothing[] = { NULL };
    posix_spawn_file_actions_t actions;
    int lost = 0, kept = 0, status;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    fill();
    for (int i = 0; i < 100; i++) lost += mallook_mark("lost") == 0;
    for (int i = 0; i < 3; i++) {
        pid_t child;
        if (posix_spawn(&child, mallook, &actions, NULL, arguments, nothing)) die("posix_spawn");
        if (waitpid(child, &status, 0) != child) die("waitpid");
        lost += status == 0;
    }
    empty();
    for (int i = 0; i < 100; i++) kept += mallook_mark("kept") == 0;
    say("lost %d\nkept %d\n", lost, kept);
}

/* A pause is to end while there is none: markers of children take what there was. */
static void full_at_resume(void) {
    pairs(20001, 1);
    mallook_pause();
    fill();
    for (int i = 0; i < 600; i++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        wait_for(child);
    }
    pairs(30001, 10);
    mallook_resume();
    pairs(30003, 1000);
    empty();
    /* Until the next try. */
    pairs(20003, 70000);
    pairs(20005, 10);
}

#define ALLOW(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Paused and resumed from outside, where any call of the recorder would kill. The test writes odd numbers into a file
 * that is mapped, and waits for even ones. */
static void confined(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), ALLOW(SYS_write), ALLOW(SYS_exit_group),
        ALLOW(SYS_brk), ALLOW(SYS_nanosleep), ALLOW(SYS_clock_nanosleep), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    int file = open("steps", O_RDWR);
    volatile int *step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (step == MAP_FAILED) die("steps");
    pairs(20001, 10);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
    for (int i = 0; i < 94; i++)
        if (mallook_mark("confined")) _exit(9);
    for (int round = 0; round < 3; round++) {
        while (*step != 4 * round + 1) {
            pairs(20003, 1);
            usleep(100);
        }
        pairs(30001, 100);
        *step = 4 * round + 2;
        while (*step != 4 * round + 3) {
            pairs(20003, 1);
            usleep(100);
        }
        pairs(20005, 100);
        *step = 4 * round + 4;
    }
}

/* Children that share this memory while it pauses, and programs that they start. */
static void shared(char *self) {
    char *arguments[] = { self, "child", NULL };
    pairs(20001, 10);
    mallook_pause();
    pid_t child = vfork();
    if (child == 0) {
        free(malloc(30001));
        execv(self, arguments);
        _exit(9);
    }
    wait_for(child);
    if (posix_spawn(&child, self, NULL, NULL, arguments, environ)) die("posix_spawn");
    wait_for(child);
    /* One that ends the pause of its parent, whose memory and trace are its own. */
    pairs(30003, 10);
    child = vfork();
    if (child == 0) {
        mallook_resume();
        free(malloc(20003));
        _exit(0);
    }
    wait_for(child);
    pairs(20005, 10);
}

/* Children that are forked in a pause, by the function or by the call that no hook sees. */
static void forked(int is_seen) {
    pairs(20001, 10);
    mallook_pause();
    for (int orphaned = 0; orphaned < 2; orphaned++) {
        int ends[2];
        if (pipe(ends)) die("pipe");
        pid_t child = is_seen ? fork() : unseen(SYS_fork, 0, 0, 0);
        if (child == 0) {
            pid_t parent = getpid();
            if (orphaned) {
                child = is_seen ? fork() : unseen(SYS_fork, 0, 0, 0);
                if (child) _exit(0);
                while (getppid() == parent) usleep(100);
            }
            pairs(30001, 10);
            mallook_resume();
            pairs(20003, 10);
            _exit(0);
        }
        wait_for(child);
        /* Until nobody holds the other end. */
        close(ends[1]);
        if (read(ends[0], ends, 1) != 0) die("read");
    }
    /* The end of their pauses was theirs. */
    pairs(30003, 10);
    mallook_resume();
    pairs(20005, 10);
}

/* More pauses than a ring has room for. */
static void rounds(int count) {
    for (int i = 0; i < count; i++) {
        pairs(20001, 2000);
        mallook_pause();
        performed -= 20;
        pairs(30001, 10);
        mallook_resume();
    }
}

static pthread_barrier_t barrier;
static int turns;

static void *burst(void *unused) {
    for (int i = 0; i < turns; i++) {
        pairs(20001, 100);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        pairs(30001 + 2 * i, 100);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        pairs(20003, 1);
    }
    return unused;
}

/* A thread is in a burst when another one pauses. */
static void bursts(int count) {
    pthread_t thread;
    turns = count;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, burst, NULL)) die("pthread_create");
    for (int i = 0; i < turns; i++) {
        pthread_barrier_wait(&barrier);
        mallook_pause();
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        mallook_resume();
        pthread_barrier_wait(&barrier);
    }
    pthread_join(thread, NULL);
}

static void *both(void *unused) {
    for (int i = 0; i < turns; i++) {
        pairs(20001, 10);
        pthread_barrier_wait(&barrier);
        mallook_pause();
        pairs(30001, 10);
        pthread_barrier_wait(&barrier);
        mallook_resume();
    }
    return unused;
}

/* Two threads pause, and go on, at the same moments. */
static void together(int count) {
    pthread_t thread;
    turns = count;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, both, NULL)) die("pthread_create");
    both(NULL);
    pthread_join(thread, NULL);
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const char *how = arguments[1];
    if (!strcmp(how, "child")) {
        pairs(20007, 10);
        return 0;
    }
    if (!strcmp(how, "full_at_pause")) full_at_pause();
    else if (!strcmp(how, "full_at_resume")) full_at_resume();
    else if (!strcmp(how, "confined")) confined();
    else if (!strcmp(how, "shared")) shared(arguments[0]);
    else if (!strcmp(how, "forked")) forked(1);
    else if (!strcmp(how, "forked_unseen")) forked(0);
    else if (!strcmp(how, "rounds")) rounds(atoi(arguments[2]));
    else if (!strcmp(how, "full_at_mark")) full_at_mark(arguments[2]);
    else if (!strcmp(how, "together")) together(atoi(arguments[2]));
    else if (!strcmp(how, "bursts")) bursts(atoi(arguments[2]));
    else return 2;
    say("performed %ld\n", performed);
    _exit(8);
}
