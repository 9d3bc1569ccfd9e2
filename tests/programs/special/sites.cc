/* Allocations that are the same in each run: of several functions, on several paths, released and not.
 * With an argument nothing is released, so that what is left at the end is all that was asked for. */
#include <cstdlib>

#define APART __attribute__((noinline, noipa))

static bool keeps;
static void *last;

APART void release(void *block) {
    if (!keeps) free(block);
}
APART void *block_of(size_t size) {
    return last = malloc(size);
}
APART int *array_of(int length) {
    int *array = new int[length];
    last = array;
    return array;
}
APART void blocks(int count) {
    for (int at = 0; at < count; at++) block_of(16 + at % 100);
}
APART void arrays(int count) {
    for (int at = 1; at <= count; at++) array_of(at)[0] = at;
}
APART void for_a_moment(int count) {
    for (int at = 0; at < count; at++) {
        void *block = block_of(100 + at);
        release(block);
    }
}
APART void pairs(int count) {
    for (int at = 0; at < count; at++) {
        void *one = calloc(3, 10 + at), *two = aligned_alloc(64, 64 * (1 + at % 5));
        release(one);
        release(two);
    }
}
APART int recursive(int depth) {
    if (depth == 0) return block_of(1000) != nullptr;
    return recursive(depth - 1) + 1;
}
APART void grows(int steps) {
    void *block = nullptr;
    for (int at = 1; at <= steps; at++) block = keeps ? malloc(at * 1000) : realloc(block, at * 1000);
    last = block;
}

int main(int count, char **) {
    keeps = count > 1;
    blocks(20000);
    arrays(300);
    for_a_moment(500);
    pairs(700);
    for (int at = 0; at < 50; at++) recursive(at % 7);
    grows(40);
    for_a_moment(5);
    return 0;
}
