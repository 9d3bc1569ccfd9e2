/* Code without tables, and tables that say what is not so. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

void (*event)(void);

#define NOINLINE __attribute__((noinline, noclone))

static ucontext_t home, context;

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
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = 1 << 20;
    context.uc_link = &home;
    makecontext(&context, guess_once, 0);
    swapcontext(&home, &context);
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
        getcontext(&context);
        context.uc_stack.ss_sp = place;
        context.uc_stack.ss_size = half;
        context.uc_link = &home;
        makecontext(&context, (void (*)(void))guessed, 1, event);
        /* The first argument of the coroutine is cut to an int, so the code gets it otherwise. */
        context.uc_mcontext.gregs[REG_RDI] = (greg_t)event;
        swapcontext(&home, &context);
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
