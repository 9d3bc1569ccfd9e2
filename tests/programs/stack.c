/* stack CASE: what the calls take of a stack. "overflow" survives its stack overflows, "depth" says how deep
 * the calls have gone, "first" how deep the first one has. */
#include "common.h"
#include <setjmp.h>
#include <sys/resource.h>
#include <ucontext.h>

static sigjmp_buf back;

static void on_overflow(int unused) {
    (void)unused;
    siglongjmp(back, 1);
}

static int down(int n) {
    volatile char pad[64];
    pad[0] = (char)n;
    void *block = malloc(17);
    int result = (n < 1 << 28 ? down(n + 1) : 0) + pad[0];
    free(block);
    return result;
}

static int overflow(void) {
    struct rlimit limit = { 128 << 10, RLIM_INFINITY };
    if (setrlimit(RLIMIT_STACK, &limit)) die("setrlimit");
    stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
    struct sigaction action = { .sa_handler = on_overflow, .sa_flags = SA_ONSTACK | SA_NODEFER };
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 400; i++) {
        if (!sigsetjmp(back, 1)) down(0);
        free(malloc(33));
    }
    say("survived\n");
    return 0;
}

enum { STACK = 64 << 10, PAINT = 0xa5 };
static unsigned char stack[STACK] __attribute__((aligned(4096)));
static ucontext_t outside, inside;
static long pairs;

static void calls(void) {
    for (long i = 0; i < pairs; i++) free(malloc(19 + i % 500));
}

/* Bytes of the stack that were written to, without those of a round that does nothing. */
static long depth(long count) {
    memset(stack, PAINT, STACK);
    pairs = count;
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = STACK;
    inside.uc_link = &outside;
    makecontext(&inside, calls, 0);
    swapcontext(&outside, &inside);
    long untouched = 0;
    while (untouched < STACK && stack[untouched] == PAINT) untouched++;
    return STACK - untouched;
}

static void *nothing(void *unused) {
    free(malloc(21));
    return unused;
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "overflow") == 0) return overflow();
    if (count == 2 && strcmp(arguments[1], "first") == 0) {
        long empty = depth(0);
        say("depth %ld\n", depth(1) - empty);
        return 0;
    }
    free(malloc(23));
    /* Buffers that dead threads leave, for the next one. */
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, nothing, NULL);
        pthread_join(thread, NULL);
    }
    long empty = depth(0);
    say("depth %ld\n", depth(3000000) - empty);
    return 0;
}
