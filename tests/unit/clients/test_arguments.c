/*
 * Goal: what was typed is read as it was meant, and what is wrong is named together with the
 * nearest flag. Method: small command lines against one table; errors go to a stream in memory.
 * Rooms: arguments, nearest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/arguments.h"
#include "clients/cli/nearest.h"
#include "tests/support/unit.h"

static const struct flag_row rows[] = {
    {"model", "NAME", false, "a model"},
    {"tag", "TAG", true, "a tag"},
    {"dry-run", NULL, false, "a switch"},
    {"output", "table|json", false, "a form"},
};
static const struct flag_table tables[ARGUMENTS_TABLES_MAX] = {{rows, 4}};

struct typed {
    struct arguments arguments;
    char *errors;
    bool clean;
};

static struct typed type(int argc, const char *const *argv)
{
    struct typed typed = {.errors = NULL};
    size_t size = 0;
    FILE *errors = open_memstream(&typed.errors, &size);
    assert_non_null(errors);
    typed.clean = arguments_read(tables, argc, argv, errors, &typed.arguments);
    (void)fclose(errors);
    return typed;
}

static void forget(struct typed *typed)
{
    if (typed->clean)
        arguments_deinit(&typed->arguments);
    free(typed->errors);
}

#define TYPE(...)                                                                                  \
    type((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                            \
         (const char *const[]){__VA_ARGS__})

static void values_stand_behind_an_equals_sign_or_a_space(void **state)
{
    (void)state;
    struct typed typed = TYPE("--model=a=b", "one", "--tag", "x", "--tag=y", "two", "--dry-run");
    assert_true(typed.clean);
    assert_string_equal(arguments_text(&typed.arguments, "model"), "a=b");
    assert_int_equal(arguments_count(&typed.arguments, "tag"), 2);
    assert_string_equal(arguments_at(&typed.arguments, "tag", 0), "x");
    assert_string_equal(arguments_at(&typed.arguments, "tag", 1), "y");
    assert_null(arguments_at(&typed.arguments, "tag", 2));
    assert_true(arguments_has(&typed.arguments, "dry-run"));
    assert_int_equal(typed.arguments.words_count, 2);
    assert_string_equal(typed.arguments.words[1], "two");
    forget(&typed);
}

static void the_short_form_of_output_is_known(void **state)
{
    (void)state;
    struct typed typed = TYPE("-o", "json");
    assert_true(typed.clean);
    assert_string_equal(arguments_text(&typed.arguments, "output"), "json");
    forget(&typed);
}

static void what_follows_two_dashes_and_a_lone_dash_are_words(void **state)
{
    (void)state;
    struct typed typed = TYPE("-", "--", "--model", "-x");
    assert_true(typed.clean);
    assert_int_equal(typed.arguments.words_count, 3);
    assert_string_equal(typed.arguments.words[0], "-");
    assert_string_equal(typed.arguments.words[1], "--model");
    assert_false(arguments_has(&typed.arguments, "model"));
    forget(&typed);
}

static void an_empty_value_is_a_value(void **state)
{
    (void)state;
    struct typed typed = TYPE("--model=");
    assert_true(typed.clean);
    assert_string_equal(arguments_text(&typed.arguments, "model"), "");
    forget(&typed);
}

static void an_unknown_flag_is_named_with_the_nearest(void **state)
{
    (void)state;
    struct typed typed = TYPE("--modle", "a");
    assert_false(typed.clean);
    assert_non_null(strstr(typed.errors, "--modle; did you mean --model?"));
    forget(&typed);
    typed = TYPE("--zebra");
    assert_false(typed.clean);
    assert_non_null(strstr(typed.errors, "there is no flag --zebra\n"));
    forget(&typed);
}

static void every_fault_is_told_not_only_the_first(void **state)
{
    (void)state;
    struct typed typed = TYPE("--dryrun", "--dry-run=yes", "--model", "a", "--model", "b", "--tag");
    assert_false(typed.clean);
    assert_non_null(strstr(typed.errors, "did you mean --dry-run?"));
    assert_non_null(strstr(typed.errors, "--dry-run takes no value"));
    assert_non_null(strstr(typed.errors, "--model is given twice"));
    assert_non_null(strstr(typed.errors, "--tag needs a value: --tag TAG"));
    forget(&typed);
}

static void a_flag_is_not_taken_for_a_value(void **state)
{
    (void)state;
    struct typed typed = TYPE("--model", "--dry-run");
    assert_false(typed.clean);
    assert_non_null(strstr(typed.errors, "--model needs a value"));
    forget(&typed);
}

static void distances_count_swaps_as_one(void **state)
{
    (void)state;
    assert_int_equal(nearest_distance("", "abc"), 3);
    assert_int_equal(nearest_distance("stats", "stats"), 0);
    assert_int_equal(nearest_distance("satts", "stats"), 1);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    char longer[100];
    memset(longer, 'a', 99);
    longer[99] = '\0';
    assert_true(nearest_distance(longer, "a") > 1000);
}

static void what_is_far_is_never_suggested(void **state)
{
    (void)state;
    const char *best = NULL;
    nearest_consider("xyz", "get", &best);
    assert_null(best);
    nearest_consider("gte", "set", &best);
    nearest_consider("gte", "get", &best);
    assert_string_equal(best, "get");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_behind_an_equals_sign_or_a_space),
        cmocka_unit_test(the_short_form_of_output_is_known),
        cmocka_unit_test(what_follows_two_dashes_and_a_lone_dash_are_words),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(an_unknown_flag_is_named_with_the_nearest),
        cmocka_unit_test(every_fault_is_told_not_only_the_first),
        cmocka_unit_test(a_flag_is_not_taken_for_a_value),
        cmocka_unit_test(distances_count_swaps_as_one),
        cmocka_unit_test(what_is_far_is_never_suggested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
