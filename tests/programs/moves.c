/* Changes its directory and forks there. */
#include "common.h"

int main(int count, char **arguments) {
    free(malloc(20001));
    if (count != 2 || chdir(arguments[1])) return 2;
    free(malloc(20005));
    pid_t pid = fork();
    if (pid == 0) { free(malloc(20003)); exit(0); }
    wait_for(pid);
    return 5;
}
