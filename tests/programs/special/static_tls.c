/* A library to be preloaded, with a KiB of static TLS. */
#include "../common.h"

static __thread char kibibyte[1024] __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void constructor(void) {
    memset(kibibyte, 1, sizeof kibibyte);
    free(malloc(20041));
}
