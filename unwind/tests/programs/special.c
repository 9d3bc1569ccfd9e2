/* Stacks that are made otherwise than by calls: jumps, coroutines, and deep ones. */
#define _GNU_SOURCE
#include <setjmp.h>
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
        /* Elsewhere if another thread has mapped something there meanwhile. */
        place = mmap(place, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
