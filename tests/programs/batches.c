/* batches: allocates and releases one block for each byte of its standard input, until that ends. */
#include "common.h"

int main(void) {
    char byte;
    for (size_t size = 30001; read(0, &byte, 1) == 1; size += 2) free(malloc(size));
    return 0;
}
