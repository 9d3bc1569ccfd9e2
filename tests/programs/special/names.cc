// Names of C++: templates, lambdas, operators, local and anonymous ones, exceptions, virtual calls.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace outer {
namespace {
template <class T> __attribute__((noinline)) T twice(T x) { return x + x; }
struct Local {
    std::string text;
    explicit Local(int n) : text(n, 'x') {}
    ~Local() { text.clear(); }
    bool operator<(const Local &other) const { return text < other.text; }
};
} // namespace

struct Shape {
    virtual ~Shape() = default;
    virtual int area() const = 0;
};
template <int N> struct Square : Shape {
    int area() const override { return N * N; }
};

static inline int of_map(int n) {
    std::map<Local, int> map;
    for (int i = 0; i < n; i++)
        map[Local(i)] = twice(i);
    return static_cast<int>(map.size());
}

__attribute__((noinline)) int of_lambda(int n) {
    std::vector<int> v(n);
    std::generate(v.begin(), v.end(), [&n] { return n--; });
    std::sort(v.begin(), v.end(), [](int a, int b) { return a % 7 < b % 7; });
    return v[v.size() / 2];
}

int throws(int n) {
    if (n > 40)
        throw std::runtime_error("too many: " + std::to_string(n));
    return twice<long>(n) > 3;
}
} // namespace outer

int main(int argc, char **) {
    std::unique_ptr<outer::Shape> shape = std::make_unique<outer::Square<13>>();
    int sum = outer::of_map(argc + 9) + outer::of_lambda(argc + 11) + shape->area();
    try {
        sum += outer::throws(argc + 40);
    } catch (const std::exception &error) {
        std::puts(error.what());
    }
    return sum & 1;
}
