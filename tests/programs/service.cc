// A service of four threads that answers 10 000 requests each, with a million allocations from 20
// places. Three of these places leak now and then.
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

// Where no compiler may look: what is made there is used.
void *volatile seen;

template <typename T> T *use(T *memory) {
    seen = memory;
    return memory;
}

struct Header {
    std::string name;
    std::string value;
};

struct Request {
    uint64_t number;
    std::vector<Header *> headers;
    char *body;
};

Header *make_header(const char *name, uint64_t number) {
    return use(new Header{std::string(name) + " of a request", std::to_string(number) + " is its value"});
}

Request *parse(uint64_t number) {
    Request *request = use(new Request{number, {}, nullptr});
    request->headers.push_back(make_header("Host", number));
    request->headers.push_back(make_header("Accept", number + 1));
    request->body = use(static_cast<char *>(malloc(200 + number % 100)));
    return request;
}

// LEAK 1: the second header stays where a request has an odd body.
void release(Request *request) {
    delete request->headers[0];
    if (request->number % 997 != 5)
        delete request->headers[1];
    free(request->body);
    delete request;
}

struct Session {
    char token[488];
};

Session *open_session() { return use(new Session()); }

// LEAK 2: a session that fails is forgotten.
bool authenticate(uint64_t number) {
    Session *session = open_session();
    if (number % 1009 == 7)
        return false;
    delete session;
    return true;
}

char *render(uint64_t number) {
    char *page = use(static_cast<char *>(malloc(64)));
    for (size_t size = 64; size < 64 + number % 1000; size *= 2)
        page = use(static_cast<char *>(realloc(page, 2 * size)));
    return page;
}

// LEAK 3: a copy for the log, of slow requests.
void log_slow(const char *page, uint64_t number) {
    char *copy = use(static_cast<char *>(malloc(1234)));
    memcpy(copy, page, 32);
    if (number % 5003 != 11)
        free(copy);
}

template <int KIND> void step() {
    void *memory = use(operator new(16 * KIND + 3));
    operator delete(memory);
}

void handle(uint64_t number) {
    Request *request = parse(number);
    if (authenticate(number)) {
        char *page = render(number);
        memset(page, 'x', 64);
        log_slow(page, number);
        free(page);
    }
    step<1>(), step<2>(), step<3>(), step<4>(), step<5>(), step<6>(), step<7>(), step<8>(), step<9>();
    std::map<int, int> counts{{1, 1}};
    auto answer = std::make_unique<std::vector<char>>(300);
    use(answer->data());
    release(request);
}

} // namespace

int main(int argc, char **argv) {
    uint64_t requests = argc > 1 ? strtoull(argv[1], nullptr, 10) : 10000;
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < 4; thread++)
        threads.emplace_back([=] {
            for (uint64_t number = 0; number < requests; number++)
                handle(number);
        });
    for (std::thread &thread : threads)
        thread.join();
}
