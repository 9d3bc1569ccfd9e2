/* Signals on the stack of the thread and on others, and an event at every instruction. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void (*event)(void);

#define NOINLINE __attribute__((noinline, noclone))

static NOINLINE void inner(unsigned long levels) {
    volatile char room[48];
    room[levels % 48] = 1;
    event();
    if (levels)
        inner(levels - 1);
    event();
    room[0] = room[levels % 48];
}

static unsigned long nested;

static void handler(int number) {
    (void)number;
    inner(2);
    if (nested) {
        nested--;
        raise(SIGUSR2);
    }
    inner(1);
}

static NOINLINE void raising(unsigned long levels) {
    volatile char room[80];
    room[levels % 80] = 1;
    event();
    raise(SIGUSR1);
    if (levels)
        raising(levels - 1);
    event();
    raise(SIGUSR1);
    room[0] = room[levels % 80];
}

/* With a stack for signals, of this size; 0 for none. */
unsigned long signals(unsigned long levels, unsigned long size) {
    struct sigaction action, before[2];
    stack_t stack = {0}, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = (size ? SA_ONSTACK : 0) | SA_NODEFER;
    sigaction(SIGUSR1, &action, &before[0]);
    action.sa_flags = SA_NODEFER;
    sigaction(SIGUSR2, &action, &before[1]);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(0, &old);
    if (size) {
        stack.ss_sp = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        stack.ss_size = size;
        stack.ss_flags = 0;
    }
    sigaltstack(&stack, 0);
    raising(levels);
    nested = 3;
    raising(levels);
    sigaltstack(&old, 0);
    if (size)
        munmap(stack.ss_sp, size);
    sigaction(SIGUSR1, &before[0], 0);
    sigaction(SIGUSR2, &before[1], 0);
    event();
    return levels;
}

static NOINLINE void hushed(unsigned long levels) {
    volatile char room[80];
    room[levels % 80] = 1;
    raise(SIGUSR1);
    if (levels)
        hushed(levels - 1);
    raise(SIGUSR1);
    room[0] = room[levels % 80];
}

/* The same stack pointer each time, but another frame pointer. */
static NOINLINE void inner_room(unsigned long size) {
    volatile char *room = __builtin_alloca(16 + size * 16);
    room[0] = 1;
    raise(SIGUSR1);
    room[1] = room[0];
}

static NOINLINE void outer_room(unsigned long size, unsigned long both) {
    volatile char *room = __builtin_alloca(16 + size * 16);
    room[0] = 1;
    inner_room(both - size);
    room[1] = room[0];
}

/* Events in handlers only, which stand at the same place each time. */
unsigned long signals_only(unsigned long levels, unsigned long size) {
    struct sigaction action, before;
    stack_t stack = {0}, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK;
    stack.ss_sp = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_size = size;
    sigaction(SIGUSR1, &action, &before);
    sigaltstack(&stack, &old);
    hushed(levels);
    for (unsigned long round = 0; round <= levels; round++)
        outer_room(round, levels);
    sigaltstack(&old, 0);
    munmap(stack.ss_sp, size);
    sigaction(SIGUSR1, &before, 0);
    return levels;
}

/* A stack for signals that lies within the thread's own, above what is interrupted. */
unsigned long signals_above(unsigned long levels, unsigned long size) {
    char *room = __builtin_alloca(size);
    struct sigaction action, before;
    stack_t stack = {.ss_sp = room, .ss_size = size}, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, &before);
    sigaltstack(&stack, &old);
    raising(levels);
    sigaltstack(&old, 0);
    sigaction(SIGUSR1, &before, 0);
    return levels;
}

/* ---- every instruction ---- */

static void stepped(int number) {
    volatile char room[32];
    room[number % 32] = 1;
    event();
    room[0] = room[number % 32];
}

struct script {
    const unsigned char *at;
};

static NOINLINE unsigned long saves(unsigned long a, unsigned long b) {
    unsigned long c = strtoul("7", 0, 10), d = strtoul("8", 0, 10);
    return a * c + b * d + labs((long)a) + abs((int)b);
}

static NOINLINE unsigned long varies(unsigned long size) {
    volatile char *room = __builtin_alloca(16 + size * 16);
    room[0] = 1;
    return saves(size, room[0]);
}

static NOINLINE unsigned long aligns(unsigned long size) {
    _Alignas(64) volatile char room[64];
    volatile char *more = __builtin_alloca(16 + size * 16);
    room[0] = more[0] = 2;
    return varies(size) + room[0];
}

static NOINLINE unsigned long many(unsigned long a, unsigned long b, unsigned long c, unsigned long d,
                                   unsigned long e, unsigned long f, unsigned long g) {
    return aligns(a) + b + saves(c, d) + e + f + g;
}

/* An event at every instruction. Its frame pointer tells where it is while flags are pushed. */
__attribute__((optimize("no-omit-frame-pointer"))) unsigned long stepping(unsigned long size, unsigned long unused) {
    (void)unused;
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = stepped;
    sigaction(SIGTRAP, &action, &before);
    __asm__ volatile("pushf; orq $0x100, (%%rsp); popf" ::: "cc", "memory");
    unsigned long sum = many(size, 2, 3, 4, 5, 6, 7);
    __asm__ volatile("pushf; andq $~0x100, (%%rsp); popf" ::: "cc", "memory");
    sigaction(SIGTRAP, &before, 0);
    return sum;
}
