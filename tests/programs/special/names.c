/* What a symbolizer must tell apart: static functions, inlined ones, aliases, functions that end with
 * a call, parts that the compiler has split off, recursion. */
#include <stdio.h>
#include <stdlib.h>

static int counter;

static inline __attribute__((always_inline)) int innermost(int x) {
    counter += x;
    return counter * 3;
}

static inline __attribute__((always_inline)) int middle(int x) {
    if (x & 1)
        return innermost(x + 1);
    return innermost(x) + 1;
}

static __attribute__((noinline)) int hidden(int x) {
    return middle(x) ^ x;
}

__attribute__((noinline)) int visible(int x) {
    int sum = 0;
    for (int i = 0; i < x; i++)
        sum += hidden(i) + middle(sum);
    return sum;
}

int also_visible(int x) __attribute__((alias("visible")));

static __attribute__((noinline, noreturn, cold)) void leave(int x) {
    printf("%d\n", x);
    exit(x & 1);
}

/* Ends with its call: the return address belongs to what lies behind. */
__attribute__((noinline, noreturn)) void last_call(int x) {
    leave(visible(x) + also_visible(x));
}

__attribute__((noinline)) int recursive(int x) {
    return x < 2 ? x : recursive(x - 1) + recursive(x - 2) + hidden(x);
}

/* The test puts other characters into this name. */
__attribute__((noinline)) int strange_name(int x) {
    return hidden(x) - 7;
}

int main(int argc, char **argv) {
    (void)argv;
    last_call(recursive(argc + 3) + strange_name(argc));
}
