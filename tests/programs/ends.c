/* ends HOW: ends in one way or another. Allocates 20001 before, and 2001x in what runs at the end. */
#include "common.h"

static pthread_key_t key;
static __thread int initialised;

static void at_exit_handler(void) { free(malloc(20011)); }
static void at_quick_handler(void) { free(malloc(20013)); }
static void key_destructor(void *block) { free(block); free(malloc(20017)); }
__attribute__((destructor)) static void destructor(void) { free(malloc(20015)); }

static void *with_key(void *unused) {
    initialised = 1;
    pthread_setspecific(key, malloc(20019));
    return unused;
}

int main(int count, char **arguments) {
    const char *how = count == 2 ? arguments[1] : "";
    atexit(at_exit_handler);
    at_quick_exit(at_quick_handler);
    free(malloc(20001));
    if (strcmp(how, "_exit") == 0) _exit(3);
    if (strcmp(how, "_Exit") == 0) _Exit(7);
    if (strcmp(how, "exit") == 0) exit(4);
    if (strcmp(how, "quick_exit") == 0) quick_exit(5);
    if (strncmp(how, "exec_", 5) == 0) execl("/nonexistent", "nothing", NULL);
    if (strcmp(how, "exec_exit") == 0) _exit(126);
    if (strcmp(how, "exec_kill") == 0) {
        free(malloc(20021));
        kill(getpid(), SIGKILL);
    }
    if (strcmp(how, "abort") == 0) abort();
    if (strcmp(how, "kill") == 0) kill(getpid(), SIGKILL);
    if (strcmp(how, "segv") == 0) raise(SIGSEGV);
    if (strcmp(how, "raw") == 0) syscall(SYS_exit_group, 6);
    if (strcmp(how, "thread") == 0) {
        pthread_t thread;
        pthread_key_create(&key, key_destructor);
        pthread_create(&thread, NULL, with_key, NULL);
        pthread_join(thread, NULL);
    }
    if (strcmp(how, "main_thread") == 0) pthread_exit(NULL);
    return 9;
}
