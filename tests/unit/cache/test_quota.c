/*
 * Goal (quota.c, quota_order.c): of a namespace over its budget goes who has to by each rule, and
 * what is gone already costs nothing for ever. Method: a store of one stripe, entries of one size,
 * a clock turned by hand; a plain model of each rule beside it.
 */
#include "cache/quota.h"

#include <string.h>

#include "base/digest.h"
#include "base/thread.h"
#include "storage/entry.h"
#include "tests/support/unit.h"

struct world {
    struct store *store;
    struct quota *quota;
    int64_t now_ms;
};

static int open_world(void **state)
{
    static struct world world;
    const struct store_options options = {
        .memory_bytes = 64 << 20, .stripes_count = 1, .answer_max = 1 << 20};
    world = (struct world){.now_ms = 1000};
    *state = &world;
    return store_create(&options, &world.store) == STATUS_OK &&
                   quota_create(EVICTION_S3FIFO, &world.quota) == STATUS_OK
               ? 0
               : -1;
}

static int close_world(void **state)
{
    struct world *world = *state;
    quota_destroy(&world->quota);
    quota_destroy(&world->quota); /* NULL by now */
    store_destroy(&world->store);
    return 0;
}

static struct digest id_of(unsigned number)
{
    return digest_sha256(&number, sizeof(number));
}

static void put_marked(struct world *world, unsigned number, uint8_t marks)
{
    const struct entry_source source = {.digest = id_of(number),
                                        .answer = TEXT("a"),
                                        .prompt = TEXT("p"),
                                        .created_ms = ++world->now_ms,
                                        .marks = marks};
    struct entry *entry = NULL;
    struct store_set_result result;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    assert_int_equal(store_set(world->store, entry, NULL, NULL, 1, &result), STATUS_OK);
    assert_int_equal(quota_note(world->quota, entry_digest(entry), result.sequence, world->store),
                     STATUS_OK);
    entry_release(entry);
}

static void put(struct world *world, unsigned number)
{
    put_marked(world, number, 0);
}

static void ask(struct world *world, unsigned number)
{
    struct store_hit hit;
    const struct digest id = id_of(number);
    assert_int_equal(store_find(world->store, &id, ++world->now_ms, STORE_COUNT_HIT, &hit),
                     STORE_FOUND);
    entry_release(hit.entry);
}

static void assert_next(struct world *world, unsigned number)
{
    struct quota_victim victim;
    const struct digest id = id_of(number);
    assert_true(quota_victim(world->quota, world->store, &victim));
    assert_true(digest_equal(&victim.id, &id));
}

static void the_oldest_goes_first(void **state)
{
    struct world *world = *state;
    struct quota_victim victim;
    assert_false(quota_victim(world->quota, world->store, &victim));
    for (unsigned i = 0; i < 200; i++)
        put(world, i);
    for (unsigned i = 0; i < 200; i++)
        assert_next(world, i);
    assert_false(quota_victim(world->quota, world->store, &victim));
}

static void what_was_asked_for_twice_stays_longer(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 3; i++)
        put(world, i);
    ask(world, 0);
    ask(world, 0);
    assert_next(world, 1);
    assert_next(world, 2);
    assert_next(world, 0);
}

static void all_asked_for_still_leaves_one_to_go(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 3; i++)
        put(world, i);
    for (unsigned i = 0; i < 12; i++)
        ask(world, i % 3);
    assert_next(world, 0);
}

static void what_left_and_comes_again_enters_behind_the_scan(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 20; i++)
        put(world, i);
    assert_next(world, 0);
    const struct digest first = id_of(0);
    bool was_there = false;
    assert_int_equal(store_delete(world->store, &first, NULL, NULL, NULL, &was_there), STATUS_OK);
    put(world, 0); /* known to the ghost */
    for (unsigned i = 1; i < 19; i++)
        assert_next(world, i);
}

static void lru_names_the_one_that_was_used_longest_ago(void **state)
{
    struct world *world = *state;
    assert_int_equal(quota_change(world->quota, EVICTION_LRU, world->store), STATUS_OK);
    for (unsigned i = 0; i < 4; i++)
        put(world, i);
    ask(world, 2);
    ask(world, 0);
    put(world, 4);
    ask(world, 3);
    assert_next(world, 1);
    assert_next(world, 2);
    assert_next(world, 0);
    assert_next(world, 4);
    assert_next(world, 3);
}

static void lfu_names_the_one_that_was_asked_for_least(void **state)
{
    struct world *world = *state;
    assert_int_equal(quota_change(world->quota, EVICTION_LFU_AGING, world->store), STATUS_OK);
    for (unsigned i = 0; i < 4; i++)
        put(world, i);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned times = 0; times < 4 - i; times++)
            ask(world, i);
    }
    assert_next(world, 3);
    assert_next(world, 2);
    assert_next(world, 1);
    assert_next(world, 0);
}

/* What was asked for long ago weighs less than what is asked for now. */
static void hits_fade(void **state)
{
    struct world *world = *state;
    assert_int_equal(quota_change(world->quota, EVICTION_LFU_AGING, world->store), STATUS_OK);
    put(world, 0);
    for (unsigned times = 0; times < 8; times++)
        ask(world, 0);
    for (unsigned round = 1; round < 40; round++) {
        put(world, 2 * round);
        put(world, 2 * round + 1);
        ask(world, 2 * round + 1);
        struct quota_victim victim;
        assert_true(quota_victim(world->quota, world->store, &victim));
    }
    const struct digest first = id_of(0);
    struct quota_victim victim;
    bool has_left = true;
    while (quota_victim(world->quota, world->store, &victim))
        has_left &= !digest_equal(&victim.id, &first);
    assert_true(has_left);
}

static void another_rule_sees_what_was_done_before_it(void **state)
{
    struct world *world = *state;
    static const enum cache_eviction rules[] = {EVICTION_LRU, EVICTION_LFU_AGING, EVICTION_S3FIFO,
                                                EVICTION_LFU_AGING};
    for (unsigned i = 0; i < 300; i++)
        put(world, i);
    for (unsigned i = 0; i < 300; i++) {
        for (unsigned times = 0; times < i % 3; times++)
            ask(world, i);
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        assert_int_equal(quota_change(world->quota, rules[i], world->store), STATUS_OK);
    for (unsigned i = 0; i < 300; i += 3)
        assert_next(world, i);
}

static void what_is_gone_or_replaced_is_passed_over(void **state)
{
    struct world *world = *state;
    const struct digest first = id_of(0);
    for (unsigned i = 0; i < 3; i++)
        put(world, i);
    bool was_there = false;
    assert_int_equal(store_delete(world->store, &first, NULL, NULL, NULL, &was_there), STATUS_OK);
    put(world, 1); /* now the youngest */
    assert_next(world, 2);
    assert_next(world, 1);
}

/* The ring would hold a million of them; what it holds shows in what the heap gives up at the end.
 */
static void one_entry_that_is_always_replaced_stays_one(void **state)
{
    struct world *world = *state;
    struct quota_victim victim;
    for (unsigned i = 0; i < 100000; i++)
        put(world, 7);
    assert_next(world, 7);
    assert_false(quota_victim(world->quota, world->store, &victim));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

/* Knuth's MMIX constants */
static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

static unsigned model_least(const int64_t *used, unsigned count)
{
    unsigned least = 0;
    for (unsigned i = 1; i < count; i++) {
        if (used[i] != 0 && (used[least] == 0 || used[i] < used[least]))
            least = i;
    }
    return least;
}

static void lru_agrees_with_a_model_of_it(void **state)
{
    enum { KEYS = 100, HELD = 30 };
    struct world *world = *state;
    int64_t used[KEYS] = {0};
    unsigned held = 0;
    uint64_t seed = 5;
    assert_int_equal(quota_change(world->quota, EVICTION_LRU, world->store), STATUS_OK);
    for (unsigned i = 0; i < 20000; i++) {
        const unsigned key = next_random(&seed) % KEYS * (next_random(&seed) % KEYS) / KEYS;
        if (used[key] != 0) {
            ask(world, key);
        } else if (held == HELD) {
            const unsigned least = model_least(used, KEYS);
            const struct digest id = id_of(least);
            bool was_there = false;
            assert_next(world, least);
            assert_int_equal(store_delete(world->store, &id, NULL, NULL, NULL, &was_there),
                             STATUS_OK);
            used[least] = 0;
            put(world, key);
        } else {
            put(world, key);
            held++;
        }
        used[key] = world->now_ms;
    }
}

static void a_pinned_entry_stays(void **state)
{
    struct world *world = *state;
    struct quota_victim victim;
    put_marked(world, 1, ENTRY_PINNED);
    put(world, 2);
    assert_next(world, 2);
    assert_false(quota_victim(world->quota, world->store, &victim));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_oldest_goes_first),
        TEST(what_was_asked_for_twice_stays_longer),
        TEST(all_asked_for_still_leaves_one_to_go),
        TEST(what_is_gone_or_replaced_is_passed_over),
        TEST(one_entry_that_is_always_replaced_stays_one),
        TEST(what_left_and_comes_again_enters_behind_the_scan),
        TEST(lru_names_the_one_that_was_used_longest_ago),
        TEST(lfu_names_the_one_that_was_asked_for_least),
        TEST(hits_fade),
        TEST(another_rule_sees_what_was_done_before_it),
        TEST(lru_agrees_with_a_model_of_it),
        TEST(a_pinned_entry_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
