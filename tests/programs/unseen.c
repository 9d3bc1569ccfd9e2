/* unseen CASE: looks for what the library might have changed about the process. */
#include "common.h"
#include <dirent.h>
#include <sched.h>

/* The signal lines of a thread's status: pending, blocked, ignored, caught. */
static void signals(const char *when) {
    char text[8192];
    int file = open("/proc/thread-self/status", O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    if (length <= 0) die("status");
    text[length] = 0;
    close(file);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, "SigQ", 4) && (strncmp(line, "Sig", 3) == 0 || strncmp(line, "Shd", 3) == 0))
            say("%s %s\n", when, line);
}

static void many(void) {
    for (int i = 0; i < 10000; i++) free(malloc(1001));
}

static void ignore(int unused) { (void)unused; }

static void *in_thread(void *unused) {
    signals("thread");
    many();
    signals("thread");
    return unused;
}

static void dispositions(void) {
    signals("start");
    many();
    signals("allocated");
    for (int number = 1; number < 65; number++) signal(number, number % 3 ? ignore : SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    many();
    signals("busy");
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    pid_t pid = fork();
    if (pid == 0) { many(); signals("child"); _exit(0); }
    wait_for(pid);
    signals("end");
}

static void threads(void) {
    many();
    int number = 0;
    DIR *directory = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(directory));) number += entry->d_name[0] != '.';
    closedir(directory);
    say("threads %d\n", number);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    if (strcmp(arguments[1], "signals") == 0) dispositions();
    else if (strcmp(arguments[1], "threads") == 0) threads();
    else if (strcmp(arguments[1], "namespace") == 0) {
        many();
        errno = 0;
        int result = unshare(CLONE_NEWUSER);
        say("unshare %d %d\n", result, errno);
        many();
    } else return 2;
    return 0;
}
