/* A program of 32 bits that needs no library at all, so that every compiler can make it. */
void _start(void) {
    __asm__ volatile("int $0x80" ::"a"(1), "b"(7));
}
