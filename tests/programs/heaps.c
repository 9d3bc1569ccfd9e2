/* heaps: for each byte of its standard input it allocates ten blocks of 100 bytes, keeps seven of them,
 * and says so with a byte on its standard output. */
#include "common.h"

int main(void) {
    char byte;
    while (read(0, &byte, 1) == 1) {
        for (int i = 0; i < 10; i++) {
            char *block = malloc(100);
            if (!block) die("malloc");
            *block = byte;
            if (i < 3) free(block);
        }
        if (write(1, "+", 1) != 1) die("write");
    }
    return 0;
}
