// Functions and a thread whose names try to be HTML; objcopy gives the functions theirs.
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

void *volatile kept;

__attribute__((noinline)) void hostile_one(void) { kept = malloc(1001); }
__attribute__((noinline)) void hostile_two(void) { kept = malloc(1003); }
__attribute__((noinline)) void hostile_three(void) { kept = malloc(1005); }

static void *run(void *unused) {
    prctl(PR_SET_NAME, "<script>hit=1//");
    hostile_one();
    hostile_two();
    hostile_three();
    return unused;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    return pthread_join(thread, NULL);
}
