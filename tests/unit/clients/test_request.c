/*
 * Goal: what a caller gives arrives on the wire as it was meant: given zeros stay given, what is
 * absent stays absent. Method: structs into messages, packed, unpacked again by protobuf-c,
 * compared. Room: request.
 */
#include <stdlib.h>
#include <string.h>

#include "clients/c/request.h"
#include "tests/support/unit.h"

static int begin(void **state)
{
    return arena_create((struct arena **)state) == STATUS_OK ? 0 : -1;
}

static int end(void **state)
{
    arena_destroy((struct arena **)state);
    return 0;
}

/* Over the wire and back. */
static void *travel(const void *message, const ProtobufCMessageDescriptor *descriptor)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(protobuf_c_message_pack(message, bytes), size);
    ProtobufCMessage *arrived = protobuf_c_message_unpack(descriptor, NULL, size, bytes);
    free(bytes);
    assert_non_null(arrived);
    return arrived;
}

static void a_bare_get_holds_nothing_but_its_question(void **state)
{
    const struct reprise_get_request request = {.identity = {.model = "m", .prompt = "hi"}};
    Reprise__V1__GetRequest *arrived =
        travel(request_get(&request, *state), &reprise__v1__get_request__descriptor);
    assert_string_equal(arrived->identity->model, "m");
    assert_string_equal(arrived->identity->prompt, "hi");
    assert_string_equal(arrived->identity->namespace_, "");
    assert_null(arrived->identity->params);
    assert_null(arrived->vector);
    assert_int_equal(arrived->n_tiers, 0);
    assert_int_equal(arrived->min_similarity_given_case, 0);
    reprise__v1__get_request__free_unpacked(arrived, NULL);
}

static void an_answers_life_is_sent_as_it_is_given(void **state)
{
    const struct reprise_dependency depends_on[] = {{"prices", "6"}, {"terms", NULL}};
    const struct reprise_set_request request = {.identity = {.model = "m", .prompt = "hi"},
                                                .sliding = true,
                                                .sliding_max_ms = 2,
                                                .stale_while_revalidate_ms = 3,
                                                .stale_if_error_ms = 4,
                                                .pinned = true,
                                                .if_absent = true,
                                                .negative = true,
                                                .cache_control = {.max_age_given = true},
                                                .depends_on = depends_on,
                                                .depends_on_count = 2};
    Reprise__V1__SetRequest *arrived =
        travel(request_set(&request, *state), &reprise__v1__set_request__descriptor);
    assert_true(arrived->sliding && arrived->pinned && arrived->if_absent && arrived->negative);
    assert_int_equal(arrived->sliding_max_ms, 2);
    assert_int_equal(arrived->stale_while_revalidate_ms, 3);
    assert_int_equal(arrived->stale_if_error_ms, 4);
    assert_int_not_equal(arrived->cache_control->max_age_ms_given_case, 0);
    assert_int_equal(arrived->n_depends_on, 2);
    assert_string_equal(arrived->depends_on[0]->version, "6");
    assert_string_equal(arrived->depends_on[1]->id, "terms");
    assert_string_equal(arrived->depends_on[1]->version, "");
    reprise__v1__set_request__free_unpacked(arrived, NULL);
    const struct reprise_touch_request touch = {.namespace_ = "n", .ttl_given = true};
    Reprise__V1__TouchRequest *touched =
        travel(request_touch(&touch, *state), &reprise__v1__touch_request__descriptor);
    assert_string_equal(touched->namespace_, "n");
    assert_int_not_equal(touched->ttl_ms_given_case, 0);
    reprise__v1__touch_request__free_unpacked(touched, NULL);
}

static void a_lease_arrives_where_one_is_asked_for(void **state)
{
    struct reprise_get_request request = {.identity = {.model = "m", .prompt = "hi"},
                                          .lease_wait_ms = 7};
    Reprise__V1__GetRequest *arrived =
        travel(request_get(&request, *state), &reprise__v1__get_request__descriptor);
    assert_null(arrived->lease);
    reprise__v1__get_request__free_unpacked(arrived, NULL);
    request.lease = REPRISE_LEASE_WAIT;
    request.lease_hold_ms = 9;
    arrived = travel(request_get(&request, *state), &reprise__v1__get_request__descriptor);
    assert_int_equal(arrived->lease->mode, REPRISE__V1__LEASE_MODE__LEASE_MODE_WAIT);
    assert_int_equal(arrived->lease->wait_ms, 7);
    assert_int_equal(arrived->lease->hold_ms, 9);
    reprise__v1__get_request__free_unpacked(arrived, NULL);
}

static void given_zeros_stay_given(void **state)
{
    const struct reprise_get_request request = {.identity = {.model = "m",
                                                             .prompt = "hi",
                                                             .params = {.temperature_given = true,
                                                                        .seed_given = true,
                                                                        .max_tokens_given = true}},
                                                .min_similarity_given = true};
    Reprise__V1__GetRequest *arrived =
        travel(request_get(&request, *state), &reprise__v1__get_request__descriptor);
    assert_int_not_equal(arrived->min_similarity_given_case, 0);
    assert_non_null(arrived->identity->params);
    assert_int_not_equal(arrived->identity->params->temperature_given_case, 0);
    assert_int_not_equal(arrived->identity->params->seed_given_case, 0);
    assert_int_not_equal(arrived->identity->params->max_tokens_given_case, 0);
    assert_int_equal(arrived->identity->params->top_p_given_case, 0);
    reprise__v1__get_request__free_unpacked(arrived, NULL);

    const struct reprise_set_request set = {.ttl_given = true, .content = "x"};
    Reprise__V1__SetRequest *stored =
        travel(request_set(&set, *state), &reprise__v1__set_request__descriptor);
    assert_int_not_equal(stored->ttl_ms_given_case, 0);
    assert_int_equal(stored->ttl_ms, 0);
    reprise__v1__set_request__free_unpacked(stored, NULL);
}

static void every_part_of_an_identity_arrives(void **state)
{
    static const char *const stop[] = {"END", "\n"};
    static const char *const context[] = {"doc@1"};
    static const struct reprise_pair attributes[] = {{"region", "eu"}, {"plan", ""}};
    static const struct reprise_message messages[] = {{.role = "system", .content = "Be brief."},
                                                      {.role = "user",
                                                       .content_json = "[]",
                                                       .name = "eve",
                                                       .tool_call_id = "t",
                                                       .tool_calls_json = "[1]"}};
    static const float numbers[] = {0.5F, -1.0F};
    static const enum reprise_tier tiers[] = {REPRISE_TIER_SEMANTIC};
    static const enum reprise_include include[] = {REPRISE_INCLUDE_KEY, REPRISE_INCLUDE_CANDIDATES};
    const struct reprise_get_request request = {.identity = {.namespace_ = "n",
                                                             .model = "m",
                                                             .messages = messages,
                                                             .messages_count = 2,
                                                             .system_prompt = "s",
                                                             .tools_json = "[2]",
                                                             .tool_choice_json = "\"auto\"",
                                                             .response_format_json = "{}",
                                                             .attributes = attributes,
                                                             .attributes_count = 2,
                                                             .context_ids = context,
                                                             .context_ids_count = 1,
                                                             .embedder = "mine",
                                                             .params = {.top_p_given = true,
                                                                        .top_p = 0.5,
                                                                        .n = 2,
                                                                        .stop = stop,
                                                                        .stop_count = 2,
                                                                        .other_json = "{\"a\":1}"}},
                                                .vector = {numbers, 2},
                                                .tiers = tiers,
                                                .tiers_count = 1,
                                                .include = include,
                                                .include_count = 2};
    Reprise__V1__GetRequest *arrived =
        travel(request_get(&request, *state), &reprise__v1__get_request__descriptor);
    const Reprise__V1__Identity *identity = arrived->identity;
    assert_int_equal(identity->n_messages, 2);
    assert_string_equal(identity->messages[0]->role, "system");
    assert_string_equal(identity->messages[1]->tool_calls_json, "[1]");
    assert_string_equal(identity->messages[1]->name, "eve");
    assert_string_equal(identity->attributes[0]->value, "eu");
    assert_string_equal(identity->attributes[1]->name, "plan");
    assert_string_equal(identity->context_ids[0], "doc@1");
    assert_string_equal(identity->tools_json, "[2]");
    assert_string_equal(identity->params->stop[1], "\n");
    assert_string_equal(identity->params->other_json, "{\"a\":1}");
    assert_int_equal(identity->params->n, 2);
    assert_true(identity->params->top_p == 0.5);
    assert_int_equal(arrived->vector->n_f32, 2);
    assert_true(arrived->vector->f32[1] == -1.0F);
    assert_int_equal(arrived->tiers[0], REPRISE__V1__TIER__TIER_SEMANTIC);
    assert_int_equal(arrived->include[1], REPRISE__V1__INCLUDE__INCLUDE_CANDIDATES);
    reprise__v1__get_request__free_unpacked(arrived, NULL);
}

static void an_answer_arrives_with_all_that_stands_beside_it(void **state)
{
    static const char *const tags[] = {"pricing"};
    static const struct reprise_pair metadata[] = {{"group", "g"}};
    const struct reprise_usage usage = {.input_tokens = 7, .nano_usd = 150, .estimated = true};
    const struct reprise_info info = {.finish_reason = "stop",
                                      .content_type = "image/png",
                                      .created_unix_ms = 5,
                                      .usage = &usage};
    const struct reprise_set_request request = {.identity = {.model = "m", .prompt = "p"},
                                                .info = &info,
                                                .ttl_given = true,
                                                .ttl_ms = 60000,
                                                .tags = tags,
                                                .tags_count = 1,
                                                .metadata = metadata,
                                                .metadata_count = 1,
                                                .blob = "a\0b",
                                                .blob_size = 3};
    Reprise__V1__SetRequest *arrived =
        travel(request_set(&request, *state), &reprise__v1__set_request__descriptor);
    assert_int_equal(arrived->ttl_ms, 60000);
    assert_int_equal(arrived->blob.len, 3);
    assert_memory_equal(arrived->blob.data, "a\0b", 3);
    assert_string_equal(arrived->content, "");
    assert_string_equal(arrived->tags[0], "pricing");
    assert_string_equal(arrived->metadata[0]->value, "g");
    assert_string_equal(arrived->info->finish_reason, "stop");
    assert_int_equal(arrived->info->usage->input_tokens, 7);
    assert_int_equal(arrived->info->usage->nano_usd, 150);
    assert_true(arrived->info->usage->estimated);
    reprise__v1__set_request__free_unpacked(arrived, NULL);
}

static void other_verbs_arrive_too(void **state)
{
    static const char *const ids[] = {"a", "b"};
    const struct reprise_delete_request by_ids = {
        .namespace_ = "n", .entry_ids = ids, .entry_ids_count = 2};
    Reprise__V1__DeleteRequest *deleted =
        travel(request_delete(&by_ids, *state), &reprise__v1__delete_request__descriptor);
    assert_int_equal(deleted->n_entry_ids, 2);
    assert_null(deleted->identity);
    reprise__v1__delete_request__free_unpacked(deleted, NULL);

    const struct reprise_invalidate_request selector = {.model = "m",
                                                        .tags = ids,
                                                        .tags_count = 2,
                                                        .created_before_unix_ms = 9,
                                                        .dry_run = true,
                                                        .confirm = "c"};
    Reprise__V1__InvalidateRequest *invalidated =
        travel(request_invalidate(&selector, *state), &reprise__v1__invalidate_request__descriptor);
    assert_true(invalidated->dry_run);
    assert_string_equal(invalidated->confirm, "c");
    assert_string_equal(invalidated->selector->tags[1], "b");
    assert_int_equal(invalidated->selector->created_before_unix_ms, 9);
    reprise__v1__invalidate_request__free_unpacked(invalidated, NULL);

    const struct reprise_report_request report = {.decision_token = "t",
                                                  .verdict = REPRISE_VERDICT_WRONG,
                                                  .source = REPRISE_SOURCE_OPERATOR,
                                                  .reporter = "r"};
    Reprise__V1__ReportRequest *reported =
        travel(request_report(&report, *state), &reprise__v1__report_request__descriptor);
    assert_int_equal(reported->verdict, REPRISE__V1__VERDICT__VERDICT_WRONG);
    assert_int_equal(reported->source, REPRISE__V1__VERDICT_SOURCE__VERDICT_SOURCE_OPERATOR);
    assert_string_equal(reported->reporter, "r");
    reprise__v1__report_request__free_unpacked(reported, NULL);
}

static void a_batch_keeps_its_order_and_an_empty_one_is_a_batch(void **state)
{
    const struct reprise_get_request gets[] = {{.identity = {.prompt = "a"}},
                                               {.identity = {.prompt = "b"}}};
    Reprise__V1__BatchGetRequest *arrived =
        travel(request_batch_get(gets, 2, *state), &reprise__v1__batch_get_request__descriptor);
    assert_int_equal(arrived->n_items, 2);
    assert_string_equal(arrived->items[1]->identity->prompt, "b");
    reprise__v1__batch_get_request__free_unpacked(arrived, NULL);
    arrived =
        travel(request_batch_get(gets, 0, *state), &reprise__v1__batch_get_request__descriptor);
    assert_int_equal(arrived->n_items, 0);
    reprise__v1__batch_get_request__free_unpacked(arrived, NULL);
}

static void each_set_of_a_batch_keeps_what_is_its_own(void **state)
{
    const struct reprise_info info = {.finish_reason = "stop", .extra_choices_json = "[]"};
    const char *const tags[] = {"faq", "de"};
    const float numbers[] = {1, 0.5f};
    const struct reprise_set_request sets[] = {
        {.identity = {.model = "m", .prompt = "a"}, .content = "A", .tags = tags, .tags_count = 2},
        {.identity = {.model = "m", .prompt = "b", .params = {.n = 2}},
         .info = &info,
         .blob = "\0\1",
         .blob_size = 2,
         .ttl_given = true},
        {.identity = {.model = "m", .prompt = "c"}, .vector = {.numbers = numbers, .count = 2}},
    };
    Reprise__V1__BatchSetRequest *arrived =
        travel(request_batch_set(sets, 3, *state), &reprise__v1__batch_set_request__descriptor);
    assert_int_equal(arrived->n_items, 3);
    Reprise__V1__SetRequest *const *items = arrived->items;
    assert_string_equal(items[0]->content, "A");
    assert_int_equal(items[0]->n_tags, 2);
    assert_string_equal(items[0]->tags[1], "de");
    assert_null(items[0]->info);
    assert_int_equal(items[0]->ttl_ms_given_case, 0);
    assert_string_equal(items[1]->identity->prompt, "b");
    assert_int_equal(items[1]->identity->params->n, 2);
    assert_string_equal(items[1]->info->extra_choices_json, "[]");
    assert_int_equal(items[1]->blob.len, 2);
    assert_memory_equal(items[1]->blob.data, "\0\1", 2);
    assert_int_not_equal(items[1]->ttl_ms_given_case, 0);
    assert_int_equal(items[1]->n_tags, 0);
    assert_int_equal(items[2]->vector->n_f32, 2);
    assert_true(items[2]->vector->f32[1] == 0.5f);
    assert_null(items[0]->vector);
    reprise__v1__batch_set_request__free_unpacked(arrived, NULL);
}

static void a_frame_is_five_bytes_and_the_message(void **state)
{
    (void)state;
    const struct reprise_get_request request = {.identity = {.model = "m", .prompt = "hi"}};
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_true(reprise_get_request_pack(&request, &bytes, &size));
    assert_memory_equal(bytes, "\0\0\0\0\x09", 5);
    Reprise__V1__GetRequest *arrived = reprise__v1__get_request__unpack(NULL, size - 5, bytes + 5);
    assert_non_null(arrived);
    assert_string_equal(arrived->identity->prompt, "hi");
    reprise__v1__get_request__free_unpacked(arrived, NULL);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bare_get_holds_nothing_but_its_question, begin, end),
        cmocka_unit_test_setup_teardown(given_zeros_stay_given, begin, end),
        cmocka_unit_test_setup_teardown(an_answers_life_is_sent_as_it_is_given, begin, end),
        cmocka_unit_test_setup_teardown(a_lease_arrives_where_one_is_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(every_part_of_an_identity_arrives, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_arrives_with_all_that_stands_beside_it, begin,
                                        end),
        cmocka_unit_test_setup_teardown(other_verbs_arrive_too, begin, end),
        cmocka_unit_test_setup_teardown(a_batch_keeps_its_order_and_an_empty_one_is_a_batch, begin,
                                        end),
        cmocka_unit_test_setup_teardown(each_set_of_a_batch_keeps_what_is_its_own, begin, end),
        cmocka_unit_test(a_frame_is_five_bytes_and_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
