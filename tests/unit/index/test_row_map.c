/*
 * Goal: the map finds every living row of an id, and nothing else, however ids collide.
 * Method: random inserts, takes and moves against a plain array; half of the ids share all hashed
 * bytes.
 */
#include "tests/unit/index/index_support.h"

#include "index/row_map.h"

enum { ROWS = 3000, IDS = 400 };

struct model {
    struct rows_chunk *chunk;
    bool alive[ROWS];
    uint32_t id[ROWS];
    uint64_t sequence[ROWS];
    uint32_t count;
};

/* Odd ids are equal but for the first byte, so that they all start probing at the same slot. */
static struct digest colliding_id(uint32_t number)
{
    struct digest id = id_of(number);
    if (number % 2 == 1) {
        memset(&id, 0x77, sizeof(id));
        memcpy(id.bytes, &number, sizeof(number));
    }
    return id;
}

static struct row_at add_row(struct model *model, uint32_t id, uint64_t sequence)
{
    const float unit[1] = {1};
    struct index_row row = row_of(0, sequence, unit);
    row.id = colliding_id(id);
    const struct row_at at = {model->chunk, rows_chunk_append(model->chunk, &row)};
    model->alive[at.row] = true;
    model->id[at.row] = id;
    model->sequence[at.row] = sequence;
    model->count++;
    return at;
}

static void take_all(struct row_map *map, struct model *model, uint32_t id, uint64_t sequence)
{
    const struct digest digest = colliding_id(id);
    struct row_at at;
    while (row_map_take(map, &digest, sequence, &at)) {
        assert_ptr_equal(at.chunk, model->chunk);
        assert_true(model->alive[at.row]);
        assert_int_equal(model->id[at.row], id);
        assert_true(model->sequence[at.row] <= sequence);
        model->alive[at.row] = false;
    }
    for (uint32_t row = 0; row < model->count; row++)
        assert_false(model->alive[row] && model->id[row] == id && model->sequence[row] <= sequence);
}

static void the_map_agrees_with_a_plain_array(void **state)
{
    (void)state;
    static struct model model;
    struct memory *memory = NULL;
    struct row_map map;
    uint64_t seed = 17;
    assert_int_equal(memory_open(64 << 20, &memory), STATUS_OK);
    assert_int_equal(rows_chunk_create(memory, MEMORY_ROWS, 1, ROWS, &model.chunk), STATUS_OK);
    row_map_init(&map, memory);
    for (uint64_t step = 1; model.count < ROWS; step++) {
        const uint32_t id = (uint32_t)chance_below(&seed, IDS);
        if (chance_below(&seed, 3) == 0) {
            take_all(&map, &model, id, chance_below(&seed, step + 1));
            continue;
        }
        assert_int_equal(row_map_reserve(&map), STATUS_OK);
        row_map_insert(&map, add_row(&model, id, step));
    }
    uint32_t alive = 0;
    for (uint32_t row = 0; row < ROWS; row++)
        alive += model.alive[row];
    assert_true(alive > 100);
    assert_int_equal(map.used, alive);
    for (uint32_t id = 0; id < IDS; id++)
        take_all(&map, &model, id, UINT64_MAX);
    assert_int_equal(map.used, 0);
    row_map_deinit(&map);
    rows_chunk_destroy(&model.chunk);
    assert_int_equal(memory_used(memory), 0);
    memory_close(&memory);
}

static void a_moved_row_is_found_at_its_new_place(void **state)
{
    (void)state;
    static struct model before, after;
    struct memory *memory = NULL;
    struct row_map map;
    assert_int_equal(memory_open(16 << 20, &memory), STATUS_OK);
    assert_int_equal(rows_chunk_create(memory, MEMORY_ROWS, 1, 100, &before.chunk), STATUS_OK);
    assert_int_equal(rows_chunk_create(memory, MEMORY_ROWS, 1, 100, &after.chunk), STATUS_OK);
    row_map_init(&map, memory);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(row_map_reserve(&map), STATUS_OK);
        row_map_insert(&map, add_row(&before, i / 2, i));
    }
    for (uint32_t i = 0; i < 100; i++) {
        const uint32_t copy = rows_chunk_copy(after.chunk, before.chunk, 99 - i);
        row_map_move(&map, (struct row_at){before.chunk, 99 - i},
                     (struct row_at){after.chunk, copy});
    }
    struct row_at at;
    for (uint32_t i = 0; i < 100; i++) {
        const struct digest id = colliding_id(i / 2);
        assert_true(row_map_take(&map, &id, i, &at));
        assert_ptr_equal(at.chunk, after.chunk);
        assert_int_equal(at.row, 99 - i);
    }
    row_map_deinit(&map);
    rows_chunk_destroy(&before.chunk);
    rows_chunk_destroy(&after.chunk);
    memory_close(&memory);
}

static void a_map_that_may_not_grow_stays_as_it_was(void **state)
{
    (void)state;
    static struct model model;
    struct memory *memory = NULL, *rows_memory = NULL;
    struct row_map map;
    assert_int_equal(memory_open(1 << 20, &rows_memory), STATUS_OK);
    assert_int_equal(memory_open((16 + 32) * 16 + 200, &memory), STATUS_OK); /* 32 slots and no more */
    assert_int_equal(rows_chunk_create(rows_memory, MEMORY_ROWS, 1, 100, &model.chunk), STATUS_OK);
    row_map_init(&map, memory);
    struct row_at at;
    const struct digest nobody = id_of(12345);
    assert_false(row_map_take(&map, &nobody, UINT64_MAX, &at)); /* no slots at all yet */
    while (row_map_reserve(&map) == STATUS_OK)
        row_map_insert(&map, add_row(&model, model.count, model.count));
    assert_int_equal(map.used, 24); /* three quarters of 32 */
    for (uint32_t i = 0; i < 24; i++) {
        const struct digest id = colliding_id(i);
        assert_true(row_map_take(&map, &id, i, &at));
        assert_int_equal(at.row, i);
    }
    row_map_deinit(&map);
    rows_chunk_destroy(&model.chunk);
    memory_close(&memory);
    memory_close(&rows_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_agrees_with_a_plain_array),
        cmocka_unit_test(a_moved_row_is_found_at_its_new_place),
        cmocka_unit_test(a_map_that_may_not_grow_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
