/*
 * Goal: a Get and a Set arrive in cache/'s structs with nothing lost, nothing invented, and an
 * absent number never taken for 0; what the wire alone can say wrong is refused with the field's
 * name. Method: requests packed by protobuf-c itself, read back by codec_read over codec_unpack.
 */
#include "codec_requests.h"

#include <math.h>

static enum status read_get(const Reprise__V1__GetRequest *message, struct arena *arena,
                            struct cache_get_request *out, struct failure *failure)
{
    *failure = (struct failure){.status = STATUS_OK};
    return codec_read_get(packed(&message->base, arena), &small_limits, arena, out, failure);
}

static enum status read_set(const Reprise__V1__SetRequest *message, struct arena *arena,
                            struct cache_set_request *out, struct failure *failure)
{
    *failure = (struct failure){.status = STATUS_OK};
    return codec_read_set(packed(&message->base, arena), &small_limits, arena, out, failure);
}

/* ---- Get -------------------------------------------------------------------- */

static void every_part_of_an_identity_arrives(void **state)
{
    struct cache_get_request request;
    struct failure failure;
    assert_int_equal(read_get(full_get(), *state, &request, &failure), STATUS_OK);
    const struct identity *identity = &request.identity;
    assert_text(identity->tenant, "");
    assert_text(identity->namespace_, "shop");
    assert_text(identity->model, "m-1");
    assert_text(identity->prompt, "how?");
    assert_text(identity->system_prompt, "Be brief.");
    assert_text(identity->embedder, "mine-3");
    assert_text(identity->tools_json, "[]");
    assert_text(identity->tool_choice_json, "\"auto\"");
    assert_text(identity->response_format_json, "{}");
    assert_int_equal(identity->messages_count, 2);
    assert_text(identity->messages[0].role, "assistant");
    assert_text(identity->messages[0].content, "I can help.");
    assert_text(identity->messages[0].tool_calls_json, "[{\"id\":1}]");
    assert_text(identity->messages[1].content, "");
    assert_text(identity->messages[1].content_json, "[{\"type\":\"text\"}]");
    assert_text(identity->messages[1].name, "anna");
    assert_text(identity->messages[1].tool_call_id, "call-7");
    assert_int_equal(identity->attributes_count, 1);
    assert_text(identity->attributes[0].name, "region");
    assert_text(identity->attributes[0].value, "eu");
    assert_int_equal(identity->context_ids_count, 2);
    assert_text(identity->context_ids[1], "doc@2");
    assert_int_equal(identity->params.n, 2);
    assert_int_equal(identity->params.stop_count, 2);
    assert_text(identity->params.stop[0], "END");
    assert_text(identity->params.stop[1], "");
    assert_text(identity->params.other_json, "{\"top_k\":3}");
    assert_int_equal(request.dimension, 3);
    assert_true(request.vector[1] == -0.25F);
    assert_false(request.only_exact || request.only_semantic);
    assert_int_equal(request.include, CACHE_INCLUDE_KEY | CACHE_INCLUDE_CANDIDATES);
}

static void an_optional_is_absent_zero_or_set_and_never_confused(void **state)
{
    for (int step = 0; step < 3; step++) { /* absent, given as 0, given */
        Reprise__V1__GetRequest *get = full_get();
        Reprise__V1__Params *params = get->identity->params;
        const int value = step == 2 ? 1 : 0;
        if (step > 0) {
            params->temperature_given_case = 1;
            params->temperature = value;
            params->top_p_given_case = 2;
            params->top_p = value;
            params->max_tokens_given_case = 3;
            params->max_tokens = (uint32_t)value;
            params->seed_given_case = 4;
            params->seed = -value;
            get->min_similarity_given_case = 6;
            get->min_similarity = (float)value;
        }
        struct cache_get_request request;
        struct failure failure;
        assert_int_equal(read_get(get, *state, &request, &failure), STATUS_OK);
        const struct key_params *read = &request.identity.params;
        assert_int_equal(read->temperature_given, step > 0);
        assert_true(read->temperature == value);
        assert_int_equal(read->top_p_given, step > 0);
        assert_true(read->top_p == value);
        assert_int_equal(read->max_tokens_given, step > 0);
        assert_int_equal(read->max_tokens, value);
        assert_int_equal(read->seed_given, step > 0);
        assert_int_equal(read->seed, -value);
        assert_int_equal(request.min_similarity_given, step > 0);
        assert_true(request.min_similarity == (float)value);
        Reprise__V1__SetRequest *set = full_set();
        set->ttl_ms_given_case = step > 0 ? 4 : 0;
        set->ttl_ms = (uint64_t)value;
        struct cache_set_request stored;
        assert_int_equal(read_set(set, *state, &stored, &failure), STATUS_OK);
        assert_int_equal(stored.ttl_given, step > 0);
        assert_int_equal(stored.ttl_ms, value);
    }
}

static void absent_params_and_vector_are_as_if_all_of_them_were(void **state)
{
    struct cache_get_request request;
    struct failure failure;
    assert_int_equal(read_get(small_get(), *state, &request, &failure), STATUS_OK);
    assert_false(request.identity.params.temperature_given);
    assert_int_equal(request.identity.params.stop_count, 0);
    assert_null(request.vector);
    assert_int_equal(request.dimension, 0);
    assert_int_equal(request.include, 0);
}

static void a_missing_identity_is_an_empty_prompt(void **state)
{
    Reprise__V1__GetRequest get = REPRISE__V1__GET_REQUEST__INIT;
    Reprise__V1__SetRequest set = REPRISE__V1__SET_REQUEST__INIT;
    struct cache_get_request request;
    struct cache_set_request stored;
    struct failure failure;
    assert_int_equal(read_get(&get, *state, &request, &failure), STATUS_EMPTY_PROMPT);
    assert_string_equal(failure.field, "identity");
    assert_int_equal(read_set(&set, *state, &stored, &failure), STATUS_EMPTY_PROMPT);
    assert_string_equal(failure.field, "identity");
}

static void tiers_name_what_is_left(void **state)
{
    struct cache_get_request request;
    struct failure failure;
    Reprise__V1__GetRequest *get = small_get();
    Reprise__V1__Tier tiers[] = {REPRISE__V1__TIER__TIER_SEMANTIC,
                                 REPRISE__V1__TIER__TIER_SEMANTIC};
    get->tiers = tiers;
    get->n_tiers = 2;
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_OK);
    assert_true(request.only_semantic);
    assert_false(request.only_exact);
    tiers[0] = tiers[1] = REPRISE__V1__TIER__TIER_EXACT;
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_OK);
    assert_true(request.only_exact);
    assert_false(request.only_semantic);
}

static void an_unknown_choice_is_refused_by_name(void **state)
{
    static const int tiers[] = {0, 3, -1, 1000}, includes[] = {0, 6, -1, 31, 64};
    struct cache_get_request request;
    struct failure failure;
    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        Reprise__V1__GetRequest *get = small_get();
        Reprise__V1__Tier list[] = {REPRISE__V1__TIER__TIER_EXACT, (Reprise__V1__Tier)tiers[i]};
        get->tiers = list;
        get->n_tiers = 2;
        assert_int_equal(read_get(get, *state, &request, &failure), STATUS_LIMIT_EXCEEDED);
        assert_string_equal(failure.field, "tiers[1]");
        assert_string_equal(failure.message, "one of TIER_EXACT, TIER_SEMANTIC");
    }
    for (size_t i = 0; i < sizeof(includes) / sizeof(includes[0]); i++) {
        Reprise__V1__GetRequest *get = small_get();
        Reprise__V1__Include list[] = {(Reprise__V1__Include)includes[i]};
        get->include = list;
        get->n_include = 1;
        assert_int_equal(read_get(get, *state, &request, &failure), STATUS_LIMIT_EXCEEDED);
        assert_string_equal(failure.field, "include[0]");
        assert_non_null(strstr(failure.message, "INCLUDE_CANDIDATES"));
    }
}

static void a_threshold_lies_between_0_and_1(void **state)
{
    static const float bad[] = {-0.001F, 1.001F, NAN, INFINITY, -INFINITY};
    struct cache_get_request request;
    struct failure failure;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Reprise__V1__GetRequest *get = small_get();
        get->min_similarity_given_case = 6;
        get->min_similarity = bad[i];
        assert_int_equal(read_get(get, *state, &request, &failure), STATUS_BAD_THRESHOLD);
        assert_string_equal(failure.field, "min_similarity");
    }
}

/* ---- Vector ----------------------------------------------------------------- */

static void halves_become_floats(void **state)
{
    struct cache_get_request request;
    struct failure failure;
    uint8_t bytes[] = {0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b}; /* 1, -2, 65504: little-endian */
    Reprise__V1__Vector vector = REPRISE__V1__VECTOR__INIT;
    vector.f16 = (ProtobufCBinaryData){.len = sizeof(bytes), .data = bytes};
    Reprise__V1__GetRequest *get = small_get();
    get->vector = &vector;
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_OK);
    assert_int_equal(request.dimension, 3);
    assert_true(request.vector[0] == 1);
    assert_true(request.vector[1] == -2);
    assert_true(request.vector[2] == 65504);
}

static void a_vector_is_given_once_whole_and_not_empty(void **state)
{
    struct cache_get_request request;
    struct failure failure;
    uint8_t bytes[4] = {0};
    float numbers[] = {1};
    Reprise__V1__Vector vector = REPRISE__V1__VECTOR__INIT;
    Reprise__V1__GetRequest *get = small_get();
    get->vector = &vector;
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_BAD_VECTOR);
    assert_string_equal(failure.field, "vector");
    vector.f16 = (ProtobufCBinaryData){.len = 3, .data = bytes};
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_BAD_VECTOR);
    assert_string_equal(failure.field, "vector.f16");
    vector.f16.len = 4;
    vector.n_f32 = 1;
    vector.f32 = numbers;
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_AMBIGUOUS_INPUT);
    assert_string_equal(failure.field, "vector");
}

static void numbers_pass_as_they_are_for_cache_to_judge(void **state)
{
    struct cache_get_request request;
    struct failure failure;
    float numbers[] = {NAN, INFINITY, 0};
    Reprise__V1__Vector vector = REPRISE__V1__VECTOR__INIT;
    vector.n_f32 = 3;
    vector.f32 = numbers;
    Reprise__V1__GetRequest *get = small_get();
    get->vector = &vector;
    assert_int_equal(read_get(get, *state, &request, &failure), STATUS_OK);
    assert_true(isnan(request.vector[0]));
    assert_true(isinf(request.vector[1]));
}

/* ---- Set -------------------------------------------------------------------- */

static void every_part_of_a_set_arrives(void **state)
{
    struct cache_set_request request;
    struct failure failure;
    assert_int_equal(read_set(full_set(), *state, &request, &failure), STATUS_OK);
    assert_text(request.identity.model, "m-1");
    assert_text(request.content, "Under Settings, Security.");
    assert_text(request.blob, "");
    assert_text(request.finish_reason, "stop");
    assert_text(request.refusal, "");
    assert_text(request.content_type, "");
    assert_false(request.other_parts);
    assert_int_equal(request.tags_count, 2);
    assert_text(request.tags[1], "v2");
    assert_int_equal(request.metadata_count, 1);
    assert_text(request.metadata[0].name, "owner");
    assert_text(request.metadata[0].value, "team-a");
    assert_null(request.vector);
    const struct text info = packed(&full_set()->info->base, *state);
    assert_true(text_equal(request.info, info));
}

static void other_parts_of_an_answer_are_noticed(void **state)
{
    struct cache_set_request request;
    struct failure failure;
    for (int part = 0; part < 3; part++) {
        Reprise__V1__SetRequest *set = full_set();
        if (part == 0)
            set->info->reasoning = "because";
        else if (part == 1)
            set->info->tool_calls_json = "[]";
        else
            set->info->extra_choices_json = "[]";
        assert_int_equal(read_set(set, *state, &request, &failure), STATUS_OK);
        assert_true(request.other_parts);
        assert_int_equal(request.further_choices, part == 2);
    }
}

static bool lies_in(struct text part, struct text whole)
{
    return part.bytes >= whole.bytes && part.bytes + part.length <= whole.bytes + whole.length;
}

static void an_answer_is_borrowed_from_the_request_whatever_its_length(void **state)
{
    static const size_t lengths[] = {1, CODEC_BORROW_BYTES, CODEC_BORROW_BYTES + 1, 1 << 20};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char *answer = calloc(lengths[i] + 1, 1);
        assert_non_null(answer);
        memset(answer, 'x', lengths[i]);
        Reprise__V1__SetRequest *set = full_set();
        set->content = answer;
        const struct text bytes = packed(&set->base, *state);
        const size_t used = arena_used_bytes(*state);
        struct cache_set_request request;
        assert_int_equal(codec_read_set(bytes, &small_limits, *state, &request, NULL), STATUS_OK);
        assert_true(lies_in(request.content, bytes));
        assert_true(lies_in(request.info, bytes));
        assert_text(request.content, answer);
        assert_text(request.tags[0], "faq");
        assert_text(request.metadata[0].value, "team-a");
        assert_text(request.identity.prompt, "how?");
        assert_true(arena_used_bytes(*state) - used < 16384); /* the answer was not copied */
        free(answer);
    }
}

static void a_blob_may_hold_any_byte(void **state)
{
    uint8_t bytes[CODEC_BORROW_BYTES + 256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    Reprise__V1__SetRequest *set = full_set();
    set->content = "";
    set->info->content_type = "image/png";
    set->blob = (ProtobufCBinaryData){.len = sizeof(bytes), .data = bytes};
    struct cache_set_request request;
    struct failure failure;
    assert_int_equal(read_set(set, *state, &request, &failure), STATUS_OK);
    assert_int_equal(request.blob.length, sizeof(bytes));
    assert_memory_equal(request.blob.bytes, bytes, sizeof(bytes));
    assert_text(request.content_type, "image/png");
    assert_int_equal(request.content.length, 0);
}

static void parts_that_come_twice_are_merged_as_protobuf_merges_them(void **state)
{
    Reprise__V1__SetRequest *set = full_set();
    struct wire wire;
    wire_init(&wire, *state, 0);
    wire_raw(&wire, packed(&set->base, *state));
    wire_text(&wire, 2, TEXT("\x22\x06length"));   /* info.finish_reason */
    wire_text(&wire, 1, TEXT("\x12\x03m-2"));      /* identity.model     */
    wire_text(&wire, 100, TEXT("Another answer")); /* content            */
    struct cache_set_request request;
    assert_int_equal(codec_read_set(wire_text_of(&wire), &small_limits, *state, &request, NULL),
                     STATUS_OK);
    assert_text(request.finish_reason, "length");
    assert_text(request.identity.model, "m-2");
    assert_text(request.identity.prompt, "how?");
    assert_text(request.content, "Another answer");
    const Reprise__V1__AnswerInfo *info = (Reprise__V1__AnswerInfo *)unpacked(
        &reprise__v1__answer_info__descriptor, request.info, *state);
    assert_string_equal(info->finish_reason, "length");
    assert_string_equal(info->upstream_id, "chatcmpl-1");
    assert_int_equal(info->usage->input_tokens, 12);
}

/* protobuf-c 1.4.1 cannot merge two messages with an unset oneof: refused, not misread. */
static void params_that_come_twice_are_refused(void **state)
{
    struct cache_get_request request;
    struct wire wire;
    wire_init(&wire, *state, 0);
    wire_raw(&wire, packed(&full_get()->base, *state));
    wire_text(&wire, 1, TEXT("\x32\x02\x28\x03")); /* identity.params.n */
    assert_int_equal(codec_read_get(wire_text_of(&wire), &small_limits, *state, &request, NULL),
                     STATUS_BAD_MESSAGE);
}

/* What the wire holds for an optional, as every protobuf library writes it. */
static void a_given_zero_is_on_the_wire(void **state)
{
    Reprise__V1__Params params = REPRISE__V1__PARAMS__INIT;
    assert_int_equal(packed(&params.base, *state).length, 0);
    params.temperature_given_case = REPRISE__V1__PARAMS__TEMPERATURE_GIVEN_TEMPERATURE;
    params.max_tokens_given_case = REPRISE__V1__PARAMS__MAX_TOKENS_GIVEN_MAX_TOKENS;
    const struct text bytes = packed(&params.base, *state);
    assert_true(text_equal(bytes, TEXT("\x09\0\0\0\0\0\0\0\0\x18\0")));
}

static void what_is_refused_leaves_the_result_alone(void **state)
{
    struct cache_get_request request = {.dimension = 77};
    assert_int_equal(codec_read_get(TEXT("\x0b"), &small_limits, *state, &request, NULL),
                     STATUS_BAD_MESSAGE);
    assert_int_equal(request.dimension, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(every_part_of_an_identity_arrives),
        ARENA_TEST(an_optional_is_absent_zero_or_set_and_never_confused),
        ARENA_TEST(absent_params_and_vector_are_as_if_all_of_them_were),
        ARENA_TEST(a_missing_identity_is_an_empty_prompt),
        ARENA_TEST(tiers_name_what_is_left),
        ARENA_TEST(an_unknown_choice_is_refused_by_name),
        ARENA_TEST(a_threshold_lies_between_0_and_1),
        ARENA_TEST(halves_become_floats),
        ARENA_TEST(a_vector_is_given_once_whole_and_not_empty),
        ARENA_TEST(numbers_pass_as_they_are_for_cache_to_judge),
        ARENA_TEST(every_part_of_a_set_arrives),
        ARENA_TEST(other_parts_of_an_answer_are_noticed),
        ARENA_TEST(an_answer_is_borrowed_from_the_request_whatever_its_length),
        ARENA_TEST(a_blob_may_hold_any_byte),
        ARENA_TEST(parts_that_come_twice_are_merged_as_protobuf_merges_them),
        ARENA_TEST(params_that_come_twice_are_refused),
        ARENA_TEST(a_given_zero_is_on_the_wire),
        ARENA_TEST(what_is_refused_leaves_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
