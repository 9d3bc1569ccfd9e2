/* weak: asks whether there are functions that a process may have or not. */
#include "common.h"

extern void *mallocx(size_t, int) __attribute__((weak));
extern void *_Znwm(size_t) __attribute__((weak));
extern void _ZdlPv(void *) __attribute__((weak));

int main(void) {
    const char *names[] = { "mallocx", "sdallocx", "_Znwm", "_ZdaPvm", "_ZnwmSt11align_val_t" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) say("%s %d\n", names[i], dlsym(RTLD_DEFAULT, names[i]) != 0);
    /* What was bound before anyone could know works. */
    void *block = mallocx ? mallocx(42031, 0x46) : malloc(42031);
    if ((size_t)block % 64 && mallocx) die("alignment");
    memset(block, 1, 42031);
    free(block);
    block = _Znwm ? _Znwm(42043) : malloc(42043);
    _ZdlPv ? _ZdlPv(block) : free(block);
    return 0;
}
