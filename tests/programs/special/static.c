/* Linked statically, or with a sanitizer: allocates and ends with 7. */
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    void *volatile block = malloc(20001);
    free(block);
    return write(1, "static\n", 7) == 7 ? 7 : 8;
}
