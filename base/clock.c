/*
 * clock.c - the two clocks and the kernel's chance.
 * Owns nothing. Threads: any. The one file that may read a clock or draw chance.
 */
#include "base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"

int64_t clock_wall_ms(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    assert(result == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t clock_monotonic_us(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(result == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Without chance there are no keys and no service: a kernel that refuses it is a reason to stop. */
void clock_chance(void *out_bytes, size_t size_bytes)
{
    unsigned char *place = out_bytes;
    while (size_bytes > 0) {
        ssize_t got = getrandom(place, size_bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        assert(got > 0);
        place += got;
        size_bytes -= (size_t)got;
    }
}
