// Everything that C++ runs at the end of threads and of the program; and exceptions.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void one(size_t size) { free(malloc(size)); }

struct AtEnd {
    size_t size;
    explicit AtEnd(size_t size) : size(size) { one(size); }
    ~AtEnd() { one(size + 2); }
};

static AtEnd of_program(20001);
static thread_local AtEnd of_thread(20011);
static pthread_key_t key;

// Sets itself again, as often as libc bears with it.
static void key_destructor(void *) { one(20021); pthread_setspecific(key, &key); }

static void *run(void *) {
    of_thread.size = 20011;
    pthread_setspecific(key, &key);
    return nullptr;
}

static void *forever(void *) {
    for (;;) one(601);
}

struct Error { char text[1003 - 0x80]; };  // The runtime puts 0x80 bytes before it.

static int thrower(int depth) {
    AtEnd local(20031);
    if (depth == 0) throw Error();
    return thrower(depth - 1) + 1;
}

int main() {
    pthread_key_create(&key, key_destructor);
    pthread_t thread, detached[4];
    pthread_create(&thread, nullptr, run, nullptr);
    pthread_join(thread, nullptr);
    for (int i = 0; i < 1000; i++) {
        try { thrower(3); } catch (const Error &) { one(20033 + 2); }
    }
    atexit([] { one(20041); });
    for (pthread_t &t : detached) {
        pthread_create(&t, nullptr, forever, nullptr);
        pthread_detach(t);
    }
    usleep(10000);
    return 9;
}
