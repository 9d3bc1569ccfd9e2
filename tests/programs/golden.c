/* What the golden trace was recorded from: every kind of line that a process can leave. */
#include "common.h"

static void *work(void *unused) {
    void *block = calloc(7, 1431);
    block = realloc(block, 20021);
    free(block);
    return unused;
}

int main(void) {
    void *block, *moved;
    block = malloc(10007);
    moved = realloc(block, 300007);
    block = reallocarray(NULL, 11, 911);
    free(block);
    if (posix_memalign(&block, 64, 10039)) die("posix_memalign");
    free(block);
    free(aligned_alloc(128, 10061));
    free(memalign(48, 10067));
    free(valloc(10069));
    free(pvalloc(10079));
    free(malloc(((size_t)1 << 32) + 15));
    malloc(PTRDIFF_MAX);
    moved = realloc(moved, 0);
    void (*sized)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
    void (*aligned_sized)(void *, size_t, size_t) = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    void (*old)(void *) = dlsym(RTLD_DEFAULT, "cfree");
    if (!sized || !aligned_sized || !old) return 3;
    sized(malloc(10091), 10091);
    aligned_sized(aligned_alloc(64, 10093), 64, 10093);
    old(malloc(10099));
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL)) die("pthread_create");
    pthread_join(thread, NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    wait_for(pid);
    execl("/nonexistent", "nonexistent", (char *)NULL);
    free(malloc(10103));
    return 0;
}
