/* A library to be preloaded: its constructor and destructor allocate. */
#include "../common.h"

__attribute__((constructor)) static void constructor(void) {
    free(malloc(20021));
    dlsym(RTLD_DEFAULT, "a_symbol_that_nobody_has");
    dlerror();
    free(malloc(20023));
}

/* More than what is left of any block. */
__attribute__((destructor)) static void destructor(void) {
    for (int i = 0; i < 5000; i++) free(malloc(601));
    free(malloc(20025));
}
