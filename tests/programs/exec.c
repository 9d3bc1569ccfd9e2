/* exec FUNCTION FILE [bare]: replaces itself by itself as "leaf" through that function of the family
 * and says its arguments and environment there; goes on if FILE cannot be executed. "bare": through
 * an environment without LD_PRELOAD, where the function takes one. */
#include "common.h"

#define ARGUMENTS "leaf", "", "two words", "*", "4", "5", "6", "7", "the last"

static const char *function, *file;
static char *environment[8];

static void replace(void) {
    char *list[] = { ARGUMENTS, NULL };
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
#define IS(name) (strcmp(function, #name) == 0)
    if (IS(execl)) execl(file, ARGUMENTS, (char *)NULL);
    if (IS(execlp)) execlp(file, ARGUMENTS, (char *)NULL);
    if (IS(execle)) execle(file, ARGUMENTS, (char *)NULL, environment);
    if (IS(execv)) execv(file, list);
    if (IS(execvp)) execvp(file, list);
    if (IS(execve)) execve(file, list, environment);
    if (IS(execvpe)) execvpe(file, list, environment);
    if (IS(fexecve)) fexecve(descriptor, list, environment);
    if (IS(execveat)) execveat(descriptor, descriptor < 0 ? "nothing" : "", list, environment, AT_EMPTY_PATH);
}

static void *in_thread(void *unused) {
    free(malloc(20001));
    function = "execv";
    replace();
    return unused;
}

int main(int count, char **arguments) {
    if (strcmp(arguments[0], "leaf") == 0) {
        free(malloc(20003));
        for (int i = 0; i < count; i++) say("argument <%s>\n", arguments[i]);
        for (int i = 0; environ[i]; i++) say("environment <%s>\n", environ[i]);
        return 7;
    }
    if (count < 3) return 2;
    function = arguments[1], file = arguments[2];
    int next = 0;
    environment[next++] = "ONLY=this one";
    environment[next++] = "EMPTY=";
    for (int i = 0; count == 3 && environ[i]; i++)
        if (!strncmp(environ[i], "LD_PRELOAD=", 11) || !strncmp(environ[i], "MALLOOK_PREFIX=", 15))
            environment[next++] = environ[i];
    if (strcmp(function, "thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, in_thread, NULL);
        pthread_join(thread, NULL);
    }
    free(malloc(20001));
    replace();
    say("errno %d\n", errno);
    free(malloc(20005));
    return 8;
}
