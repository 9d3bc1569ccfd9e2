// A library that brings its C++ runtime along, into a program that has none. It throws and catches.
#include <cstdint>
#include <new>
#include <string>
#include <vector>

static volatile std::size_t huge = SIZE_MAX / 2;

extern "C" int use(int times) {
    int caught = 0;
    for (int i = 0; i < times; i++) {
        std::vector<std::string> texts(11, std::string(43003, 'x'));
        try { ::operator delete(::operator new(huge)); } catch (const std::bad_alloc &) { caught++; }
    }
    return caught;
}
