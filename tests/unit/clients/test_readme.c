/*
 * Goal: the example that the README shows is the one that the build compiles.
 * Method: both files are read and compared, from where this file was compiled.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

static char *read_file(const char *name)
{
    char path[1024];
    const char *tail = strstr(__FILE__, "tests/unit/clients/");
    assert_non_null(tail);
    (void)snprintf(path, sizeof(path), "%.*s%s", (int)(tail - __FILE__), __FILE__, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 64 * 1024);
    assert_non_null(text);
    (void)fread(text, 1, 64 * 1024 - 1, file);
    (void)fclose(file);
    return text;
}

static void the_readme_shows_what_the_build_compiles(void **state)
{
    (void)state;
    char *readme = read_file("clients/c/README.md");
    char *example = read_file("clients/c/example.c");
    const char *code = strchr(example, '\n') + 1; /* behind the line that says what the file is */
    assert_true(strlen(code) > 100);
    assert_non_null(strstr(readme, code));
    free(readme);
    free(example);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_readme_shows_what_the_build_compiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
