/* first [clear|dlsym]: allocates before any library is initialised: 20031 in the first function that runs in
 * the executable at all, 20033 in its constructor, 20035 in main. With an argument not that early: with "clear",
 * the very first act is to forget the environment. Then looks for a symbol that nobody has. */
#include "common.h"

static void before_all(int count) {
    if (count == 1) free(malloc(20031));
}
__attribute__((section(".preinit_array"), used)) static void (*const entry)(int) = before_all;

__attribute__((constructor)) static void constructor(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "clear") == 0) clearenv();
    free(malloc(20033));
}

static const char name[] = "a_symbol_that_nobody_has_with_a_name_of_some_length";

int main(void) {
    free(malloc(20035));
    begin();
    if (dlsym(RTLD_NEXT, name)) return 2;
    const char *error = dlerror();
    if (!error || !strstr(error, name)) return 3;
    if (dlsym(RTLD_DEFAULT, name)) return 2;
    dlerror(), dlerror();
    end();
    return 0;
}
