/*
 * Goal: the short way of a Get never says anything that the general way does not. Method: whatever
 * it takes is read the general way too and compared field by field: plain requests, requests that
 * are anything but plain, and a plain one cut at every length and with every byte replaced.
 */
#include "codec_requests.h"

static void assert_same_text(struct text a, struct text b)
{
    assert_int_equal(a.length, b.length);
    assert_true(text_equal(a, b));
}

static void assert_same(const struct cache_get_request *plain,
                        const struct cache_get_request *general)
{
    const struct identity *a = &plain->identity, *b = &general->identity;
    assert_same_text(a->tenant, b->tenant);
    assert_same_text(a->namespace_, b->namespace_);
    assert_same_text(a->model, b->model);
    assert_same_text(a->prompt, b->prompt);
    assert_same_text(a->system_prompt, b->system_prompt);
    assert_same_text(a->embedder, b->embedder);
    assert_same_text(a->tools_json, b->tools_json);
    assert_same_text(a->tool_choice_json, b->tool_choice_json);
    assert_same_text(a->response_format_json, b->response_format_json);
    assert_int_equal(a->messages_count + a->attributes_count + a->context_ids_count, 0);
    assert_int_equal(b->messages_count + b->attributes_count + b->context_ids_count, 0);
    const struct key_params none = {.n = 0};
    assert_memory_equal(&a->params, &none, sizeof(none));
    assert_memory_equal(&b->params, &none, sizeof(none));
    assert_null(plain->vector);
    assert_null(general->vector);
    assert_false(plain->only_exact || plain->only_semantic || plain->min_similarity_given);
    assert_false(general->only_exact || general->only_semantic || general->min_similarity_given);
    assert_int_equal(plain->include | general->include, 0);
}

/* True: the short way took it, and it was right to. */
static bool taken(struct text bytes, struct arena *arena)
{
    struct cache_get_request plain, general;
    if (!codec_plain_get(bytes, &plain))
        return false;
    assert_int_equal(codec_general_get(bytes, &small_limits, arena, &general, NULL), STATUS_OK);
    assert_same(&plain, &general);
    return true;
}

static struct text plain_request(struct arena *arena)
{
    Reprise__V1__GetRequest *get = full_get();
    Reprise__V1__Identity identity = *get->identity;
    identity.n_messages = identity.n_attributes = identity.n_context_ids = 0;
    identity.params = NULL;
    Reprise__V1__GetRequest plain = REPRISE__V1__GET_REQUEST__INIT;
    plain.identity = &identity;
    return packed(&plain.base, arena);
}

static void texts_alone_go_the_short_way(void **state)
{
    assert_true(taken(packed(&small_get()->base, *state), *state));
    assert_true(taken(plain_request(*state), *state));
    assert_true(taken(TEXT("\x0a\x00"), *state));                     /* an empty identity */
    assert_true(taken(TEXT("\x0a\x05\x1a\x03\xe2\x82\xac"), *state)); /* the euro sign */
}

static void everything_else_goes_the_general_way(void **state)
{
    static const struct text others[] = {
        {"", 0},
        {"\x0a", 1},                             /* cut off                            */
        {"\x08\x01", 2},                         /* the identity is no message         */
        {"\x0a\x00\x0a\x00", 4},                 /* twice: to be merged                */
        {"\x0a\x00\x2a\x01\x01", 5},             /* tiers                              */
        {"\x0a\x00\x98\x06\x01", 5},             /* a field that nobody knows          */
        {"\x0a\x03\x98\x06\x01", 5},             /* the same inside                    */
        {"\x0a\x06\x1a\x01\x61\x1a\x01\x62", 8}, /* the prompt twice               */
        {"\x0a\x03\x1a\x01\xff", 5},             /* not UTF-8                          */
        {"\x0a\x03\x1a\x01\x00", 5},             /* NUL                                */
        {"\x0a\x02\x18\x01", 4},                 /* a prompt that is a number          */
        {"\x0a\x02\x22\x00", 4},                 /* a message                          */
        {"\x0a\x02\x32\x00", 4},                 /* params                             */
        {"\x0a\x02\x52\x00", 4},                 /* an attribute                       */
        {"\x0a\x02\x5a\x00", 4},                 /* a context id                       */
        {"\x0a\x02\x6a\x00", 4},                 /* behind the last field              */
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(taken(others[i], *state));
    assert_false(taken(packed(&full_get()->base, *state), *state));
}

static void damaged_bytes_are_never_taken_for_more_than_they_are(void **state)
{
    const struct text made = plain_request(*state);
    const struct text whole = exact_copy(made.bytes, made.length); /* outlives the resets below */
    for (size_t length = 0; length < whole.length; length++) {
        struct text cut = exact_copy(whole.bytes, length);
        assert_false(taken(cut, *state));
        free((void *)(uintptr_t)cut.bytes);
    }
    size_t taken_count = 0;
    for (size_t at = 0; at < whole.length; at++) {
        for (unsigned value = 0; value < 256; value++) {
            struct text changed = exact_copy(whole.bytes, whole.length);
            ((char *)(uintptr_t)changed.bytes)[at] = (char)value;
            taken_count += taken(changed, *state);
            arena_reset(*state);
            free((void *)(uintptr_t)changed.bytes);
        }
    }
    assert_true(taken_count > 64 * whole.length); /* most letters may be another */
    free((void *)(uintptr_t)whole.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(texts_alone_go_the_short_way),
        ARENA_TEST(everything_else_goes_the_general_way),
        ARENA_TEST(damaged_bytes_are_never_taken_for_more_than_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
