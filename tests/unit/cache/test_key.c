/*
 * Goal: the same request has the same key, another request another one, and what cannot be a
 * request is refused with the name of its field. Method: the printed digests and bytes of
 * docs/identity.md; pairs that must be equal or differ; one refusal a rule. The encoding at large
 * is pinned by test_key_vectors.c.
 */
#include "cache/key.h"

#include <math.h>
#include <stdio.h>

#include "cache/key_form.h"
#include "tests/support/unit.h"

static struct arena *arena;
static struct failure failure;

static int open_arena(void **state)
{
    (void)state;
    return arena_create(&arena) == STATUS_OK ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static struct identity ask(const char *prompt)
{
    return (struct identity){.model = TEXT("m"), .prompt = text_of(prompt)};
}

static struct key make(const struct identity *identity)
{
    struct key key;
    if (key_make(identity, &key_limits_standard, arena, &key, &failure) != STATUS_OK)
        fail_msg("%s: %s", failure.field, failure.message);
    return key;
}

static bool same(const struct identity *a, const struct identity *b)
{
    const struct key x = make(a), y = make(b);
    assert_true(x.canonical && y.canonical);
    return digest_equal(&x.exact, &y.exact);
}

static void assert_hex(const struct digest *digest, const char *expected)
{
    char hex[DIGEST_HEX + 1];
    digest_to_hex(digest, hex);
    assert_string_equal(hex, expected);
}

static void assert_refused(const struct identity *identity, enum status status, const char *field)
{
    struct key key;
    failure = (struct failure){0};
    assert_string_equal(
        status_name(key_make(identity, &key_limits_standard, arena, &key, &failure)),
        status_name(status));
    assert_string_equal(failure.field, field);
    assert_int_equal(failure.status, status);
}

/* ---- the same -------------------------------------------------------------------------------- */

static void the_printed_digests_hold(void **state)
{
    (void)state;
    struct identity hi = ask("hi");
    struct key key = make(&hi);
    assert_hex(&key.scope, "f2cf9c071e2cdd921ffb67f07de6f6b5699dc91ea1ab1f9bbfae7eea1f92441a");
    assert_hex(&key.exact, "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a");
    struct identity coffee = ask("cafe\xcc\x81\r\n");
    coffee.system_prompt = TEXT("Be brief.");
    coffee.params.temperature_given = true;
    key = make(&coffee);
    assert_hex(&key.exact, "f9caa3e609f5f86254d217a819f03e46362fad780bf41010643c701bae426c63");
    assert_true(text_equal(key.query, TEXT("caf\xc3\xa9\n")));
}

static void the_canonical_bytes_are_the_printed_ones(void **state)
{
    (void)state;
    static const char expected[] = "reprise/1"
                                   "S\x1e\0\0\0"
                                   "\x01\x07\0\0\0default"
                                   "\x02\x07\0\0\0default"
                                   "\x03\x01\0\0\0m"
                                   "C\0\0\0\0"
                                   "Q\x07\0\0\0"
                                   "\x01\x02\0\0\0hi";
    struct identity hi = ask("hi");
    struct text bytes;
    assert_int_equal(key_canonical(&hi, &key_limits_standard, arena, &bytes, &failure), STATUS_OK);
    assert_true(text_equal(bytes, TEXT(expected)));
}

static void names_left_out_are_default(void **state)
{
    (void)state;
    struct identity bare = ask("hi"), named = ask("hi");
    named.tenant = TEXT("default");
    named.namespace_ = TEXT("default");
    assert_true(same(&bare, &named));
    assert_true(text_equal(make(&bare).namespace_, TEXT("default")));
}

static void a_prompt_is_one_user_message(void **state)
{
    (void)state;
    const struct key_message messages[] = {{.role = TEXT("system"), .content = TEXT("Be brief.")},
                                           {.role = TEXT("user"), .content = TEXT("hi")}};
    struct identity prompt = ask("hi"),
                    chat = {.model = TEXT("m"), .messages = messages, .messages_count = 2};
    prompt.system_prompt = TEXT("Be brief.");
    assert_true(same(&prompt, &chat));
}

static void reordered_json_names_are_the_same_request(void **state)
{
    (void)state;
    struct identity a = ask("hi"), b = ask("hi");
    a.tools_json = TEXT("[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true}}]");
    b.tools_json =
        TEXT("[ {\"function\" : {\"strict\":true, \"name\":\"f\"}, \"type\":\"function\"} ]");
    assert_true(same(&a, &b));
    a.params.other_json = TEXT("{\"top_k\":40,\"min_p\":0.05}");
    b.params.other_json = TEXT("{\"min_p\":5e-2,\"top_k\":40.0}");
    assert_true(same(&a, &b));
}

static void a_float_and_a_double_temperature_are_the_same(void **state)
{
    (void)state;
    struct identity a = ask("hi"), b = ask("hi");
    a.params.temperature_given = b.params.temperature_given = true;
    a.params.temperature = 0.7;
    b.params.temperature = 0.7f;
    assert_true(same(&a, &b));
    b.params.temperature = 0.700002;
    assert_false(same(&a, &b));
}

static void the_order_of_attributes_is_free(void **state)
{
    (void)state;
    const struct key_attribute one[] = {{TEXT("region"), TEXT("eu")}, {TEXT("a"), TEXT("")}};
    const struct key_attribute two[] = {{TEXT("a"), TEXT("")}, {TEXT("region"), TEXT("eu")}};
    struct identity a = ask("hi"), b = ask("hi");
    a.attributes = one;
    b.attributes = two;
    a.attributes_count = b.attributes_count = 2;
    assert_true(same(&a, &b));
}

static void one_choice_is_no_choice(void **state)
{
    (void)state;
    struct identity a = ask("hi"), b = ask("hi");
    b.params.n = 1;
    assert_true(same(&a, &b));
    b.params.n = 2;
    assert_false(same(&a, &b));
}

/* ---- another --------------------------------------------------------------------------------- */

typedef void change(struct identity *identity);

static void other_tenant(struct identity *identity)
{
    identity->tenant = TEXT("acme");
}
static void other_namespace(struct identity *identity)
{
    identity->namespace_ = TEXT("other");
}
static void other_model(struct identity *identity)
{
    identity->model = TEXT("m2");
}
static void other_embedder(struct identity *identity)
{
    identity->embedder = TEXT("bge");
}
static void other_case(struct identity *identity)
{
    identity->prompt = TEXT("Hi");
}
static void other_space(struct identity *identity)
{
    identity->prompt = TEXT("hi ");
}
static void a_system_prompt(struct identity *identity)
{
    identity->system_prompt = TEXT("Be brief.");
}
static void tools(struct identity *identity)
{
    identity->tools_json = TEXT("[]");
}
static void a_tool_choice(struct identity *identity)
{
    identity->tool_choice_json = TEXT("\"auto\"");
}
static void a_response_format(struct identity *identity)
{
    identity->response_format_json = TEXT("{\"type\":\"json_object\"}");
}
static void a_zero_temperature(struct identity *identity)
{
    identity->params.temperature_given = true;
}
static void a_zero_top_p(struct identity *identity)
{
    identity->params.top_p_given = true;
}
static void a_zero_max_tokens(struct identity *identity)
{
    identity->params.max_tokens_given = true;
}
static void a_zero_seed(struct identity *identity)
{
    identity->params.seed_given = true;
}
static void an_empty_stop(struct identity *identity)
{
    static const struct text stop[] = {{"", 0}};
    identity->params.stop = stop;
    identity->params.stop_count = 1;
}
static void an_empty_context_id(struct identity *identity)
{
    static const struct text ids[] = {{"", 0}};
    identity->context_ids = ids;
    identity->context_ids_count = 1;
}
static void an_attribute(struct identity *identity)
{
    static const struct key_attribute attributes[] = {{{"a", 1}, {"", 0}}};
    identity->attributes = attributes;
    identity->attributes_count = 1;
}
static void other_parameters(struct identity *identity)
{
    identity->params.other_json = TEXT("{}");
}

static void any_one_difference_is_another_request(void **state)
{
    (void)state;
    static change *const changes[] = {
        other_tenant,      other_namespace,   other_model,        other_embedder,
        other_case,        other_space,       a_system_prompt,    tools,
        a_tool_choice,     a_response_format, a_zero_temperature, a_zero_top_p,
        a_zero_max_tokens, a_zero_seed,       an_empty_stop,      an_empty_context_id,
        an_attribute,      other_parameters,
    };
    enum { CHANGES = sizeof(changes) / sizeof(changes[0]) };
    struct digest seen[CHANGES + 1];
    struct identity plain = ask("hi");
    seen[CHANGES] = make(&plain).exact;
    for (size_t i = 0; i < CHANGES; i++) {
        struct identity changed = ask("hi");
        changes[i](&changed);
        seen[i] = make(&changed).exact;
        for (size_t j = 0; j < i; j++)
            assert_false(digest_equal(&seen[i], &seen[j]));
        assert_false(digest_equal(&seen[i], &seen[CHANGES]));
    }
}

/* A system message that carries more than text must not lose it by joining the system texts. */
static void what_a_message_carries_is_never_lost(void **state)
{
    (void)state;
    const struct key_message user = {.role = TEXT("user"), .content = TEXT("hi")};
    const struct key_message first[] = {
        {.role = TEXT("system"), .content = TEXT("[]")},
        {.role = TEXT("system"), .content_json = TEXT("[]")},
        {.role = TEXT("system"), .content = TEXT("[]"), .name = TEXT("n")},
        {.role = TEXT("assistant"), .content = TEXT("[]")},
        {.role = TEXT("user"), .content = TEXT("[]")},
        {.role = TEXT("tool"), .content = TEXT("[]")},
        {.role = TEXT("tool"), .content = TEXT("[]"), .tool_call_id = TEXT("n")},
        {.role = TEXT("assistant"), .tool_calls_json = TEXT("[]")},
    };
    enum { COUNT = sizeof(first) / sizeof(first[0]) };
    struct digest seen[2 * COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        const struct key_message messages[] = {first[i], user, first[i]};
        struct identity chat = {.model = TEXT("m"), .messages = messages, .messages_count = 2};
        seen[2 * i] = make(&chat).exact;
        chat.messages_count = 3;
        seen[2 * i + 1] = make(&chat).exact;
        for (size_t j = 0; j < 2 * i + 1; j++)
            assert_false(digest_equal(&seen[2 * i + 1], &seen[j]));
        for (size_t j = 0; j < 2 * i; j++)
            assert_false(digest_equal(&seen[2 * i], &seen[j]));
    }
}

/* Lengths stand before the bytes, so moving a letter over a border is another request. */
static void texts_do_not_run_into_each_other(void **state)
{
    (void)state;
    const struct text ab_c[] = {TEXT("ab"), TEXT("c")}, a_bc[] = {TEXT("a"), TEXT("bc")};
    struct identity a = ask("hi"), b = ask("hi");
    a.context_ids = ab_c;
    b.context_ids = a_bc;
    a.context_ids_count = b.context_ids_count = 2;
    assert_false(same(&a, &b));
    struct identity c = ask("xhi"), d = ask("hi");
    c.system_prompt = TEXT("s");
    d.system_prompt = TEXT("sx");
    assert_false(same(&c, &d));
}

/* ---- which tier ------------------------------------------------------------------------------ */

static bool semantic(const struct identity *identity)
{
    return make(identity).semantic;
}

static void one_plain_question_may_be_answered_by_meaning(void **state)
{
    (void)state;
    struct identity hi = ask("hi");
    assert_true(semantic(&hi));
    hi.params.temperature_given = true;
    assert_true(semantic(&hi));
    hi.params.temperature = 1e-7; /* rounds to 0, so it is the same request */
    assert_true(semantic(&hi));
    hi.params.temperature = 1e-6;
    assert_false(semantic(&hi));
    struct identity with_tools = ask("hi");
    with_tools.tools_json = TEXT("[]");
    assert_false(semantic(&with_tools));
}

static void conversations_images_and_tools_are_exact_only(void **state)
{
    (void)state;
    const struct key_message user = {.role = TEXT("user"), .content = TEXT("hi")};
    const struct key_message system = {.role = TEXT("system"), .content = TEXT("s")};
    const struct key_message assistant = {.role = TEXT("assistant"), .content = TEXT("a")};
    const struct key_message image = {.role = TEXT("user"),
                                      .content_json = TEXT("[{\"type\":\"image_url\"}]")};
    const struct key_message result = {
        .role = TEXT("tool"), .content = TEXT("42"), .tool_call_id = TEXT("c")};
    const struct {
        struct key_message messages[3];
        size_t count;
        bool semantic;
    } rows[] = {
        {{user}, 1, true},
        {{system, user}, 2, true},
        {{assistant, user}, 2, true},
        {{user, assistant, user}, 3, false},
        {{user, user}, 2, false},
        {{user, assistant}, 2, false},
        {{system}, 1, false},
        {{image}, 1, false},
        {{result, user}, 2, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct identity chat = {
            .model = TEXT("m"), .messages = rows[i].messages, .messages_count = rows[i].count};
        if (semantic(&chat) != rows[i].semantic)
            fail_msg("row %zu", i);
    }
}

static void json_without_form_has_no_key(void **state)
{
    (void)state;
    static const struct digest zero;
    struct identity twice = ask("hi");
    twice.tools_json = TEXT("{\"a\":1,\"a\":2}");
    const struct key key = make(&twice);
    assert_false(key.canonical);
    assert_false(key.semantic);
    assert_true(digest_equal(&key.exact, &zero));
    struct text bytes;
    assert_int_equal(key_canonical(&twice, &key_limits_standard, arena, &bytes, &failure),
                     STATUS_BAD_JSON);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static char long_text[300 * 1024];

static struct text letters(size_t count)
{
    memset(long_text, 'x', sizeof(long_text));
    return (struct text){long_text, count};
}

static void names_have_rules(void **state)
{
    (void)state;
    struct identity bad = ask("hi");
    bad.model = (struct text){NULL, 0};
    assert_refused(&bad, STATUS_BAD_NAME, "model");
    bad.model = letters(257);
    assert_refused(&bad, STATUS_BAD_NAME, "model");
    bad = ask("hi");
    bad.namespace_ = TEXT("a b");
    assert_refused(&bad, STATUS_BAD_NAME, "namespace");
    bad.namespace_ = TEXT("\xc3\xa9");
    assert_refused(&bad, STATUS_BAD_NAME, "namespace");
    bad.namespace_ = letters(65);
    assert_refused(&bad, STATUS_BAD_NAME, "namespace");
    bad = ask("hi");
    bad.embedder = letters(65);
    assert_refused(&bad, STATUS_BAD_NAME, "embedder");
}

static void attributes_have_rules(void **state)
{
    (void)state;
    struct key_attribute attributes[17] = {
        {TEXT("a"), TEXT("1")}, {TEXT("e\xcc\x81"), TEXT("")}, {TEXT("\xc3\xa9"), TEXT("")}};
    struct identity bad = ask("hi");
    bad.attributes = attributes;
    bad.attributes_count = 3;
    assert_refused(&bad, STATUS_BAD_NAME, "attributes[2].name"); /* equal after NFC */
    attributes[1].name = (struct text){NULL, 0};
    assert_refused(&bad, STATUS_BAD_NAME, "attributes[1].name");
    attributes[0].value = letters(1025);
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "attributes[0].value");
    bad.attributes_count = 17;
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "attributes");
    static const struct key_attribute big[] = {{{"a", 1}, {long_text, 1024}},
                                               {{"b", 1}, {long_text, 1024}},
                                               {{"c", 1}, {long_text, 1024}},
                                               {{"d", 1}, {long_text, 1024}}};
    bad.attributes = big;
    bad.attributes_count = 4;
    assert_refused(&bad, STATUS_SCOPE_TOO_LONG, "attributes");
    bad.attributes_count = 3;
    (void)make(&bad);
}

static void a_prompt_has_rules(void **state)
{
    (void)state;
    const struct key_message messages[] = {{.role = TEXT("user"), .content = TEXT("hi")}};
    struct identity bad = ask("");
    assert_refused(&bad, STATUS_EMPTY_PROMPT, "prompt");
    bad = ask("hi");
    bad.messages = messages;
    bad.messages_count = 1;
    assert_refused(&bad, STATUS_AMBIGUOUS_INPUT, "prompt");
    bad = ask("");
    bad.prompt = letters(256 * 1024 + 1);
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "prompt");
    bad.prompt = letters(256 * 1024);
    (void)make(&bad);
    bad = ask("hi");
    bad.system_prompt = letters(256 * 1024 + 1);
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "system_prompt");
}

static void messages_have_rules(void **state)
{
    (void)state;
    static struct key_message messages[1025];
    for (size_t i = 0; i < 1025; i++)
        messages[i] = (struct key_message){.role = TEXT("user"), .content = TEXT("hi")};
    struct identity bad = {.model = TEXT("m"), .messages = messages, .messages_count = 1025};
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "messages");
    bad.messages_count = 3;
    messages[2].content = (struct text){NULL, 0};
    assert_refused(&bad, STATUS_EMPTY_PROMPT, "messages[2].content");
    messages[2].content_json = TEXT("[1,]");
    assert_refused(&bad, STATUS_BAD_JSON, "messages[2].content_json");
    messages[1].content_json = TEXT("[]");
    assert_refused(&bad, STATUS_AMBIGUOUS_INPUT, "messages[1].content_json");
    messages[0].role = TEXT("function");
    assert_refused(&bad, STATUS_BAD_NAME, "messages[0].role");
    messages[0] = (struct key_message){.role = TEXT("user"), .content = letters(256 * 1024 + 1)};
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "messages[0].content");
}

static void parameters_have_rules(void **state)
{
    (void)state;
    static const struct text many[65];
    static const double numbers[] = {-0.1, 10.1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct identity bad = ask("hi");
        bad.params.temperature_given = true;
        bad.params.temperature = numbers[i];
        assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "params.temperature");
        bad = ask("hi");
        bad.params.top_p_given = true;
        bad.params.top_p = numbers[i];
        assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "params.top_p");
    }
    struct identity bad = ask("hi");
    bad.params.stop = many;
    bad.params.stop_count = 17;
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "params.stop");
    bad = ask("hi");
    bad.context_ids = many;
    bad.context_ids_count = 65;
    assert_refused(&bad, STATUS_LIMIT_EXCEEDED, "context_ids");
    bad = ask("hi");
    bad.params.other_json = TEXT("[]");
    assert_refused(&bad, STATUS_BAD_JSON, "params.other_json");
    bad = ask("hi");
    bad.response_format_json = TEXT("json");
    assert_refused(&bad, STATUS_BAD_JSON, "response_format_json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_printed_digests_hold),
        cmocka_unit_test(the_canonical_bytes_are_the_printed_ones),
        cmocka_unit_test(names_left_out_are_default),
        cmocka_unit_test(a_prompt_is_one_user_message),
        cmocka_unit_test(reordered_json_names_are_the_same_request),
        cmocka_unit_test(a_float_and_a_double_temperature_are_the_same),
        cmocka_unit_test(the_order_of_attributes_is_free),
        cmocka_unit_test(one_choice_is_no_choice),
        cmocka_unit_test(any_one_difference_is_another_request),
        cmocka_unit_test(what_a_message_carries_is_never_lost),
        cmocka_unit_test(texts_do_not_run_into_each_other),
        cmocka_unit_test(one_plain_question_may_be_answered_by_meaning),
        cmocka_unit_test(conversations_images_and_tools_are_exact_only),
        cmocka_unit_test(json_without_form_has_no_key),
        cmocka_unit_test(names_have_rules),
        cmocka_unit_test(attributes_have_rules),
        cmocka_unit_test(a_prompt_has_rules),
        cmocka_unit_test(messages_have_rules),
        cmocka_unit_test(parameters_have_rules),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
