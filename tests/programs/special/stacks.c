/* stacks: allocations whose call stacks are known, each with a size of its own. */
#define _GNU_SOURCE
#include <alloca.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define FUNCTION __attribute__((noinline, noclone)) static
/* What keeps a call from becoming a jump. */
#define STAY __asm__ volatile("" ::: "memory")

FUNCTION void *leaf(size_t size) {
    void *block = malloc(size);
    STAY;
    return block;
}

FUNCTION void middle(size_t size) {
    free(leaf(size));
    STAY;
}

FUNCTION void outer(size_t size) {
    middle(size);
    STAY;
}

FUNCTION void recursive(int depth, size_t size) {
    if (depth > 1)
        recursive(depth - 1, size);
    else
        free(leaf(size));
    STAY;
}

FUNCTION void with_alloca(int length, size_t size) {
    char *room = alloca(length);
    memset(room, 1, length);
    __asm__ volatile("" ::"r"(room) : "memory");
    free(leaf(size));
    STAY;
}

FUNCTION void aligned_frame(size_t size) {
    char room[128] __attribute__((aligned(64)));
    memset(room, 1, sizeof room);
    __asm__ volatile("" ::"r"(room) : "memory");
    free(leaf(size));
    STAY;
}

/* A dynamic length in an aligned frame: the stack pointer is found by a saved register. */
FUNCTION void aligned_and_long(int length, size_t size) {
    char room[64] __attribute__((aligned(64)));
    char *more = alloca(length);
    memset(room, 1, sizeof room), memset(more, 2, length);
    __asm__ volatile("" ::"r"(room), "r"(more) : "memory");
    free(leaf(size));
    STAY;
}

FUNCTION int compare(const void *one, const void *other) {
    free(leaf(1009));
    STAY;
    return *(const int *)one - *(const int *)other;
}

FUNCTION void sorted(void) {
    int numbers[2] = {2, 1};
    qsort(numbers, 2, sizeof *numbers, compare);
    STAY;
}

FUNCTION void handler(int number) {
    (void)number;
    free(leaf(1011));
    STAY;
}

FUNCTION void raiser(void) {
    raise(SIGUSR1);
    STAY;
}

static jmp_buf place;

FUNCTION void jumper(size_t size) {
    free(leaf(size));
    longjmp(place, 1);
}

FUNCTION void jumped(void) {
    if (setjmp(place) == 0) jumper(1013);
    free(leaf(1015));
    STAY;
}

static ucontext_t here, there;

FUNCTION void coroutine(void) {
    free(leaf(1017));
    swapcontext(&there, &here);
}

FUNCTION void switcher(void) {
    static char stack[64 << 10];
    getcontext(&there);
    there.uc_stack.ss_sp = stack, there.uc_stack.ss_size = sizeof stack;
    makecontext(&there, coroutine, 0);
    swapcontext(&here, &there);
    STAY;
}

FUNCTION void *thread_body(void *argument) {
    free(leaf(1019));
    STAY;
    return argument;
}

FUNCTION void *jumped_to(size_t size) {
    void *block = leaf(size);
    STAY;
    return block;
}

/* Ends in a jump, so it has no frame of its own. */
FUNCTION void *without_frame(size_t size) { return jumped_to(size + 2); }

FUNCTION void tail_caller(void) {
    free(without_frame(1019));
    STAY;
}

/* Pushes all registers that a function has to save. */
__attribute__((noinline, noclone, optimize("Os"))) static long pushes(long a, long b, long c, size_t size) {
    long d = a * b, e = b * c, f = c * a;
    void *block = leaf(size);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f)::"memory");
    free(block);
    return a + b + c + d + e + f;
}

FUNCTION void all_functions(void) {
    void *block = calloc(1, 1101);
    block = realloc(block, 1103);
    free(block);
    /* The compiler must not see that nothing is kept there. */
    static void *volatile nothing, *volatile any;
    free(any = realloc(nothing, 1105));
    free(any = reallocarray(nothing, 1, 1107));
    if (posix_memalign(&block, 64, 1109) == 0) free(any = block);
    free(any = aligned_alloc(64, 1111));
    free(any = memalign(64, 1113));
    free(any = valloc(1115));
    STAY;
}

FUNCTION void child_only(void) {
    free(leaf(1201));
    STAY;
}

FUNCTION void deep(int depth, size_t size) {
    recursive(depth, size);
    STAY;
}

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 1;
    static char signals[64 << 10];
    stack_t alternate = {.ss_sp = signals, .ss_size = sizeof signals};
    sigaltstack(&alternate, NULL);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    for (int round = 0; round < rounds; round++) {
        outer(1001);
        recursive(5, 1003);
        with_alloca(100 + 16 * round % 900, 1005);
        aligned_frame(1007);
        sorted();
        raiser();
        jumped();
        switcher();
        pthread_t thread;
        pthread_create(&thread, NULL, thread_body, NULL);
        pthread_join(thread, NULL);
        tail_caller();
        pushes(round, 2, 3, 1023);
        aligned_and_long(50 + round % 500, 1025);
        all_functions();
    }
    deep(3000, 1301);
    pid_t child = fork();
    if (child == 0) {
        child_only();
        _exit(0);
    }
    waitpid(child, NULL, 0);
    if (count > 2) {
        /* Until it is killed. */
        for (;;) outer(1001), recursive(7, 1401);
    }
    return 0;
}
