// Known call stacks of C++: templates, virtual functions, and what runs while an exception flies.
#include <cstdlib>
#include <stdexcept>

#define APART __attribute__((noinline, noclone))
#define STAYS __asm__ volatile("")

namespace shop {

APART static void ask(std::size_t size) {
    std::free(std::malloc(size));
    STAYS;
}
template <class T> APART void generic(T size) {
    ask(size);
    STAYS;
}
struct Shape {
    virtual ~Shape() = default;
    virtual void draw(std::size_t size) const = 0;
};
template <int N> struct Square : Shape {
    APART void draw(std::size_t size) const override {
        ask(size + N);
        STAYS;
    }
};
struct Guard {
    std::size_t size;
    APART ~Guard() {
        ask(size);
        STAYS;
    }
};
APART void throws(std::size_t size) {
    Guard guard{size};
    throw std::runtime_error("known");
}
APART void catches(std::size_t size) {
    try {
        throws(size);
    } catch (const std::exception &) {
        ask(size + 2);
    }
    STAYS;
}

} // namespace shop

int main() {
    const shop::Shape *volatile shape = new shop::Square<3>;
    for (int times = 0; times < 3; times++) {
        shop::generic<unsigned short>(3001);
        shape->draw(3000);
        shop::catches(3005);
    }
    return 0;
}
