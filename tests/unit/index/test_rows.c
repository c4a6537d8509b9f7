/*
 * Goal: a row comes out of a chunk as it went in, and is counted only when it is whole.
 * Method: chunks of several dimensions and sizes, filled to the brim, copied, killed.
 */
#include "tests/unit/index/index_support.h"

#include "index/rows.h"

static struct memory *memory;

static int open_memory(void **state)
{
    (void)state;
    return memory_open(256 << 20, &memory) == STATUS_OK ? 0 : -1;
}

static int close_memory(void **state)
{
    (void)state;
    const bool all_back = memory_used(memory) == 0;
    memory_close(&memory);
    return all_back ? 0 : -1;
}

static struct rows_chunk *make_chunk(uint32_t dimension, uint32_t capacity)
{
    struct rows_chunk *chunk = NULL;
    assert_int_equal(rows_chunk_create(memory, MEMORY_ROWS, dimension, capacity, &chunk),
                     STATUS_OK);
    return chunk;
}

static void chunks_grow_by_four_to_4096_rows(void **state)
{
    (void)state;
    const uint32_t expected[] = {4, 16, 64, 256, 1024, 4096, 4096};
    uint64_t total = 0;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(rows_capacity_next(total), expected[i]);
        total += expected[i];
    }
    assert_int_equal(rows_capacity_next(3), 4);
    assert_int_equal(rows_capacity_next(4), 16);
    assert_int_equal(rows_capacity_next(1363), 1024);
    assert_int_equal(rows_capacity_next(1364), 4096);
}

static void arrays_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    const uint32_t dimensions[] = {1, 7, 63, 64, 65, 384, 4096};
    for (size_t d = 0; d < sizeof(dimensions) / sizeof(dimensions[0]); d++) {
        struct rows_chunk *chunk = make_chunk(dimensions[d], 17);
        const char *arrays[] = {(char *)chunk->codes,      (char *)chunk->scales,
                                (char *)chunk->tags,       (char *)chunk->expiries_ms,
                                (char *)chunk->tombstones, (char *)chunk->sequences,
                                (char *)chunk->ids,        (char *)chunk->sides,
                                (char *)chunk->units,      (char *)chunk + chunk->size_bytes};
        const size_t bytes[] = {17 * chunk->row_bytes,
                                17 * 4,
                                17 * 4,
                                17 * 8,
                                8,
                                17 * 8,
                                17 * DIGEST_BYTES,
                                17 * 64,
                                (size_t)17 * 4 * dimensions[d]};
        for (size_t i = 0; i < 9; i++) {
            assert_int_equal((uintptr_t)arrays[i] % 64, 0);
            assert_true(arrays[i] + bytes[i] <= arrays[i + 1]);
        }
        rows_chunk_destroy(&chunk);
        assert_null(chunk);
    }
}

static void assert_row(const struct rows_chunk *chunk, uint32_t at, const struct index_row *row)
{
    const uint32_t dimension = chunk->dimension;
    _Alignas(64) uint8_t codes[512];
    assert_true(chunk->scales[at] == vector_encode_row(row->unit, dimension, codes));
    assert_memory_equal(chunk->codes + at * chunk->row_bytes, codes, chunk->row_bytes);
    assert_memory_equal(rows_chunk_unit(chunk, at), row->unit, dimension * sizeof(float));
    assert_true(digest_equal(&chunk->ids[at], &row->id));
    assert_int_equal(chunk->sequences[at], row->sequence);
    assert_int_equal(chunk->tags[at], row->tag);
    assert_int_equal(chunk->expiries_ms[at], row->expires_ms);
    assert_memory_equal(chunk->sides + at * INDEX_SIDE_BYTES, row->side, INDEX_SIDE_BYTES);
}

static void rows_come_out_as_they_went_in_and_are_copied_whole(void **state)
{
    (void)state;
    enum { DIMENSION = 100, ROWS = 130 };
    static float units[ROWS][DIMENSION];
    struct rows_chunk *chunk = make_chunk(DIMENSION, ROWS), *copy = make_chunk(DIMENSION, ROWS);
    uint64_t seed = 3;
    for (uint32_t i = 0; i < ROWS; i++) {
        chance_unit(&seed, DIMENSION, units[i]);
        struct index_row row = row_of(i, 1000 + i, units[i]);
        row.expires_ms = i * 10;
        assert_false(rows_chunk_is_full(chunk));
        assert_int_equal(rows_chunk_append(chunk, &row), i);
        assert_int_equal(rows_chunk_count(chunk), i + 1);
    }
    assert_true(rows_chunk_is_full(chunk));
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(rows_chunk_copy(copy, chunk, ROWS - 1 - i), i);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct index_row row = row_of(i, 1000 + i, units[i]);
        row.expires_ms = i * 10;
        assert_row(chunk, i, &row);
        assert_row(copy, ROWS - 1 - i, &row);
    }
    rows_chunk_destroy(&chunk);
    rows_chunk_destroy(&copy);
}

static void a_killed_row_is_dead_and_its_neighbours_are_not(void **state)
{
    (void)state;
    float unit[2] = {1, 0};
    struct rows_chunk *chunk = make_chunk(2, 200);
    for (uint32_t i = 0; i < 200; i++) {
        const struct index_row row = row_of(i, i, unit);
        rows_chunk_append(chunk, &row);
    }
    const uint32_t doomed[] = {0, 63, 64, 127, 199};
    for (size_t i = 0; i < 5; i++)
        rows_chunk_kill(chunk, doomed[i]);
    assert_int_equal(chunk->rows_dead, 5);
    uint32_t dead = 0;
    for (uint32_t i = 0; i < 200; i++)
        dead += rows_chunk_is_dead(chunk, i);
    assert_int_equal(dead, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(rows_chunk_is_dead(chunk, doomed[i]));
    rows_chunk_destroy(&chunk);
}

static void another_tag_is_noted_with_its_row(void **state)
{
    (void)state;
    float unit[2] = {0, 1};
    struct rows_chunk *chunk = make_chunk(2, 16);
    struct index_row row = row_of(1, 1, unit);
    rows_chunk_append(chunk, &row);
    rows_chunk_append(chunk, &row);
    assert_false(atomic_load(&chunk->tags_differ));
    row.tag = 2;
    rows_chunk_append(chunk, &row);
    assert_true(atomic_load(&chunk->tags_differ));
    rows_chunk_destroy(&chunk);
}

static void a_chunk_over_the_budget_is_refused(void **state)
{
    (void)state;
    struct memory *small = NULL;
    struct rows_chunk *chunk = NULL;
    assert_int_equal(memory_open(4096, &small), STATUS_OK);
    assert_int_equal(rows_chunk_create(small, MEMORY_ROWS, 384, 16, &chunk), STATUS_NO_MEMORY);
    assert_null(chunk);
    assert_int_equal(memory_used(small), 0);
    memory_close(&small);
    rows_chunk_destroy(&chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_grow_by_four_to_4096_rows),
        cmocka_unit_test(arrays_are_aligned_and_do_not_overlap),
        cmocka_unit_test(rows_come_out_as_they_went_in_and_are_copied_whole),
        cmocka_unit_test(a_killed_row_is_dead_and_its_neighbours_are_not),
        cmocka_unit_test(another_tag_is_noted_with_its_row),
        cmocka_unit_test(a_chunk_over_the_budget_is_refused),
    };
    return cmocka_run_group_tests(tests, open_memory, close_memory);
}
