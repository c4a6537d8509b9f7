/*
 * Goal: the budget is never exceeded, is given back to the byte, and outlives its owner as long as
 * it must.
 * Method: blocks of all kinds against small budgets.
 */
#include "tests/unit/index/index_support.h"

#include <unistd.h>

#include "index/memory.h"

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct memory *memory = NULL;
    assert_int_equal(memory_open(16000, &memory), STATUS_OK);
    assert_int_equal(memory_max(memory), 16000);
    void *first = memory_alloc(memory, MEMORY_ROWS, 10000);
    assert_non_null(first);
    assert_null(memory_alloc(memory, MEMORY_ROWS, 6000));
    assert_int_equal(memory_used(memory), 10000);
    memory_free(memory, first, 10000);
    assert_int_equal(memory_used(memory), 0);
    memory_close(&memory);
    assert_null(memory);
}

static void one_sixteenth_is_kept_for_rewriting(void **state)
{
    (void)state;
    struct memory *memory = NULL;
    assert_int_equal(memory_open(16000, &memory), STATUS_OK);
    assert_null(memory_alloc(memory, MEMORY_ROWS, 15001));
    void *rows = memory_alloc(memory, MEMORY_ROWS, 15000);
    assert_non_null(rows);
    assert_null(memory_alloc(memory, MEMORY_ROWS, 1));
    assert_null(memory_alloc(memory, MEMORY_REWRITE, 1001));
    void *rewrite = memory_alloc(memory, MEMORY_REWRITE, 1000);
    assert_non_null(rewrite);
    assert_int_equal(memory_used(memory), 16000);
    assert_null(memory_alloc(memory, MEMORY_ROWS, 1)); /* above its limit: still no wrap-around */
    memory_free(memory, rewrite, 1000);
    memory_free(memory, rows, 15000);
    memory_close(&memory);
}

static void it_is_tight_above_three_quarters(void **state)
{
    (void)state;
    struct memory *memory = NULL;
    assert_int_equal(memory_open(16000, &memory), STATUS_OK);
    void *rows = memory_alloc(memory, MEMORY_ROWS, 12000);
    assert_false(memory_is_tight(memory));
    void *one = memory_alloc(memory, MEMORY_ROWS, 1);
    assert_true(memory_is_tight(memory));
    memory_free(memory, one, 1);
    memory_free(memory, rows, 12000);
    memory_close(&memory);
}

static void blocks_of_every_size_are_aligned_and_whole(void **state)
{
    (void)state;
    const size_t huge_page = 2 << 20;
    const size_t sizes[] = {1, 63, 64, 4097, huge_page - 1, huge_page, huge_page + 1, 9000001};
    struct memory *memory = NULL;
    assert_int_equal(memory_open(1 << 30, &memory), STATUS_OK);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned char *block = memory_alloc(memory, MEMORY_ROWS, sizes[i]);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (sizes[i] >= huge_page ? huge_page : 64), 0);
        memset(block, 0xa5, sizes[i]);
        memory_free(memory, block, sizes[i]);
    }
    assert_int_equal(memory_used(memory), 0);
    memory_close(&memory);
}

static void the_last_block_may_come_back_after_closing(void **state)
{
    (void)state;
    struct memory *memory = NULL;
    assert_int_equal(memory_open(16000, &memory), STATUS_OK);
    struct memory *still_there = memory; /* as a retired chunk keeps it */
    void *a = memory_alloc(memory, MEMORY_ROWS, 100), *b = memory_alloc(memory, MEMORY_ROWS, 200);
    memory_close(&memory);
    memory_free(still_there, a, 100);
    assert_int_equal(memory_used(still_there), 200);
    memory_free(still_there, b, 200); /* frees the budget too: asan would tell */
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    struct memory *memory = NULL;
    memory_close(&memory);
    assert_null(memory);
}

static void the_default_is_a_part_of_this_machine(void **state)
{
    (void)state;
    struct memory *memory = NULL;
    assert_int_equal(memory_open(0, &memory), STATUS_OK);
    const uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(memory_max(memory) > 0);
    assert_true(memory_max(memory) <= machine / 4);
    memory_close(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(one_sixteenth_is_kept_for_rewriting),
        cmocka_unit_test(it_is_tight_above_three_quarters),
        cmocka_unit_test(blocks_of_every_size_are_aligned_and_whole),
        cmocka_unit_test(the_last_block_may_come_back_after_closing),
        cmocka_unit_test(closing_nothing_is_fine),
        cmocka_unit_test(the_default_is_a_part_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
