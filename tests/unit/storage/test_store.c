/*
 * Goal: the rules that the floors above rely on: expiry, budgets, replacement, refusal, counts and
 * reports. Method: one store, mostly of one stripe so that shares are whole budgets; the clock is a
 * number; a listener writes down every death.
 */
#include "storage/store.h"

#include "base/lock.h"
#include "storage/entry_block.h"
#include "tests/unit/storage/make_entry.h"
#include "tests/unit/storage/plain_store.h"

enum { DEATHS_MAX = 20000 };

struct world {
    struct store *store;
    size_t deaths_count;
    struct {
        uint64_t number, sequence;
        enum store_death why;
    } deaths[DEATHS_MAX];
    bool was_locked; /* a listener was called under a lock of ours */
};

static void died(void *context, const struct entry *entry, enum store_death why)
{
    struct world *world = context;
    assert_true(world->deaths_count < DEATHS_MAX);
    world->deaths[world->deaths_count].number = number_of(entry);
    world->deaths[world->deaths_count].sequence = entry_sequence(entry);
    world->deaths[world->deaths_count].why = why;
    world->deaths_count++;
    world->was_locked |= !lock_none_held();
    struct store_hit hit; /* it may read the store */
    if (store_find(world->store, entry_digest(entry), 0, STORE_PEEK, &hit) == STORE_FOUND)
        entry_release(hit.entry);
}

static struct world *world_create(uint64_t memory_bytes, uint32_t entries_max, uint32_t stripes)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    const struct store_options options = {.memory_bytes = memory_bytes,
                                          .entries_max = entries_max,
                                          .stripes_count = stripes,
                                          .answer_max = 4096,
                                          .hash_key = {1, 2, 3},
                                          .died = died,
                                          .died_context = world};
    assert_int_equal(store_create(&options, &world->store), STATUS_OK);
    return world;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    const size_t deaths_before = world->deaths_count;
    store_destroy(&world->store);
    store_destroy(&world->store);                         /* NULL by now */
    assert_int_equal(world->deaths_count, deaths_before); /* it reports nothing */
    assert_false(world->was_locked);
    free(world);
    return 0;
}

static int set_up_roomy(void **state)
{
    *state = world_create(64 << 20, 0, 4);
    return 0;
}

static int set_up_ten(void **state)
{
    *state = world_create(64 << 20, 10, 1);
    return 0;
}

static int set_up_hundred_kib(void **state)
{
    *state = world_create(100 << 10, 0, 1);
    return 0;
}

static enum status set_sized(struct world *world, uint64_t number, size_t answer_bytes,
                             int64_t expires_ms, int64_t now_ms,
                             struct store_set_result *out_result)
{
    struct entry *entry = make_entry(number, answer_bytes, expires_ms);
    const enum status status = store_set(world->store, entry, NULL, NULL, now_ms, out_result);
    entry_release(entry);
    return status;
}

static struct store_set_result set(struct world *world, uint64_t number, int64_t expires_ms)
{
    struct store_set_result result;
    assert_int_equal(set_sized(world, number, 64, expires_ms, 0, &result), STATUS_OK);
    return result;
}

static enum store_found find(struct world *world, uint64_t number, int64_t now_ms,
                             enum store_touch touch)
{
    const struct digest digest = digest_number(number);
    struct store_hit hit;
    const enum store_found found = store_find(world->store, &digest, now_ms, touch, &hit);
    if (found == STORE_FOUND) {
        assert_int_equal(number_of(hit.entry), number);
        entry_release(hit.entry);
    }
    return found;
}

static bool has(struct world *world, uint64_t number)
{
    return find(world, number, 0, STORE_PEEK) == STORE_FOUND;
}

static struct store_stats stats_of(const struct world *world)
{
    struct store_stats stats;
    store_stats(world->store, &stats);
    return stats;
}

static void expect_death(const struct world *world, size_t which, uint64_t number,
                         enum store_death why)
{
    assert_true(which < world->deaths_count);
    assert_int_equal(world->deaths[which].number, number);
    assert_int_equal(world->deaths[which].why, why);
}

static void what_was_set_is_found_with_its_expiry_and_sequence(void **state)
{
    struct world *world = *state;
    const struct store_set_result result = set(world, 1, 5000);
    const struct digest digest = digest_number(1);
    struct store_hit hit;
    assert_false(result.replaced);
    assert_int_equal(result.sequence, 1);
    assert_int_equal(store_find(world->store, &digest, 0, STORE_PEEK, &hit), STORE_FOUND);
    assert_int_equal(hit.expires_ms, 5000);
    assert_int_equal(hit.hits_count, 0);
    assert_int_equal(entry_sequence(hit.entry), 1);
    entry_release(hit.entry);
    assert_int_equal(find(world, 2, 0, STORE_PEEK), STORE_ABSENT);
}

static void an_entry_expires_to_the_millisecond_and_a_read_removes_nothing(void **state)
{
    struct world *world = *state;
    (void)set(world, 1, 1000);
    assert_int_equal(find(world, 1, 999, STORE_COUNT_HIT), STORE_FOUND);
    assert_int_equal(find(world, 1, 1000, STORE_COUNT_HIT), STORE_PAST_EXPIRY);
    assert_int_equal(find(world, 1, 1001, STORE_COUNT_HIT), STORE_PAST_EXPIRY);
    assert_int_equal(stats_of(world).entries, 1);
    assert_int_equal(world->deaths_count, 0);
}

static void the_first_bytes_of_a_digest_find_its_entry(void **state)
{
    struct world *world = *state;
    struct store_hit hit;
    for (uint64_t i = 0; i < 3000; i++)
        (void)set(world, i, i == 7 ? 10 : 0);
    for (uint64_t i = 0; i < 3000; i++) {
        const struct digest digest = digest_number(i);
        const enum store_found found = store_find_prefix(world->store, digest.bytes, 10, &hit);
        assert_int_equal(found, i == 7 ? STORE_PAST_EXPIRY : STORE_FOUND);
        if (found != STORE_FOUND)
            continue;
        assert_int_equal(number_of(hit.entry), i);
        assert_int_equal(hit.hits_count, 0); /* not counted */
        entry_release(hit.entry);
    }
    struct digest absent = digest_number(1);
    absent.bytes[7] ^= 1;
    assert_int_equal(store_find_prefix(world->store, absent.bytes, 0, &hit), STORE_ABSENT);
    absent = digest_number(1);
    memset(absent.bytes + 8, 0, DIGEST_BYTES - 8); /* what follows does not matter */
    assert_int_equal(store_find_prefix(world->store, absent.bytes, 0, &hit), STORE_FOUND);
    entry_release(hit.entry);
}

static void an_entry_without_expiry_stays_for_ever(void **state)
{
    struct world *world = *state;
    (void)set(world, 1, 0);
    assert_int_equal(find(world, 1, INT64_MAX, STORE_PEEK), STORE_FOUND);
    for (unsigned tick = 0; tick < 700; tick++)
        assert_int_equal(store_sweep(world->store, INT64_MAX), 0);
    assert_true(has(world, 1));
}

static void only_counted_finds_raise_the_hit_count(void **state)
{
    struct world *world = *state;
    (void)set(world, 1, 0);
    const struct digest digest = digest_number(1);
    struct store_hit hit;
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(store_find(world->store, &digest, 0, STORE_COUNT_HIT, &hit), STORE_FOUND);
        assert_int_equal(hit.hits_count, i);
        entry_release(hit.entry);
        assert_int_equal(store_find(world->store, &digest, 0, STORE_PEEK, &hit), STORE_FOUND);
        assert_int_equal(hit.hits_count, i);
        entry_release(hit.entry);
    }
}

static void the_hit_count_stops_at_its_largest_value(void **state)
{
    struct world *world = *state;
    (void)set(world, 1, 0);
    const struct digest digest = digest_number(1);
    struct store_hit hit;
    assert_int_equal(store_find(world->store, &digest, 0, STORE_PEEK, &hit), STORE_FOUND);
    hit.entry->hits_count = UINT32_MAX - 1; /* four thousand million finds would take too long */
    entry_release(hit.entry);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_find(world->store, &digest, 0, STORE_COUNT_HIT, &hit), STORE_FOUND);
        assert_int_equal(hit.hits_count, UINT32_MAX);
        entry_release(hit.entry);
    }
}

static void a_second_set_replaces_the_first_and_reports_it(void **state)
{
    struct world *world = *state;
    (void)set(world, 1, 0);
    (void)find(world, 1, 0, STORE_COUNT_HIT);
    const struct store_set_result result = set(world, 1, 0);
    assert_true(result.replaced);
    assert_int_equal(result.sequence, 2);
    assert_int_equal(world->deaths_count, 1);
    expect_death(world, 0, 1, STORE_REPLACED);
    assert_int_equal(world->deaths[0].sequence, 1);
    const struct digest digest = digest_number(1);
    struct store_hit hit;
    assert_int_equal(store_find(world->store, &digest, 0, STORE_COUNT_HIT, &hit), STORE_FOUND);
    assert_int_equal(entry_sequence(hit.entry), 2);
    assert_int_equal(hit.hits_count, 1); /* hits belong to an entry, not to a digest */
    entry_release(hit.entry);
    assert_int_equal(stats_of(world).replacements, 1);
}

static void what_takes_the_place_of_an_expired_entry_replaces_nothing(void **state)
{
    struct world *world = *state;
    (void)set(world, 1, 1000);
    struct store_set_result result;
    assert_int_equal(set_sized(world, 1, 64, 0, 1000, &result), STATUS_OK);
    assert_false(result.replaced);
    expect_death(world, 0, 1, STORE_EXPIRED);
    assert_int_equal(stats_of(world).expirations, 1);
}

static bool has_scope(void *context, const struct entry *entry)
{
    const uint8_t *scope = context;
    return memcmp(entry_scope(entry), scope, ENTRY_ID_BYTES) == 0;
}

static void a_deletion_is_reported_and_asks_for_the_right_scope(void **state)
{
    struct world *world = *state;
    const uint8_t foreign[ENTRY_ID_BYTES] = {3};
    const uint8_t own[ENTRY_ID_BYTES] = {1};
    const struct digest digest = digest_number(1);
    (void)set(world, 1, 0);
    assert_false(delete_plainly(world->store, &digest, has_scope, (void *)foreign));
    assert_true(has(world, 1));
    assert_true(delete_plainly(world->store, &digest, has_scope, (void *)own));
    assert_false(delete_plainly(world->store, &digest, NULL, NULL));
    assert_int_equal(world->deaths_count, 1);
    expect_death(world, 0, 1, STORE_DELETED);
    (void)set(world, 1, 1); /* expired long ago for whoever reads now */
    assert_true(delete_plainly(world->store, &digest, NULL, NULL));
    assert_int_equal(stats_of(world).deletions, 2);
    assert_int_equal(stats_of(world).size_bytes, 0);
}

static void the_limit_on_entries_holds_and_the_oldest_goes(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 15; i++) {
        (void)set(world, i, 0);
        assert_true(stats_of(world).entries <= 10);
    }
    assert_int_equal(world->deaths_count, 5);
    for (uint64_t i = 0; i < 5; i++)
        expect_death(world, i, i, STORE_EVICTED);
    for (uint64_t i = 0; i < 15; i++)
        assert_int_equal(has(world, i), i >= 5);
    assert_int_equal(stats_of(world).evictions, 5);
}

static void who_is_asked_for_twice_outlives_the_others(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 10; i++)
        (void)set(world, i, 0);
    for (unsigned i = 0; i < 2; i++)
        (void)find(world, 0, 0, STORE_COUNT_HIT);
    for (unsigned i = 0; i < 20; i++)
        (void)find(world, 1, 0, STORE_PEEK); /* a peek earns nothing */
    for (uint64_t i = 10; i < 30; i++)
        (void)set(world, i, 0);
    assert_true(has(world, 0));
    assert_false(has(world, 1));
}

static void a_returning_key_enters_main_and_outlives_a_scan(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 11; i++)
        (void)set(world, i, 0);
    assert_false(has(world, 0));
    (void)set(world, 0, 0);
    for (uint64_t i = 100; i < 200; i++)
        (void)set(world, i, 0);
    assert_true(has(world, 0));
}

/* One is asked for three times, then others come, each asked for once: whoever counts keeps the
 * first, whoever looks at the last use alone lets it go. */
static bool keeps_its_favourite(const char *policy)
{
    const struct store_options options = {.memory_bytes = 64 << 20,
                                          .entries_max = 10,
                                          .stripes_count = 1,
                                          .answer_max = 4096,
                                          .rule = store_evict_rule(policy)};
    struct world world = {.store = NULL};
    assert_int_equal(store_create(&options, &world.store), STATUS_OK);
    for (uint64_t i = 0; i < 10; i++)
        (void)set(&world, i, 0);
    for (int i = 0; i < 3; i++)
        (void)find(&world, 0, 0, STORE_COUNT_HIT);
    for (uint64_t i = 10; i < 22; i++)
        (void)set(&world, i, 0);
    const bool kept = has(&world, 0);
    store_destroy(&world.store);
    return kept;
}

static void the_rule_that_is_chosen_says_who_goes(void **state)
{
    (void)state;
    assert_true(keeps_its_favourite("s3fifo"));
    assert_true(keeps_its_favourite("lfu_aging"));
    assert_false(keeps_its_favourite("lru"));
}

static void replacing_in_a_full_store_evicts_nobody(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 10; i++)
        (void)set(world, i, 0);
    for (uint64_t i = 0; i < 10; i++)
        assert_true(set(world, i, 0).replaced);
    assert_int_equal(stats_of(world).evictions, 0);
    assert_int_equal(stats_of(world).entries, 10);
    assert_int_equal(world->deaths_count, 10);
}

static uint64_t fill_with_answers_of(struct world *world, size_t answer_bytes)
{
    uint64_t number = 0;
    struct store_set_result result;
    for (; world->deaths_count == 0; number++)
        assert_int_equal(set_sized(world, number, answer_bytes, 0, 0, &result), STATUS_OK);
    world->deaths_count = 0;
    return number;
}

static void the_limit_on_bytes_holds_at_every_step(void **state)
{
    struct world *world = *state;
    uint64_t chance = 11;
    struct store_set_result result;
    for (unsigned i = 0; i < 3000; i++) {
        const size_t answer_bytes = 8 + next_random(&chance) % 4000;
        const uint64_t number = next_random(&chance) % 200;
        assert_int_equal(set_sized(world, number, answer_bytes, 0, 0, &result), STATUS_OK);
        const struct store_stats stats = stats_of(world);
        assert_true(stats.size_bytes <= 100 << 10);
        assert_int_equal(stats.bytes_max, 100 << 10);
        assert_true(has(world, number));
    }
    assert_true(stats_of(world).size_bytes > 90 << 10);
}

static void a_replacement_that_is_not_larger_evicts_nobody_in_a_full_store(void **state)
{
    struct world *world = *state;
    const uint64_t last = fill_with_answers_of(world, 1000) - 1;
    struct store_set_result result;
    assert_int_equal(set_sized(world, last, 1000, 0, 0, &result), STATUS_OK);
    assert_int_equal(set_sized(world, last, 500, 0, 0, &result), STATUS_OK);
    assert_true(result.replaced);
    assert_int_equal(world->deaths_count, 2);
    expect_death(world, 0, last, STORE_REPLACED);
    expect_death(world, 1, last, STORE_REPLACED);
}

static void a_larger_replacement_evicts_others_and_keeps_its_key(void **state)
{
    struct world *world = *state;
    const uint64_t count = fill_with_answers_of(world, 1000);
    struct store_set_result result;
    uint64_t evicted = stats_of(world).evictions;
    for (uint64_t number = count - 1; number > count - 10; number--) {
        assert_int_equal(set_sized(world, number, 4000, 0, 0, &result), STATUS_OK);
        assert_true(result.replaced);
        assert_true(has(world, number));
        evicted += result.evicted;
    }
    struct store_stats stats = stats_of(world);
    assert_int_equal(stats.evictions, evicted);
    assert_int_equal(stats.replacements, 9);
    assert_true(stats.evictions > 9);
    uint64_t oldest = 0;
    while (!has(world, oldest))
        oldest++;
    assert_int_equal(set_sized(world, oldest, 4000, 0, 0, &result), STATUS_OK);
    assert_true(result.replaced); /* although it was itself the first to go */
    stats = stats_of(world);
    assert_int_equal(stats.replacements, 10);
    assert_true(has(world, oldest));
}

static void too_large_an_answer_is_refused_and_the_key_keeps_what_it_had(void **state)
{
    struct world *world = *state;
    struct store_set_result result = {.sequence = 77};
    const struct store_set_result before = set(world, 1, 0);
    assert_int_equal(set_sized(world, 1, 4097, 0, 0, &result), STATUS_ENTRY_TOO_LARGE);
    assert_int_equal(result.sequence, 77);
    assert_int_equal(set_sized(world, 2, 4097, 0, 0, &result), STATUS_ENTRY_TOO_LARGE);
    assert_true(has(world, 1));
    assert_false(has(world, 2));
    assert_int_equal(world->deaths_count, 0);
    assert_int_equal(stats_of(world).sequence, before.sequence);
    assert_int_equal(set_sized(world, 1, 4096, 0, 0, &result), STATUS_OK);
}

static void an_entry_over_an_eighth_of_the_share_is_refused(void **state)
{
    (void)state;
    struct world *world = world_create(16 << 10, 0, 1);
    struct store_set_result result;
    assert_int_equal(set_sized(world, 1, 1700, 0, 0, &result), STATUS_OK);
    assert_int_equal(set_sized(world, 1, 2048, 0, 0, &result), STATUS_ENTRY_TOO_LARGE);
    assert_true(has(world, 1));
    void *own_state = world;
    (void)tear_down(&own_state);
}

static void the_sweep_gives_all_memory_back_within_one_turn(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 3000; i++)
        (void)set(world, i, i % 2 == 0 ? 1000 : 0);
    for (unsigned tick = 0; tick < 700; tick++)
        assert_int_equal(store_sweep(world->store, 999), 0);
    uint64_t removed_count = 0;
    for (unsigned tick = 0; tick < 600; tick++)
        removed_count += store_sweep(world->store, 1000 + tick);
    assert_int_equal(removed_count, 1500);
    assert_int_equal(stats_of(world).entries, 1500);
    assert_int_equal(stats_of(world).expirations, 1500);
    assert_int_equal(world->deaths_count, 1500);
    for (size_t i = 0; i < 1500; i++) {
        assert_int_equal(world->deaths[i].why, STORE_EXPIRED);
        assert_int_equal(world->deaths[i].number % 2, 0);
    }
}

static void a_flood_of_expired_entries_is_swept_in_a_fraction_of_a_turn(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 10000; i++)
        (void)set(world, i, 1000);
    unsigned ticks = 0;
    for (; stats_of(world).entries > 0; ticks++)
        (void)store_sweep(world->store, 1000);
    assert_in_range(ticks, 600 / 32, 600 / 4);
}

static void counts_see_living_entries_of_a_scope(void **state)
{
    struct world *world = *state;
    uint8_t scope[ENTRY_ID_BYTES] = {2};
    for (uint64_t i = 0; i < 1000; i++)
        (void)set(world, i, i < 500 ? 1000 : 0);
    assert_int_equal(store_count(world->store, 999, NULL, NULL), 1000);
    assert_int_equal(store_count(world->store, 1000, NULL, NULL), 500);
    assert_int_equal(store_count(world->store, 999, has_scope, scope), 250);
    assert_int_equal(store_count(world->store, 1000, has_scope, scope), 125);
    assert_int_equal(world->deaths_count, 0);
}

static void a_purge_removes_what_matches_and_nothing_else(void **state)
{
    struct world *world = *state;
    uint8_t scope[ENTRY_ID_BYTES] = {2};
    for (uint64_t i = 0; i < 1000; i++)
        (void)set(world, i, i < 500 ? 1 : 0);
    assert_int_equal(purge_plainly(world->store, has_scope, scope), 250); /* the expired ones too */
    assert_int_equal(world->deaths_count, 250);
    for (size_t i = 0; i < 250; i++) {
        assert_int_equal(world->deaths[i].why, STORE_PURGED);
        assert_int_equal(world->deaths[i].number % 4, 2);
    }
    assert_int_equal(stats_of(world).entries, 750);
    assert_int_equal(purge_plainly(world->store, NULL, NULL), 750);
    assert_int_equal(stats_of(world).size_bytes, 0);
    assert_int_equal(stats_of(world).deletions, 1000);
}

static bool says_yes(void *context, const struct entry *entry)
{
    (void)entry;
    (*(uint64_t *)context)++;
    return true;
}

/* More than one hold may remove lie in one bucket: the rest waits unasked. */
static void a_purge_asks_each_entry_that_it_removes_once(void **state)
{
    struct world *world = *state;
    uint64_t yeses = 0;
    for (uint64_t i = 0; i < 20000; i++)
        (void)set(world, i, 0);
    assert_int_equal(purge_plainly(world->store, says_yes, &yeses), 20000);
    assert_int_equal(yeses, 20000);
}

static void many_entries_stay_findable_while_the_table_grows(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 20000; i++) {
        (void)set(world, i, 0);
        assert_true(has(world, i / 2));
    }
    for (uint64_t i = 0; i < 20000; i++)
        assert_true(has(world, i));
    assert_int_equal(world->deaths_count, 0);
}

static void a_borrowed_answer_outlives_its_entry_in_the_table(void **state)
{
    struct world *world = *state;
    (void)set(world, 5, 0);
    const struct digest digest = digest_number(5);
    struct store_hit hit;
    assert_int_equal(store_find(world->store, &digest, 0, STORE_PEEK, &hit), STORE_FOUND);
    assert_true(delete_plainly(world->store, &digest, NULL, NULL));
    assert_int_equal(number_of(hit.entry), 5);
    entry_release(hit.entry);
}

static void the_shares_of_the_stripes_add_up_to_the_budgets(void **state)
{
    (void)state;
    struct world *world = world_create(64 << 20, 1027, 4);
    for (uint64_t i = 0; i < 5000; i++)
        (void)set(world, i, 0);
    const struct store_stats stats = stats_of(world);
    assert_int_equal(stats.entries, 1027);
    assert_int_equal(stats.entries_max, 1027);
    assert_int_equal(stats.bytes_max, 64 << 20);
    assert_int_equal(stats.sets, 5000);
    assert_int_equal(stats.evictions, 5000 - 1027);
    void *own_state = world;
    (void)tear_down(&own_state);
}

static void the_options_are_four_and_memory_has_a_standard(void **state)
{
    (void)state;
    assert_int_equal(store_option_rows_count, 4);
    assert_string_equal(store_option_rows[0].name, "storage.memory");
    assert_string_equal(store_option_rows[0].standard, "");
    assert_true(store_memory_standard() > 1 << 20);
}

#define ROOMY(name) cmocka_unit_test_setup_teardown(name, set_up_roomy, tear_down)
#define TEN(name)   cmocka_unit_test_setup_teardown(name, set_up_ten, tear_down)
#define TIGHT(name) cmocka_unit_test_setup_teardown(name, set_up_hundred_kib, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOMY(what_was_set_is_found_with_its_expiry_and_sequence),
        ROOMY(an_entry_expires_to_the_millisecond_and_a_read_removes_nothing),
        ROOMY(the_first_bytes_of_a_digest_find_its_entry),
        ROOMY(an_entry_without_expiry_stays_for_ever),
        ROOMY(only_counted_finds_raise_the_hit_count),
        ROOMY(the_hit_count_stops_at_its_largest_value),
        ROOMY(a_second_set_replaces_the_first_and_reports_it),
        ROOMY(what_takes_the_place_of_an_expired_entry_replaces_nothing),
        ROOMY(a_deletion_is_reported_and_asks_for_the_right_scope),
        TEN(the_limit_on_entries_holds_and_the_oldest_goes),
        TEN(who_is_asked_for_twice_outlives_the_others),
        TEN(a_returning_key_enters_main_and_outlives_a_scan),
        cmocka_unit_test(the_rule_that_is_chosen_says_who_goes),
        TEN(replacing_in_a_full_store_evicts_nobody),
        TIGHT(the_limit_on_bytes_holds_at_every_step),
        TIGHT(a_replacement_that_is_not_larger_evicts_nobody_in_a_full_store),
        TIGHT(a_larger_replacement_evicts_others_and_keeps_its_key),
        ROOMY(too_large_an_answer_is_refused_and_the_key_keeps_what_it_had),
        cmocka_unit_test(an_entry_over_an_eighth_of_the_share_is_refused),
        ROOMY(the_sweep_gives_all_memory_back_within_one_turn),
        ROOMY(a_flood_of_expired_entries_is_swept_in_a_fraction_of_a_turn),
        ROOMY(counts_see_living_entries_of_a_scope),
        ROOMY(a_purge_removes_what_matches_and_nothing_else),
        ROOMY(a_purge_asks_each_entry_that_it_removes_once),
        ROOMY(many_entries_stay_findable_while_the_table_grows),
        ROOMY(a_borrowed_answer_outlives_its_entry_in_the_table),
        cmocka_unit_test(the_shares_of_the_stripes_add_up_to_the_budgets),
        cmocka_unit_test(the_options_are_four_and_memory_has_a_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
