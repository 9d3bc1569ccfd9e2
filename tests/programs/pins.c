/* pins: 4000 blocks of 1000 bytes, of which every 40th is kept; and a large block. */
#include "common.h"

static void *volatile kept[100];

static void *keep(void) { return malloc(1000); }

static void *fill(void) { return malloc(1000); }

int main(void) {
    void *others[4000];
    void *large = malloc(1 << 20);
    for (int number = 0; number < 4000; number++) {
        if (number % 40 == 20)
            others[number] = NULL, kept[number / 40] = keep();
        else
            others[number] = fill();
    }
    for (int number = 0; number < 4000; number++) free(others[number]);
    free(large);
    return kept[0] == NULL;
}
