/*
 * Goal: every way of this machine gives CRC-32C, for any size, place and division of the bytes.
 * Method: the vectors of RFC 3720, appendix B.4, and 2000 random cases against a reference that
 * goes bit by bit, with a fixed seed.
 */
#include "tests/support/unit.h"

#include <stdbool.h>
#include <string.h>

#include "base/crc32c.h"

enum { CASES = 2000, BYTES_MAX = 20000 };

static uint32_t bit_by_bit(uint32_t seed, const uint8_t *bytes, size_t size)
{
    uint32_t sum = ~seed;
    for (size_t i = 0; i < size; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = (sum & 1) != 0 ? sum >> 1 ^ 0x82f63b78 : sum >> 1;
    }
    return ~sum;
}

static uint64_t draw(uint64_t *state) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(draw(&seed) >> 32);
}

static void the_vectors_of_the_standard_are_met(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], upwards[32];
    memset(ones, 0xff, sizeof(ones));
    for (uint8_t i = 0; i < 32; i++)
        upwards[i] = i;
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(0, upwards, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void each_way_agrees_with_the_reference(void **state)
{
    (void)state;
    static uint8_t bytes[BYTES_MAX + 64];
    fill(bytes, sizeof(bytes), 1);
    uint64_t chance = 2;
    for (int i = 0; i < CASES; i++) {
        const size_t size_max = i % 4 == 0 ? BYTES_MAX : i % 4 == 1 ? 1100 : 300;
        const size_t size = draw(&chance) % (size_max + 1), place = draw(&chance) % 64;
        const uint32_t seed = i % 2 == 0 ? 0 : (uint32_t)draw(&chance);
        const uint32_t expected = bit_by_bit(seed, bytes + place, size);
        for (int way = 0; way < CRC32C_WAYS; way++) {
            if (crc32c_has((enum crc32c_way)way))
                assert_int_equal(crc32c_by((enum crc32c_way)way, seed, bytes + place, size),
                                 expected);
        }
        assert_int_equal(crc32c(seed, bytes + place, size), expected);
    }
}

/* Around each threshold: 256, and three lanes of 80, 336 and 1360. */
static void each_size_up_to_some_pages_agrees(void **state)
{
    (void)state;
    static uint8_t bytes[8400];
    fill(bytes, sizeof(bytes), 3);
    uint32_t expected = 0;
    for (size_t size = 1; size <= sizeof(bytes); size++) {
        expected = bit_by_bit(expected, bytes + size - 1, 1);
        for (int way = 0; way < CRC32C_WAYS; way++) {
            if (crc32c_has((enum crc32c_way)way))
                assert_int_equal(crc32c_by((enum crc32c_way)way, 0, bytes, size), expected);
        }
    }
}

static void a_sum_goes_on_where_it_stopped(void **state)
{
    (void)state;
    static uint8_t bytes[5000];
    fill(bytes, sizeof(bytes), 4);
    const uint32_t whole = crc32c(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut += 7)
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole);
}

static void one_changed_bit_changes_the_sum(void **state)
{
    (void)state;
    uint8_t bytes[600];
    fill(bytes, sizeof(bytes), 5);
    const uint32_t whole = crc32c(0, bytes, sizeof(bytes));
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(crc32c(0, bytes, sizeof(bytes)), whole);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_machine_of_today_has_more_than_tables(void **state)
{
    (void)state;
    assert_true(crc32c_has(CRC32C_PORTABLE));
#if defined(__x86_64__)
    assert_true(crc32c_has(CRC32C_SERIAL)); /* x86-64-v2 is the baseline */
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_standard_are_met),
        cmocka_unit_test(each_way_agrees_with_the_reference),
        cmocka_unit_test(each_size_up_to_some_pages_agrees),
        cmocka_unit_test(a_sum_goes_on_where_it_stopped),
        cmocka_unit_test(one_changed_bit_changes_the_sum),
        cmocka_unit_test(a_machine_of_today_has_more_than_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
