/*
 * Goal: of a namespace over its budget the oldest goes, what has been asked for gets a second
 * chance, and what is gone already costs nothing for ever. Method: a store of one stripe, entries
 * of one size.
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
};

static int open_world(void **state)
{
    static struct world world;
    const struct store_options options = {
        .memory_bytes = 64 << 20, .stripes_count = 1, .answer_max = 1 << 20};
    world = (struct world){NULL, NULL};
    *state = &world;
    return store_create(&options, &world.store) == STATUS_OK &&
                   quota_create(&world.quota) == STATUS_OK
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
                                        .created_ms = 1,
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
    assert_int_equal(store_find(world->store, &id, 1, STORE_COUNT_HIT, &hit), STORE_FOUND);
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

static void what_was_asked_for_gets_a_second_chance(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 3; i++)
        put(world, i);
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
    for (unsigned i = 0; i < 3; i++)
        ask(world, i);
    assert_next(world, 0);
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
        TEST(what_was_asked_for_gets_a_second_chance),
        TEST(all_asked_for_still_leaves_one_to_go),
        TEST(what_is_gone_or_replaced_is_passed_over),
        TEST(one_entry_that_is_always_replaced_stays_one),
        TEST(a_pinned_entry_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
