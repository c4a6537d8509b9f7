/*
 * Goal (restore): graphs and lists are taken up again without being built, and whatever the
 * snapshot holds or lacks, each search finds living rows of its scope with their own vectors.
 * Method: a directory is written into memory, another one reads it while rows come back, all of
 * them, some, other ones, and answers are compared; bytes are damaged; writing goes on beside
 * threads that insert, remove and search.
 */
#include "tests/unit/index/directory_support.h"
#include "tests/unit/index/snapshot_support.h"

#include <sched.h>

enum {
    DIMENSION = 16,
    ROWS = 2 * 4096 + 500, /* two full chunks in a segment, and some that are scanned */
    COVERED = 2 * 4096,
    SCOPES = 3,
    BUDGET = 256 << 20,
};

static const enum index_kind KINDS[SCOPES] = {INDEX_HNSW, INDEX_IVF, INDEX_FLAT};
static float units[SCOPES][ROWS][DIMENSION];

static int draw_units(void **state)
{
    uint64_t seed = 99;
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = 0; row < ROWS; row++)
            chance_unit(&seed, DIMENSION, units[scope][row]);
    return register_thread(state);
}

static struct stand stand_of(uint32_t links)
{
    struct index_settings settings;
    index_settings_read(NULL, &settings);
    settings.memory_bytes = BUDGET;
    settings.seal_rows = 4096;
    settings.nprobe = 32;
    settings.links = links;
    return make_stand_with(&settings, NULL);
}

static struct stand fresh_stand(void)
{
    return stand_of(16);
}

/* Sequences are unique over all scopes; the tag is all rows' but for some of the first scope. */
static struct index_row row_in(uint32_t scope, uint32_t row, const struct index_choice *choice)
{
    const uint64_t number = (uint64_t)scope * ROWS + row;
    struct index_row made = row_of(number, number + 1, units[scope][row]);
    made.tag = scope == 0 && row % 3 == 0 ? 2 : 1;
    made.choice = choice;
    return made;
}

static void insert(struct stand *stand, uint32_t scope, uint32_t row)
{
    const struct index_choice choice = {.is_kind_set = true, .kind = KINDS[scope]};
    const struct partition_key key = key_of(scope);
    const struct index_row made = row_in(scope, row, &choice);
    assert_int_equal(directory_insert(stand->directory, &key, DIMENSION, &made), STATUS_OK);
}

static void remove_row(struct stand *stand, uint32_t scope, uint32_t row)
{
    const struct partition_key key = key_of(scope);
    const struct index_row made = row_in(scope, row, NULL);
    assert_int_equal(directory_remove(stand->directory, &key, &made.id, made.sequence), 1);
}

static void fill(struct stand *stand)
{
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = 0; row < ROWS; row++)
            insert(stand, scope, row);
    (void)build_all(stand);
}

static void write_all(struct stand *stand, struct bytes *bytes)
{
    uint64_t segments = 0;
    const struct snapshot_sink sink = bytes_sink(bytes);
    assert_int_equal(directory_write_segments(stand->directory, &sink, &segments), STATUS_OK);
    assert_int_equal(segments, 2); /* the third scope is scanned */
}

/* A full directory, written; and how it answered. */
static struct bytes write_full(void)
{
    struct bytes bytes = {0};
    struct stand stand = fresh_stand();
    fill(&stand);
    write_all(&stand, &bytes);
    drop_stand(&stand);
    return bytes;
}

static void begin(struct stand *stand, struct bytes *bytes)
{
    const struct snapshot_source source = bytes_source(bytes);
    assert_int_equal(directory_restore_begin(stand->directory, &source), STATUS_OK);
}

static struct directory_restored end(struct stand *stand)
{
    struct directory_restored restored;
    directory_restore_end(stand->directory, &restored);
    return restored;
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct search near_row(struct stand *stand, uint32_t scope, uint32_t row)
{
    struct search search = {.unit = units[scope][row],
                            .dimension = DIMENSION,
                            .tag = row_in(scope, row, NULL).tag,
                            .hits_max = 8};
    const struct partition_key key = key_of(scope);
    (void)search_scope(stand, &key, &search);
    return search;
}

/* Each hit is a row of the scope with the similarity of its own vector. */
static void assert_true_hits(const struct search *search, uint32_t scope)
{
    for (uint32_t h = 0; h < search->hits_count; h++) {
        const struct search_hit *hit = &search->hits[h];
        assert_in_range(hit->sequence, (uint64_t)scope * ROWS + 1, (uint64_t)(scope + 1) * ROWS);
        const uint32_t row = (uint32_t)(hit->sequence - 1 - (uint64_t)scope * ROWS);
        assert_true(hit->similarity == vector_dot(search->unit, units[scope][row], DIMENSION));
        assert_int_equal(row_in(scope, row, NULL).tag, search->tag);
        const struct digest id = id_of(hit->sequence - 1);
        assert_memory_equal(&hit->id, &id, sizeof(id));
        assert_side_of(hit);
    }
}

static void assert_none_twice(const struct search *search)
{
    for (uint32_t h = 0; h < search->hits_count; h++)
        for (uint32_t other = 0; other < h; other++)
            assert_true(search->hits[other].sequence != search->hits[h].sequence);
}

static bool finds_itself(struct stand *stand, uint32_t scope, uint32_t row)
{
    const struct search search = near_row(stand, scope, row);
    assert_true_hits(&search, scope);
    assert_none_twice(&search);
    return search.hits_count > 0 && search.hits[0].similarity == 1.0f;
}

/* Share of the rows whose own vector is found, of every 23rd. */
static double found_share(struct stand *stand)
{
    uint32_t found = 0, asked = 0;
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = scope; row < ROWS; row += 23, asked++)
            found += finds_itself(stand, scope, row);
    return (double)found / asked;
}

static void assert_same_hits(const struct search *one, const struct search *other)
{
    assert_int_equal(one->hits_count, other->hits_count);
    assert_int_equal(one->rows_scanned, other->rows_scanned);
    assert_memory_equal(one->hits, other->hits, one->hits_count * sizeof(one->hits[0]));
}

/* ---- there and back -------------------------------------------------------------------------- */

static void graphs_come_back_without_being_built(void **state)
{
    (void)state;
    struct bytes bytes = {0};
    struct stand before = fresh_stand(), after = fresh_stand();
    fill(&before);
    write_all(&before, &bytes);
    begin(&after, &bytes);
    for (uint32_t row = ROWS; row-- > 0;) /* in another order, scope by scope in turn */
        for (uint32_t scope = 0; scope < SCOPES; scope++)
            insert(&after, scope, row);
    const struct directory_restored restored = end(&after);
    assert_int_equal(restored.segments, 2);
    assert_int_equal(restored.segments_used, 2);
    assert_int_equal(restored.segments_refused, 0);
    assert_int_equal(restored.rows, 2 * COVERED);
    assert_int_equal(restored.rows_missing, 0);
    const struct directory_stats stats = stats_of(&after);
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.graph_rows, 2 * COVERED);
    assert_int_equal(stats.dead_rows, 0);
    assert_int_equal(stats.rows, SCOPES * ROWS);
    assert_int_equal(stats.builds, 0);
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = scope; row < ROWS; row += 23) {
            const struct search one = near_row(&before, scope, row);
            const struct search other = near_row(&after, scope, row);
            assert_same_hits(&one, &other);
        }
    (void)build_all(&after);
    assert_int_equal(stats_of(&after).builds, 0); /* and nothing is left to do */
    drop_stand(&before);
    drop_stand(&after);
    bytes_free(&bytes);
}

/* And what came back can be written again, the very same. */
static void a_second_snapshot_equals_the_first(void **state)
{
    (void)state;
    struct bytes bytes = write_full(), again = {0};
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = 0; row < ROWS; row++)
            insert(&stand, scope, row);
    (void)end(&stand);
    write_all(&stand, &again);
    assert_int_equal(again.count, bytes.count);
    assert_memory_equal(again.all, bytes.all, bytes.count);
    drop_stand(&stand);
    bytes_free(&bytes);
    bytes_free(&again);
}

static void rows_that_do_not_come_back_are_dead(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = 0; row < ROWS; row++)
            if (row % 10 != 0)
                insert(&stand, scope, row);
    remove_row(&stand, 0, 1); /* died while the others were coming */
    const struct directory_restored restored = end(&stand);
    assert_int_equal(restored.segments_used, 2);
    assert_int_equal(restored.rows_missing, 2 * (COVERED / 10 + 1));
    assert_int_equal(stats_of(&stand).dead_rows, restored.rows_missing + 1);
    remove_row(&stand, 0, 2);
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = 0; row < ROWS; row += 10)
            assert_false(finds_itself(&stand, scope, row));
    assert_false(finds_itself(&stand, 0, 1));
    assert_false(finds_itself(&stand, 0, 2));
    assert_true(found_share(&stand) > 0.88);
    const struct partition_key key = key_of(0);
    const struct digest id = id_of(10);
    float unit[DIMENSION];
    assert_int_equal(directory_vector(stand.directory, &key, &id, 11, unit, DIMENSION), 0);
    drop_stand(&stand);
    bytes_free(&bytes);
}

/* The builder works on from there: what has too many dead rows is made anew, also by lists. */
static void a_segment_with_few_rows_left_is_rewritten(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = scope % 2; row < ROWS; row += 2)
            insert(&stand, scope, row);
    assert_int_equal(end(&stand).segments_used, 2);
    assert_true(build_all(&stand) > 0);
    const struct directory_stats stats = stats_of(&stand);
    assert_true(stats.rewrites > 0);
    assert_int_equal(stats.dead_rows, 0);
    uint32_t found = 0, asked = 0;
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = scope % 2; row < ROWS; row += 46, asked++)
            found += finds_itself(&stand, scope, row);
    assert_true(found * 100 > asked * 98);
    drop_stand(&stand);
    bytes_free(&bytes);
}

static void scopes_that_do_not_come_back_cost_nothing(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    assert_true(stats_of(&stand).size_bytes > 0);
    insert(&stand, 0, 4000);
    remove_row(&stand, 0, 4000); /* the scope is empty, and its place is kept to the end */
    const struct directory_restored restored = end(&stand);
    assert_int_equal(restored.segments, 2);
    assert_int_equal(restored.segments_used, 1);
    (void)epoch_collect(stand.epochs);
    assert_int_equal(stats_of(&stand).partitions, 0);
    assert_int_equal(stats_of(&stand).size_bytes, 0);
    assert_int_equal(stats_of(&stand).dead_rows, 0);
    drop_stand(&stand);
    bytes_free(&bytes);
}

/* ---- what does not fit together -------------------------------------------------------------- */

static void a_row_with_another_vector_is_scanned(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    static float other[DIMENSION];
    uint64_t seed = 3;
    begin(&stand, &bytes);
    for (uint32_t row = 0; row < ROWS; row++)
        if (row != 77)
            insert(&stand, 0, row);
    chance_unit(&seed, DIMENSION, other);
    const struct partition_key key = key_of(0);
    struct index_row row = row_in(0, 77, NULL);
    row.unit = other;
    assert_int_equal(directory_insert(stand.directory, &key, DIMENSION, &row), STATUS_OK);
    const struct directory_restored restored = end(&stand);
    assert_int_equal(restored.rows_missing, COVERED + 1); /* of lists no row came */
    struct search search = {.unit = other, .dimension = DIMENSION, .tag = row.tag, .hits_max = 1};
    assert_true(search_scope(&stand, &key, &search));
    assert_int_equal(search.hits[0].sequence, 78);
    assert_true(search.hits[0].similarity == 1.0f);
    const struct search old = near_row(&stand, 0, 77);
    for (uint32_t h = 0; h < old.hits_count; h++)
        assert_true(old.hits[h].similarity < 1.0f);
    drop_stand(&stand);
    bytes_free(&bytes);
}

static void another_dimension_takes_nothing(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    const struct partition_key key = key_of(0);
    const float unit[8] = {1};
    const struct index_row row = row_of(5, 6, unit);
    assert_int_equal(directory_insert(stand.directory, &key, 8, &row), STATUS_OK);
    assert_int_equal(end(&stand).segments_used, 0);
    struct search search = {.unit = unit, .dimension = 8, .tag = 1, .hits_max = 1};
    assert_true(search_scope(&stand, &key, &search));
    assert_int_equal(search.hits_count, 1);
    drop_stand(&stand);
    bytes_free(&bytes);
}

/* A bytes-for-bytes copy of a row comes once; a second insert of it is a row of its own. */
static void a_row_that_comes_twice_has_one_place(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    insert(&stand, 0, 5);
    insert(&stand, 0, 5);
    assert_int_equal(end(&stand).rows, 1);
    assert_int_equal(stats_of(&stand).rows, 2);
    drop_stand(&stand);
    bytes_free(&bytes);
}

static void other_settings_mean_a_build(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = stand_of(24);
    begin(&stand, &bytes);
    for (uint32_t scope = 0; scope < SCOPES; scope++)
        for (uint32_t row = 0; row < ROWS; row++)
            insert(&stand, scope, row);
    const struct directory_restored restored = end(&stand);
    assert_int_equal(restored.segments_refused, 1); /* lists have no links */
    assert_int_equal(restored.segments_used, 1);
    (void)build_all(&stand);
    assert_int_equal(stats_of(&stand).segments, 2);
    assert_true(found_share(&stand) > 0.98);
    drop_stand(&stand);
    bytes_free(&bytes);
}

/* A byte anywhere: rows are all there and searches right, with or without the graph. */
static void damage_costs_a_build_and_no_row(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    for (uint32_t i = 0; i < 12; i++) {
        struct stand stand = fresh_stand();
        const size_t at = i == 0 ? 3 : bytes.count / 12 * i + 5;
        bytes.all[at] ^= 0x41;
        begin(&stand, &bytes);
        for (uint32_t scope = 0; scope < SCOPES; scope++)
            for (uint32_t row = 0; row < ROWS; row++)
                insert(&stand, scope, row);
        const struct directory_restored restored = end(&stand);
        assert_int_equal(restored.segments_refused, 1);
        assert_true(restored.segments_used <= 1);
        assert_int_equal(stats_of(&stand).rows, SCOPES * ROWS);
        assert_true(found_share(&stand) > 0.98);
        drop_stand(&stand);
        bytes.all[at] ^= 0x41;
    }
    bytes_free(&bytes);
}

static void look_at_state(void *context, const struct partition_stats *stats)
{
    *(enum partition_state *)context = stats->state;
}

/* Those that are told are five, whatever goes on inside. */
static void the_state_is_one_of_those_that_are_told(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    enum partition_state told = PARTITION_STATES_SHOWN;
    begin(&stand, &bytes);
    for (uint32_t row = 0; row < ROWS; row++)
        insert(&stand, 1, row);
    assert_int_equal(directory_each_stats(stand.directory, look_at_state, &told), STATUS_OK);
    assert_int_equal(told, PARTITION_REWRITES);
    (void)end(&stand);
    (void)build_all(&stand);
    assert_int_equal(directory_each_stats(stand.directory, look_at_state, &told), STATUS_OK);
    assert_int_equal(told, PARTITION_RESTS);
    drop_stand(&stand);
    bytes_free(&bytes);
}

static void a_restore_may_be_left(void **state)
{
    (void)state;
    struct bytes bytes = write_full();
    struct stand stand = fresh_stand();
    begin(&stand, &bytes);
    insert(&stand, 0, 5);
    insert(&stand, 1, 5);
    drop_stand(&stand);
    bytes_free(&bytes);
}

static void a_refused_byte_ends_the_writing_and_the_scopes_rest(void **state)
{
    (void)state;
    struct bytes bytes = {.refuse_after = 100000};
    struct stand stand = fresh_stand();
    fill(&stand);
    uint64_t segments = 0;
    const struct snapshot_sink sink = bytes_sink(&bytes);
    assert_int_equal(directory_write_segments(stand.directory, &sink, &segments), STATUS_IO_FAILED);
    assert_int_equal(segments, 0);
    bytes.refuse_after = 0;
    bytes.count = 0;
    write_all(&stand, &bytes);
    drop_stand(&stand);
    bytes_free(&bytes);
}

/* ---- held ------------------------------------------------------------------------------------ */

/* A sink that changes what is written, once, behind the writer's back. */
struct meddling {
    struct stand *stand;
    void (*meddle)(struct stand *stand);
    struct bytes bytes;
    uint64_t size_bytes; /* of the index, when it was done */
};

static enum status write_and_meddle(void *context, const void *bytes, size_t size)
{
    struct meddling *meddling = context;
    if (meddling->bytes.count == 0) {
        meddling->meddle(meddling->stand);
        while (epoch_collect(meddling->stand->epochs) > 0)
            ; /* nobody is inside */
        meddling->size_bytes = stats_of(meddling->stand).size_bytes;
    }
    return bytes_write(&meddling->bytes, bytes, size);
}

/* 4,096 rows more are a chunk more: the builder puts a larger segment in the place of this one. */
static void let_it_grow(struct stand *stand)
{
    const uint64_t graph_rows = stats_of(stand).graph_rows;
    const struct partition_key key = key_of(0);
    for (uint32_t row = 0; row < 4096; row++) {
        struct index_row more = row_in(0, row, NULL);
        more.id = id_of(1000000 + row);
        more.sequence = 1000000 + row;
        assert_int_equal(directory_insert(stand->directory, &key, DIMENSION, &more), STATUS_OK);
    }
    (void)build_all(stand);
    assert_int_equal(stats_of(stand).graph_rows, graph_rows + 4096);
}

/* What dies is rewritten: chunks and segment leave the view. */
static void let_most_die(struct stand *stand)
{
    const uint64_t rewrites = stats_of(stand).rewrites;
    for (uint32_t row = 0; row < ROWS; row++)
        if (row % 4 != 0)
            remove_row(stand, 0, row);
    (void)build_all(stand);
    assert_true(stats_of(stand).rewrites > rewrites);
}

static void let_it_vanish(struct stand *stand)
{
    for (uint32_t row = 0; row < ROWS; row++)
        remove_row(stand, 0, row);
    assert_int_equal(stats_of(stand).partitions, 0);
}

/* Builders and removals do as they like while the disk is slow: what is written is the segment as
 * it was, and its memory goes when that is done. */
static void segments_are_held_while_they_are_written(void **state)
{
    (void)state;
    static void (*const ways[])(struct stand *) = {let_it_grow, let_most_die, let_it_vanish};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct stand stand = fresh_stand();
        struct bytes quiet = {0};
        uint64_t segments = 0;
        for (uint32_t row = 0; row < ROWS; row++)
            insert(&stand, 0, row);
        (void)build_all(&stand);
        const struct snapshot_sink sink = bytes_sink(&quiet);
        assert_int_equal(directory_write_segments(stand.directory, &sink, &segments), STATUS_OK);
        assert_int_equal(segments, 1);
        struct meddling meddling = {.stand = &stand, .meddle = ways[i]};
        const struct snapshot_sink meddler = {write_and_meddle, &meddling};
        assert_int_equal(directory_write_segments(stand.directory, &meddler, &segments), STATUS_OK);
        assert_int_equal(segments, 1);
        assert_int_equal(meddling.bytes.count, quiet.count);
        assert_memory_equal(meddling.bytes.all, quiet.all, quiet.count);
        assert_true(stats_of(&stand).size_bytes < meddling.size_bytes);
        bytes_free(&meddling.bytes);
        bytes_free(&quiet);
        drop_stand(&stand);
    }
}

/* ---- beside others --------------------------------------------------------------------------- */

struct member {
    struct stand *stand;
    atomic_bool *stop;
};

/* Not faster than builders throw dead rows out. */
static void come_and_go(void *argument)
{
    enum { DEAD_MAX = 20000 };
    struct member *member = argument;
    for (uint32_t row = 0; !atomic_load(member->stop); row = (row + 1) % COVERED) {
        while (stats_of(member->stand).dead_rows > DEAD_MAX && !atomic_load(member->stop))
            (void)sched_yield();
        remove_row(member->stand, 0, row);
        insert(member->stand, 0, row);
        remove_row(member->stand, 1, row);
        insert(member->stand, 1, row);
        if (row % 64 == 0)
            (void)epoch_collect(member->stand->epochs);
    }
}

/* A row that is removed and comes again under its old sequence, which no client can do, may be seen
 * by one search before and after. */
static void search_on(void *argument)
{
    struct member *member = argument;
    for (uint32_t row = 0; !atomic_load(member->stop); row = (row + 7) % ROWS) {
        const struct search search = near_row(member->stand, row % 2, row);
        assert_true_hits(&search, row % 2);
    }
}

static void writing_goes_on_beside_others(void **state)
{
    (void)state;
    struct bytes bytes = {0};
    struct stand stand = fresh_stand();
    atomic_bool stop = false;
    struct member member = {&stand, &stop};
    struct thread *threads[2];
    fill(&stand);
    assert_int_equal(directory_builder_start(stand.directory), STATUS_OK);
    assert_int_equal(thread_create(THREAD_COMPUTE, "writer", come_and_go, &member, &threads[0]),
                     STATUS_OK);
    assert_int_equal(thread_create(THREAD_COMPUTE, "reader", search_on, &member, &threads[1]),
                     STATUS_OK);
    for (int i = 0; i < (UNDER_TSAN ? 3 : 20); i++) {
        uint64_t segments = 0;
        const struct snapshot_sink sink = bytes_sink(&bytes);
        bytes.count = 0;
        assert_int_equal(directory_write_segments(stand.directory, &sink, &segments), STATUS_OK);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        thread_join(&threads[i]);
    directory_builder_stop(stand.directory);
    assert_int_equal(stats_of(&stand).rows, SCOPES * ROWS);
    assert_true(found_share(&stand) > 0.98);
    drop_stand(&stand);
    bytes_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_come_back_without_being_built),
        cmocka_unit_test(a_second_snapshot_equals_the_first),
        cmocka_unit_test(rows_that_do_not_come_back_are_dead),
        cmocka_unit_test(a_segment_with_few_rows_left_is_rewritten),
        cmocka_unit_test(scopes_that_do_not_come_back_cost_nothing),
        cmocka_unit_test(a_row_with_another_vector_is_scanned),
        cmocka_unit_test(another_dimension_takes_nothing),
        cmocka_unit_test(a_row_that_comes_twice_has_one_place),
        cmocka_unit_test(other_settings_mean_a_build),
        cmocka_unit_test(damage_costs_a_build_and_no_row),
        cmocka_unit_test(the_state_is_one_of_those_that_are_told),
        cmocka_unit_test(a_restore_may_be_left),
        cmocka_unit_test(a_refused_byte_ends_the_writing_and_the_scopes_rest),
        cmocka_unit_test(segments_are_held_while_they_are_written),
        cmocka_unit_test(writing_goes_on_beside_others),
    };
    return cmocka_run_group_tests(tests, draw_units, unregister_thread);
}
