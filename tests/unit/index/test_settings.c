/*
 * Goal: the options `index.*` arrive as they were given, and what is not given is the documented
 * default.
 * Method: settings.c with flags and without.
 */
#include "tests/unit/index/index_support.h"

#include "index/rows.h"
#include "index/settings.h"

static enum status read_flags(int count, const char *const *flags, struct index_settings *out)
{
    const struct option_table table = {index_option_rows, index_option_rows_count};
    struct options *options = NULL;
    char *argv[8] = {"test"};
    for (int i = 0; i < count; i++)
        argv[1 + i] = (char *)(uintptr_t)flags[i];
    assert_int_equal(options_create(&table, 1, &options), STATUS_OK);
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    const enum status status = options_read_flags(options, 1 + count, argv, nowhere);
    if (status == STATUS_OK)
        index_settings_read(options, out);
    (void)fclose(nowhere);
    options_destroy(&options);
    return status;
}

static void without_options_the_defaults_hold(void **state)
{
    (void)state;
    struct index_settings none, given;
    index_settings_read(NULL, &none);
    assert_int_equal(read_flags(0, NULL, &given), STATUS_OK);
    assert_int_equal(given.kind, INDEX_AUTO);
    assert_int_equal(given.links, 16);
    assert_int_equal(given.ef_construction, 64);
    assert_int_equal(given.ef_search, 32);
    assert_int_equal(given.nprobe, 8);
    assert_int_equal(given.ivf_lists, 0);
    assert_int_equal(given.seal_rows, 4096);
    assert_int_equal(given.segment_rows_max, 262144);
    assert_int_equal(given.builders, 1);
    assert_int_equal(given.memory_bytes, 0); /* a quarter of the machine */
    assert_int_equal(none.kind, given.kind);
    assert_int_equal(none.links, given.links);
    assert_int_equal(none.ef_construction, given.ef_construction);
    assert_int_equal(none.ef_search, given.ef_search);
    assert_int_equal(none.nprobe, given.nprobe);
    assert_int_equal(none.ivf_lists, given.ivf_lists);
    assert_int_equal(none.seal_rows, given.seal_rows);
    assert_int_equal(none.segment_rows_max, given.segment_rows_max);
    assert_int_equal(none.builders, given.builders);
    assert_int_equal(none.memory_bytes, given.memory_bytes);
}

static void what_is_given_arrives(void **state)
{
    (void)state;
    struct index_settings given;
    const char *flags[] = {"--index-kind=ivf", "--index-memory=64MiB", "--index-ef-search=128",
                           "--index-segment-rows-max=100000", "--index-builders=3"};
    assert_int_equal(read_flags(5, flags, &given), STATUS_OK);
    assert_int_equal(given.kind, INDEX_IVF);
    assert_int_equal(given.memory_bytes, 64 << 20);
    assert_int_equal(given.ef_search, 128);
    assert_int_equal(given.segment_rows_max, 24 * ROWS_CHUNK_MAX); /* whole chunks */
    assert_int_equal(given.builders, 3);
}

static void every_kind_has_its_word(void **state)
{
    (void)state;
    const char *flags[] = {"--index-kind=auto", "--index-kind=flat", "--index-kind=hnsw",
                           "--index-kind=ivf"};
    for (int kind = INDEX_AUTO; kind < INDEX_KINDS; kind++) {
        struct index_settings given;
        assert_int_equal(read_flags(1, &flags[kind], &given), STATUS_OK);
        assert_int_equal(given.kind, kind);
    }
}

static void what_lies_outside_its_limits_is_refused(void **state)
{
    (void)state;
    const char *flags[] = {"--index-kind=annoy",     "--index-hnsw-links=7",
                           "--index-hnsw-links=49",  "--index-ef-construction=39",
                           "--index-ef-search=513",  "--index-nprobe=0",
                           "--index-nprobe=257",     "--index-ivf-lists=65537",
                           "--index-seal-rows=4095", "--index-segment-rows-max=1048577",
                           "--index-builders=0",     "--index-builders=9"};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct index_settings given;
        assert_int_equal(read_flags(1, &flags[i], &given), STATUS_BAD_OPTION);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_the_defaults_hold),
        cmocka_unit_test(what_is_given_arrives),
        cmocka_unit_test(every_kind_has_its_word),
        cmocka_unit_test(what_lies_outside_its_limits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
