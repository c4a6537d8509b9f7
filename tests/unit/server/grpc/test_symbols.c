/*
 * Goal: the symbol table (symbols.c) finds services, methods, messages, nested messages and enums
 * in their file, with all imports; broken bytes are refused, never read past their end. Method: the
 * embedded descriptor set, a small set written by hand, and every prefix of both.
 */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

#include "proto/descriptor_set.h"
#include "server/grpc/symbols.h"

static struct text embedded(void)
{
    return (struct text){(const char *)descriptor_set, descriptor_set_size};
}

static int make_symbols(void **state)
{
    struct symbols *symbols = NULL;
    if (symbols_create(embedded(), &symbols) != STATUS_OK)
        return 1;
    *state = symbols;
    return 0;
}

static int free_symbols(void **state)
{
    struct symbols *symbols = *state;
    symbols_destroy(&symbols);
    return 0;
}

static void every_kind_of_symbol_is_found_in_its_file(void **state)
{
    const struct {
        const char *symbol, *file;
    } rows[] = {
        {"reprise.v1.Cache", "reprise/v1/cache.proto"},
        {"reprise.v1.Cache.Get", "reprise/v1/cache.proto"},
        {"reprise.v1.GetRequest", "reprise/v1/cache.proto"},
        {"reprise.v1.Include", "reprise/v1/cache.proto"},
        {"reprise.v1.Identity", "reprise/v1/common.proto"},
        {"reprise.v1.Tier", "reprise/v1/common.proto"},
        {"reprise.v1.Feedback.Report", "reprise/v1/feedback.proto"},
        {"reprise.v1.Admin.Stats", "reprise/v1/admin.proto"},
        {"grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"},
        {"grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int file = symbols_file_of_symbol(*state, text_of(rows[i].symbol));
        assert_int_not_equal(file, SYMBOLS_NONE);
        assert_int_equal(file, symbols_file_of_name(*state, text_of(rows[i].file)));
    }
}

static void what_is_not_there_is_not_found(void **state)
{
    const char *const strangers[] = {"",
                                     "reprise",
                                     "reprise.v1",
                                     "reprise.v1.Cach",
                                     ".reprise.v1.Cache",
                                     "reprise.v1.Cache.",
                                     "Cache"};
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
        assert_int_equal(symbols_file_of_symbol(*state, text_of(strangers[i])), SYMBOLS_NONE);
    assert_int_equal(symbols_file_of_name(*state, TEXT("cache.proto")), SYMBOLS_NONE);
    assert_int_equal(symbols_file_of_name(*state, TEXT("")), SYMBOLS_NONE);
}

static bool contains(const struct text *files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (memmem(files[i].bytes, files[i].length, name, strlen(name)) == files[i].bytes + 2)
            return true; /* field 1 comes first: a tag, a length, the name */
    }
    return false;
}

static void a_file_comes_first_and_with_its_imports(void **state)
{
    struct text files[64];
    assert_true(symbols_files_count(*state) <= 64);
    int file = symbols_file_of_name(*state, TEXT("reprise/v1/cache.proto"));
    size_t count = symbols_with_imports(*state, file, files);
    assert_int_equal(count, 2);
    assert_true(contains(files, 1, "reprise/v1/cache.proto"));
    assert_true(contains(files, count, "reprise/v1/common.proto"));
    file = symbols_file_of_name(*state, TEXT("reprise/v1/feedback.proto"));
    assert_int_equal(symbols_with_imports(*state, file, files), 4); /* admin, and its own */
}

/* FileDescriptorSet of a, b and c: a imports b and c, b imports c, c imports a (a ring) and a
 * missing file. */
static const char ring[] = "\x0a\x15\x0a\x01"
                           "a"
                           "\x12\x01p\x1a\x01"
                           "b"
                           "\x1a\x01"
                           "c"
                           "\x22\x07\x0a\x01M\x22\x02\x0a\x00"
                           "\x0a\x06\x0a\x01"
                           "b"
                           "\x1a\x01"
                           "c"
                           "\x0a\x0d\x0a\x01"
                           "c"
                           "\x1a\x01"
                           "a"
                           "\x1a\x01"
                           "x"
                           "\x2a\x02\x0a\x00";

/* The same without the two nameless enums. */
static const char named_ring[] = "\x0a\x15\x0a\x01"
                                 "a"
                                 "\x12\x01p\x1a\x01"
                                 "b"
                                 "\x1a\x01"
                                 "c"
                                 "\x22\x07\x0a\x01M\x2a\x02\x08\x01"
                                 "\x0a\x06\x0a\x01"
                                 "b"
                                 "\x1a\x01"
                                 "c"
                                 "\x0a\x0e\x0a\x01"
                                 "c"
                                 "\x1a\x01"
                                 "a"
                                 "\x1a\x01"
                                 "x"
                                 "\x2a\x03\x0a\x01"
                                 "E";

static void nameless_symbols_are_refused(void **state)
{
    (void)state;
    struct symbols *symbols = NULL;
    assert_int_equal(symbols_create((struct text){ring, sizeof(ring) - 1}, &symbols),
                     STATUS_BAD_MESSAGE);
    assert_null(symbols);
}

static void a_ring_of_imports_ends_and_a_missing_import_is_left_out(void **state)
{
    (void)state;
    struct symbols *symbols = NULL;
    assert_int_equal(symbols_create((struct text){named_ring, sizeof(named_ring) - 1}, &symbols),
                     STATUS_OK);
    struct text files[3];
    assert_int_equal(symbols_files_count(symbols), 3);
    for (int file = 0; file < 3; file++)
        assert_int_equal(symbols_with_imports(symbols, file, files), 3);
    assert_int_equal(symbols_file_of_symbol(symbols, TEXT("p.M")), 0);
    assert_int_equal(symbols_file_of_symbol(symbols, TEXT("E")), 2); /* c has no package */
    size_t services = 1;
    (void)symbols_services(symbols, &services);
    assert_int_equal(services, 0);
    symbols_destroy(&symbols);
    assert_null(symbols);
}

/* A prefix that ends between two files is a smaller set; every other is broken. The copy lets the
 * sanitizer see reads past the end. */
static void cut_sets_are_refused_at_every_byte(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(named_ring) - 1; length++) {
        char *cut = malloc(length + (length == 0));
        assert_non_null(cut);
        memcpy(cut, named_ring, length);
        struct symbols *symbols = NULL;
        enum status status = symbols_create((struct text){cut, length}, &symbols);
        bool whole = length == 23 || length == 31;
        assert_int_equal(status, whole ? STATUS_OK : STATUS_BAD_MESSAGE);
        symbols_destroy(&symbols);
        free(cut);
    }
}

static void a_length_that_lies_is_refused(void **state)
{
    (void)state;
    const char lies[] = "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    struct symbols *symbols = NULL;
    assert_int_equal(symbols_create((struct text){lies, sizeof(lies) - 1}, &symbols),
                     STATUS_BAD_MESSAGE);
    const char endless[] = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80";
    assert_int_equal(symbols_create((struct text){endless, sizeof(endless) - 1}, &symbols),
                     STATUS_BAD_MESSAGE);
    assert_null(symbols);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_symbol_is_found_in_its_file),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_file_comes_first_and_with_its_imports),
        cmocka_unit_test(nameless_symbols_are_refused),
        cmocka_unit_test(a_ring_of_imports_ends_and_a_missing_import_is_left_out),
        cmocka_unit_test(cut_sets_are_refused_at_every_byte),
        cmocka_unit_test(a_length_that_lies_is_refused),
    };
    return cmocka_run_group_tests(tests, make_symbols, free_symbols);
}
