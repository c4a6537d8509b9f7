/*
 * Goal: when the budget is spent, what nobody uses gives way, graphs first; what is used keeps all.
 * Method: scopes that were searched at different times, a budget filled up by another one, and
 * builder_step by hand.
 */
#include "tests/unit/index/directory_support.h"

#include "index/pressure.h"

enum { DIMENSION = 64, BUDGET = 24 << 20, COLD = 1, WARM = 2, HOT = 3, ROWS = 5000 };

struct scene {
    struct stand stand;
    uint64_t sequence, seed;
    float unit[DIMENSION];
};

static enum status insert_one(struct scene *scene, uint64_t scope)
{
    const struct partition_key key = key_of(scope);
    chance_unit(&scene->seed, DIMENSION, scene->unit);
    const struct index_row row = row_of(scene->sequence, 1 + scene->sequence, scene->unit);
    scene->sequence++;
    return directory_insert(scene->stand.directory, &key, DIMENSION, &row);
}

static void use(struct scene *scene, uint64_t scope, int64_t now_ms)
{
    const struct partition_key key = key_of(scope);
    struct search search = {
        .unit = scene->unit, .dimension = DIMENSION, .tag = 1, .now_ms = now_ms, .hits_max = 1};
    assert_true(search_scope(&scene->stand, &key, &search));
}

static bool is_there(struct scene *scene, uint64_t scope)
{
    const struct partition_key key = key_of(scope);
    return directory_dimension(scene->stand.directory, &key) > 0;
}

/* Two scopes with graphs, the cold one used a minute before the warm one. */
static struct scene make_scene(int64_t cold_ms, int64_t warm_ms)
{
    struct index_settings settings;
    index_settings_read(NULL, &settings);
    settings.kind = INDEX_HNSW;
    settings.memory_bytes = BUDGET;
    struct scene scene = {.stand = make_stand_with(&settings, NULL), .seed = 4};
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_int_equal(insert_one(&scene, COLD), STATUS_OK);
        assert_int_equal(insert_one(&scene, WARM), STATUS_OK);
    }
    (void)build_all(&scene.stand);
    assert_int_equal(stats_of(&scene.stand).segments, 2);
    use(&scene, COLD, cold_ms);
    use(&scene, WARM, warm_ms);
    return scene;
}

static void insert_until_refused(struct scene *scene, uint64_t scope)
{
    const uint64_t before = stats_of(&scene->stand).refused;
    while (insert_one(scene, scope) == STATUS_OK)
        ;
    assert_int_equal(stats_of(&scene->stand).refused, before + 1);
}

static void graphs_go_first_then_the_rows_of_the_unused(void **state)
{
    (void)state;
    const int64_t now_ms = 10 * PRESSURE_IDLE_MS_MIN;
    struct scene scene = make_scene(now_ms, 2 * now_ms);
    assert_int_equal(insert_one(&scene, HOT), STATUS_OK);
    use(&scene, HOT, 3 * now_ms);
    uint64_t given_up = 0;
    for (uint32_t round = 0; round < 50 && is_there(&scene, COLD); round++) {
        insert_until_refused(&scene, HOT);
        const bool had_graphs = stats_of(&scene.stand).graphs_given_up == 2;
        (void)build_all(&scene.stand);
        given_up = stats_of(&scene.stand).graphs_given_up;
        if (stats_of(&scene.stand).rows_given_up > 0 && !had_graphs)
            assert_int_equal(given_up, 2); /* all graphs of the unused went before any row */
    }
    assert_int_equal(given_up, 2);
    assert_false(is_there(&scene, COLD));
    assert_int_equal(stats_of(&scene.stand).rows_given_up % ROWS, 0);
    assert_int_equal(insert_one(&scene, HOT), STATUS_OK); /* there is room again */
    assert_true(is_there(&scene, HOT));
    assert_true(stats_of(&scene.stand).size_bytes <= BUDGET);
    drop_stand(&scene.stand);
}

static void what_was_used_within_a_minute_keeps_all(void **state)
{
    (void)state;
    const int64_t now_ms = 10 * PRESSURE_IDLE_MS_MIN;
    struct scene scene = make_scene(now_ms, now_ms + 1000);
    insert_until_refused(&scene, WARM);
    const struct directory_stats before = stats_of(&scene.stand);
    (void)build_all(&scene.stand);
    const struct directory_stats after = stats_of(&scene.stand);
    assert_int_equal(after.rows, before.rows);
    assert_true(after.segments >= before.segments);
    assert_int_equal(after.rows_given_up, 0);
    assert_int_equal(after.graphs_given_up, 0);
    drop_stand(&scene.stand);
}

static void without_a_refused_insert_nothing_gives_way(void **state)
{
    (void)state;
    struct scene scene = make_scene(1, 100 * PRESSURE_IDLE_MS_MIN);
    assert_false(pressure_relieve(scene.stand.directory));
    assert_int_equal(stats_of(&scene.stand).segments, 2);
    drop_stand(&scene.stand);
}

static void no_build_begins_in_a_full_budget(void **state)
{
    (void)state;
    struct scene scene = make_scene(1000, 1000);
    assert_true(pressure_allows_builds(scene.stand.directory));
    insert_until_refused(&scene, HOT);
    assert_false(pressure_allows_builds(scene.stand.directory));
    const uint64_t builds = stats_of(&scene.stand).builds;
    (void)build_all(&scene.stand);
    assert_int_equal(stats_of(&scene.stand).builds, builds);
    drop_stand(&scene.stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_go_first_then_the_rows_of_the_unused),
        cmocka_unit_test(what_was_used_within_a_minute_keeps_all),
        cmocka_unit_test(without_a_refused_insert_nothing_gives_way),
        cmocka_unit_test(no_build_begins_in_a_full_budget),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
