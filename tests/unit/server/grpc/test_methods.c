/*
 * Goal: every method of the public files is in the path table (methods.c) and the other way round;
 * a path that is not a method finds nothing. Method: the table against the symbol table over the
 * embedded descriptor set.
 */
#include "tests/support/unit.h"

#include <stdio.h>
#include <string.h>

#include "proto/descriptor_set.h"
#include "server/grpc/methods.h"
#include "server/grpc/symbols.h"

static int make_symbols(void **state)
{
    struct symbols *symbols = NULL;
    struct text set = {(const char *)descriptor_set, descriptor_set_size};
    if (symbols_create(set, &symbols) != STATUS_OK)
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

/* "/reprise.v1.Cache/Get" becomes "reprise.v1.Cache.Get". */
static struct text symbol_of(const char *path, char *buffer, size_t size)
{
    (void)snprintf(buffer, size, "%s", path + 1);
    char *slash = strchr(buffer, '/');
    assert_non_null(slash);
    *slash = '.';
    return text_of(buffer);
}

static void each_path_is_found_by_itself(void **state)
{
    (void)state;
    size_t count = 0;
    const struct method *methods = methods_all(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(methods_find(text_of(methods[i].path)), &methods[i]);
        assert_non_null(methods[i].handle);
    }
}

static void the_paths_are_sorted_and_differ(void **state)
{
    (void)state;
    size_t count = 0;
    const struct method *methods = methods_all(&count);
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(methods[i - 1].path, methods[i].path) < 0);
}

static void what_is_no_method_finds_nothing(void **state)
{
    (void)state;
    const char *const strangers[] = {
        "",
        "/",
        "/reprise.v1.Cache",
        "/reprise.v1.Cache/",
        "/reprise.v1.Cache/Ge",
        "/reprise.v1.Cache/Gets",
        "/reprise.v1.Cache/get",
        "reprise.v1.Cache/Get",
        "/reprise.v1.Cache/Get/",
        "/zzz/Zzz",
        "/a/A",
    };
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
        assert_null(methods_find(text_of(strangers[i])));
    assert_null(methods_find((struct text){"/reprise.v1.Cache/Get\0", 22}));
    assert_null(methods_find((struct text){NULL, 0}));
}

static void each_method_with_its_own_acceptor_is_the_one_it_says(void **state)
{
    (void)state;
    assert_string_equal(methods_registered(SLOT_GET)->path, "/reprise.v1.Cache/Get");
    assert_string_equal(methods_registered(SLOT_SET)->path, "/reprise.v1.Cache/Set");
    assert_string_equal(methods_registered(SLOT_BATCH_GET)->path, "/reprise.v1.Cache/BatchGet");
    assert_string_equal(methods_registered(SLOT_BATCH_SET)->path, "/reprise.v1.Cache/BatchSet");
}

static void each_method_stands_in_the_files_that_reflection_serves(void **state)
{
    size_t count = 0;
    const struct method *methods = methods_all(&count);
    for (size_t i = 0; i < count; i++) {
        char name[128];
        struct text symbol = symbol_of(methods[i].path, name, sizeof(name));
        assert_int_not_equal(symbols_file_of_symbol(*state, symbol), SYMBOLS_NONE);
    }
}

/* Nothing that reflection lists may answer UNIMPLEMENTED: as many paths as "METHOD(...)" entries of
 * the services. */
static void each_service_that_reflection_lists_has_a_method_here(void **state)
{
    size_t services_count = 0, count = 0;
    const struct text *services = symbols_services(*state, &services_count);
    const struct method *methods = methods_all(&count);
    assert_int_equal(services_count, 6);
    for (size_t i = 0; i < services_count; i++) {
        size_t found = 0;
        for (size_t j = 0; j < count; j++) {
            if (strncmp(methods[j].path + 1, services[i].bytes, services[i].length) == 0 &&
                methods[j].path[1 + services[i].length] == '/')
                found++;
        }
        assert_true(found > 0);
    }
}

static void streams_can_go_on_and_probes_are_always_answered(void **state)
{
    (void)state;
    size_t count = 0;
    const struct method *methods = methods_all(&count);
    for (size_t i = 0; i < count; i++) { /* a stream writes, or reads, or both */
        assert_int_equal(methods[i].stream, methods[i].written != NULL || methods[i].ended != NULL);
        assert_true(!methods[i].finishes || methods[i].stream);
    }
    assert_true(methods_find(TEXT("/grpc.health.v1.Health/Check"))->always);
    assert_false(methods_find(TEXT("/reprise.v1.Cache/Get"))->always);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_is_found_by_itself),
        cmocka_unit_test(the_paths_are_sorted_and_differ),
        cmocka_unit_test(what_is_no_method_finds_nothing),
        cmocka_unit_test(each_method_with_its_own_acceptor_is_the_one_it_says),
        cmocka_unit_test(each_method_stands_in_the_files_that_reflection_serves),
        cmocka_unit_test(each_service_that_reflection_lists_has_a_method_here),
        cmocka_unit_test(streams_can_go_on_and_probes_are_always_answered),
    };
    return cmocka_run_group_tests(tests, make_symbols, free_symbols);
}
