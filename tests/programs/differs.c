/* Two runs whose difference is known: with the argument 2, one function allocates more, one less, one
   nothing, and a new one something. */
#include "common.h"

enum { KEPT = 1001, GROWN = 2003, SHRUNK = 3001, GONE = 5003, NEW = 7001, BRIEF = 101 };

static void *volatile sink;

static void keep(int count, size_t size) {
    for (int i = 0; i < count; i++) sink = malloc(size);
}
static void same(void) { keep(100, KEPT); }
static void grows(int count) { keep(count, GROWN); }
static void shrinks(int count) { keep(count, SHRUNK); }
static void goes(void) { keep(30, GONE); }
static void comes(void) { keep(20, NEW); }
static void churns(int count) {
    for (int i = 0; i < count; i++) free(malloc(BRIEF));
}

int main(int argc, char **argv) {
    int is_second = argc > 1 && *argv[1] == '2';
    same();
    grows(is_second ? 150 : 50);
    shrinks(is_second ? 10 : 60);
    if (is_second) comes();
    else goes();
    churns(is_second ? 500 : 2000);
}
