/* reused THREADS ROUNDS: so many threads live at once, fill a part of a block each, and end; then so many others get
 * the same IDs, in another order; and so on. Says how many pairs were made. */
#include "common.h"

static pthread_barrier_t started, done;
static int ids[64];

static void *work(void *argument) {
    ids[(long)argument] = (int)syscall(SYS_gettid);
    for (int i = 0; i < 300; i++) free(malloc(20001));
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&done);
    return NULL;
}

static void next_id(int id) {
    char text[16];
    int length = snprintf(text, sizeof text, "%d", id - 1);
    int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
    if (file < 0 || write(file, text, length) != length) {
        say("unavailable\n");
        _exit(0);
    }
    close(file);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    long threads = atol(arguments[1]), rounds = atol(arguments[2]), same = 0;
    pthread_t thread[64];
    int first[64];
    pthread_barrier_init(&started, NULL, threads + 1);
    pthread_barrier_init(&done, NULL, threads + 1);
    for (long round = 0; round < rounds; round++) {
        for (long i = 0; i < threads; i++) {
            /* Half of them in the places of others. */
            if (round) next_id(first[(i * 7 + round) % threads]);
            if (pthread_create(&thread[i], NULL, work, (void *)i)) die("pthread_create");
        }
        pthread_barrier_wait(&started);
        for (long i = 0; i < threads; i++) {
            if (round == 0) first[i] = ids[i];
            for (long j = 0; round && j < threads; j++) same += ids[i] == first[j];
        }
        pthread_barrier_wait(&done);
        for (long i = 0; i < threads; i++) pthread_join(thread[i], NULL);
        /* The kernel lets go of an ID a moment later than the thread's end is told. */
        usleep(20000);
    }
    say("same %ld\n", same);
    return 0;
}
