// Exceptions that pass through frames, with events on their way.
extern "C" {
void (*event)(void);
unsigned long throws(unsigned long rounds, unsigned long levels);
}

namespace {
struct Guard {
    int value;
    __attribute__((noinline)) ~Guard() { event(); }
};

__attribute__((noinline)) unsigned long descend(unsigned long levels) {
    Guard guard{static_cast<int>(levels)};
    event();
    if (levels == 0)
        throw 7;
    return descend(levels - 1) + 1;
}

__attribute__((noinline)) unsigned long again(unsigned long levels) {
    try {
        return descend(levels);
    } catch (int value) {
        event();
        if (levels % 2)
            throw;
        return value;
    }
}
} // namespace

unsigned long throws(unsigned long rounds, unsigned long levels) {
    unsigned long sum = 0;
    for (unsigned long round = 0; round < rounds; round++) {
        try {
            sum += again(levels + round % 3);
        } catch (...) {
            event();
        }
        event();
    }
    return sum;
}
