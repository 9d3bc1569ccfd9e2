/* A library behind ours that counts calls and asks for the real functions when it first needs them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

int wrapped;

void *malloc(size_t size) {
    static void *(*real)(size_t);
    if (!real) real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    wrapped++;
    return real(size);
}

/* Nobody calls this one before the table of libc has been changed. */
void *valloc(size_t size) {
    static void *(*real)(size_t);
    if (!real) real = (void *(*)(size_t))dlsym(RTLD_NEXT, "valloc");
    wrapped++;
    return real(size);
}

void free(void *block) {
    static void (*real)(void *);
    if (!real) real = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    wrapped++;
    real(block);
}
