/* crowd CASE NUMBER: many threads, at once or one after another; says how many pairs of 20001 they made. */
#include "common.h"

enum { PAIRS = 20 };
static pthread_barrier_t barrier;

static void *work(void *together) {
    if (together) pthread_barrier_wait(&barrier);
    for (int i = 0; i < PAIRS; i++) free(malloc(20001));
    if (together) pthread_barrier_wait(&barrier);
    return NULL;
}

static pthread_t start(pthread_attr_t *attributes, void *together) {
    pthread_t thread;
    errno = pthread_create(&thread, attributes, work, together);
    if (errno) die("pthread_create");
    return thread;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    long number = atol(arguments[2]);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    if (strcmp(arguments[1], "together") == 0) {
        pthread_t thread[number];
        pthread_barrier_init(&barrier, NULL, number);
        for (long i = 0; i < number; i++) thread[i] = start(&attributes, &barrier);
        for (long i = 0; i < number; i++) pthread_join(thread[i], NULL);
    } else if (strcmp(arguments[1], "in_turn") == 0) {
        for (long i = 0; i < number; i++) pthread_join(start(&attributes, NULL), NULL);
    } else {
        return 2;
    }
    say("pairs %ld\n", number * PAIRS);
    return 0;
}
