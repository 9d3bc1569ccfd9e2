/* What the test programs share. Every allocation that a test looks for has a unique odd size. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* The rows between these two are the ones that a test looks at. */
enum { BEGIN = 99991, END = 99989 };

static inline void begin(void) { free(malloc(BEGIN)); }
static inline void end(void) { free(malloc(END)); }

/* A line on stdout; takes no memory. */
static inline void say(const char *format, ...) {
    char line[512];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (write(1, line, length) != length) _exit(99);
}

static inline void die(const char *what) {
    dprintf(2, "%s: %s\n", what, strerror(errno));
    _exit(98);
}

/* A system call that no hook sees; the negated error number if it fails. */
static inline long unseen(long number, long first, long second, long third) {
    register long fourth __asm__("r10") = 0;
    register long fifth __asm__("r8") = 0;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
}

/* Waits for a child, which must end with 0. */
static inline void wait_for(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) != child)
        if (errno != EINTR) die("waitpid");
    if (status != 0) die("child");
}
