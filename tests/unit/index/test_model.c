/*
 * Goal: whatever is done in whatever order, each scope finds its own living rows and nothing else.
 * Method: random inserts, removals, replacements and searches on three scopes of one directory, as
 * time goes on, each answer compared with a plain array.
 */
#include "tests/unit/index/directory_support.h"

enum { DIMENSION = 20 };

enum { SCOPES = 3, MODEL_ROWS = 4000, MODEL_IDS = 150, MODEL_STEPS = 12000 };

struct model_row {
    bool alive;
    uint32_t scope, id, tag;
    uint64_t sequence;
    int64_t expires_ms;
    float unit[DIMENSION];
};

struct model {
    struct model_row rows[MODEL_ROWS];
    uint32_t count;
    uint64_t sequence;
    int64_t now_ms;
    uint64_t seed;
};

static void model_insert(struct stand *stand, struct model *model)
{
    if (model->count == MODEL_ROWS)
        return;
    struct model_row *made = &model->rows[model->count++];
    *made = (struct model_row){
        .alive = true,
        .scope = (uint32_t)chance_below(&model->seed, SCOPES),
        .id = (uint32_t)chance_below(&model->seed, MODEL_IDS),
        .tag = (uint32_t)chance_below(&model->seed, 3),
        .sequence = ++model->sequence,
        .expires_ms = chance_below(&model->seed, 2) == 0
                          ? 0
                          : model->now_ms + (int64_t)chance_below(&model->seed, 2000),
    };
    chance_unit(&model->seed, DIMENSION, made->unit);
    struct index_row row = row_of(made->id, made->sequence, made->unit);
    row.tag = made->tag;
    row.expires_ms = made->expires_ms;
    const struct partition_key key = key_of(made->scope);
    assert_int_equal(directory_insert(stand->directory, &key, DIMENSION, &row), STATUS_OK);
}

/* Any sequence: all rows of an entry go, as when it is deleted, or the older ones, as when it is
 * replaced. */
static void model_remove(struct stand *stand, struct model *model)
{
    const uint32_t scope = (uint32_t)chance_below(&model->seed, SCOPES);
    const uint32_t id = (uint32_t)chance_below(&model->seed, MODEL_IDS);
    const uint64_t sequence = chance_below(&model->seed, model->sequence + 2);
    size_t expected = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        struct model_row *row = &model->rows[i];
        if (row->alive && row->scope == scope && row->id == id && row->sequence <= sequence) {
            row->alive = false;
            expected++;
        }
    }
    const struct partition_key key = key_of(scope);
    const struct digest digest = id_of(id);
    assert_int_equal(directory_remove(stand->directory, &key, &digest, sequence), expected);
}

static void model_remove_scope(struct stand *stand, struct model *model)
{
    const uint32_t scope = (uint32_t)chance_below(&model->seed, SCOPES);
    const struct partition_key key = key_of(scope);
    for (uint32_t i = 0; i < model->count; i++) {
        if (!model->rows[i].alive || model->rows[i].scope != scope)
            continue;
        const struct digest digest = id_of(model->rows[i].id);
        (void)directory_remove(stand->directory, &key, &digest, UINT64_MAX);
        model->rows[i].alive = false;
    }
    struct search search;
    assert_false(search_scope(stand, &key, &search));
    assert_int_equal(directory_dimension(stand->directory, &key), 0);
}

static bool model_counts(const struct model *model, const struct model_row *row, uint32_t scope,
                         uint32_t tag)
{
    return row->alive && row->scope == scope && row->tag == tag &&
           (row->expires_ms == 0 || row->expires_ms > model->now_ms);
}

/* The hits must be the best of the rows that count, in order: compared one by one with a plain
 * loop. */
static void model_search(struct stand *stand, struct model *model)
{
    static bool taken[MODEL_ROWS];
    float query[DIMENSION];
    memset(taken, 0, sizeof(taken));
    chance_unit(&model->seed, DIMENSION, query);
    const uint32_t scope = (uint32_t)chance_below(&model->seed, SCOPES);
    const uint32_t tag = (uint32_t)chance_below(&model->seed, 3);
    struct search search = {.unit = query,
                            .dimension = DIMENSION,
                            .tag = tag,
                            .now_ms = model->now_ms,
                            .hits_max = 1 + (uint32_t)chance_below(&model->seed, 10)};
    const struct partition_key key = key_of(scope);
    (void)search_scope(stand, &key, &search);
    for (uint32_t h = 0; h <= search.hits_count && h < search.hits_max; h++) {
        uint32_t best = MODEL_ROWS;
        float most = -2;
        for (uint32_t i = 0; i < model->count; i++) {
            if (taken[i] || !model_counts(model, &model->rows[i], scope, tag))
                continue;
            const float similarity = vector_dot(query, model->rows[i].unit, DIMENSION);
            if (similarity >= most) { /* later is newer */
                most = similarity;
                best = i;
            }
        }
        assert_int_equal(best != MODEL_ROWS, h < search.hits_count); /* none is left out */
        if (best == MODEL_ROWS)
            break;
        taken[best] = true;
        assert_int_equal(search.hits[h].sequence, model->rows[best].sequence);
        assert_true(search.hits[h].similarity == most);
        assert_side_of(&search.hits[h]);
    }
}

static void random_operations_agree_with_a_plain_array(void **state)
{
    (void)state;
    static struct model model = {.seed = 2024, .now_ms = 1};
    struct stand stand = make_stand(256 << 20);
    for (uint32_t step = 0; step < MODEL_STEPS; step++) {
        const uint64_t what = chance_below(&model.seed, 1000);
        model.now_ms += (int64_t)chance_below(&model.seed, 3);
        if (what < 400)
            model_insert(&stand, &model);
        else if (what < 700)
            model_remove(&stand, &model);
        else if (what < 998)
            model_search(&stand, &model);
        else
            model_remove_scope(&stand, &model);
        if (step % 1000 == 0)
            (void)epoch_collect(stand.epochs);
    }
    uint64_t alive = 0;
    for (uint32_t i = 0; i < model.count; i++)
        alive += model.rows[i].alive;
    assert_int_equal(stats_of(&stand).rows, alive);
    assert_int_equal(model.count, MODEL_ROWS);
    drop_stand(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
