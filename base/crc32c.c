/*
 * crc32c.c - CRC-32C by SSE4.2 where the machine has it, else by tables.
 *
 * One crc32 instruction has a latency of three cycles and a throughput of one: three chains side by
 * side are up to three times as fast. Putting them together takes two carry-less products, which
 * pays from 256 bytes on (64 / 256 / 1 K / 4 K bytes: 21 / 18 / 11 / 10 GB/s in one chain,
 * 16 / 18 / 22 / 24 in three, on a Zen 4). The idea is Intel's (Gopal et al., "Fast CRC Computation
 * for iSCSI Polynomial Using CRC32 Instruction", 2011); the tables are slicing by 8 (Kounavis and
 * Berry, 2005).
 *
 * Owns the tables, made at the first portable call. THREADS. Any. NOT HERE: other polynomials.
 */
#include "base/crc32c.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SLICES = 8, LETTERS = 256, THREE_BYTES_MIN = 256 };

static const uint32_t POLYNOMIAL = 0x82f63b78; /* 0x1edc6f41 reflected */

static uint32_t tables[SLICES][LETTERS]; /* [k][b]: the byte b, followed by k zero bytes */
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t letter = 0; letter < LETTERS; letter++) {
        uint32_t sum = letter;
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ ((sum & 1) != 0 ? POLYNOMIAL : 0);
        tables[0][letter] = sum;
    }
    for (int slice = 1; slice < SLICES; slice++) {
        for (uint32_t letter = 0; letter < LETTERS; letter++) {
            const uint32_t before = tables[slice - 1][letter];
            tables[slice][letter] = before >> 8 ^ tables[0][before & 0xff];
        }
    }
}

/* Byte by byte, so that the order of the machine's bytes does not matter. */
static uint32_t eight_bytes(uint32_t sum, const uint8_t *bytes)
{
    return tables[7][bytes[0] ^ (sum & 0xff)] ^ tables[6][bytes[1] ^ (sum >> 8 & 0xff)] ^
           tables[5][bytes[2] ^ (sum >> 16 & 0xff)] ^ tables[4][bytes[3] ^ sum >> 24] ^
           tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^ tables[0][bytes[7]];
}

static uint32_t by_tables(uint32_t sum, const uint8_t *bytes, size_t size)
{
    (void)pthread_once(&tables_once, make_tables);
    for (; size >= 8; bytes += 8, size -= 8)
        sum = eight_bytes(sum, bytes);
    for (; size > 0; bytes++, size--)
        sum = sum >> 8 ^ tables[0][(sum ^ *bytes) & 0xff];
    return sum;
}

#if defined(__x86_64__)

static uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t in_one_chain(uint32_t sum, const uint8_t *bytes,
                                                               size_t size)
{
    uint64_t chain = sum;
    for (; size >= 8; bytes += 8, size -= 8)
        chain = _mm_crc32_u64(chain, word_at(bytes));
    sum = (uint32_t)chain;
    for (; size > 0; bytes++, size--)
        sum = _mm_crc32_u8(sum, *bytes);
    return sum;
}

/*
 * A chain whose sum is followed by M more bytes counts as sum * x^(8M). The product of two
 * reflected 32-bit polynomials, taken as the next word of the last chain, is multiplied by x^33 on
 * its way (one bit for the reflection, 32 in the instruction), hence x^(8M - 33) modulo the
 * polynomial.
 */
static const struct lane {
    size_t bytes;            /* of one of the three; a multiple of 8 */
    uint32_t by_two, by_one; /* x^(16 bytes - 33), x^(8 bytes - 33) */
} lanes[] = {
    {1360, 0x5aa1f3cf, 0x3f70cc6f},
    {336, 0xcec3662e, 0xa60ce07b},
    {80, 0x878a92a7, 0x39d3b296},
};

__attribute__((target("sse4.2,pclmul"))) static uint64_t product(uint64_t sum, uint32_t factor)
{
    const __m128i both = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)sum),
                                              _mm_cvtsi64_si128((long long)factor), 0);
    return (uint64_t)_mm_cvtsi128_si64(both);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t
three_lanes(uint32_t sum, const uint8_t *bytes, const struct lane *lane)
{
    uint64_t first = sum, second = 0, third = 0;
    const size_t last = lane->bytes - 8;
    for (size_t at = 0; at < last; at += 8) {
        first = _mm_crc32_u64(first, word_at(bytes + at));
        second = _mm_crc32_u64(second, word_at(bytes + lane->bytes + at));
        third = _mm_crc32_u64(third, word_at(bytes + 2 * lane->bytes + at));
    }
    first = _mm_crc32_u64(first, word_at(bytes + last));
    second = _mm_crc32_u64(second, word_at(bytes + lane->bytes + last));
    const uint64_t word = word_at(bytes + 2 * lane->bytes + last) ^ product(first, lane->by_two) ^
                          product(second, lane->by_one);
    return (uint32_t)_mm_crc32_u64(third, word);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t
in_three_chains(uint32_t sum, const uint8_t *bytes, size_t size)
{
    if (size >= THREE_BYTES_MIN) {
        for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++) {
            const size_t three = 3 * lanes[i].bytes;
            for (; size >= three; bytes += three, size -= three)
                sum = three_lanes(sum, bytes, &lanes[i]);
        }
    }
    return in_one_chain(sum, bytes, size);
}

static bool has_hardware(enum crc32c_way way)
{
    if (way == CRC32C_SERIAL)
        return __builtin_cpu_supports("sse4.2");
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#else

static uint32_t in_one_chain(uint32_t sum, const uint8_t *bytes, size_t size)
{
    return by_tables(sum, bytes, size);
}

static uint32_t in_three_chains(uint32_t sum, const uint8_t *bytes, size_t size)
{
    return by_tables(sum, bytes, size);
}

static bool has_hardware(enum crc32c_way way)
{
    (void)way;
    return false;
}

#endif

typedef uint32_t advance(uint32_t sum, const uint8_t *bytes, size_t size);

static advance *const ways[CRC32C_WAYS] = {
    [CRC32C_PORTABLE] = by_tables,
    [CRC32C_SERIAL] = in_one_chain,
    [CRC32C_THREE] = in_three_chains,
};
static advance *best; /* written once, inside best_once */
static pthread_once_t best_once = PTHREAD_ONCE_INIT;

static void choose_best(void)
{
    best = ways[CRC32C_PORTABLE];
    for (int way = CRC32C_SERIAL; way < CRC32C_WAYS; way++) {
        if (crc32c_has((enum crc32c_way)way))
            best = ways[way];
    }
}

bool crc32c_has(enum crc32c_way way)
{
    assert(way < CRC32C_WAYS);
    return way == CRC32C_PORTABLE || has_hardware(way);
}

uint32_t crc32c_by(enum crc32c_way way, uint32_t seed, const void *bytes, size_t size)
{
    assert(crc32c_has(way));
    return ~ways[way](~seed, bytes, size);
}

uint32_t crc32c(uint32_t seed, const void *bytes, size_t size)
{
    (void)pthread_once(&best_once, choose_best);
    return ~best(~seed, bytes, size);
}
