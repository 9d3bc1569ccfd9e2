/* mallook.h: control of the recording from inside a program.
 *
 * Copy this file into your program. There is nothing to link: the functions are weak symbols, which
 * the preloaded library defines. Where it is not preloaded, a call is one test of a pointer.
 *
 *     mallook_pause();            the process is not recorded from here on
 *     mallook_resume();           it is again
 *     mallook_mark("loaded");     a moment with a name, which charts and events show
 *
 * A pause is one for the whole process. The calling thread sees it at once; another one within 10 ms
 * in which it allocates, or else when it allocates next. Pauses do not nest, and `mallook ctl pause`
 * and `resume` change the same switch from outside. MALLOOK_START=paused starts a program paused.
 *
 * A mark has up to 112 bytes of text; a trace has room for 94 of them. mallook_mark returns 0, or -1 if
 * there is no room or no space on the disk, or nothing is recorded.
 *
 * All three may be called from any thread and from signal handlers, and leave errno alone.
 *
 * An executable that is linked with -no-pie needs -Wl,-z,dynamic-undefined-weak, since the linker
 * would take the symbols for missing for good. Needs GCC or Clang.
 */
#ifndef MALLOOK_H
#define MALLOOK_H

#ifdef __cplusplus
extern "C" {
#endif

extern void mallook_pause(void) __attribute__((weak));
extern void mallook_resume(void) __attribute__((weak));
extern int mallook_mark(const char *text) __attribute__((weak));

#ifdef __cplusplus
}
#endif

/* A macro does not expand itself: inside, these are the functions. */
#define mallook_pause() (mallook_pause ? mallook_pause() : (void)0)
#define mallook_resume() (mallook_resume ? mallook_resume() : (void)0)
#define mallook_mark(text) (mallook_mark ? mallook_mark(text) : -1)

#endif
