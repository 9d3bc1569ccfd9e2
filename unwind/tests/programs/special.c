/* Stacks that are made otherwise than by calls: jumps, signals, coroutines, and deep ones. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

void (*event)(void);

#define NOINLINE __attribute__((noinline, noclone))

/* ---- deep recursion ---- */

static unsigned long every;

static NOINLINE unsigned long deep(unsigned long levels) {
    volatile char room[16] = {1};
    if (levels % every == 0)
        event();
    unsigned long below = levels == 0 ? 0 : deep(levels - 1);
    if (levels % every == every / 2)
        event();
    return below + room[levels % 16];
}

unsigned long recurse(unsigned long levels, unsigned long between) {
    every = between;
    event();
    unsigned long sum = deep(levels);
    event();
    return sum;
}

/* Goes up and down around a depth. */
static NOINLINE unsigned long sway(unsigned long levels) {
    if (levels == 0) {
        event();
        return 1;
    }
    unsigned long below = sway(levels - 1);
    event();
    return below + 1;
}

static NOINLINE unsigned long below(unsigned long levels, unsigned long more) {
    if (levels == 0) {
        event();
        for (unsigned long round = 0; round < 2; round++)
            sway(more);
        return 0;
    }
    unsigned long sum = below(levels - 1, more);
    /* Or the compiler makes a loop of it. */
    __asm__ volatile("" : "+r"(sum));
    return sum + 1;
}

unsigned long around(unsigned long levels, unsigned long more) {
    unsigned long sum = below(levels, more);
    event();
    return sum;
}

/* ---- longjmp ---- */

static jmp_buf back;

static NOINLINE void leap(unsigned long levels, unsigned long limit) {
    volatile char room[64];
    room[levels % 64] = 1;
    event();
    if (levels == limit)
        longjmp(back, 1);
    leap(levels + 1, limit);
    room[0] = room[levels % 64];
}

unsigned long leaps(unsigned long rounds, unsigned long limit) {
    for (volatile unsigned long round = 0; round < rounds; round++) {
        if (setjmp(back) == 0)
            leap(0, limit + round % 3);
        event();
    }
    return rounds;
}

/* ---- coroutines ---- */

enum { COROUTINES = 3 };
static ucontext_t contexts[COROUTINES], home;
static char *stacks[COROUTINES];

static NOINLINE void turn(int which, unsigned long levels) {
    volatile char room[32];
    room[levels % 32] = 1;
    event();
    if (levels == 0)
        swapcontext(&contexts[which], &home);
    else
        turn(which, levels - 1);
    event();
    room[0] = room[levels % 32];
}

static void coroutine(int which) {
    for (unsigned long round = 0;; round++)
        turn(which, round % 4);
}

unsigned long coroutines(unsigned long rounds, unsigned long size) {
    for (int which = 0; which < COROUTINES; which++) {
        stacks[which] = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        getcontext(&contexts[which]);
        contexts[which].uc_stack.ss_sp = stacks[which];
        contexts[which].uc_stack.ss_size = size;
        contexts[which].uc_link = &home;
        makecontext(&contexts[which], (void (*)(void))coroutine, 1, which);
    }
    for (unsigned long round = 0; round < rounds; round++) {
        event();
        swapcontext(&home, &contexts[round % COROUTINES]);
    }
    for (int which = 0; which < COROUTINES; which++)
        munmap(stacks[which], size);
    event();
    return rounds;
}

/* One coroutine that runs to its end, on a stack of this size, over and over at one place. */
static unsigned long once_levels;

static NOINLINE void down(unsigned long levels) {
    volatile char room[32];
    room[levels % 32] = 1;
    event();
    if (levels)
        down(levels - 1);
    event();
    room[0] = room[levels % 32];
}

static void once(void) { down(once_levels); }

unsigned long smaller(unsigned long rounds, unsigned long size) {
    char *place = mmap(0, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned long round = 0; round < rounds; round++) {
        /* Only the upper or only the lower half is there each second time. */
        unsigned long part = round % 2 ? size : 2 * size;
        mprotect(place, part, PROT_READ | PROT_WRITE);
        getcontext(&contexts[0]);
        contexts[0].uc_stack.ss_sp = place;
        contexts[0].uc_stack.ss_size = part;
        contexts[0].uc_link = &home;
        once_levels = 4 + round % 3;
        makecontext(&contexts[0], once, 0);
        swapcontext(&home, &contexts[0]);
        munmap(place, 2 * size);
        event();
        mmap(place, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    munmap(place, 2 * size);
    return rounds;
}

/* A coroutine that is at the same place twice, the second time on a stack that ends further in. */
static char *frame_of_first;
static unsigned long frame_size;

static NOINLINE void plunge(unsigned long levels) {
    volatile char room[32];
    room[levels % 32] = 1;
    char *frame = __builtin_frame_address(0);
    if (frame_of_first)
        frame_size = frame_of_first - frame;
    frame_of_first = frame;
    if (levels)
        plunge(levels - 1);
    else if (event)
        event();
    room[0] = room[levels % 32];
}

static void plunging(void) {
    frame_of_first = 0;
    plunge(once_levels);
}

static void run_on(char *low, char *high, unsigned long levels) {
    getcontext(&contexts[0]);
    contexts[0].uc_stack.ss_sp = low;
    contexts[0].uc_stack.ss_size = high - low;
    contexts[0].uc_link = &home;
    once_levels = levels;
    makecontext(&contexts[0], plunging, 0);
    swapcontext(&home, &contexts[0]);
}

unsigned long cropped(unsigned long levels, unsigned long less) {
    unsigned long size = 4 << 20, half = size / 2;
    char *place = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*kept)(void) = event;
    event = 0;
    run_on(place, place + half, 2);
    event = kept;
    event();
    for (unsigned long more = 0; more < 8; more++) {
        mprotect(place + half, half, PROT_READ | PROT_WRITE);
        run_on(place, place + half + less * frame_size, levels + more);
        mprotect(place + half, half, PROT_NONE);
        run_on(place, place + half, levels + more - less);
    }
    munmap(place, size);
    return frame_size;
}

/* ---- signals ---- */

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

/* ---- code without tables ---- */

/* Keeps a frame pointer, and calls what it is given. */
static const unsigned char framed[] = {
    0x55,             /* push rbp */
    0x48, 0x89, 0xe5, /* mov rbp, rsp */
    0xff, 0xd7,       /* call rdi */
    0x5d,             /* pop rbp */
    0xc3,
};
/* Has something else in rbp. */
static const unsigned char frameless[] = {
    0x55,                                     /* push rbp */
    0x48, 0xc7, 0xc5, 0x39, 0x05, 0x00, 0x00, /* mov rbp, 1337 */
    0xff, 0xd7,                               /* call rdi */
    0x5d,                                     /* pop rbp */
    0xc3,
};

static NOINLINE void through(void (*code)(void (*)(void)), unsigned long levels) {
    volatile char room[24];
    room[levels % 24] = 1;
    event();
    code(event);
    if (levels)
        through(code, levels - 1);
    code(event);
    room[0] = room[levels % 24];
}

static void *written(const unsigned char *bytes, unsigned long length) {
    char *code = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(code, bytes, length);
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    return code;
}

static void (*guessed)(void (*)(void));

static void guess_once(void) {
    through(guessed, 2);
    through(guessed, 3);
}

unsigned long guesses(unsigned long levels, unsigned long with_frames) {
    const unsigned char *bytes = with_frames ? framed : frameless;
    unsigned long length = with_frames ? sizeof framed : sizeof frameless;
    guessed = (void (*)(void (*)(void)))written(bytes, length);
    through(guessed, levels);
    /* And in a coroutine, whose stack may go. */
    char *stack = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    getcontext(&contexts[0]);
    contexts[0].uc_stack.ss_sp = stack;
    contexts[0].uc_stack.ss_size = 1 << 20;
    contexts[0].uc_link = &home;
    makecontext(&contexts[0], guess_once, 0);
    swapcontext(&home, &contexts[0]);
    munmap(stack, 1 << 20);
    munmap(guessed, 4096);
    return levels;
}

/* A function of the module that has no entry in its tables. */
__asm__(".text\n"
        ".type bare, @function\n"
        "bare:\n"
        "push %rbx\n"
        "call *%rdi\n"
        "pop %rbx\n"
        "ret\n"
        ".size bare, . - bare\n"
        ".skip 64, 0x90\n");
extern void bare(void (*)(void));

__attribute__((optimize("no-omit-frame-pointer"))) unsigned long untold(unsigned long a, unsigned long b) {
    bare(event);
    return a + b;
}

/* A stack whose upper half goes, and code that has a pointer there where frame pointers are. */
unsigned long misled(unsigned long rounds, unsigned long unused) {
    (void)unused;
    unsigned long size = 2 << 20, half = size / 2;
    char *place = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long *there = (unsigned long *)(place + half + 4096);
    unsigned char code[] = {
        0x55,                               /* push rbp */
        0x48, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rbp, there */
        0xff, 0xd7,                         /* call rdi */
        0x5d,                               /* pop rbp */
        0xc3,
    };
    memcpy(code + 3, &there, 8);
    guessed = (void (*)(void (*)(void)))written(code, sizeof code);
    there[0] = 0;
    there[1] = (unsigned long)guessed + 1;
    for (unsigned long round = 0; round < rounds; round++) {
        getcontext(&contexts[0]);
        contexts[0].uc_stack.ss_sp = place;
        contexts[0].uc_stack.ss_size = half;
        contexts[0].uc_link = &home;
        makecontext(&contexts[0], (void (*)(void))guessed, 1, event);
        /* The first argument of the coroutine is cut to an int, so the code gets it otherwise. */
        contexts[0].uc_mcontext.gregs[REG_RDI] = (greg_t)event;
        swapcontext(&home, &contexts[0]);
        mprotect(place + half, half, PROT_NONE);
    }
    munmap(place, size);
    munmap(guessed, 4096);
    return rounds;
}

/* The same function at the same place, where the frame pointer does not matter and where it does. */
static NOINLINE void hit(void) {
    event();
    __asm__ volatile("");
}

static NOINLINE void plain_outer(void) {
    volatile char room[200];
    room[0] = 1;
    hit();
    room[1] = room[0];
}

static NOINLINE void varying_outer(unsigned long size) {
    volatile char *room = __builtin_alloca(16 + size * 16);
    room[0] = 1;
    hit();
    room[1] = room[0];
}

unsigned long meetings(unsigned long sizes, unsigned long unused) {
    (void)unused;
    for (unsigned long size = 0; size < sizes; size++) {
        plain_outer();
        varying_outer(size);
        plain_outer();
    }
    return sizes;
}

/* Tables that lie: the CFA is said to be the frame pointer, which is anything. */
__asm__(".text\n"
        ".type liar, @function\n"
        "liar:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_rel_offset %rbp, 0\n"
        "mov %rsi, %rbp\n"
        ".cfi_def_cfa %rbp, 16\n"
        "call *%rdi\n"
        "pop %rbp\n"
        ".cfi_def_cfa %rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size liar, . - liar\n");
extern void liar(void (*)(void), unsigned long);
/* The same, of the word below the frame pointer. */
__asm__(".text\n"
        ".type aligned_liar, @function\n"
        "aligned_liar:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_rel_offset %rbp, 0\n"
        "mov %rsi, %rbp\n"
        ".cfi_escape 0x0f, 0x03, 0x76, 0x78, 0x06\n"
        "call *%rdi\n"
        "pop %rbp\n"
        ".cfi_def_cfa %rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size aligned_liar, . - aligned_liar\n");
extern void aligned_liar(void (*)(void), unsigned long);

/* With a return address that differs from a good one in bits that addresses do not have. */
unsigned long far(unsigned long bit, unsigned long unused) {
    (void)unused;
    volatile unsigned long words[2];
    words[0] = 0;
    words[1] = (unsigned long)&hit + 5;
    liar(event, (unsigned long)words);
    words[1] |= 1ul << bit;
    liar(event, (unsigned long)words);
    return words[0];
}

unsigned long lies(unsigned long value, unsigned long unused) {
    (void)unused;
    liar(event, value);
    aligned_liar(event, value);
    return value;
}
