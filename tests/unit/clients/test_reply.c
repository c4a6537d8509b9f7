/*
 * Goal: whatever a server sends becomes plain structs without holes: no NULL string, no list that
 * lies about its length, no item of a batch that looks like a miss because it was empty. Method:
 * messages made here, read as they are. Rooms: reply, reply_stats.
 */
#include <string.h>

#include "clients/c/reply.h"
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

static void an_empty_reply_is_a_miss_without_holes(void **state)
{
    const Reprise__V1__GetResponse message = REPRISE__V1__GET_RESPONSE__INIT;
    const struct reprise_get_reply *reply = reply_get(&message, *state);
    assert_false(reply->hit);
    assert_string_equal(reply->content, "");
    assert_null(reply->entry);
    assert_null(reply->info);
    assert_null(reply->decision);
    assert_null(reply->debug);
    assert_int_equal(reply->blob_size, 0);
}

static void a_lease_and_a_finish_are_read(void **state)
{
    Reprise__V1__Lease lease = REPRISE__V1__LEASE__INIT;
    lease.token = "t";
    lease.hold_ms = 9;
    Reprise__V1__GetResponse message = REPRISE__V1__GET_RESPONSE__INIT;
    assert_null(reply_get(&message, *state)->lease);
    message.lease = &lease;
    const struct reprise_lease *read = reply_get(&message, *state)->lease;
    assert_string_equal(read->token, "t");
    assert_int_equal(read->hold_ms, 9);
    assert_false(read->held_by_other);
    struct reprise_usage usage;
    Reprise__V1__Finish end = REPRISE__V1__FINISH__INIT;
    assert_null(reply_finish(&end, &usage).usage);
    assert_string_equal(reply_finish(&end, &usage).finish_reason, "");
    Reprise__V1__Usage counted = REPRISE__V1__USAGE__INIT;
    counted.output_tokens = 3;
    end.usage = &counted;
    assert_int_equal(reply_finish(&end, &usage).usage->output_tokens, 3);
}

static void all_parts_of_a_reply_are_read(void **state)
{
    Reprise__V1__Attribute pair = REPRISE__V1__ATTRIBUTE__INIT;
    pair.name = "group";
    pair.value = "g";
    Reprise__V1__Attribute *pairs[] = {&pair};
    Reprise__V1__EntryInfo entry = REPRISE__V1__ENTRY_INFO__INIT;
    entry.entry_id = "id";
    entry.ttl_remaining_ms = -1;
    entry.negative = true;
    entry.metadata = pairs;
    entry.n_metadata = 1;
    Reprise__V1__Guard guards[] = {REPRISE__V1__GUARD__GUARD_ORDER};
    Reprise__V1__NearMiss near_miss = REPRISE__V1__NEAR_MISS__INIT;
    near_miss.delta = -0.5F;
    Reprise__V1__Decision decision = REPRISE__V1__DECISION__INIT;
    decision.token = "t";
    decision.guards = guards;
    decision.n_guards = 1;
    decision.near_miss = &near_miss;
    Reprise__V1__Candidate candidate = REPRISE__V1__CANDIDATE__INIT;
    candidate.prompt = "p";
    Reprise__V1__Candidate *candidates[] = {&candidate};
    Reprise__V1__Timing timing = REPRISE__V1__TIMING__INIT;
    timing.total_us = 9;
    Reprise__V1__Debug debug = REPRISE__V1__DEBUG__INIT;
    debug.candidates = candidates;
    debug.n_candidates = 1;
    debug.timing = &timing;
    Reprise__V1__Usage usage = REPRISE__V1__USAGE__INIT;
    usage.nano_usd = 150;
    Reprise__V1__AnswerInfo info = REPRISE__V1__ANSWER_INFO__INIT;
    info.usage = &usage;
    Reprise__V1__GetResponse message = REPRISE__V1__GET_RESPONSE__INIT;
    message.hit = true;
    message.entry = &entry;
    message.decision = &decision;
    message.debug = &debug;
    message.info = &info;
    const struct reprise_get_reply *reply = reply_get(&message, *state);
    assert_string_equal(reply->entry->metadata[0].value, "g");
    assert_int_equal(reply->entry->ttl_remaining_ms, -1);
    assert_true(reply->entry->negative);
    assert_int_equal(reply->decision->guards[0], REPRISE_GUARD_ORDER);
    assert_true(reply->decision->near_miss);
    assert_true(reply->decision->near_delta == -0.5F);
    assert_string_equal(reply->debug->candidates[0].prompt, "p");
    assert_int_equal(reply->debug->timing->total_us, 9);
    assert_string_equal(reply->debug->matched_prompt, "");
    assert_int_equal(reply->info->usage->nano_usd, 150);
}

static void what_did_not_work_is_read(void **state)
{
    char down[] = "embedder_down", memory[] = "memory_only";
    char *words[] = {down, memory};
    Reprise__V1__GetResponse found = REPRISE__V1__GET_RESPONSE__INIT;
    Reprise__V1__SetResponse stored = REPRISE__V1__SET_RESPONSE__INIT;
    assert_int_equal(reply_get(&found, *state)->degraded_count, 0);
    assert_int_equal(reply_set(&stored, *state)->degraded_count, 0);
    found.degraded = stored.degraded = words;
    found.n_degraded = 1;
    stored.n_degraded = 2;
    const struct reprise_get_reply *get = reply_get(&found, *state);
    const struct reprise_set_reply *set = reply_set(&stored, *state);
    assert_int_equal(get->degraded_count, 1);
    assert_string_equal(get->degraded[0], "embedder_down");
    assert_int_equal(set->degraded_count, 2);
    assert_string_equal(set->degraded[1], "memory_only");
}

static void an_item_without_reply_and_error_is_an_error(void **state)
{
    Reprise__V1__GetResponse found = REPRISE__V1__GET_RESPONSE__INIT;
    found.hit = true;
    Reprise__V1__ItemError refused = REPRISE__V1__ITEM_ERROR__INIT;
    refused.code = 3;
    refused.reason = "EMPTY_PROMPT";
    Reprise__V1__GetResult items[3] = {REPRISE__V1__GET_RESULT__INIT, REPRISE__V1__GET_RESULT__INIT,
                                       REPRISE__V1__GET_RESULT__INIT};
    items[0].response = &found;
    items[1].error = &refused;
    Reprise__V1__GetResult *list[] = {&items[0], &items[1], &items[2]};
    Reprise__V1__BatchGetResponse message = REPRISE__V1__BATCH_GET_RESPONSE__INIT;
    message.results = list;
    message.n_results = 3;
    message.server_us = 5;
    const struct reprise_batch_get_reply *reply = reply_batch_get(&message, *state);
    assert_int_equal(reply->items_count, 3);
    assert_true(reply->items[0].reply->hit);
    assert_null(reply->items[0].error);
    assert_string_equal(reply->items[1].error->reason, "EMPTY_PROMPT");
    assert_int_equal(reply->items[1].error->code, REPRISE_INVALID_ARGUMENT);
    assert_null(reply->items[2].reply);
    assert_int_equal(reply->items[2].error->code, REPRISE_INTERNAL);
    assert_int_equal(reply->server_us, 5);
}

static void batches_of_sets_are_read_the_same_way(void **state)
{
    Reprise__V1__SetResponse stored = REPRISE__V1__SET_RESPONSE__INIT;
    stored.stored = true;
    stored.sequence = 4;
    Reprise__V1__SetResult items[2] = {REPRISE__V1__SET_RESULT__INIT,
                                       REPRISE__V1__SET_RESULT__INIT};
    items[0].response = &stored;
    Reprise__V1__SetResult *list[] = {&items[0], &items[1]};
    Reprise__V1__BatchSetResponse message = REPRISE__V1__BATCH_SET_RESPONSE__INIT;
    message.results = list;
    message.n_results = 2;
    const struct reprise_batch_set_reply *reply = reply_batch_set(&message, *state);
    assert_int_equal(reply->items[0].reply->sequence, 4);
    assert_int_equal(reply->items[1].error->code, REPRISE_INTERNAL);
}

static void an_accuracy_that_is_absent_is_not_zero(void **state)
{
    Reprise__V1__ScopePolicy fresh = REPRISE__V1__SCOPE_POLICY__INIT,
                             wrong = REPRISE__V1__SCOPE_POLICY__INIT;
    wrong.recent_accuracy_given_case =
        REPRISE__V1__SCOPE_POLICY__RECENT_ACCURACY_GIVEN_RECENT_ACCURACY;
    wrong.recent_accuracy = 0;
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    scope.model = "m";
    wrong.scope = &scope;
    Reprise__V1__ScopePolicy *list[] = {&fresh, &wrong};
    Reprise__V1__StatsResponse message = REPRISE__V1__STATS_RESPONSE__INIT;
    message.policies = list;
    message.n_policies = 2;
    const struct reprise_stats_reply *reply = reply_stats(&message, *state);
    assert_true(reply->policies[0].recent_accuracy == -1);
    assert_string_equal(reply->policies[0].model, "");
    assert_true(reply->policies[1].recent_accuracy == 0);
    assert_string_equal(reply->policies[1].model, "m");
    assert_int_equal(reply->tiers_count, 0);
    assert_string_equal(reply->version, "");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_reply_is_a_miss_without_holes),
        TEST(all_parts_of_a_reply_are_read),
        TEST(a_lease_and_a_finish_are_read),
        TEST(what_did_not_work_is_read),
        TEST(an_item_without_reply_and_error_is_an_error),
        TEST(batches_of_sets_are_read_the_same_way),
        TEST(an_accuracy_that_is_absent_is_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
