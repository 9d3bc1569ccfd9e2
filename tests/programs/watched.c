/* watched HOW: takes the recorder's descriptor away while it is about to look at what it is, every other time, and looks
 * at a file of its own: "replace" puts that in its place, "close" closes it; "after" puts it
 * there when the work on the file is done, and it must stay open. A filter that our library cannot see stops
 * the thread that records at that system call, and tells another thread, which records nothing. Says how often. */
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const char text[] = "this belongs to the host\n";
static int own, closes, after, taken = -1;
static volatile int listener = -1, stops;

static void *watch(void *unused) {
    while (listener < 0) usleep(100);
    for (;;) {
        struct seccomp_notif stopped;
        memset(&stopped, 0, sizeof stopped);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &stopped)) return unused;
        int descriptor = (int)stopped.data.args[0];
        if (stops++ % 2 == after && (closes ? close(descriptor) : dup2(own, descriptor)) < 0) die("descriptor");
        taken = descriptor;
        struct seccomp_notif_resp go_on = { .id = stopped.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on)) return unused;
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    closes = strcmp(arguments[1], "close") == 0;
    after = strcmp(arguments[1], "after") == 0;
    free(malloc(20001));
    own = open("own", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (own < 0 || write(own, text, sizeof text - 1) != sizeof text - 1) die("own");
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch, NULL)) die("pthread_create");
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fstat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    unseen(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0);
    int listens = unseen(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, (long)&program);
    if (listens < 0) { say("unavailable seccomp\n"); return 6; }
    listener = listens;
    for (int i = 0; i < 500000; i++) free(malloc(20003));
    if (after && fcntl(taken, F_GETFD) < 0) die("the host's descriptor is closed");
    struct stat file;
    char content[sizeof text] = "";
    int again = open("own", O_RDONLY);
    if (again < 0 || stat("own", &file) || read(again, content, sizeof content) < 0) die("own");
    if (file.st_size != sizeof text - 1 || strcmp(content, text)) die("the host's file has changed");
    if (file.st_blocks > 8) die("the host's file has grown");
    free(malloc(20005));
    say("stops %d\n", stops);
    return 6;
}
