/* A library with much dynamic TLS, for which the loader allocates at the first touch. */
#include "../common.h"

static __thread char much[100003] __attribute__((tls_model("global-dynamic")));

void touch(size_t size) {
    much[size] = 1;
    for (int i = 0; i < 100; i++) free(malloc(size));
    if (!much[size]) die("TLS");
}
