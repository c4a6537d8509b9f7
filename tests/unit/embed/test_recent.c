/*
 * Goal: what was embedded lately is found again, byte for byte, and the oldest gives way first.
 * Method: digests of numbers, vectors that tell whose they are; a long random run against a plain
 * list. Room: recent.
 */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

#include "embed/recent.h"

enum { DIMENSION = 3 };

static struct digest digest_of(uint32_t number)
{
    return digest_sha256(&number, sizeof(number));
}

static void insert(struct recent *recent, uint32_t number)
{
    const struct digest digest = digest_of(number);
    const float unit[DIMENSION] = {(float)number, 1, -(float)number};
    recent_insert(recent, &digest, unit);
}

static bool finds(const struct recent *recent, uint32_t number)
{
    const struct digest digest = digest_of(number);
    float unit[DIMENSION] = {0};
    const bool found = recent_find(recent, &digest, unit);
    if (found) {
        assert_true(unit[0] == (float)number);
        assert_true(unit[1] == 1);
        assert_true(unit[2] == -(float)number);
    } else {
        assert_true(unit[1] == 0); /* untouched */
    }
    return found;
}

static struct recent *create(uint32_t texts_max, uint64_t seed)
{
    struct recent *recent = NULL;
    assert_int_equal(recent_create(texts_max, DIMENSION, seed, &recent), STATUS_OK);
    return recent;
}

static void what_was_kept_is_found(void **state)
{
    (void)state;
    struct recent *recent = create(2, 1);
    assert_false(finds(recent, 1));
    insert(recent, 1);
    assert_true(finds(recent, 1));
    assert_false(finds(recent, 2));
    recent_destroy(&recent);
    assert_null(recent);
    recent_destroy(&recent);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    struct recent *recent = create(3, 1);
    for (uint32_t number = 0; number < 4; number++)
        insert(recent, number);
    assert_false(finds(recent, 0));
    for (uint32_t number = 1; number < 4; number++)
        assert_true(finds(recent, number));
    recent_destroy(&recent);
}

static void what_is_known_takes_no_second_place(void **state)
{
    (void)state;
    struct recent *recent = create(2, 1);
    insert(recent, 1);
    insert(recent, 2);
    insert(recent, 2);
    insert(recent, 2);
    assert_true(finds(recent, 1));
    assert_true(finds(recent, 2));
    recent_destroy(&recent);
}

static void no_room_remembers_nothing(void **state)
{
    (void)state;
    struct recent *recent = create(0, 1);
    insert(recent, 1);
    assert_false(finds(recent, 1));
    recent_destroy(&recent);
}

static void a_long_run_agrees_with_a_plain_list(void **state)
{
    (void)state;
    enum { ROOM = 13, NUMBERS = 40, STEPS = 20000 };
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct recent *recent = create(ROOM, seed);
        uint32_t list[ROOM] = {0}, count = 0;
        uint64_t chance = seed + 88172645463325252u;
        for (int step = 0; step < STEPS; step++) {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            const uint32_t number = (uint32_t)(chance >> 33) % NUMBERS;
            bool known = false;
            for (uint32_t i = 0; i < count; i++)
                known |= list[i] == number;
            assert_int_equal(finds(recent, number), known);
            insert(recent, number);
            if (known)
                continue;
            if (count == ROOM)
                memmove(list, list + 1, (ROOM - 1) * sizeof(*list));
            else
                count++;
            list[count - 1] = number;
        }
        recent_destroy(&recent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_kept_is_found),
        cmocka_unit_test(the_oldest_gives_way),
        cmocka_unit_test(what_is_known_takes_no_second_place),
        cmocka_unit_test(no_room_remembers_nothing),
        cmocka_unit_test(a_long_run_agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
