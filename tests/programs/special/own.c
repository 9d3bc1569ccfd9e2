/* A program with an allocator of its own, as Rust services often have. */
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

static char memory[1 << 20];
static size_t used;

void *malloc(size_t size) {
    void *block = memory + used;
    used += (size + 15) & ~(size_t)15;
    return used <= sizeof memory ? block : NULL;
}
void free(void *block) { (void)block; }

int main(void) {
    for (int i = 0; i < 100; i++) free(malloc(101));
    return write(1, "own\n", 4) == 4 ? 7 : 8;
}
