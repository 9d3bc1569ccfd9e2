// Builds and frees structures in phases, in two threads, and leaks a little.
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Record {
    std::string name;
    std::vector<double> samples;
};

void rest(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

class Index {
public:
    void insert(int number) {
        auto record = std::make_unique<Record>();
        record->name = "a record with a long name " + std::to_string(number);
        record->samples.resize(20 + number % 40);
        records[record->name] = std::move(record);
    }
    void clear() { records.clear(); }

private:
    std::unordered_map<std::string, std::unique_ptr<Record>> records;
};

std::vector<int> grow(int steps) {
    std::vector<int> all;
    for (int step = 0; step < steps; step++)
        all.push_back(step);
    return all;
}

// Strings that live for a moment.
size_t parse(int lines) {
    size_t sum = 0;
    for (int line = 0; line < lines; line++) {
        std::string text = "line " + std::to_string(line) + " of a file that somebody has to read";
        sum += text.size();
    }
    return sum;
}

void leak(int size) {
    static char *volatile kept;
    kept = new char[size];
    kept[0] = 1;
}

void work(int rounds) {
    std::map<int, std::string> cache;
    for (int round = 0; round < rounds; round++) {
        cache[round % 500] = std::string(100 + round % 300, 'x');
        if (round % 100 == 0)
            leak(1000);
        if (round % 1000 == 0)
            rest(4);
    }
}

} // namespace

int main() {
    std::thread worker(work, 40000);
    Index index;
    size_t sum = 0;
    for (int phase = 0; phase < 3; phase++) {
        for (int number = 0; number < 8000; number++) {
            index.insert(number);
            if (number % 1000 == 0)
                rest(5);
        }
        sum += parse(20000);
        rest(25);
        if (phase == 1) {
            auto numbers = grow(1500000);
            rest(30);
            sum += numbers.size();
        }
        index.clear();
        rest(15);
    }
    worker.join();
    return sum == 0;
}
