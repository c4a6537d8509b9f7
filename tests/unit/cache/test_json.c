/*
 * Goal: JSON that means the same has one form (RFC 8785), and JSON that has none, or is none, is
 * told apart. Method: the RFC's own examples and number samples (appendix B), what cJSON alone
 * would let pass, and random values.
 */
#include "cache/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/unit.h"

struct world {
    struct arena *arena;
};

static int open_world(void **state)
{
    static struct world world;
    *state = &world;
    return arena_create(&world.arena) == STATUS_OK ? 0 : -1;
}

static int close_world(void **state)
{
    struct world *world = *state;
    arena_destroy(&world->arena);
    return 0;
}

static void assert_form(struct world *world, const char *json, const char *form)
{
    struct text text = {0};
    bool has_form = false;
    enum status status = json_canonical(text_of(json), world->arena, &text, &has_form);
    if (status != STATUS_OK || !has_form || !text_equal(text, text_of(form)))
        fail_msg("%s became %.*s, not %s", json, (int)text.length, text.bytes, form);
}

static void assert_no_form(struct world *world, const char *json)
{
    struct text text = {0};
    bool has_form = true;
    assert_int_equal(json_canonical(text_of(json), world->arena, &text, &has_form), STATUS_OK);
    if (has_form)
        fail_msg("%s has the form %.*s", json, (int)text.length, text.bytes);
    assert_int_equal(text.length, 0);
}

static void assert_refused(struct world *world, const char *json)
{
    struct text text = {0};
    bool has_form = true;
    if (json_canonical(text_of(json), world->arena, &text, &has_form) != STATUS_BAD_JSON)
        fail_msg("%s was read", json);
}

static void members_are_sorted_and_spaces_are_gone(void **state)
{
    assert_form(*state, " {\"b\" : [ 1 , true,null ] ,\n\t\"a\":{ }, \"aa\":[],\"\":false } ",
                "{\"\":false,\"a\":{},\"aa\":[],\"b\":[1,true,null]}");
    assert_form(*state, "\"alone\"", "\"alone\"");
}

/* RFC 8785, section 3.2.3: by UTF-16 code units, so U+1F600 (a surrogate pair) stands before
 * U+FB33. */
static void names_are_sorted_by_utf16_code_units(void **state)
{
    assert_form(*state,
                "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,"
                "\"\\u00f6\":7}",
                "{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,"
                "\"\xf0\x9f\x98\x80\":5,\"\xef\xac\xb3\":3}");
}

static void strings_keep_their_characters_and_get_the_shortest_escapes(void **state)
{
    assert_form(*state, "\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
                "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
    assert_form(*state, "\"\\b\\f\\n\\r\\t\\u001f\\u007f\"", "\"\\b\\f\\n\\r\\t\\u001f\x7f\"");
    assert_form(*state, "\"e\xcc\x81\"", "\"e\xcc\x81\""); /* no normalisation inside JSON */
}

static void numbers_are_written_as_ecmascript_writes_them(void **state)
{
    assert_form(*state, "[333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001, -0, 1e15]",
                "[333333333.3333333,4.5,0.002,1e-27,0,1000000000000000]");
    assert_form(*state, "[1E+2, 10e-1, 1e-6, 1e-7, 123.456e3, -0.0e5, 9007199254740991]",
                "[100,1,0.000001,1e-7,123456,0,9007199254740991]");
}

struct sample {
    uint64_t bits;
    const char *printed;
};

static void the_rfcs_sample_numbers_are_printed_alike(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
        {0x3d30000000000000, "5.684341886080802e-14"}, /* 2^-44: the nearest 16 digits are not it */
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        double value = 0;
        char printed[JSON_NUMBER_TEXT];
        memcpy(&value, &samples[i].bits, sizeof(value));
        const size_t length = json_number(value, printed);
        assert_string_equal(printed, samples[i].printed);
        assert_int_equal(length, strlen(samples[i].printed));
    }
}

static void any_number_reads_back_as_itself(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double value = 0;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        char printed[JSON_NUMBER_TEXT];
        (void)json_number(value, printed);
        assert_true(strtod(printed, NULL) == value);
    }
}

static void what_two_texts_would_share_has_no_form(void **state)
{
    assert_no_form(*state, "{\"a\":1,\"a\":2}");
    assert_no_form(*state, "{\"a\":1,\"b\":2,\"\\u0061\":1}");
    assert_no_form(*state, "[[{\"x\":{\"y\":1,\"y\":1}}]]");
    assert_no_form(*state, "9007199254740992");
    assert_no_form(*state, "9007199254740993");
    assert_no_form(*state, "[-1e300]");
    assert_no_form(*state, "1e400");
    assert_no_form(*state, "\"a\\u0000b\"");
    assert_no_form(*state, "{\"\\u0000\":1}");
    assert_no_form(*state, "[1111111111111111111111111111111111111111111111111111111111111111]");
    assert_form(*state, "{\"a\":{\"b\":1},\"b\":1}", "{\"a\":{\"b\":1},\"b\":1}");
    assert_form(*state, "\"\\\\u0000\"", "\"\\\\u0000\"");
}

static void what_is_not_json_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "01",
        "-01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "True",
        "\"a",
        "\"\\x\"",
        "\"\t\"",
        "\"\\u12\"",
        "[1 2]",
        "1 2",
        "{\"a\"}",
        "[1]]",
        "[1}",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\xef\xbb\xbf[]",
        "[1]x",
        "truefalse",
        "/* */1",
        "\"a\"\v",
        "{\"a\":1 \"b\":2}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_refused(*state, texts[i]);
}

static void nesting_ends_at_sixty_four(void **state)
{
    char text[256];
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        if (depth == 64)
            assert_form(*state, text, text);
        else
            assert_refused(*state, text);
    }
}

/* Short exponents become long numbers; the output was sized by the scan. */
static void a_list_of_numbers_that_grow_fits(void **state)
{
    struct world *world = *state;
    char json[4096] = "[";
    char form[16384] = "[";
    size_t json_length = 1;
    size_t form_length = 1;
    for (int i = 0; i < 500; i++) {
        json_length += (size_t)snprintf(json + json_length, sizeof(json) - json_length, "1e15,");
        form_length +=
            (size_t)snprintf(form + form_length, sizeof(form) - form_length, "1000000000000000,");
    }
    json[json_length - 1] = ']';
    form[form_length - 1] = ']';
    assert_form(world, json, form);
}

/* ---- random values: written in two ways, they have one form, which is its own form ----------- */

struct random_text {
    char bytes[8192];
    size_t length;
    uint64_t seed;
};

static unsigned roll(struct random_text *random, unsigned sides)
{
    random->seed = random->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random->seed >> 33) % sides;
}

static void add(struct random_text *random, const char *text)
{
    random->length += (size_t)snprintf(random->bytes + random->length,
                                       sizeof(random->bytes) - random->length, "%s", text);
}

static void add_value(struct random_text *random, int depth)
{
    static const char *const plain[] = {"0",    "-1.50",          "1e3",   "2.5e-7", "true", "null",
                                        "\"\"", "\"\\u00e9\\n\"", "\"x\"", "9.999e2"};
    char name[16];
    const unsigned kind = depth < 4 ? roll(random, 4) : 0;
    const unsigned size = roll(random, 4);
    if (kind < 2) {
        add(random, plain[roll(random, 10)]);
        return;
    }
    add(random, kind == 2 ? "[ " : "{ ");
    for (unsigned i = 0; i < size; i++) {
        (void)snprintf(name, sizeof(name), "\"%u%u\" : ", roll(random, 1000), i);
        if (i > 0)
            add(random, " , ");
        if (kind == 3)
            add(random, name);
        add_value(random, depth + 1);
    }
    add(random, kind == 2 ? "]" : "}");
}

static void a_form_is_its_own_form(void **state)
{
    struct world *world = *state;
    static struct random_text random = {.seed = 42};
    for (int i = 0; i < 2000; i++) {
        random.length = 0;
        add_value(&random, 0);
        struct text first = {0}, second = {0};
        bool has_form = false;
        assert_int_equal(json_canonical((struct text){random.bytes, random.length}, world->arena,
                                        &first, &has_form),
                         STATUS_OK);
        assert_true(has_form);
        assert_int_equal(json_canonical(first, world->arena, &second, &has_form), STATUS_OK);
        assert_true(has_form);
        assert_true(text_equal(first, second));
        assert_true(memchr(first.bytes, ' ', first.length) == NULL);
        arena_reset(world->arena);
    }
}

/* Any bytes: nothing is read beyond the text (the copy ends where the text ends), nothing crashes.
 */
static void broken_bytes_are_survived(void **state)
{
    struct world *world = *state;
    static const char *const seedling =
        "{\"a\":[1e5,\"\\u00e9\\ud83d\\ude00\",{\"b\":null}],\"c\":-0.5}";
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const size_t length = (seed >> 40) % (strlen(seedling) + 1);
        char *copy = malloc(length + 1);
        assert_non_null(copy);
        memcpy(copy, seedling, length);
        if (length > 0)
            copy[(seed >> 20) % length] = (char)(seed >> 12);
        char *exact = realloc(copy, length > 0 ? length : 1);
        assert_non_null(exact);
        struct text form = {0};
        bool has_form = false;
        enum status status =
            json_canonical((struct text){exact, length}, world->arena, &form, &has_form);
        assert_true(status == STATUS_OK || status == STATUS_BAD_JSON);
        free(exact);
        arena_reset(world->arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_sorted_and_spaces_are_gone),
        cmocka_unit_test(names_are_sorted_by_utf16_code_units),
        cmocka_unit_test(strings_keep_their_characters_and_get_the_shortest_escapes),
        cmocka_unit_test(numbers_are_written_as_ecmascript_writes_them),
        cmocka_unit_test(the_rfcs_sample_numbers_are_printed_alike),
        cmocka_unit_test(any_number_reads_back_as_itself),
        cmocka_unit_test(what_two_texts_would_share_has_no_form),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(nesting_ends_at_sixty_four),
        cmocka_unit_test(a_list_of_numbers_that_grow_fits),
        cmocka_unit_test(a_form_is_its_own_form),
        cmocka_unit_test(broken_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
