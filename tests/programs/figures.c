// Known figures: figures rolling|reallocs|peak|crossed|big|killed [EXIT CODE]
#include "common.h"

// A, B, free A, C, free B, ...: none but the last is freed before the next birth.
static void rolling(void) {
    void *before = malloc(101);
    for (int i = 0; i < 10000; i++) {
        void *next = malloc(101);
        free(before);
        before = next;
    }
    free(before);
}

// All grown, none temporary.
static void reallocs(void) {
    void *p = malloc(1);
    for (int i = 0; i < 10000; i++) p = realloc(p, 2 + i % 100);
    if (p == NULL) die("realloc");
}

// A peak of one event: 100 blocks of 1003 bytes, then 70001 bytes for a moment, then 50 blocks stay.
static void peak(void) {
    void *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc(1003);
    free(malloc(70001));
    for (int i = 0; i < 50; i++) free(blocks[i]);
    for (int i = 0; i < 1000; i++) free(calloc(3, 11));
    void *grown = malloc(10);
    grown = realloc(grown, 100007);
    grown = realloc(grown, 21);
    free(grown);
}

static void *release(void *block) {
    free(block);
    return NULL;
}

// 20 blocks of 777 bytes that another thread frees.
static void crossed(void) {
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, release, malloc(777));
        pthread_join(thread, NULL);
    }
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "rolling")) rolling();
    if (!strcmp(what, "reallocs")) reallocs();
    if (!strcmp(what, "peak")) peak();
    if (!strcmp(what, "crossed")) crossed();
    if (!strcmp(what, "big")) free(malloc(3000017));
    if (!strcmp(what, "killed")) { free(malloc(4099)); raise(SIGKILL); }
    return argc > 2 ? atoi(argv[2]) : 0;
}
