// Large functions that the linker drops: their debug information stays, at address 0.
#define S1 sum += x; sum ^= 3;
#define S2 S1 S1 S1 S1 S1 S1 S1 S1
#define S3 S2 S2 S2 S2 S2 S2 S2 S2
#define S4 S3 S3 S3 S3 S3 S3 S3 S3
#define UNUSED(name)       \
    int name(int x) {      \
        volatile int sum = 0; \
        S4 S4 return sum;  \
    }
UNUSED(a) UNUSED(b) UNUSED(c) UNUSED(d) UNUSED(e) UNUSED(f) UNUSED(g)

__attribute__((noinline)) int used(int x) { return x * 3; }

int main(int argc, char **) { return used(argc); }
