/* operators CASE: makes one block by one of C++'s operators and releases it by another, and says which. Sizes are
 * odd and unlike any other. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unistd.h>

static const std::align_val_t aligned{64};
static void *block;

/* name, the birth, the size, the death */
#define CASES(X) \
    X(plain, ::operator new(41003), ::operator delete(block)) \
    X(array, ::operator new[](41011), ::operator delete[](block)) \
    X(sized, ::operator new(41017), ::operator delete(block, std::size_t{41017})) \
    X(array_sized, ::operator new[](41023), ::operator delete[](block, std::size_t{41023})) \
    X(nothrow, ::operator new(41039, std::nothrow), ::operator delete(block, std::nothrow)) \
    X(array_nothrow, ::operator new[](41047, std::nothrow), ::operator delete[](block, std::nothrow)) \
    X(aligned, ::operator new(41051, aligned), ::operator delete(block, aligned)) \
    X(array_aligned, ::operator new[](41057, aligned), ::operator delete[](block, aligned)) \
    X(aligned_sized, ::operator new(41077, aligned), ::operator delete(block, std::size_t{41077}, aligned)) \
    X(array_aligned_sized, ::operator new[](41081, aligned), ::operator delete[](block, std::size_t{41081}, aligned)) \
    X(aligned_nothrow, ::operator new(41113, aligned, std::nothrow), ::operator delete(block, aligned, std::nothrow)) \
    X(array_aligned_nothrow, ::operator new[](41117, aligned, std::nothrow), \
        ::operator delete[](block, aligned, std::nothrow))

/* Sizes that nobody has. The compiler must not know. */
static volatile std::size_t huge = SIZE_MAX / 2;
static int handled;
static void give_up() { handled++; std::set_new_handler(nullptr); }

/* Each throwing form must throw, through us, what is caught here; a handler runs first. */
template <class New> static bool throws(New make) {
    std::set_new_handler(give_up);
    handled = 0;
    try { block = make(); } catch (const std::bad_alloc &) { return handled == 1; }
    return false;
}

/* A destructor between us and the handler runs. */
static int unwound;
struct Guard { ~Guard() { unwound++; } };
__attribute__((noinline)) static void *guarded() { Guard guard; return ::operator new(huge); }

static void failures() {
    std::printf("new %d\n", throws([] { return ::operator new(huge); }));
    std::printf("array %d\n", throws([] { return ::operator new[](huge); }));
    std::printf("aligned %d\n", throws([] { return ::operator new(huge, aligned); }));
    std::printf("array_aligned %d\n", throws([] { return ::operator new[](huge, aligned); }));
    std::printf("guarded %d\n", throws(guarded));
    std::printf("unwound %d\n", unwound);
    std::set_new_handler(nullptr);
    std::printf("nothrow %d\n", !::operator new(huge, std::nothrow) && !::operator new[](huge, std::nothrow));
    std::printf("nothrow_aligned %d\n",
        !::operator new(huge, aligned, std::nothrow) && !::operator new[](huge, aligned, std::nothrow));
    ::operator delete(nullptr), ::operator delete[](nullptr), ::operator delete(nullptr, std::size_t{1});
    ::operator delete(nullptr, aligned), ::operator delete[](nullptr, std::nothrow);
}

int main(int count, char **arguments) {
    const char *wanted = count > 1 ? arguments[1] : "";
    /* Several times: the recorder may learn from the first one. */
    for (int round = 0; round < 3; round++) {
#define CASE(name, birth, death) \
        if (!std::strcmp(wanted, #name)) { \
            block = birth; \
            std::printf("%s %p\n", round ? "again" : "A", block); \
            std::memset(block, 1, 41000); \
            death; \
        }
        CASES(CASE)
    }
    if (!std::strcmp(wanted, "failures")) failures();
#define NAME(name, birth, death) if (!*wanted) std::puts(#name);
    CASES(NAME)
    std::fflush(stdout);
}
