/* Stacks on which a shortcut of the unwinder's would go wrong: see ../oracle/edges.rs. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

void (*event)(void);

#define NOINLINE __attribute__((noinline, noclone))
/* What keeps a call from becoming a jump, and recursion from becoming a loop. */
#define STAY __asm__ volatile("" ::: "memory")

static void *fresh(unsigned long size, int rights) {
    return mmap(0, size, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *written(const unsigned char *bytes, unsigned long length) {
    char *code = fresh(4096, PROT_READ | PROT_WRITE);
    memcpy(code, bytes, length);
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    return code;
}

/* ---- what was passed by ---- */

#define WAY(name)                                                                                  \
    static NOINLINE void name(unsigned long levels) {                                              \
        volatile char room[16];                                                                    \
        room[levels % 16] = 1;                                                                     \
        if (levels)                                                                                \
            name(levels - 1);                                                                      \
        else                                                                                       \
            event();                                                                               \
        STAY;                                                                                      \
    }
WAY(one_way)
WAY(other_way)

/* Is on no stack before. */
static NOINLINE void unmet(unsigned long levels) {
    other_way(levels);
    STAY;
}

/* A deep stack, and then one as deep of known frames, outside of which is one that is not known. */
unsigned long passed_by(unsigned long levels, unsigned long others) {
    other_way(3);
    one_way(levels);
    unmet(others);
    return levels;
}

/* ---- too deep from the beginning on ---- */

static NOINLINE void bottom(unsigned long levels, unsigned long rounds) {
    volatile char room[16];
    room[levels % 16] = 1;
    if (levels)
        bottom(levels - 1, rounds);
    else
        for (unsigned long round = 0; round < rounds; round++)
            event();
    STAY;
}

unsigned long too_deep(unsigned long levels, unsigned long rounds) {
    bottom(levels, rounds);
    return levels;
}

/* ---- a guess that leads to nowhere ---- */

static NOINLINE void guessing(void (*code)(void (*)(void)), unsigned long *words, unsigned long nowhere) {
    words[0] = 0;
    words[1] = nowhere;
    event();
    code(event);
    code(event);
    /* Now there is code. */
    mprotect((void *)(nowhere & -4096), 4096, PROT_READ | PROT_EXEC);
    code(event);
    event();
    STAY;
}

unsigned long nowhere(unsigned long unused, unsigned long another) {
    (void)unused, (void)another;
    volatile unsigned long words[2];
    unsigned char code[] = {
        0x55,                               /* push rbp */
        0x48, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rbp, words */
        0xff, 0xd7,                         /* call rdi */
        0x5d,                               /* pop rbp */
        0xc3,
    };
    unsigned long *place = (unsigned long *)words;
    memcpy(code + 3, &place, 8);
    char *there = fresh(4096, PROT_READ | PROT_WRITE);
    void *guessed = written(code, sizeof code);
    guessing((void (*)(void (*)(void)))guessed, place, (unsigned long)there + 16);
    munmap(guessed, 4096);
    munmap(there, 4096);
    return words[0];
}

/* ---- a stack that has overflown ---- */

/* Goes on with another stack pointer, and is interrupted there. */
__asm__(".text\n"
        ".type overflown, @function\n"
        "overflown:\n"
        ".cfi_startproc\n"
        "push %rbx\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_rel_offset %rbx, 0\n"
        "mov %rsp, %rbx\n"
        "mov %rdi, %rsp\n"
        "int3\n"
        "nop\n"
        "mov %rbx, %rsp\n"
        "pop %rbx\n"
        ".cfi_adjust_cfa_offset -8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size overflown, . - overflown\n");
extern void overflown(char *);

static void handler(int number) {
    event();
    __asm__ volatile("" : : "r"(number));
}

/* The stack pointer is in pages that guard a stack, and the handler has one of its own. */
unsigned long overflows(unsigned long rounds, unsigned long size) {
    char *guard = fresh(1 << 16, PROT_NONE);
    stack_t other = {.ss_sp = fresh(size, PROT_READ | PROT_WRITE), .ss_size = size}, old;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK}, before;
    sigaltstack(&other, &old);
    sigaction(SIGTRAP, &action, &before);
    for (unsigned long round = 0; round < rounds; round++)
        overflown(guard + (1 << 15));
    sigaction(SIGTRAP, &before, 0);
    sigaltstack(&old, 0);
    munmap(other.ss_sp, size);
    munmap(guard, 1 << 16);
    return rounds;
}
