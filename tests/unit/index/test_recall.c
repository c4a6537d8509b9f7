/*
 * Goal: a sampled search is compared with the truth of its own moment, and offering one never
 * waits.
 * Method: recall.c with made-up searches; the ring filled and emptied.
 */
#include "tests/unit/index/index_support.h"

#include "index/recall.h"

enum { DIMENSION = 8 };
static const float unit[DIMENSION] = {1};
static const struct partition_key key = {.scope = {1, 2, 3}, .space = 7};

/* Hits of these sequences; similarities fall from 0.9 by a tenth. */
static struct search hits_of(uint32_t hits_max, uint32_t count, const uint64_t *sequences)
{
    struct search search = {
        .unit = unit, .dimension = DIMENSION, .tag = 3, .now_ms = 99, .hits_max = hits_max};
    for (uint32_t i = 0; i < count; i++) {
        search.hits[i].sequence = sequences[i];
        search.hits[i].similarity = 0.9f - 0.1f * (float)i;
    }
    search.hits_count = count;
    return search;
}

static struct recall_sample sample_of(const struct search *search, uint64_t sequence_last)
{
    struct recall *recall = NULL;
    struct recall_sample sample;
    assert_int_equal(recall_create(&recall), STATUS_OK);
    assert_false(recall_take(recall, &sample));
    assert_true(recall_offer(recall, &key, search, sequence_last));
    assert_true(recall_take(recall, &sample));
    assert_false(recall_take(recall, &sample));
    recall_destroy(&recall);
    return sample;
}

static void a_sample_is_the_whole_search(void **state)
{
    (void)state;
    const uint64_t found[] = {11, 12};
    const struct search search = hits_of(2, 2, found);
    const struct recall_sample sample = sample_of(&search, 50);
    assert_memory_equal(&sample.key, &key, sizeof(key));
    assert_memory_equal(sample.unit, unit, sizeof(unit));
    assert_int_equal(sample.dimension, DIMENSION);
    assert_int_equal(sample.tag, 3);
    assert_int_equal(sample.now_ms, 99);
    assert_int_equal(sample.hits_max, 2);
    assert_int_equal(sample.sequence_last, 50);
    assert_int_equal(sample.sequences[1], 12);
}

static void a_hit_that_was_missed_is_wanted(void **state)
{
    (void)state;
    const uint64_t found[] = {1, 2, 4}, there[] = {1, 2, 3};
    const struct search search = hits_of(3, 3, found);
    struct search exact = hits_of(3, 3, there);
    exact.hits[2].similarity = 0.75f; /* better than the sample's last, 0.7 */
    const struct recall_sample sample = sample_of(&search, 50);
    const struct recall_sum sum = recall_compare(&sample, &exact);
    assert_int_equal(sum.found, 2);
    assert_int_equal(sum.wanted, 3);
}

static void what_came_or_went_since_is_nobodys_fault(void **state)
{
    (void)state;
    const uint64_t found[] = {1, 2, 3}, there[] = {60, 1, 3, 9};
    const struct search search = hits_of(3, 3, found);
    struct search exact = hits_of(4, 4, there); /* 60 is new, 2 was removed, 9 moved up */
    exact.hits[3].similarity = 0.6f;
    const struct recall_sample sample = sample_of(&search, 50);
    const struct recall_sum sum = recall_compare(&sample, &exact);
    assert_int_equal(sum.found, 2);
    assert_int_equal(sum.wanted, 2);
}

static void a_short_list_should_have_held_everything(void **state)
{
    (void)state;
    const uint64_t found[] = {1}, there[] = {1, 2};
    const struct search search = hits_of(8, 1, found), exact = hits_of(8, 2, there);
    const struct recall_sample sample = sample_of(&search, 50);
    const struct recall_sum sum = recall_compare(&sample, &exact);
    assert_int_equal(sum.found, 1);
    assert_int_equal(sum.wanted, 2);
    const struct search nothing = hits_of(8, 0, NULL);
    const struct recall_sample empty = sample_of(&nothing, 50);
    assert_int_equal(recall_compare(&empty, &exact).wanted, 2);
    assert_int_equal(recall_compare(&empty, &nothing).wanted, 0);
}

static void a_full_ring_loses_the_newest(void **state)
{
    (void)state;
    struct recall *recall = NULL;
    struct recall_sample sample;
    assert_int_equal(recall_create(&recall), STATUS_OK);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < RECALL_RING; i++) {
            const struct search search = hits_of(1, 1, &i);
            assert_true(recall_offer(recall, &key, &search, round * 100 + i));
        }
        const struct search late = hits_of(1, 0, NULL);
        assert_false(recall_offer(recall, &key, &late, 0));
        for (uint64_t i = 0; i < RECALL_RING; i++) {
            assert_true(recall_take(recall, &sample));
            assert_int_equal(sample.sequence_last, round * 100 + i);
        }
    }
    recall_destroy(&recall);
    recall_destroy(&recall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_the_whole_search),
        cmocka_unit_test(a_hit_that_was_missed_is_wanted),
        cmocka_unit_test(what_came_or_went_since_is_nobodys_fault),
        cmocka_unit_test(a_short_list_should_have_held_everything),
        cmocka_unit_test(a_full_ring_loses_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
