/*
 * Goal: a segment that was read back answers like the one that was written, and bytes that are not
 * a sound segment, to the last bit, are refused and leave nothing behind (snapshot_header too).
 * Method: graphs and lists over seeded rows, written into memory; bytes flipped one by one, cut off
 * at each place, and structures that were wrong before their sums were made.
 * REPRISE_SNAPSHOT_STRIDE=1 flips each byte and cuts at each; else one in so many, after the first
 * 512.
 */
#include "tests/unit/index/segment_support.h"
#include "tests/unit/index/snapshot_support.h"

#include "index/snapshot.h"

enum { DIMENSION = 24, TOPICS = 40, HEADER_BYTES = 256, STRIDE = 1009 };

static const struct segment_options *const KINDS[] = {&HNSW, &IVF};
static const struct partition_key KEY = {.scope = {1, 2, 3}, .space = 77};
static const struct question PLAIN = {.tag = 1, .wanted = 8, .ef = 32, .nprobe = 8};

static struct snapshot_limits limits_of(const struct field *field)
{
    return (struct snapshot_limits){
        .memory = field->memory, .links = HNSW.links, .rows_max = 64 * ROWS_CHUNK_MAX};
}

static void start(struct field *field, uint32_t chunks)
{
    field_start(field, DIMENSION, TOPICS, UINT64_C(1) << 28);
    field_add(field, chunks, NULL, NULL);
}

static void write_one(struct field *field, const struct segment *segment, struct bytes *bytes)
{
    const struct snapshot_sink sink = bytes_sink(bytes);
    assert_int_equal(segment_save(segment, field->chunks, &KEY, &sink), STATUS_OK);
}

static void build_and_write(struct field *field, const struct segment_options *options,
                            struct bytes *bytes)
{
    struct segment *segment = NULL;
    assert_int_equal(field_build(field, options, NULL, field->chunks_count, &segment), STATUS_OK);
    write_one(field, segment, bytes);
    segment_destroy(&segment);
}

/* ---- there and back -------------------------------------------------------------------------- */

static struct index_row row_at(const struct field *field, uint32_t row)
{
    const struct rows_chunk *chunk = field_chunk(field, row);
    const uint32_t at = row % ROWS_CHUNK_MAX;
    return (struct index_row){.sequence = chunk->sequences[at],
                              .tag = chunk->tags[at],
                              .unit = rows_chunk_unit(chunk, at)};
}

static void revive_all(struct field *field, const struct snapshot_segment *read)
{
    for (uint32_t row = 0; row < read->chunks_count * ROWS_CHUNK_MAX; row++) {
        const struct index_row from = row_at(field, row);
        struct rows_chunk *chunk = read->chunks[row / ROWS_CHUNK_MAX];
        assert_true(rows_chunk_is_dead(chunk, row % ROWS_CHUNK_MAX));
        assert_true(rows_chunk_revive(chunk, row % ROWS_CHUNK_MAX, &from));
        assert_false(rows_chunk_revive(chunk, row % ROWS_CHUNK_MAX, &from)); /* it lives */
    }
}

/* Both number rows alike; their chunks are others. */
static void assert_same_answers(struct field *field, const struct segment *one,
                                const struct segment *other, struct rows_chunk *const *chunks)
{
    struct question question = PLAIN;
    struct candidates first, second;
    uint64_t seed = 5;
    for (int i = 0; i < 100; i++) {
        (void)question_near(field, &seed, &question);
        const uint64_t scanned = question_ask(&question, field, one, &first);
        candidates_start(&second, question.wanted);
        const struct segment_query query = {
            .codes = question.codes, .tag = 1, .ef = question.ef, .nprobe = question.nprobe};
        assert_int_equal(segment_search(other, chunks, &query, &second), scanned);
        assert_int_equal(first.count, second.count);
        for (uint32_t c = 0; c < first.count; c++) {
            assert_true(first.items[c].score == second.items[c].score);
            assert_int_equal(first.items[c].row, second.items[c].row);
            assert_int_equal(first.items[c].chunk->sequences[first.items[c].row],
                             second.items[c].chunk->sequences[second.items[c].row]);
        }
    }
}

/* What was read can be built upon as what was made. */
static void assert_can_be_extended(struct field *field, const struct segment_options *options,
                                   const struct segment *base, const struct snapshot_segment *read)
{
    const atomic_bool stop = false;
    struct rows_chunk *const chunks[] = {read->chunks[0], read->chunks[1], field->chunks[2]};
    const struct segment_build build = {.memory = field->memory,
                                        .options = options,
                                        .base = base,
                                        .chunks = chunks,
                                        .chunks_count = 3,
                                        .stop = &stop};
    struct segment *extended = NULL, *made = NULL;
    assert_int_equal(segment_build(&build, &extended), STATUS_OK);
    assert_int_equal(field_build(field, options, NULL, 3, &made), STATUS_OK);
    assert_int_equal(segment_rows(extended), segment_rows(made));
    assert_at_least(measure(field, extended, &PLAIN, 100).nearest, 0.98);
    segment_destroy(&extended);
    segment_destroy(&made);
}

static void a_segment_read_back_answers_like_the_one_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct bytes bytes = {0};
        struct segment *made = NULL, *again = NULL;
        struct snapshot_segment read;
        start(&field, 2);
        assert_int_equal(field_build(&field, KINDS[i], NULL, 2, &made), STATUS_OK);
        write_one(&field, made, &bytes);
        const struct snapshot_source source = bytes_source(&bytes);
        const struct snapshot_limits limits = limits_of(&field);
        assert_int_equal(segment_load(&source, &limits, &read), STATUS_OK);
        assert_memory_equal(&read.key, &KEY, sizeof(KEY));
        assert_int_equal(read.dimension, DIMENSION);
        assert_int_equal(read.chunks_count, 2);
        revive_all(&field, &read);
        assert_int_equal(segment_adopt(field.memory, read.chunks, 2, &read.structure, &again),
                         STATUS_OK);
        assert_int_equal(segment_size_bytes(again), segment_size_bytes(made));
        assert_same_answers(&field, made, again, read.chunks);
        field_add(&field, 1, NULL, NULL);
        assert_can_be_extended(&field, KINDS[i], again, &read);
        struct snapshot_segment none;
        assert_int_equal(segment_load(&source, &limits, &none), STATUS_NOT_FOUND);
        segment_destroy(&made);
        segment_destroy(&again);
        snapshot_segment_deinit(&read);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

/* A file may be older than the row that comes under its number. */
static void another_vector_or_tag_revives_nothing(void **state)
{
    (void)state;
    static struct field field;
    struct bytes bytes = {0};
    struct snapshot_segment read;
    start(&field, 1);
    build_and_write(&field, &HNSW, &bytes);
    const struct snapshot_source source = bytes_source(&bytes);
    const struct snapshot_limits limits = limits_of(&field);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_OK);
    struct index_row row = row_at(&field, 5);
    row.tag++;
    assert_false(rows_chunk_revive(read.chunks[0], 5, &row));
    row = row_at(&field, 6);
    row.sequence = row_at(&field, 5).sequence;
    assert_false(rows_chunk_revive(read.chunks[0], 5, &row));
    row = row_at(&field, 5);
    row.sequence++;
    assert_false(rows_chunk_revive(read.chunks[0], 5, &row));
    assert_true(rows_chunk_is_dead(read.chunks[0], 5));
    assert_int_equal(read.chunks[0]->rows_dead, ROWS_CHUNK_MAX);
    row.sequence--;
    assert_true(rows_chunk_revive(read.chunks[0], 5, &row));
    assert_int_equal(read.chunks[0]->rows_dead, ROWS_CHUNK_MAX - 1);
    snapshot_segment_deinit(&read);
    bytes_free(&bytes);
    field_stop(&field);
}

/* ---- who is dead ----------------------------------------------------------------------------- */

enum { DEAD_EVERY = 5 };

static bool holds(const struct bytes *bytes, const void *part, size_t size)
{
    return memmem(bytes->all, bytes->count, part, size) != NULL;
}

static void revive_living(struct field *field, const struct snapshot_segment *read)
{
    for (uint32_t row = 0; row < read->chunks_count * ROWS_CHUNK_MAX; row++) {
        const struct index_row from = row_at(field, row);
        struct rows_chunk *chunk = read->chunks[row / ROWS_CHUNK_MAX];
        const bool is_dead = rows_chunk_is_dead(field_chunk(field, row), row % ROWS_CHUNK_MAX);
        assert_int_equal(rows_chunk_revive(chunk, row % ROWS_CHUNK_MAX, &from), !is_dead);
    }
    for (uint32_t i = 0; i < read->chunks_count; i++)
        rows_chunk_give_up(read->chunks[i]);
}

/* How often a search of what was read finds a living row as near as any. */
static double share_found(struct field *field, const struct segment *segment,
                          struct rows_chunk *const *chunks)
{
    struct question question = PLAIN;
    struct candidates found, truth;
    uint64_t seed = 9;
    uint32_t good = 0;
    enum { ASKED = 200 };
    for (uint32_t i = 0; i < ASKED; i++) {
        (void)question_near(field, &seed, &question);
        question_truth(&question, field, segment_rows(segment), &truth);
        candidates_start(&found, question.wanted);
        const struct segment_query query = {
            .codes = question.codes, .tag = 1, .ef = question.ef, .nprobe = question.nprobe};
        (void)segment_search(segment, chunks, &query, &found);
        for (uint32_t c = 0; c < found.count; c++)
            assert_false(rows_chunk_is_dead(found.items[c].chunk, found.items[c].row));
        good += candidates_best(&found) == candidates_best(&truth);
    }
    return (double)good / ASKED;
}

static void the_vector_of_a_dead_row_is_not_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct bytes bytes = {0};
        struct segment *made = NULL, *again = NULL;
        struct snapshot_segment read;
        start(&field, 2);
        assert_int_equal(field_build(&field, KINDS[i], NULL, 2, &made), STATUS_OK);
        for (uint32_t row = 0; row < field_rows(&field); row += DEAD_EVERY)
            field_kill(&field, row);
        write_one(&field, made, &bytes);
        segment_destroy(&made);
        for (uint32_t row = 0; row < 40 * DEAD_EVERY; row++) {
            const struct rows_chunk *chunk = field_chunk(&field, row);
            const uint8_t *codes = chunk->codes + (size_t)row * chunk->row_bytes;
            assert_int_equal(holds(&bytes, codes, DIMENSION), row % DEAD_EVERY != 0);
        }
        const struct snapshot_source source = bytes_source(&bytes);
        const struct snapshot_limits limits = limits_of(&field);
        assert_int_equal(segment_load(&source, &limits, &read), STATUS_OK);
        revive_living(&field, &read);
        assert_int_equal(segment_adopt(field.memory, read.chunks, 2, &read.structure, &again),
                         STATUS_OK);
        assert_at_least(share_found(&field, again, read.chunks), 0.97);
        segment_destroy(&again);
        snapshot_segment_deinit(&read);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

static void a_segment_of_the_dead_alone_can_be_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct bytes bytes = {0};
        struct segment *made = NULL;
        struct snapshot_segment read;
        start(&field, 1);
        assert_int_equal(field_build(&field, KINDS[i], NULL, 1, &made), STATUS_OK);
        for (uint32_t row = 0; row < ROWS_CHUNK_MAX; row++)
            field_kill(&field, row);
        write_one(&field, made, &bytes);
        segment_destroy(&made);
        assert_false(holds(&bytes, field.chunks[0]->codes, DIMENSION));
        const struct snapshot_source source = bytes_source(&bytes);
        const struct snapshot_limits limits = limits_of(&field);
        assert_int_equal(segment_load(&source, &limits, &read), STATUS_OK);
        snapshot_segment_deinit(&read);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

static enum status read_first(struct field *field, struct bytes *bytes)
{
    const struct snapshot_source source = bytes_source(bytes);
    const struct snapshot_limits limits = limits_of(field);
    struct snapshot_segment read;
    const enum status status = segment_load(&source, &limits, &read);
    if (status == STATUS_OK)
        snapshot_segment_deinit(&read);
    return status;
}

static size_t step_from(size_t at)
{
    return at < 2 * HEADER_BYTES ? 1 : number_from("REPRISE_SNAPSHOT_STRIDE", STRIDE);
}

static void no_flipped_byte_is_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct bytes bytes = {0};
        start(&field, 1);
        build_and_write(&field, KINDS[i], &bytes);
        for (size_t at = 0; at < bytes.count; at += step_from(at)) {
            const uint8_t before = bytes.all[at];
            bytes.all[at] ^= (uint8_t)(1 + at % 255);
            assert_int_equal(read_first(&field, &bytes), STATUS_CORRUPT);
            bytes.all[at] = before;
        }
        assert_int_equal(memory_used(field.memory), field.used_by_rows);
        assert_int_equal(read_first(&field, &bytes), STATUS_OK);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

static void no_part_of_a_segment_is_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct bytes bytes = {0};
        start(&field, 1);
        build_and_write(&field, KINDS[i], &bytes);
        const size_t whole = bytes.count;
        bytes.count = 0;
        assert_int_equal(read_first(&field, &bytes), STATUS_NOT_FOUND);
        for (size_t count = 1; count < whole; count += step_from(count)) {
            bytes.count = count;
            assert_int_equal(read_first(&field, &bytes), STATUS_CORRUPT);
        }
        bytes.count = whole - 1;
        assert_int_equal(read_first(&field, &bytes), STATUS_CORRUPT);
        assert_int_equal(memory_used(field.memory), field.used_by_rows);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

static void damage_in_one_segment_spares_the_next(void **state)
{
    (void)state;
    static struct field field;
    struct bytes bytes = {0};
    start(&field, 1);
    build_and_write(&field, &HNSW, &bytes);
    const size_t second = bytes.count;
    build_and_write(&field, &IVF, &bytes);
    const struct snapshot_limits limits = limits_of(&field);
    struct snapshot_segment read;
    const size_t places[] = {HEADER_BYTES, HEADER_BYTES + 50000, second - 1};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        bytes.all[places[i]] ^= 0x10;
        const struct snapshot_source source = bytes_source(&bytes);
        assert_int_equal(segment_load(&source, &limits, &read), STATUS_CORRUPT);
        assert_int_equal(segment_load(&source, &limits, &read), STATUS_OK);
        assert_int_equal(read.structure.kind, INDEX_IVF);
        snapshot_segment_deinit(&read);
        assert_int_equal(segment_load(&source, &limits, &read), STATUS_NOT_FOUND);
        bytes.all[places[i]] ^= 0x10;
    }
    bytes.all[17] ^= 0x10; /* in the first header: nobody knows where the second one is */
    const struct snapshot_source source = bytes_source(&bytes);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_CORRUPT);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_NOT_FOUND);
    bytes_free(&bytes);
    field_stop(&field);
}

/* ---- wrong before its sums were made --------------------------------------------------------- */

static uint32_t row_on_level(const struct graph *graph, uint32_t level)
{
    uint32_t row = 0;
    while (graph->levels[row] != level)
        row++;
    return row;
}

static void spoil_graph(struct graph *graph, uint32_t how)
{
    const uint32_t high = row_on_level(graph, 1), low = row_on_level(graph, 0);
    uint32_t *upper = graph->upper + (size_t)graph->upper_offsets[high] * graph->links;
    switch (how) {
    case 0:
        graph->level0[7] = graph->rows;
        return;
    case 1:
        graph->level0[2 * graph->links] = GRAPH_NONE; /* and links follow it */
        return;
    case 2:
        upper[0] = low; /* which has no list there */
        return;
    case 3:
        graph->entry = graph->rows;
        return;
    case 4:
        graph->entry = low;
        return;
    default:
        graph->top++;
        return;
    }
}

static void spoil_lists(struct ivf *ivf, uint32_t how)
{
    switch (how) {
    case 0:
        ivf->members[3] = ivf->rows;
        return;
    case 1:
        ivf->members[3] = ivf->members[4];
        return;
    case 2:
        ivf->firsts[0] = 1;
        return;
    case 3:
        ivf->firsts[2] = ivf->members_count + 1;
        return;
    case 4:
        ivf->centroids[0] = NAN;
        return;
    default:
        ivf->centroids[0] = 3;
        return;
    }
}

static void a_wrong_structure_with_right_sums_is_refused(void **state)
{
    (void)state;
    for (uint32_t how = 0; how < 12; how++) {
        static struct field field;
        struct bytes bytes = {0};
        struct segment *segment = NULL;
        start(&field, 1);
        assert_int_equal(field_build(&field, KINDS[how % 2], NULL, 1, &segment), STATUS_OK);
        if (how % 2 == 0)
            spoil_graph(&segment->graph, how / 2);
        else
            spoil_lists(&segment->ivf, how / 2);
        write_one(&field, segment, &bytes);
        segment_destroy(&segment);
        assert_int_equal(read_first(&field, &bytes), STATUS_CORRUPT);
        assert_int_equal(memory_used(field.memory), field.used_by_rows);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

static void a_scale_that_is_no_number_is_refused(void **state)
{
    (void)state;
    static struct field field;
    struct bytes bytes = {0};
    start(&field, 1);
    field.chunks[0]->scales[9] = NAN;
    struct segment *segment = NULL;
    assert_int_equal(field_build(&field, &HNSW, NULL, 1, &segment), STATUS_OK);
    write_one(&field, segment, &bytes);
    segment_destroy(&segment);
    assert_int_equal(read_first(&field, &bytes), STATUS_CORRUPT);
    bytes_free(&bytes);
    field_stop(&field);
}

/* ---- whole, but of no use here --------------------------------------------------------------- */

static void a_segment_of_other_settings_is_passed_over(void **state)
{
    (void)state;
    static struct field field;
    struct bytes bytes = {0};
    start(&field, 2);
    build_and_write(&field, &HNSW, &bytes);
    build_and_write(&field, &IVF, &bytes);
    struct snapshot_limits limits = limits_of(&field);
    struct snapshot_segment read;
    limits.links = 24;
    struct snapshot_source source = bytes_source(&bytes);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_UNSUPPORTED);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_OK); /* lists have none */
    snapshot_segment_deinit(&read);
    limits = limits_of(&field);
    limits.rows_max = ROWS_CHUNK_MAX;
    source = bytes_source(&bytes);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_UNSUPPORTED);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_UNSUPPORTED);
    assert_int_equal(segment_load(&source, &limits, &read), STATUS_NOT_FOUND);
    bytes_free(&bytes);
    field_stop(&field);
}

static void what_does_not_fit_leaves_nothing_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct field field;
        struct bytes bytes = {0};
        start(&field, 2);
        build_and_write(&field, KINDS[i], &bytes);
        uint32_t refused = 0;
        enum status status = STATUS_NO_MEMORY;
        for (uint64_t max = 4096; status != STATUS_OK; max += max / 4) {
            struct snapshot_limits limits = limits_of(&field);
            struct snapshot_segment read;
            assert_int_equal(memory_open(max, &limits.memory), STATUS_OK);
            const struct snapshot_source source = bytes_source(&bytes);
            status = segment_load(&source, &limits, &read);
            if (status == STATUS_OK)
                snapshot_segment_deinit(&read);
            else
                assert_int_equal(status, STATUS_NO_MEMORY);
            refused += status != STATUS_OK;
            assert_int_equal(bytes.at, bytes.count); /* the next one could be read */
            assert_int_equal(memory_used(limits.memory), 0);
            memory_close(&limits.memory);
        }
        assert_true(refused > 10);
        bytes_free(&bytes);
        field_stop(&field);
    }
}

static void a_sink_that_fails_ends_the_writing(void **state)
{
    (void)state;
    static struct field field;
    struct bytes bytes = {0};
    start(&field, 1);
    struct segment *segment = NULL;
    assert_int_equal(field_build(&field, &IVF, NULL, 1, &segment), STATUS_OK);
    write_one(&field, segment, &bytes);
    const size_t whole = bytes.count;
    for (size_t limit = 1; limit < whole; limit += whole / 17) {
        bytes.count = 0;
        bytes.refuse_after = limit;
        const struct snapshot_sink sink = bytes_sink(&bytes);
        assert_int_equal(segment_save(segment, field.chunks, &KEY, &sink), STATUS_IO_FAILED);
        assert_true(bytes.count <= limit);
    }
    segment_destroy(&segment);
    bytes_free(&bytes);
    field_stop(&field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_read_back_answers_like_the_one_written),
        cmocka_unit_test(another_vector_or_tag_revives_nothing),
        cmocka_unit_test(the_vector_of_a_dead_row_is_not_written),
        cmocka_unit_test(a_segment_of_the_dead_alone_can_be_written),
        cmocka_unit_test(no_flipped_byte_is_believed),
        cmocka_unit_test(no_part_of_a_segment_is_believed),
        cmocka_unit_test(damage_in_one_segment_spares_the_next),
        cmocka_unit_test(a_wrong_structure_with_right_sums_is_refused),
        cmocka_unit_test(a_scale_that_is_no_number_is_refused),
        cmocka_unit_test(a_segment_of_other_settings_is_passed_over),
        cmocka_unit_test(what_does_not_fit_leaves_nothing_behind),
        cmocka_unit_test(a_sink_that_fails_ends_the_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
