/* loading CASE [LIBRARY [NUMBER]]: loads libraries while the program runs. */
#include "common.h"

static void *library;

static void *load(const char *path, int flags) {
    library = dlopen(path, RTLD_NOW | flags);
    if (!library) die(dlerror());
    return library;
}

static void *find(const char *name) {
    void *found = dlsym(library, name);
    if (!found) die(name);
    return found;
}

/* Threads that start while the loader is at work. */
static void workers(const char *path) {
    load(path, 0);
    ((void (*)(void))find("finish"))();
    dlclose(library);
}

static void *touch(void *size) {
    ((void (*)(size_t))find("touch"))((size_t)size);
    return NULL;
}

/* TLS that threads touch which were there before the library, and ones that come after it. */
static pthread_barrier_t barrier;
static void *touch_later(void *size) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return touch(size);
}

static void dynamic_tls(const char *path, long copies) {
    pthread_t thread[8];
    char copy[4096];
    pthread_barrier_init(&barrier, NULL, 5);
    for (size_t i = 0; i < 4; i++) pthread_create(&thread[i], NULL, touch_later, (void *)(3001 + 2 * i));
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < copies; i++) {
        snprintf(copy, sizeof copy, "%s.%ld", path, i);
        load(copy, 0);
    }
    load(path, 0);
    pthread_barrier_wait(&barrier);
    for (size_t i = 4; i < 8; i++) pthread_create(&thread[i], NULL, touch, (void *)(3001 + 2 * i));
    for (int i = 0; i < 8; i++) pthread_join(thread[i], NULL);
    dlclose(library);
}

static void loop(const char *path, long turns) {
    while (turns--) {
        load(path, 0);
        if (dlclose(library)) die(dlerror());
    }
}

/* Blocks from behind the hooks: some at once, and then, if asked for, one address again and again. They are so
 * large that they lie where no other block has ever been. */
static void release(const char *path, int flags, const char *name, int again) {
    enum { BLOCKS = 25, SIZE = 40000001 };
    load(path, flags);
    void *(*take)(size_t) = find(name), *block[BLOCKS];
    begin();
    for (int i = 0; i < BLOCKS; i++) block[i] = take(SIZE);
    for (int i = 0; i < BLOCKS; i++) free(block[i]);
    for (int i = 0; again && i < BLOCKS; i++) free(take(SIZE));
    end();
}

/* A library that looks for its functions in libc first, loaded in one of these ways. */
static void deepbind(const char *path, int base) {
    begin();
    library = base ? dlmopen(LM_ID_BASE, path, RTLD_NOW | RTLD_DEEPBIND) : load(path, RTLD_DEEPBIND);
    if (!library) die(dlerror());
    ((void (*)(void))find("deep"))();
    free(valloc(45121));
    end();
    int *wrapped = dlsym(RTLD_DEFAULT, "wrapped");
    if (wrapped) say("wrapped %d\n", *wrapped > 2);
}

/* A library whose C++ runtime comes and goes with it. */
static void plugin(const char *path) {
    for (int i = 0; i < 3; i++) {
        load(path, 0);
        say("caught %d\n", ((int (*)(int))find("use"))(7));
        if (dlclose(library)) die(dlerror());
    }
}

/* A libc of its own, which does not know the preloaded libraries. */
static void space(void) {
    library = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
    if (!library) die(dlerror());
    void *(*other_malloc)(size_t) = find("malloc");
    void (*other_free)(void *) = find("free");
    begin();
    for (int i = 0; i < 100; i++) other_free(other_malloc(20061));
    free(malloc(20063));
    end();
}

/* Another copy of the recorder: what is asked of it by name, and what is not. */
static void copy(const char *path) {
    free(malloc(20065));
    load(path, 0);
    void *(*other_malloc)(size_t) = find("malloc");
    void (*other_free)(void *) = find("free");
    other_free(other_malloc(20067));
    free(malloc(20069));
}

/* A process without any environment, and its child. */
static void clear(void) {
    say("parent %d\n", getpid());
    free(malloc(20001));
    clearenv();
    pid_t pid = fork();
    if (pid == 0) { free(malloc(20003)); say("child %d\n", getpid()); exit(0); }
    wait_for(pid);
    free(malloc(20005));
}

/* Children that the library cannot be loaded into. */
static void child(const char *path) {
    free(malloc(20001));
    int status;
    char *arguments[] = { (char *)path, NULL };
    pid_t pid = fork();
    if (pid == 0) { execv(path, arguments); _exit(97); }
    waitpid(pid, &status, 0);
    say("exec %d\n", WEXITSTATUS(status));
    if (posix_spawn(&pid, path, NULL, NULL, arguments, environ)) die("posix_spawn");
    waitpid(pid, &status, 0);
    say("spawn %d\n", WEXITSTATUS(status));
    say("system %d\n", WEXITSTATUS(system(path)));
    free(malloc(20005));
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const char *name = arguments[1], *path = count > 2 ? arguments[2] : "";
    if (strcmp(name, "workers") == 0) workers(path);
    else if (strcmp(name, "dynamic_tls") == 0) dynamic_tls(path, count > 3 ? atol(arguments[3]) : 0);
    else if (strcmp(name, "loop") == 0) loop(path, atol(arguments[3]));
    else if (strcmp(name, "by_name") == 0) release(path, 0, "malloc_by_name", 0);
    else if (strcmp(name, "deep") == 0) release(path, RTLD_DEEPBIND, "malloc_as_bound", 0);
    else if (strcmp(name, "deepbind") == 0) deepbind(path, 0);
    else if (strcmp(name, "deepbind_base") == 0) deepbind(path, 1);
    else if (strcmp(name, "plugin") == 0) plugin(path);
    else if (strcmp(name, "again") == 0) release(path, 0, "malloc_by_name", 1);
    else if (strcmp(name, "space") == 0) space();
    else if (strcmp(name, "copy") == 0) copy(path);
    else if (strcmp(name, "clear") == 0) clear();
    else if (strcmp(name, "child") == 0) child(path);
    else return 2;
    return 0;
}
