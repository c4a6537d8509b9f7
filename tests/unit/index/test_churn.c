/*
 * Goal: whatever is done in whatever order, beside graphs, lists and rewrites, no search finds a
 * row of another scope, of another tag, that has expired, or whose removal has returned; and it
 * finds nearly all that is there, where all rows are scanned exactly all.
 * Method: 100,000 random operations on four scopes with thousands of rows each (builder.c worked by
 * hand), each hit compared with a plain array, and one search in sixteen with a plain loop over it.
 * REPRISE_CHURN_OPERATIONS sets another number, REPRISE_CHURN_SEED another course.
 */
#include "tests/unit/index/directory_support.h"

#include <stdio.h>

enum {
    DIMENSION = 16,
    SCOPES = 4,
    FIRST_ROWS = 7000, /* of each scope, before the operations */
    OPERATIONS = 100000,
    EXACT_SHARE = 16,
    HITS = 8,
    TAGS = 3,
    LIVE_FEW = 15000,
    LIVE_MANY = 40000,
};

struct model_row {
    float unit[DIMENSION];
    int64_t expires_ms;
    uint32_t place; /* among the living ones */
    uint8_t scope, tag;
    bool is_alive;
};

/* Row n has sequence n + 1 and belongs to entry n / 2: an entry may have two rows, also in two
 * scopes. */
struct model {
    struct stand stand;
    struct model_row *rows;
    uint32_t *alive; /* rows by place */
    uint32_t count, alive_count, max;
    enum index_kind kinds[SCOPES];
    int64_t now_ms;
    uint64_t seed;
    uint64_t exact_found, exact_wanted, hits, searches;
};

static uint64_t number_from(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : standard;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Few rows of a tag are scanned even under a graph, so one scope of each kind has one tag only. */
static uint8_t chance_tag(struct model *model, uint8_t scope)
{
    return scope == 1 || scope == 2 ? 0 : (uint8_t)(chance_below(&model->seed, 20) % TAGS);
}

static void insert(struct model *model, uint8_t scope)
{
    assert_true(model->count < model->max);
    struct model_row *made = &model->rows[model->count];
    const uint64_t life = chance_below(&model->seed, 4);
    *made = (struct model_row){
        .scope = scope,
        .tag = chance_tag(model, scope),
        .is_alive = true,
        .place = model->alive_count,
        .expires_ms = life > 0 ? 0 : model->now_ms + 1 + (int64_t)chance_below(&model->seed, 60000),
    };
    chance_unit(&model->seed, DIMENSION, made->unit);
    struct index_row row = row_of(model->count / 2, model->count + 1, made->unit);
    row.tag = made->tag;
    row.expires_ms = made->expires_ms;
    const struct partition_key key = key_of(scope);
    assert_int_equal(directory_insert(model->stand.directory, &key, DIMENSION, &row), STATUS_OK);
    model->alive[model->alive_count++] = model->count++;
}

static void forget(struct model *model, uint32_t number)
{
    struct model_row *row = &model->rows[number];
    const uint32_t last = model->alive[--model->alive_count];
    assert_int_equal(model->alive[row->place], number);
    model->alive[row->place] = last;
    model->rows[last].place = row->place;
    row->is_alive = false;
}

/* The whole entry, or the older of its rows only. */
static void remove_entry(struct model *model)
{
    if (model->alive_count == 0)
        return;
    const uint32_t number = model->alive[chance_below(&model->seed, model->alive_count)];
    const uint8_t scope = model->rows[number].scope;
    const uint64_t sequence = chance_below(&model->seed, 4) == 0 ? number + 1 : UINT64_MAX;
    size_t expected = 0;
    for (uint32_t i = number / 2 * 2; i <= number / 2 * 2 + 1 && i < model->count; i++) {
        const struct model_row *row = &model->rows[i];
        if (!row->is_alive || row->scope != scope || i + 1 > sequence)
            continue;
        forget(model, i);
        expected++;
    }
    const struct partition_key key = key_of(scope);
    const struct digest id = id_of(number / 2);
    assert_int_equal(directory_remove(model->stand.directory, &key, &id, sequence), expected);
}

static bool counts(const struct model *model, const struct model_row *row,
                   const struct search *search, uint8_t scope)
{
    return row->is_alive && row->scope == scope && row->tag == search->tag &&
           (row->expires_ms == 0 || row->expires_ms > model->now_ms);
}

/* How many of the true best have been found, by a plain loop. */
static void compare(struct model *model, const struct search *search, uint8_t scope)
{
    float best[HITS];
    uint32_t wanted = 0, found = 0;
    for (uint32_t i = 0; i < model->alive_count; i++) {
        const struct model_row *row = &model->rows[model->alive[i]];
        if (!counts(model, row, search, scope))
            continue;
        const float similarity = vector_dot(search->unit, row->unit, DIMENSION);
        if (wanted == HITS && similarity <= best[HITS - 1])
            continue;
        uint32_t at = wanted < HITS ? wanted++ : HITS - 1;
        for (; at > 0 && best[at - 1] < similarity; at--)
            best[at] = best[at - 1];
        best[at] = similarity;
    }
    for (uint32_t h = 0; h < search->hits_count; h++)
        for (uint32_t b = 0; b < wanted; b++)
            if (best[b] == search->hits[h].similarity) {
                found++;
                break;
            }
    if (model->kinds[scope] == INDEX_FLAT)
        assert_int_equal(found, wanted);
    model->exact_found += found;
    model->exact_wanted += wanted;
}

static void search(struct model *model)
{
    if (model->alive_count == 0)
        return;
    const uint32_t near = model->alive[chance_below(&model->seed, model->alive_count)];
    const uint8_t scope = (uint8_t)chance_below(&model->seed, SCOPES);
    float query[DIMENSION];
    chance_near(&model->seed, model->rows[near].unit, DIMENSION, 0.3f, query);
    struct search asked = {.unit = query,
                           .dimension = DIMENSION,
                           .tag = chance_tag(model, scope),
                           .now_ms = model->now_ms,
                           .hits_max = HITS};
    const struct partition_key key = key_of(scope);
    (void)search_scope(&model->stand, &key, &asked);
    for (uint32_t h = 0; h < asked.hits_count; h++) {
        const struct search_hit *hit = &asked.hits[h];
        assert_in_range(hit->sequence, 1, model->count);
        const struct model_row *row = &model->rows[hit->sequence - 1];
        assert_true(counts(model, row, &asked, scope));
        assert_true(hit->similarity == vector_dot(query, row->unit, DIMENSION));
        assert_side_of(hit);
        for (uint32_t other = 0; other < h; other++)
            assert_true(asked.hits[other].sequence != hit->sequence);
    }
    model->searches++;
    model->hits += asked.hits_count;
    if (chance_below(&model->seed, EXACT_SHARE) == 0)
        compare(model, &asked, scope);
}

static void change_kind(struct model *model)
{
    const uint8_t scope = (uint8_t)(1 + chance_below(&model->seed, SCOPES - 1)); /* 0 stays flat */
    const struct index_choice choice = {
        .is_kind_set = true,
        .kind = (enum index_kind)chance_below(&model->seed, INDEX_KINDS),
        .nprobe = 32};
    const struct partition_key key = key_of(scope);
    const enum status status = directory_set_kind(model->stand.directory, &key, &choice);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    model->kinds[scope] = choice.kind == INDEX_FLAT ? INDEX_HNSW : choice.kind; /* not at once */
}

/* The vector of a row that lives, and of none that does not. */
static void read_vector(struct model *model)
{
    const uint32_t number = (uint32_t)chance_below(&model->seed, model->count);
    const struct model_row *row = &model->rows[number];
    const struct partition_key key = key_of(row->scope);
    const struct digest id = id_of(number / 2);
    float unit[DIMENSION];
    const uint32_t dimension =
        directory_vector(model->stand.directory, &key, &id, number + 1, unit, DIMENSION);
    assert_int_equal(dimension, row->is_alive ? DIMENSION : 0);
    if (row->is_alive)
        assert_memory_equal(unit, row->unit, sizeof(unit));
}

/* ---- the course ------------------------------------------------------------------------------ */

static void step(struct model *model, uint64_t number)
{
    static const atomic_bool never = false;
    const uint64_t what = chance_below(&model->seed, 10000);
    const uint64_t inserts = model->alive_count < LIVE_FEW    ? 5000
                             : model->alive_count > LIVE_MANY ? 1500
                                                              : 3400;
    model->now_ms += (int64_t)chance_below(&model->seed, 3);
    if (what < inserts)
        insert(model, (uint8_t)chance_below(&model->seed, SCOPES));
    else if (what < 6600)
        remove_entry(model);
    else if (what < 9900)
        search(model);
    else
        read_vector(model);
    if (chance_below(&model->seed, 200) == 0)
        (void)builder_step(model->stand.directory, &never);
    if (number % 5000 == 4999)
        change_kind(model);
    if (number % 4000 == 0)
        (void)epoch_collect(model->stand.epochs);
}

static struct model *start(uint64_t operations)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    model->max = (uint32_t)(SCOPES * FIRST_ROWS + operations);
    model->rows = calloc(model->max, sizeof(*model->rows));
    model->alive = calloc(model->max, sizeof(*model->alive));
    assert_non_null(model->rows);
    assert_non_null(model->alive);
    model->seed = number_from("REPRISE_CHURN_SEED", 20261125);
    model->now_ms = 1;
    struct index_settings settings;
    index_settings_read(NULL, &settings);
    settings.memory_bytes = 512 << 20;
    settings.nprobe = 32;
    settings.kind = INDEX_FLAT;
    model->stand = make_stand_with(&settings, NULL);
    for (uint32_t i = 0; i < SCOPES * FIRST_ROWS; i++)
        insert(model, (uint8_t)(i % SCOPES));
    const enum index_kind kinds[SCOPES] = {INDEX_FLAT, INDEX_HNSW, INDEX_IVF, INDEX_AUTO};
    for (uint8_t scope = 0; scope < SCOPES; scope++) {
        const struct partition_key key = key_of(scope);
        const struct index_choice choice = {.is_kind_set = true, .kind = kinds[scope]};
        assert_int_equal(directory_set_kind(model->stand.directory, &key, &choice), STATUS_OK);
        model->kinds[scope] = kinds[scope];
    }
    return model;
}

static void empty(struct model *model)
{
    while (model->alive_count > 0)
        remove_entry(model);
    build_all(&model->stand);
    (void)epoch_collect(model->stand.epochs);
    const struct directory_stats stats = stats_of(&model->stand);
    assert_int_equal(stats.partitions, 0);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.dead_rows, 0);
    assert_int_equal(stats.segments, 0);
    assert_int_equal(stats.graph_rows, 0);
    assert_int_equal(stats.size_bytes, 0);
}

static void random_operations_agree_with_a_plain_array(void **state)
{
    (void)state;
    const uint64_t operations =
        number_from("REPRISE_CHURN_OPERATIONS", UNDER_TSAN ? OPERATIONS / 4 : OPERATIONS);
    struct model *model = start(operations);
    faiss_c_single_thread();
    for (uint64_t i = 0; i < operations; i++)
        step(model, i);
    const struct directory_stats stats = stats_of(&model->stand);
    assert_int_equal(stats.rows, model->alive_count);
    assert_int_equal(stats.refused, 0);
    const double recall = (double)model->exact_found / (double)model->exact_wanted;
    print_message("%llu searches, %llu hits, recall@8 %.4f; %llu builds, %llu rewrites\n",
                  (unsigned long long)model->searches, (unsigned long long)model->hits, recall,
                  (unsigned long long)stats.builds, (unsigned long long)stats.rewrites);
    assert_true(stats.builds >= 3);
    assert_true(stats.rewrites >= 3);
    assert_true(recall > 0.95);
    empty(model);
    drop_stand(&model->stand);
    free(model->alive);
    free(model->rows);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
