/*
 * Goal: what was added is found until it is removed, nothing is added twice, and the table refuses when it is
 * full. Method: numbered items; a hash that makes all of them collide; threads that add the same
 * items at once.
 */
#include "cache/registry.h"

#include <stdlib.h>

#include "base/thread.h"
#include "tests/support/unit.h"

struct numbered {
    struct registry_item item;
    uint64_t number;
};

static bool has_number(const void *context, const struct registry_item *item)
{
    return ((const struct numbered *)item)->number == *(const uint64_t *)context;
}

static struct numbered *find(const struct registry *registry, uint64_t hash, uint64_t number)
{
    return (struct numbered *)registry_find(registry, hash, has_number, &number);
}

static struct registry *create(uint32_t items_max)
{
    struct registry *registry = NULL;
    assert_int_equal(registry_create(items_max, LOCK_RANK_NAMESPACES, &registry), STATUS_OK);
    return registry;
}

static void items_that_collide_are_all_found(void **state)
{
    (void)state;
    struct registry *registry = create(100);
    static struct numbered items[100];
    for (uint64_t i = 0; i < 100; i++) {
        items[i] = (struct numbered){{.hash = 7}, i};
        assert_null(find(registry, 7, i));
        assert_ptr_equal(registry_add(registry, &items[i].item, has_number, &i), &items[i]);
    }
    for (uint64_t i = 0; i < 100; i++)
        assert_ptr_equal(find(registry, 7, i), &items[i]);
    assert_null(find(registry, 8, 1));
    registry_destroy(&registry);
    assert_null(registry);
    registry_destroy(&registry);
}

static void the_first_one_stays(void **state)
{
    (void)state;
    struct registry *registry = create(4);
    struct numbered first = {{.hash = 1}, 5}, second = {{.hash = 1}, 5};
    const uint64_t number = 5;
    assert_ptr_equal(registry_add(registry, &first.item, has_number, &number), &first);
    assert_ptr_equal(registry_add(registry, &second.item, has_number, &number), &first);
    registry_destroy(&registry);
}

static void a_full_table_refuses_new_items_and_keeps_the_old(void **state)
{
    (void)state;
    struct registry *registry = create(3);
    static struct numbered items[4];
    for (uint64_t i = 0; i < 4; i++) {
        items[i] = (struct numbered){{.hash = i * 1000}, i};
        struct registry_item *there = registry_add(registry, &items[i].item, has_number, &i);
        assert_ptr_equal(there, i < 3 ? &items[i].item : NULL);
        assert_int_equal(registry_is_full(registry), i >= 2);
    }
    assert_ptr_equal(find(registry, 1000, 1), &items[1]);
    assert_null(find(registry, 3000, 3));
    registry_destroy(&registry);
}

static void sum_up(void *context, struct registry_item *item)
{
    *(uint64_t *)context += ((struct numbered *)item)->number;
}

static void each_item_is_visited_once(void **state)
{
    (void)state;
    struct registry *registry = create(10);
    static struct numbered items[10];
    for (uint64_t i = 0; i < 10; i++) {
        items[i] = (struct numbered){{.hash = i * i}, (uint64_t)1 << (2 * i)};
        (void)registry_add(registry, &items[i].item, has_number, &items[i].number);
    }
    uint64_t sum = 0;
    registry_each(registry, sum_up, &sum);
    assert_int_equal(sum, 0x55555);
    registry_destroy(&registry);
}

/* All collide. */
static void a_removed_item_is_gone_and_its_neighbours_stay(void **state)
{
    (void)state;
    struct registry *registry = create(8);
    static struct numbered items[8];
    for (uint64_t i = 0; i < 8; i++) {
        items[i] = (struct numbered){{.hash = 3}, i};
        (void)registry_add(registry, &items[i].item, has_number, &i);
    }
    for (uint64_t i = 0; i < 8; i += 2)
        registry_remove(registry, &items[i].item);
    for (uint64_t i = 0; i < 8; i++)
        assert_ptr_equal(find(registry, 3, i), i % 2 == 0 ? NULL : &items[i]);
    for (uint64_t i = 0; i < 8; i += 2)
        assert_ptr_equal(registry_add(registry, &items[i].item, has_number, &i), &items[i].item);
    for (uint64_t i = 0; i < 8; i++)
        assert_ptr_equal(find(registry, 3, i), &items[i]);
    registry_destroy(&registry);
}

static void names_that_come_and_go_never_fill_the_table(void **state)
{
    (void)state;
    struct registry *registry = create(4);
    struct numbered stays = {{.hash = 1}, 1};
    uint64_t number = 1;
    (void)registry_add(registry, &stays.item, has_number, &number);
    for (uint64_t i = 2; i < 10000; i++) {
        struct numbered passing = {{.hash = i * 0x9e3779b97f4a7c15u}, i};
        assert_ptr_equal(registry_add(registry, &passing.item, has_number, &i), &passing);
        registry_remove(registry, &passing.item);
        assert_null(find(registry, passing.item.hash, i));
    }
    assert_ptr_equal(find(registry, 1, 1), &stays);
    registry_destroy(&registry);
}

enum { THREADS = 4, NUMBERS = 2000 };

struct race {
    struct registry *registry;
    struct numbered items[THREADS][NUMBERS];
    struct registry_item *winners[THREADS][NUMBERS];
};

struct racer {
    struct race *race;
    int which;
};

static void add_all(void *argument)
{
    const struct racer *racer = argument;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        struct numbered *mine = &racer->race->items[racer->which][i];
        *mine = (struct numbered){{.hash = i % 97}, i};
        racer->race->winners[racer->which][i] =
            registry_add(racer->race->registry, &mine->item, has_number, &i);
    }
}

static void threads_that_add_the_same_agree_on_one(void **state)
{
    (void)state;
    static struct race race;
    static struct racer racers[THREADS];
    struct thread *threads[THREADS];
    race.registry = create(NUMBERS);
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){&race, i};
        assert_int_equal(thread_create(THREAD_OTHER, "adder", add_all, &racers[i], &threads[i]),
                         STATUS_OK);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    for (uint64_t number = 0; number < NUMBERS; number++) {
        for (int i = 0; i < THREADS; i++)
            assert_ptr_equal(race.winners[i][number], find(race.registry, number % 97, number));
    }
    registry_destroy(&race.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_that_collide_are_all_found),
        cmocka_unit_test(the_first_one_stays),
        cmocka_unit_test(a_full_table_refuses_new_items_and_keeps_the_old),
        cmocka_unit_test(each_item_is_visited_once),
        cmocka_unit_test(a_removed_item_is_gone_and_its_neighbours_stay),
        cmocka_unit_test(names_that_come_and_go_never_fill_the_table),
        cmocka_unit_test(threads_that_add_the_same_agree_on_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
