/*
 * Goal: what left lately is remembered, what left long ago is not, and nothing is remembered twice.
 * Method: additions by hand; fingerprints from a seeded stream.
 */
#include "storage/ghost.h"

#include "tests/unit/storage/make_entry.h"

static uint32_t fingerprint(uint64_t number)
{
    return (uint32_t)next_random(&number);
}

static void an_empty_ghost_knows_nobody(void **state)
{
    (void)state;
    struct ghost ghost = {0};
    assert_false(ghost_take(&ghost, 1, 100));
    ghost_add(&ghost, 1, 0); /* a limit of none: not even memory is asked for */
    assert_null(ghost.buckets);
    ghost_deinit(&ghost);
}

static void a_fingerprint_is_taken_once(void **state)
{
    (void)state;
    struct ghost ghost = {0};
    ghost_add(&ghost, 77, 10);
    ghost_add(&ghost, 0,
              10); /* zero stands for a free slot inside, and is no special case outside */
    assert_true(ghost_take(&ghost, 77, 10));
    assert_false(ghost_take(&ghost, 77, 10));
    assert_true(ghost_take(&ghost, 0, 10));
    assert_false(ghost_take(&ghost, 0, 10));
    ghost_deinit(&ghost);
}

static void the_eleventh_addition_pushes_the_first_of_ten_out(void **state)
{
    (void)state;
    struct ghost ghost = {0};
    for (uint64_t i = 0; i < 11; i++)
        ghost_add(&ghost, fingerprint(i), 10);
    assert_false(ghost_take(&ghost, fingerprint(0), 10));
    assert_true(ghost_take(&ghost, fingerprint(10), 10));
    ghost_deinit(&ghost);
}

static void most_of_the_last_thousand_survive_its_growth(void **state)
{
    (void)state;
    struct ghost ghost = {0};
    for (uint64_t i = 0; i < 5000; i++)
        ghost_add(&ghost, fingerprint(i), i < 4000 ? 64 : 1000);
    unsigned known_count = 0;
    unsigned stale_count = 0;
    for (uint64_t i = 0; i < 5000; i++) {
        const bool is_known = ghost_take(&ghost, fingerprint(i), 1000);
        known_count += i >= 4000 && is_known;
        stale_count += i < 4000 && is_known;
    }
    assert_int_equal(stale_count, 0);
    assert_in_range(known_count, 800, 1000); /* full buckets forget a few of them early */
    ghost_deinit(&ghost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_ghost_knows_nobody),
        cmocka_unit_test(a_fingerprint_is_taken_once),
        cmocka_unit_test(the_eleventh_addition_pushes_the_first_of_ten_out),
        cmocka_unit_test(most_of_the_last_thousand_survive_its_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
