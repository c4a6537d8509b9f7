/*
 * Goal: the map finds exactly what is in it, through chains, holes and growth, and a walk sees each
 * entry once. Method: entries with real hashes; where a chain is wanted, thousands of keys are
 * tried for hashes that meet.
 */
#include "storage/buckets.h"

#include "tests/unit/storage/make_entry.h"

enum { ENTRIES_MAX = 20000 };

static const uint8_t hash_key[16] = {3, 1, 4, 1, 5, 9, 2, 6};

struct world {
    struct buckets buckets;
    struct entry *entries[ENTRIES_MAX];
    bool is_in[ENTRIES_MAX];
    unsigned seen_count[ENTRIES_MAX];
};

static uint64_t hash_of(const struct entry *entry)
{
    return buckets_hash(hash_key, entry_digest(entry)->bytes);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    assert_int_equal(buckets_init(&world->buckets, hash_key), STATUS_OK);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    buckets_deinit(&world->buckets);
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        entry_release(world->entries[i]);
    free(world);
    return 0;
}

static void insert(struct world *world, size_t number)
{
    if (world->entries[number] == NULL)
        world->entries[number] = make_entry(number, 8, 0);
    struct entry *entry = world->entries[number];
    assert_int_equal(buckets_insert(&world->buckets, hash_of(entry), entry), STATUS_OK);
    world->is_in[number] = true;
}

static void take_out(struct world *world, size_t number)
{
    struct entry *entry = world->entries[number];
    buckets_remove(&world->buckets, hash_of(entry), entry);
    world->is_in[number] = false;
}

static void check(const struct world *world, size_t number)
{
    const struct entry *entry = world->entries[number];
    const struct entry *found = buckets_find(&world->buckets, hash_of(entry), entry_digest(entry));
    assert_ptr_equal(found, world->is_in[number] ? entry : NULL);
}

static void all_are_found_at_every_stage_of_growth(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 3000; i++) {
        insert(world, i);
        check(world, i);
        if (i % 50 == 0) {
            for (size_t j = 0; j <= i; j++)
                check(world, j);
        }
    }
    assert_int_equal(world->buckets.entries_count, 3000);
    assert_true(world->buckets.now.bits >= 9);
}

static void random_inserts_and_removals_agree_with_a_list(void **state)
{
    struct world *world = *state;
    uint64_t chance = 42;
    size_t count = 0;
    for (size_t step = 0; step < 60000; step++) {
        const size_t number = next_random(&chance) % 1000;
        if (world->is_in[number])
            take_out(world, number);
        else
            insert(world, number);
        count += world->is_in[number] ? 1 : (size_t)-1;
        check(world, number);
        assert_int_equal(world->buckets.entries_count, count);
    }
    for (size_t i = 0; i < 1000; i++) {
        if (world->entries[i] != NULL)
            check(world, i);
    }
}

/* Numbers whose hashes share the top six bits: one bucket of the first 8, 16, 32 and 64. */
static size_t find_crowd(struct world *world, size_t *out_numbers, size_t wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < ENTRIES_MAX && count < wanted; i++) {
        const struct digest digest = digest_number(i);
        if (buckets_hash(hash_key, digest.bytes) >> 58 == 13)
            out_numbers[count++] = i;
    }
    (void)world;
    return count;
}

static void a_crowd_in_one_bucket_chains_and_survives_growth(void **state)
{
    struct world *world = *state;
    size_t numbers[150];
    assert_int_equal(find_crowd(world, numbers, 150), 150);
    for (size_t i = 0; i < 150; i++) {
        insert(world, numbers[i]);
        for (size_t j = 0; j <= i; j++)
            check(world, numbers[j]);
    }
    assert_true(world->buckets.now.bits > 3);
    uint64_t chance = 7;
    for (size_t left = 150; left > 0; left--) {
        const size_t pick = next_random(&chance) % left;
        const size_t number = numbers[pick];
        numbers[pick] = numbers[left - 1];
        take_out(world, number);
        check(world, number);
        for (size_t j = 0; j + 1 < left; j++)
            check(world, numbers[j]);
    }
    assert_int_equal(world->buckets.entries_count, 0);
}

static void a_replaced_entry_is_found_in_its_place(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 100; i++)
        insert(world, i);
    struct entry *newer = make_entry(55, 100, 0);
    buckets_replace(&world->buckets, hash_of(newer), world->entries[55], newer);
    assert_ptr_equal(buckets_find(&world->buckets, hash_of(newer), entry_digest(newer)), newer);
    assert_int_equal(world->buckets.entries_count, 100);
    entry_release(world->entries[55]);
    world->entries[55] = newer;
}

static void see(void *context, struct entry *entry)
{
    struct world *world = context;
    world->seen_count[number_of(entry)]++;
}

static void a_walk_sees_each_entry_once_while_the_map_grows(void **state)
{
    struct world *world = *state;
    size_t next = 0;
    for (; next < 500; next++)
        insert(world, next);
    const uint32_t bits_before = world->buckets.now.bits;
    uint64_t position = 0;
    do {
        const uint64_t width = buckets_width(&world->buckets, position);
        buckets_visit(&world->buckets, position, see, world);
        position += width;
        for (size_t i = 0; i < 20 && next < ENTRIES_MAX; i++, next++)
            insert(world, next);
    } while (position != 0);
    assert_true(world->buckets.now.bits >= bits_before + 2);
    for (size_t i = 0; i < next; i++) {
        if (i < 500)
            assert_int_equal(world->seen_count[i], 1);
        assert_true(world->seen_count[i] <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_are_found_at_every_stage_of_growth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_inserts_and_removals_agree_with_a_list, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_crowd_in_one_bucket_chains_and_survives_growth, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_replaced_entry_is_found_in_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_walk_sees_each_entry_once_while_the_map_grows, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
