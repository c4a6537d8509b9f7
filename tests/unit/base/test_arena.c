/*
 * test_arena.c - Goal: pieces are aligned, apart from each other and gone after a reset; impossible
 * sizes are refused. Method: pieces of many sizes are filled with a byte of their own and read back
 * at the end.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/arena.h"

static int create(void **state)
{
    struct arena *arena = NULL;
    if (arena_create(&arena) != STATUS_OK)
        return -1;
    *state = arena;
    return 0;
}

static int destroy(void **state)
{
    struct arena *arena = *state;
    arena_destroy(&arena);
    return arena == NULL ? 0 : -1;
}

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    enum { PIECES = 400 };
    unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        size_t size = i * i % 700;
        pieces[i] = arena_alloc(*state, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xff), size);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < i * i % 700; j++)
            assert_int_equal(pieces[i][j], i & 0xff);
    }
}

static void nothing_has_a_pointer_of_its_own(void **state)
{
    void *first = arena_alloc(*state, 0);
    void *second = arena_alloc(*state, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
}

static void a_piece_larger_than_a_block_leaves_the_open_block_open(void **state)
{
    char *before = arena_alloc(*state, 16);
    char *large = arena_alloc(*state, 10 * ARENA_BLOCK_BYTES);
    assert_non_null(large);
    memset(large, 1, 10 * ARENA_BLOCK_BYTES);
    char *after = arena_alloc(*state, 16);
    assert_ptr_equal(after, before + 16);
}

static void a_whole_block_is_given_out_to_its_last_byte(void **state)
{
    char *whole = arena_alloc(*state, ARENA_BLOCK_BYTES);
    assert_non_null(whole);
    memset(whole, 1, ARENA_BLOCK_BYTES);
    char *next = arena_alloc(*state, ARENA_BLOCK_BYTES);
    assert_non_null(next);
    memset(next, 2, ARENA_BLOCK_BYTES);
    assert_int_equal(whole[ARENA_BLOCK_BYTES - 1], 1);
}

static void a_reset_gives_the_same_memory_again(void **state)
{
    void *first = arena_alloc(*state, 100);
    (void)arena_alloc(*state, 3 * ARENA_BLOCK_BYTES);
    (void)arena_alloc(*state, ARENA_BLOCK_BYTES - 16);
    assert_true(arena_used_bytes(*state) >= 4 * ARENA_BLOCK_BYTES);
    arena_reset(*state);
    assert_int_equal(arena_used_bytes(*state), 0);
    assert_ptr_equal(arena_alloc(*state, 100), first);
    assert_int_equal(arena_used_bytes(*state), 112);
}

static void calloc_clears_what_an_earlier_request_left(void **state)
{
    memset(arena_alloc(*state, 512), 0xee, 512);
    arena_reset(*state);
    const unsigned char *cleared = arena_calloc(*state, 64, 8);
    for (size_t i = 0; i < 512; i++)
        assert_int_equal(cleared[i], 0);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
    assert_null(arena_alloc(*state, SIZE_MAX));
    assert_null(arena_alloc(*state, SIZE_MAX - 20));
    assert_null(arena_calloc(*state, SIZE_MAX / 2, 3));
    assert_null(arena_calloc(*state, SIZE_MAX / 4, 8));
    assert_int_equal(arena_used_bytes(*state), 0);
    assert_non_null(arena_alloc(*state, 1)); /* and the arena is as good as before */
}

static void destroying_nothing_is_fine(void **state)
{
    (void)state;
    struct arena *none = NULL;
    arena_destroy(&none);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_are_aligned_and_do_not_overlap, create, destroy),
        cmocka_unit_test_setup_teardown(nothing_has_a_pointer_of_its_own, create, destroy),
        cmocka_unit_test_setup_teardown(a_piece_larger_than_a_block_leaves_the_open_block_open,
                                        create, destroy),
        cmocka_unit_test_setup_teardown(a_whole_block_is_given_out_to_its_last_byte, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(a_reset_gives_the_same_memory_again, create, destroy),
        cmocka_unit_test_setup_teardown(calloc_clears_what_an_earlier_request_left, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(sizes_that_cannot_be_are_refused, create, destroy),
        cmocka_unit_test(destroying_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
