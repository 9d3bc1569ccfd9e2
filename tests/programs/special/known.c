/* Known call stacks of C: each size has one. Plugins are loaded one after the other at one address. */
#include <alloca.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define APART __attribute__((noinline, noclone))
/* Nothing before it is a tail call. */
#define STAYS __asm__ volatile("")

static APART void ask(size_t size) {
    free(malloc(size));
    STAYS;
}
static inline __attribute__((always_inline)) void inlined(size_t size) {
    ask(size);
    STAYS;
}
static APART void with_inlined(size_t size) {
    inlined(size);
    STAYS;
}
static APART void recursive(int levels, size_t size) {
    if (levels == 0) ask(size);
    else recursive(levels - 1, size);
    STAYS;
}
static APART void tail_callee(size_t size) {
    ask(size);
    STAYS;
}
static APART void tail_caller(size_t size) {
    tail_callee(size);
}
static APART void with_alloca(size_t size) {
    volatile char *room = alloca(size);
    room[0] = 1;
    ask(size);
    room[1] = room[0];
}
static APART void aligned(size_t size) {
    _Alignas(128) volatile char room[128];
    volatile char *more = alloca(size);
    room[0] = more[0] = 1;
    ask(size);
    more[1] = room[0];
}
static APART void of_plugin(const char *path, size_t size) {
    void *plugin = dlopen(path, RTLD_NOW);
    void (*enter)(size_t) = (void (*)(size_t))dlsym(plugin, "enter");
    printf("plugin %p\n", (void *)enter);
    for (int times = 0; times < 3; times++) enter(size);
    dlclose(plugin);
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int times = 0; times < 3; times++) {
        with_inlined(2001);
        recursive(3, 2003);
        tail_caller(2005);
        with_alloca(2007);
        aligned(2009);
        for (int plugin = 1; plugin < count; plugin++)
            of_plugin(arguments[plugin], 2009 + 2 * (size_t)plugin);
    }
    return 0;
}
