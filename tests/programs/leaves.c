/* leaves FUNCTION WHERE ENVIRONMENT: starts itself, without arguments, through that function: in the process "itself", in a
 * child that is made by "fork" or "vfork" and allocates nothing, or in the process before its first event, "early". The
 * ENVIRONMENT is "kept", or "bare". Allocates 20001 before and 20005 after; what is started, 20003. */
#include "common.h"

static char *file, *environment[8];

static int start(const char *function) {
    char *list[] = { file, NULL };
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    pid_t pid = 0;
#define IS(name) (strcmp(function, #name) == 0)
    if (IS(execle)) execle(file, file, (char *)NULL, environment);
    if (IS(execve)) execve(file, list, environment);
    if (IS(execvpe)) execvpe(file, list, environment);
    if (IS(fexecve)) fexecve(descriptor, list, environment);
    if (IS(execveat)) execveat(descriptor, "", list, environment, AT_EMPTY_PATH);
    if (IS(posix_spawn) && posix_spawn(&pid, file, NULL, NULL, list, environment)) die(function);
    if (IS(posix_spawnp) && posix_spawnp(&pid, file, NULL, NULL, list, environment)) die(function);
    if (IS(system)) return system(file);
    if (IS(popen)) return pclose(popen(file, "r"));
    if (!pid) die(function);
    wait_for(pid);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 1) { free(malloc(20003)); return 0; }
    if (count != 4) return 2;
    const char *function = arguments[1], *where = arguments[2];
    file = arguments[0];
    environment[0] = "A=B";
    int is_kept = strcmp(arguments[3], "kept") == 0;
    for (int i = 0, next = 1; environ[i]; i++)
        if ((is_kept && !strncmp(environ[i], "LD_PRELOAD=", 11)) || !strncmp(environ[i], "MALLOOK_PREFIX=", 15))
            environment[next++] = environ[i];
    /* What the functions without that argument take. */
    if (IS(system) || IS(popen)) environ = environment;
    if (strcmp(where, "early")) free(malloc(20001));
    if (!strcmp(where, "fork") || !strcmp(where, "vfork")) {
        pid_t child = strcmp(where, "fork") ? vfork() : fork();
        if (child == 0) _exit(start(function));
        wait_for(child);
    } else if (start(function)) die(function);
    free(malloc(20005));
    return 0;
}
