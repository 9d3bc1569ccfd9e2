/* Frames whose place only the frame pointer tells, and a stale return address where it was the last
 * time: `one` and `two` call `roomy` at different places, with rooms of different sizes and of no
 * content, so that all that it calls has the same stack pointer. What is between `roomy` and the event
 * decides which word of the stack tells that the frame pointer is another one. */
#include <signal.h>
#include <sys/mman.h>

void (*event)(void);

/* The function that `roomy` calls. */
void (*below)(void) __attribute__((visibility("hidden")));
/* What is below that. */
void (*further)(void) __attribute__((visibility("hidden")));

static void call_event(void) { event(); }

#define AT_RBP(offset) ".cfi_escape 0x0f, 3, 0x76, " #offset ", 0x06\n"
#define AT_RSP(offset) ".cfi_escape 0x0f, 3, 0x77, " #offset ", 0x06\n"

/* FUNCTION(name, CODE) is one with its own description. */
#define FUNCTION(name, code)                                                                       \
    __asm__(".text\n.globl " #name "\n.hidden " #name "\n.type " #name ", @function\n" #name         \
            ":\n.cfi_startproc\n" code "ret\n.cfi_endproc\n.size " #name ", . - " #name "\n");       \
    extern void name(void)

FUNCTION(room_one, "sub $72, %rsp\n.cfi_adjust_cfa_offset 72\n"
                   "mov $64, %eax\ncall roomy\n"
                   "add $72, %rsp\n.cfi_adjust_cfa_offset -72\n");
FUNCTION(room_two, "sub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
                   "mov $128, %eax\ncall roomy\n"
                   "add $8, %rsp\n.cfi_adjust_cfa_offset -8\n");
FUNCTION(roomy, "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset 6, -16\n"
                "mov %rsp, %rbp\n.cfi_def_cfa_register 6\n"
                "sub %rax, %rsp\n"
                "mov below(%rip), %rax\ncall *%rax\n"
                "leave\n.cfi_def_cfa 7, 8\n");
/* The same, interrupted. */
FUNCTION(trapped_one, "sub $72, %rsp\n.cfi_adjust_cfa_offset 72\n"
                      "mov $64, %eax\ncall trapped\n"
                      "add $72, %rsp\n.cfi_adjust_cfa_offset -72\n");
FUNCTION(trapped_two, "sub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
                      "mov $128, %eax\ncall trapped\n"
                      "add $8, %rsp\n.cfi_adjust_cfa_offset -8\n");
FUNCTION(trapped, "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset 6, -16\n"
                  "mov %rsp, %rbp\n.cfi_def_cfa_register 6\n"
                  "sub %rax, %rsp\n"
                  "int3\nnop\n"
                  "leave\n.cfi_def_cfa 7, 8\n");
/* Interrupted where only the stack pointer tells. */
FUNCTION(bare_one, "sub $72, %rsp\n.cfi_adjust_cfa_offset 72\n"
                   "call bare\n"
                   "add $72, %rsp\n.cfi_adjust_cfa_offset -72\n");
FUNCTION(bare_two, "sub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
                   "call bare\n"
                   "add $8, %rsp\n.cfi_adjust_cfa_offset -8\n");
FUNCTION(bare, "int3\nnop\n");

/* Leaves the frame pointer as it is. */
FUNCTION(leaves, "sub $8, %rsp\n.cfi_adjust_cfa_offset 8\n"
                 "mov further(%rip), %rax\ncall *%rax\n"
                 "add $8, %rsp\n.cfi_adjust_cfa_offset -8\n");
/* Saves it, and uses the register for something else. */
FUNCTION(saves_it, "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset 6, 0\n"
                   "mov $1, %ebp\n"
                   "call call_event_\n"
                   "pop %rbp\n.cfi_adjust_cfa_offset -8\n.cfi_restore 6\n");
/* Aligned, as GCC does it: the caller's frame pointer is where the own one points. */
FUNCTION(linked, "lea 8(%rsp), %r10\n.cfi_def_cfa 10, 0\n"
                 "and $-64, %rsp\n"
                 "push -8(%r10)\n"
                 "push %rbp\n"
                 "mov %rsp, %rbp\n.cfi_escape 0x10, 6, 2, 0x76, 0\n"
                 "push %r10\n" AT_RBP(0x78)
                 "sub $40, %rsp\n"
                 "call call_event_\n"
                 "mov -8(%rbp), %r10\n.cfi_def_cfa 10, 0\n"
                 "leave\n"
                 "lea -8(%r10), %rsp\n.cfi_def_cfa 7, 8\n");
/* Aligned, the CFA stored by the stack pointer; the caller's frame pointer is below the CFA. */
FUNCTION(by_sp, "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset 6, -16\n"
                "lea 16(%rsp), %r10\n.cfi_def_cfa 10, 0\n"
                "and $-64, %rsp\n"
                "sub $64, %rsp\n"
                "mov %r10, 24(%rsp)\n" AT_RSP(24)
                "mov $1, %ebp\n"
                "call call_event_\n"
                "mov 24(%rsp), %r10\n.cfi_def_cfa 10, 0\n"
                "lea -16(%r10), %rsp\n.cfi_def_cfa 7, 16\n"
                "pop %rbp\n.cfi_def_cfa_offset 8\n.cfi_restore 6\n");
/* The same, and the frame pointer is left as it is. */
FUNCTION(by_sp_leaves, "lea 8(%rsp), %r10\n.cfi_def_cfa 10, 0\n"
                       "and $-64, %rsp\n"
                       "sub $64, %rsp\n"
                       "mov %r10, 24(%rsp)\n" AT_RSP(24)
                       "mov further(%rip), %rax\ncall *%rax\n"
                       "mov 24(%rsp), %r10\n.cfi_def_cfa 10, 0\n"
                       "lea -8(%r10), %rsp\n.cfi_def_cfa 7, 8\n");

__asm__(".globl call_event_\n.hidden call_event_\n.type call_event_, @function\ncall_event_:\n"
        ".cfi_startproc\njmp *call_event_place(%rip)\n.cfi_endproc\n");
void (*call_event_place)(void) __attribute__((visibility("hidden"))) = call_event;

static void handler(int number) {
    event();
    /* Its own frame is what the search meets. */
    __asm__ volatile("" : : "r"(number));
}

static void aligned_handler(int number) {
    _Alignas(64) volatile char room[64];
    volatile char *more = __builtin_alloca(16 + number);
    room[0] = more[0] = 1;
    event();
    more[1] = room[0];
}

static void trap(void (*handler)(int), int flags, void (*one)(void), void (*two)(void),
                 unsigned long rounds) {
    /* Below all other stacks, so that theirs are beyond its end. */
    const unsigned long size = 1 << 16;
    void *place = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    stack_t other = {.ss_sp = place, .ss_size = size}, old;
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;
    sigaltstack(&other, &old);
    sigaction(SIGTRAP, &action, &before);
    for (unsigned long round = 0; round < 2 * rounds; round++)
        (round & 1 ? two : one)();
    sigaction(SIGTRAP, &before, 0);
    sigaltstack(&old, 0);
    munmap(place, size);
}

/* On the own stack, or on another one, so that what is below the interrupted function stays. */
unsigned long traps(unsigned long on_another, unsigned long rounds) {
    if (on_another)
        trap(handler, SA_ONSTACK, bare_one, bare_two, rounds);
    else
        trap(handler, 0, trapped_one, trapped_two, rounds);
    return rounds;
}

/* The same stack again and again, with an aligned frame inside of the kernel's. */
unsigned long traps_again(unsigned long unused, unsigned long rounds) {
    (void)unused;
    trap(aligned_handler, 0, trapped_one, trapped_one, rounds);
    return rounds;
}

/* `which` says what is between; so many rounds. */
unsigned long rooms(unsigned long which, unsigned long rounds) {
    static void (*const ways[][2])(void) = {
        {call_event, 0}, {saves_it, 0}, {leaves, saves_it}, {linked, 0},
        {by_sp, 0}, {by_sp_leaves, saves_it},
    };
    below = ways[which][0];
    further = ways[which][1];
    for (unsigned long round = 0; round < 2 * rounds; round++)
        (round & 1 ? room_two : room_one)();
    return rounds;
}
