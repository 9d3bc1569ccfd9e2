/* A call tree that a script drives: 0 returns, 1 is an event, the rest calls a function. */
#include <alloca.h>
#include <stddef.h>

void (*event)(void);

struct script {
    const unsigned char *at;
    unsigned long sum;
};

typedef void function(struct script *script);
static function *const functions[];

/* Runs the script up to a return; keeps `value` alive across all calls. */
#define RUN(value)                                                                                 \
    for (;;) {                                                                                     \
        unsigned char operation = *script->at++;                                                   \
        if (operation == 0)                                                                        \
            break;                                                                                 \
        if (operation == 1)                                                                        \
            event();                                                                               \
        else                                                                                       \
            functions[operation - 2](script);                                                      \
        value;                                                                                     \
    }                                                                                              \
    script->sum++

#define FUNCTION(name) static __attribute__((noinline, noclone)) void name(struct script *script)

/* Frames of some size. */
#define PLAIN(name, size)                                                                          \
    FUNCTION(name) {                                                                               \
        volatile char room[size];                                                                  \
        room[0] = 1;                                                                               \
        RUN(room[size - 1] = room[0]);                                                             \
    }
PLAIN(plain_1, 1)
PLAIN(plain_2, 24)
PLAIN(plain_3, 40)
PLAIN(plain_4, 120)
PLAIN(plain_5, 200)
PLAIN(plain_6, 1000)

/* The same, with nothing but what a call needs. */
FUNCTION(small_1) { RUN((void)0); }
FUNCTION(small_2) { RUN(script->sum += 2); }
FUNCTION(small_3) { RUN(script->sum ^= 3); }

/* Many values that live across calls: all registers are saved. */
#define HEAVY(name, factor)                                                                        \
    FUNCTION(name) {                                                                               \
        unsigned long a = script->sum, b = a * factor, c = b ^ factor, d = c + a, e = d * 7;       \
        unsigned long f = a ^ b, g = c * d;                                                        \
        RUN((a += b, b ^= c, c += d, d ^= e, e += f, f ^= g, g += a));                             \
        script->sum += a ^ b ^ c ^ d ^ e ^ f ^ g;                                                  \
    }
HEAVY(heavy_1, 3)
HEAVY(heavy_2, 5)
HEAVY(heavy_3, 9)

/* Rooms whose size is known when they are made: the frame pointer counts. */
#define VARYING(name, least)                                                                       \
    FUNCTION(name) {                                                                               \
        volatile char *room = alloca(least + (*script->at % 7) * 16);                              \
        room[0] = 1;                                                                               \
        RUN(room[1] = room[0]);                                                                    \
    }
VARYING(varying_1, 16)
VARYING(varying_2, 48)
VARYING(varying_3, 160)

/* Rooms that are aligned more than the stack is. */
#define ALIGNED(name, alignment)                                                                   \
    FUNCTION(name) {                                                                               \
        _Alignas(alignment) volatile char room[alignment];                                         \
        room[0] = 1;                                                                               \
        RUN(room[1] = room[0]);                                                                    \
    }
ALIGNED(aligned_1, 32)
ALIGNED(aligned_2, 64)
ALIGNED(aligned_3, 256)

/* Both: the frame is found by a word that it has stored. */
#define BOTH(name, alignment)                                                                      \
    FUNCTION(name) {                                                                               \
        _Alignas(alignment) volatile char room[alignment];                                         \
        volatile char *more = alloca(16 + (*script->at % 5) * 16);                                 \
        room[0] = more[0] = 1;                                                                     \
        RUN(room[1] = more[0]);                                                                    \
    }
BOTH(both_1, 32)
BOTH(both_2, 64)
BOTH(both_3, 128)

/* A call that nothing follows. */
static __attribute__((noinline, noclone)) void behind(struct script *script) {
    functions[*script->at % 3](script);
}
FUNCTION(tail) {
    RUN((void)0);
    script->sum++;
    /* The script goes on with what the callee does. */
    behind(script);
}

static function *const functions[] = {
    plain_1, plain_2, plain_3, plain_4, plain_5, plain_6, small_1, small_2, small_3,
    heavy_1, heavy_2, heavy_3, varying_1, varying_2, varying_3, aligned_1, aligned_2, aligned_3,
    both_1, both_2, both_3, tail,
};

unsigned long count(void) { return sizeof functions / sizeof *functions; }

unsigned long run(const unsigned char *bytes, unsigned long unused) {
    (void)unused;
    struct script script = {bytes, 0};
    plain_1(&script);
    return script.sum;
}
