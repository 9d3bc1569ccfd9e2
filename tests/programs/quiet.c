/* quiet CASE: "full": stderr is a pipe that is full and that nobody reads; the library cannot record, which it would
 * say there. "locked": all memory is locked, within the usual limit. */
#include "common.h"
#include <sys/resource.h>

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "full") == 0) {
        int ends[2];
        char bytes[4096] = { 0 };
        if (pipe(ends)) die("pipe");
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        while (write(ends[1], bytes, sizeof bytes) > 0) {}
        fcntl(ends[1], F_SETFL, 0);
        dup2(ends[1], 2);
        setenv("MALLOOK_PREFIX", "/nonexistent/trace", 1);
        execl(arguments[0], arguments[0], "go", NULL);
        return 97;
    }
    free(malloc(20001));
    if (strcmp(arguments[1], "locked") == 0) {
        struct rlimit limit = { 8 << 20, 8 << 20 };
        if (setrlimit(RLIMIT_MEMLOCK, &limit)) die("setrlimit");
        /* Root has no limit. */
        if (geteuid() == 0 && setuid(65534)) die("setuid");
        say("mlockall %d\n", mlockall(MCL_CURRENT | MCL_FUTURE));
        for (int i = 0; i < 100000; i++) free(malloc(20003));
    }
    say("alive\n");
    return 0;
}
