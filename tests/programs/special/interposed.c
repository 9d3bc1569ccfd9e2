/* A program that puts its own dl_iterate_phdr in libc's place, which allocates. */
#include "../common.h"
#include <link.h>

typedef int (*visit)(struct dl_phdr_info *, size_t, void *);

int dl_iterate_phdr(visit function, void *data) {
    static int (*real)(visit, void *);
    if (!real) real = (int (*)(visit, void *))dlsym(RTLD_NEXT, "dl_iterate_phdr");
    void *block = malloc(44003);
    int result = real(function, data);
    free(block);
    return result;
}

int main(void) {
    free(malloc(44009));
    say("alive\n");
    return 0;
}
