/* peak COMMAND...: runs it, without what it says, and says how it ended and the most memory that it
 * had. A process of its own, since that begins with what the memory was that it was forked from. */
#include "common.h"
#include <sys/resource.h>

int main(int count, char **arguments) {
    int status;
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        if (count > 1 && dup2(nowhere, 1) == 1) execv(arguments[1], arguments + 1);
        die("execv");
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child) die("wait4");
    say("status %d\nkib %ld\n", status, usage.ru_maxrss);
    return 0;
}
