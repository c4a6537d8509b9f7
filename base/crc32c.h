/*
 * crc32c.h - CRC-32C, the checksum of what lies on a disk (Castagnoli's polynomial, reflected, as
 * in iSCSI, RFC 3720 section 12.1). It finds accidents, not forgeries. Threads: any; pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begin with seed 0; the sum so far as seed goes on: crc32c(crc32c(0, a), b) is that of a and b. */
uint32_t crc32c(uint32_t seed, const void *bytes, size_t size);

/* The same by one way, for tests and the bench; crc32c takes the best that the machine has. */
enum crc32c_way {
    CRC32C_PORTABLE, /* slicing by 8: everywhere                    */
    CRC32C_SERIAL,   /* one chain of the machine's own instruction  */
    CRC32C_THREE,    /* three chains side by side, then put together */
    CRC32C_WAYS
};
bool crc32c_has(enum crc32c_way way); /* whether this machine can */
uint32_t crc32c_by(enum crc32c_way way, uint32_t seed, const void *bytes, size_t size);
