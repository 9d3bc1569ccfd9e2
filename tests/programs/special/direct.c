/* A library that does not call the hooks: bound to libc's allocator by its name, or by how it is
 * linked or loaded. */
#include "../common.h"

void *__libc_malloc(size_t);
void *malloc_by_name(size_t size) { return __libc_malloc(size); }
void *malloc_as_bound(size_t size) { return malloc(size); }
