/* A library that is loaded with RTLD_DEEPBIND: it allocates in its constructor, too. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *early;
__attribute__((constructor)) static void construct(void) { early = malloc(45007); }

void deep(void) {
    void *place = NULL;
    free(early);
    free(malloc(45013));
    free(realloc(calloc(3, 15011), 45053));
    if (posix_memalign(&place, 64, 45061)) abort();
    free(place);
    free(memalign(64, 45077));
    static char text[45083];
    memset(text, 'x', sizeof text - 1);
    free(strdup(text));
}
