/* contexts CASE: places other than a thread's ordinary stack. Says what it did. */
#include "common.h"
#include <setjmp.h>
#include <sys/auxv.h>
#include <ucontext.h>

enum { COROUTINES = 64, TURNS = 200 };
static ucontext_t back, coroutine[COROUTINES];
static sigjmp_buf place;
static volatile int jumps;

static void allocate(int number) {
    for (int i = 0; i < TURNS; i++) {
        void *block = malloc(1001 + 2 * number);
        swapcontext(&coroutine[number], &back);
        free(block);
    }
}

/* Blocks are born on one turn of a coroutine and die on the next one. */
static void coroutines(void) {
    for (int i = 0; i < COROUTINES; i++) {
        getcontext(&coroutine[i]);
        coroutine[i].uc_stack.ss_size = 32 << 10;
        coroutine[i].uc_stack.ss_sp = mmap(NULL, 32 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        coroutine[i].uc_link = &back;
        makecontext(&coroutine[i], (void (*)(void))allocate, 1, i);
    }
    for (int turn = 0; turn <= TURNS; turn++)
        for (int i = 0; i < COROUTINES; i++) swapcontext(&back, &coroutine[i]);
}

static void on_jump(int unused) {
    (void)unused;
    free(malloc(20001));
    siglongjmp(place, 1);
}

static void jump(void) {
    signal(SIGUSR1, on_jump);
    while (sigsetjmp(place, 1) == 0 || ++jumps < 10000) {
        free(malloc(20003));
        raise(SIGUSR1);
    }
}

static void on_alternate(int unused) {
    (void)unused;
    char here;
    free(malloc(20001));
    stack_t stack;
    if (sigaltstack(NULL, &stack) || &here < (char *)stack.ss_sp) _exit(96);
}

/* The first event of a process, on a stack of the least size that libc promises to do with; below it is
 * nothing. The events behind it need blocks and windows. */
static void alternate(void) {
    size_t least = sysconf(_SC_SIGSTKSZ), page = 4096;
    size_t size = (least + page - 1) & ~(page - 1);
    char *memory = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory, page, PROT_NONE);
    stack_t stack = { .ss_sp = memory + page, .ss_size = size };
    if (sigaltstack(&stack, NULL)) die("sigaltstack");
    struct sigaction action = { .sa_handler = on_alternate, .sa_flags = SA_ONSTACK };
    sigaction(SIGUSR1, &action, NULL);
    pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        for (int i = 0; i < 10000; i++) raise(SIGUSR1);
        _exit(0);
    }
    wait_for(pid);
    say("child %d\n", pid);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    if (strcmp(arguments[1], "coroutines") == 0) coroutines();
    else if (strcmp(arguments[1], "jump") == 0) jump();
    else if (strcmp(arguments[1], "alternate") == 0) alternate();
    else return 2;
    say("jumps %d\n", jumps);
    return 0;
}
