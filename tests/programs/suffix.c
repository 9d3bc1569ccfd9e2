/* suffix COUNT: so many turns of calls, some of which need more than one slot, and ends at once.
 * Of one slot and of two in turn, so that blocks end in the middle of some. */
#include "common.h"

int main(int count, char **arguments) {
    if (count != 2) return 2;
    for (long i = 0, most = atol(arguments[1]); i < most; i++) {
        if (i % 3 == 0) {
            if (malloc(PTRDIFF_MAX - i)) return 3;
            continue;
        }
        void *block = malloc(1001 + 2 * (i % 509));
        if (i % 4 != 1) free(block);
    }
    _exit(0);
}
