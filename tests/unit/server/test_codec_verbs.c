/*
 * Goal: Set's reply, Delete, Invalidate, Report, Stats, the health check and the details of a
 * refusal mean on the wire what they mean in the structs. Method: requests packed by protobuf-c and
 * read by codec_verbs; replies written by codec_verbs, codec_stats and codec_reply and unpacked by
 * protobuf-c.
 */
#include "codec_support.h"

#include "embed/embedder.h"
#include "trust/policy.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* ---- Set -------------------------------------------------------------------- */

static struct cache_set_reply stored_reply(void)
{
    struct cache_set_reply reply = {
        .stored = true, .indexed = true, .expires_ms = 1700000000000, .sequence = UINT64_MAX};
    assert_true(digest_from_hex(HEX64, DIGEST_HEX, &reply.entry_id));
    return reply;
}

static void the_reply_of_a_set_is_whole(void **state)
{
    const struct cache_set_reply stored = stored_reply();
    const struct cache_set_reply skipped = {.skip = CACHE_SKIP_ADMISSION};
    struct codec_reply reply;
    assert_int_equal(codec_write_set(&stored, *state, &reply), STATUS_OK);
    const Reprise__V1__SetResponse *message = (Reprise__V1__SetResponse *)unpacked(
        &reprise__v1__set_response__descriptor, reply.head, *state);
    assert_string_equal(message->entry_id, HEX64);
    assert_true(message->stored);
    assert_true(message->indexed);
    assert_int_equal(message->skip, 0);
    assert_true(message->expires_unix_ms == 1700000000000);
    assert_true(message->sequence == UINT64_MAX);
    assert_int_equal(codec_write_set(&skipped, *state, &reply), STATUS_OK);
    message = (Reprise__V1__SetResponse *)unpacked(&reprise__v1__set_response__descriptor,
                                                   reply.head, *state);
    assert_false(message->stored);
    assert_int_equal(message->skip, REPRISE__V1__SET_SKIP__SET_SKIP_ADMISSION);
}

static void a_set_says_why_it_has_no_vector(void **state)
{
    const struct cache_set_reply alone = {.stored = true, .degraded = "text_too_long"};
    const struct codec_set_result results[] = {{&alone, NULL}};
    struct codec_reply reply;
    assert_int_equal(codec_write_set(&alone, *state, &reply), STATUS_OK);
    const Reprise__V1__SetResponse *message = (Reprise__V1__SetResponse *)unpacked(
        &reprise__v1__set_response__descriptor, reply.head, *state);
    assert_int_equal(message->n_degraded, 1);
    assert_string_equal(message->degraded[0], "text_too_long");
    assert_int_equal(codec_write_batch_set(results, 1, 0, *state, &reply), STATUS_OK);
    const Reprise__V1__BatchSetResponse *batch = (Reprise__V1__BatchSetResponse *)unpacked(
        &reprise__v1__batch_set_response__descriptor, reply.head, *state);
    assert_string_equal(batch->results[0]->response->degraded[0], "text_too_long");
}

static void a_batch_of_sets_answers_in_order(void **state)
{
    const struct cache_set_reply stored = stored_reply();
    struct failure failure = {.status = STATUS_ENTRY_TOO_LARGE}, none = {.status = STATUS_OK};
    const struct codec_set_result results[] = {{&stored, NULL}, {NULL, &failure}, {&stored, &none}};
    struct codec_reply reply;
    assert_int_equal(codec_write_batch_set(results, 3, 99, *state, &reply), STATUS_OK);
    const Reprise__V1__BatchSetResponse *message = (Reprise__V1__BatchSetResponse *)unpacked(
        &reprise__v1__batch_set_response__descriptor, reply.head, *state);
    assert_int_equal(message->n_results, 3);
    assert_int_equal(message->server_us, 99);
    assert_string_equal(message->results[0]->response->entry_id, HEX64);
    assert_null(message->results[0]->error);
    assert_null(message->results[1]->response);
    assert_int_equal(message->results[1]->error->code, 3);
    assert_string_equal(message->results[1]->error->reason, "ENTRY_TOO_LARGE");
    assert_string_equal(message->results[1]->error->message, status_text(STATUS_ENTRY_TOO_LARGE));
    assert_true(message->results[2]->response->stored);
}

/* ---- Delete ----------------------------------------------------------------- */

static void a_delete_names_ids_an_identity_or_both(void **state)
{
    char *ids[] = {HEX64, HEX64};
    Reprise__V1__Identity identity = REPRISE__V1__IDENTITY__INIT;
    identity.model = "m";
    identity.prompt = "hi";
    Reprise__V1__DeleteRequest message = REPRISE__V1__DELETE_REQUEST__INIT;
    message.namespace_ = "shop";
    struct cache_delete_request request;
    assert_int_equal(
        codec_read_delete(packed(&message.base, *state), &small_limits, *state, &request, NULL),
        STATUS_OK);
    assert_int_equal(request.entry_ids_count, 0);
    assert_null(request.identity);
    message.entry_ids = ids;
    message.n_entry_ids = 2;
    message.identity = &identity;
    assert_int_equal(
        codec_read_delete(packed(&message.base, *state), &small_limits, *state, &request, NULL),
        STATUS_OK);
    assert_text(request.namespace_, "shop");
    assert_int_equal(request.entry_ids_count, 2);
    assert_int_equal(request.entry_ids[1].bytes[1], 0x11);
    assert_text(request.identity->prompt, "hi");
}

static void an_id_is_64_lowercase_hex_digits(void **state)
{
    static char upper[] = "A0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    static char short_one[] = "0011", long_one[] = HEX64 "0", empty[] = "", good[] = HEX64;
    char *bad[] = {upper, short_one, long_one, empty};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *ids[] = {good, bad[i]};
        Reprise__V1__DeleteRequest message = REPRISE__V1__DELETE_REQUEST__INIT;
        message.entry_ids = ids;
        message.n_entry_ids = 2;
        struct cache_delete_request request;
        struct failure failure;
        assert_int_equal(codec_read_delete(packed(&message.base, *state), &small_limits, *state,
                                           &request, &failure),
                         STATUS_BAD_ID);
        assert_string_equal(failure.field, "entry_ids[1]");
    }
}

/* ---- Invalidate ------------------------------------------------------------- */

static void a_selector_arrives_whole_and_must_be_there(void **state)
{
    char *tags[] = {"a", "b"};
    Reprise__V1__Selector selector = REPRISE__V1__SELECTOR__INIT;
    selector.namespace_ = "shop";
    selector.model = "m";
    selector.tags = tags;
    selector.n_tags = 2;
    selector.created_before_unix_ms = 42;
    Reprise__V1__InvalidateRequest message = REPRISE__V1__INVALIDATE_REQUEST__INIT;
    message.dry_run = 1;
    message.confirm = "shop";
    struct cache_selector out;
    struct failure failure;
    assert_int_equal(
        codec_read_invalidate(packed(&message.base, *state), &small_limits, *state, &out, &failure),
        STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "selector");
    message.selector = &selector;
    assert_int_equal(
        codec_read_invalidate(packed(&message.base, *state), &small_limits, *state, &out, &failure),
        STATUS_OK);
    assert_text(out.tenant, "");
    assert_text(out.namespace_, "shop");
    assert_text(out.model, "m");
    assert_int_equal(out.tags_count, 2);
    assert_text(out.tags[1], "b");
    assert_int_equal(out.created_before_ms, 42);
    assert_true(out.dry_run);
    assert_text(out.confirm, "shop");
}

static void counts_of_the_removed_are_told(void **state)
{
    struct cache_invalidate_reply result = {.matched = 12, .samples_count = CACHE_SAMPLES_MAX};
    struct codec_reply reply;
    assert_int_equal(codec_write_invalidate(&result, *state, &reply), STATUS_OK);
    const Reprise__V1__InvalidateResponse *message = (Reprise__V1__InvalidateResponse *)unpacked(
        &reprise__v1__invalidate_response__descriptor, reply.head, *state);
    assert_int_equal(message->matched, 12);
    assert_int_equal(message->n_sample_ids, CACHE_SAMPLES_MAX);
    assert_int_equal(strlen(message->sample_ids[9]), DIGEST_HEX);
    assert_int_equal(codec_write_delete(3, *state, &reply), STATUS_OK);
    assert_int_equal(((Reprise__V1__DeleteResponse *)unpacked(
                          &reprise__v1__delete_response__descriptor, reply.head, *state))
                         ->deleted,
                     3);
}

/* ---- Report ----------------------------------------------------------------- */

static enum status read_report(const Reprise__V1__ReportRequest *message, struct arena *arena,
                               struct codec_report *out, struct failure *failure)
{
    return codec_read_report(packed(&message->base, arena), &small_limits, arena, out, failure);
}

static void a_verdict_is_required_and_a_source_known(void **state)
{
    struct codec_report report;
    struct failure failure;
    for (int verdict = -1; verdict <= 6; verdict++) {
        Reprise__V1__ReportRequest message = REPRISE__V1__REPORT_REQUEST__INIT;
        message.decision_token = "not ours";
        message.verdict = (Reprise__V1__Verdict)verdict;
        const bool known = verdict >= 1 && verdict <= 4;
        assert_int_equal(read_report(&message, *state, &report, &failure),
                         known ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
        if (known) {
            assert_int_equal(report.report.verdict, verdict);
            assert_int_equal(report.report.source, CACHE_SOURCE_USER);
            assert_text(report.report.token, "not ours"); /* an outcome later, no error now */
        } else {
            assert_string_equal(failure.field, "verdict");
        }
    }
    for (int source = -1; source <= 6; source++) {
        Reprise__V1__ReportRequest message = REPRISE__V1__REPORT_REQUEST__INIT;
        message.verdict = REPRISE__V1__VERDICT__VERDICT_WRONG;
        message.source = (Reprise__V1__VerdictSource)source;
        const bool known = source == 0 || source == 1 || source == 4;
        assert_int_equal(read_report(&message, *state, &report, &failure),
                         known ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
        if (known)
            assert_int_equal(report.report.source,
                             source == 4 ? CACHE_SOURCE_OPERATOR : CACHE_SOURCE_USER);
        else
            assert_string_equal(failure.field, "source");
    }
}

static void a_reporter_and_a_feedback_id_have_128_bytes(void **state)
{
    char text[CODEC_HASH_MAX + 2];
    memset(text, 'r', sizeof(text));
    text[CODEC_HASH_MAX + 1] = '\0';
    struct codec_report report;
    struct failure failure;
    Reprise__V1__ReportRequest message = REPRISE__V1__REPORT_REQUEST__INIT;
    message.verdict = REPRISE__V1__VERDICT__VERDICT_STALE;
    message.reporter = text;
    assert_int_equal(read_report(&message, *state, &report, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "reporter");
    message.reporter = "";
    message.feedback_id = text;
    assert_int_equal(read_report(&message, *state, &report, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "feedback_id");
    text[CODEC_HASH_MAX] = '\0';
    message.reporter = text;
    assert_int_equal(read_report(&message, *state, &report, &failure), STATUS_OK);
    assert_text(report.feedback_id, text);
    assert_text(report.report.reporter, text);
}

static void a_report_is_answered_with_its_own_id(void **state)
{
    struct codec_reply reply;
    assert_int_equal(codec_write_report(TEXT("f-1"), CACHE_COUNTED_ONLY, 59, *state, &reply),
                     STATUS_OK);
    const Reprise__V1__ReportResponse *message = (Reprise__V1__ReportResponse *)unpacked(
        &reprise__v1__report_response__descriptor, reply.head, *state);
    assert_string_equal(message->feedback_id, "f-1");
    assert_int_equal(message->outcome, REPRISE__V1__REPORT_OUTCOME__REPORT_OUTCOME_COUNTED_ONLY);
    assert_int_equal(message->labels_left_this_minute, 59);
}

/* ---- Stats ------------------------------------------------------------------ */

static void stats_before_the_first_call_divide_by_nothing(void **state)
{
    const struct cache_stats stats = {.version = "0.1.0"};
    struct codec_reply reply;
    assert_int_equal(codec_write_stats(&stats, &small_limits, *state, &reply, NULL), STATUS_OK);
    const Reprise__V1__StatsResponse *message = (Reprise__V1__StatsResponse *)unpacked(
        &reprise__v1__stats_response__descriptor, reply.head, *state);
    assert_int_equal(message->n_tiers, 2);
    assert_true(message->tiers[0]->hit_rate == 0);
    assert_true(message->tiers[1]->tier_rate == 0);
    assert_true(message->cache_rate == 0);
    assert_int_equal(message->n_misses, 0);
    assert_int_equal(message->n_degraded, 0);
    assert_int_equal(message->n_policies, 0);
    assert_int_equal(message->n_embedders, 0);
    assert_string_equal(message->version, "0.1.0");
}

static struct cache_stats busy_stats(void)
{
    static const struct key_attribute attributes[] = {{{"region", 6}, {"eu", 2}}};
    static struct cache_scope_stats scopes[2];
    static const struct embed_space space = {.name = "lexical",
                                             .version = "1",
                                             .dimension = 512,
                                             .threshold_default = 0.75F,
                                             .min_similarity = 0.25F};
    scopes[0] = (struct cache_scope_stats){.namespace_ = TEXT("shop"),
                                           .model = TEXT("m"),
                                           .embedder = TEXT("lexical-1"),
                                           .attributes = attributes,
                                           .attributes_count = 1,
                                           .mode = POLICY_ADAPTIVE,
                                           .threshold = 0.5F,
                                           .feedback_count = 4,
                                           .feedback_right = 0,
                                           .lookups = 11,
                                           .hits = 5,
                                           .guard_blocked = 2};
    scopes[1] = (struct cache_scope_stats){.mode = POLICY_OFF};
    struct cache_stats stats = {
        .exact = {.lookups = 8,
                  .hits = 2,
                  .misses = 6,
                  .entries = 5,
                  .size_bytes = 500,
                  .p50_us = 3,
                  .p99_us = 9},
        .semantic = {.lookups = 6, .hits = 3, .misses = 3, .entries = 4, .size_bytes = 2048},
        .total_requests = 10,
        .cached_requests = 5,
        .entries = 5,
        .size_bytes = 500,
        .bytes_max = 1 << 20,
        .entries_max = 100,
        .sets = 7,
        .evictions = 1,
        .expirations = 2,
        .index_memory_spent = true,
        .uptime_s = 3600,
        .version = "0.1.0",
        .scopes = scopes,
        .scopes_count = 2,
        .embedder = &space,
    };
    stats.misses[CACHE_MISS_BELOW_CUT] = 3;
    stats.misses[CACHE_MISS_OVERLOADED] = 1;
    return stats;
}

static void assert_remote_figures(const Reprise__V1__EmbedderInfo *embedder)
{
    assert_string_equal(embedder->provider, "tei");
    assert_string_equal(embedder->circuit, "open");
    assert_int_equal(embedder->recent_hits, 5);
    assert_int_equal(embedder->requests, 6);
    assert_int_equal(embedder->canary_drifts, 7);
    assert_int_equal(embedder->n_errors, 1); /* only what occurred */
    assert_string_equal(embedder->errors[0]->reason, "busy");
    assert_int_equal(embedder->errors[0]->count, 8);
}

static void stats_are_told_in_full(void **state)
{
    struct cache_stats stats = busy_stats();
    struct codec_reply reply;
    stats.embedder_state = (struct embedder_state){
        .degraded = {"embedder_down", "embedder_changed"},
        .degraded_count = 2,
        .texts = 100,
        .too_long = 1,
        .overloaded = 2,
        .late = 3,
        .failed = 4,
        .provider = "tei",
        .precision = "",
        .isa = "",
        .circuit = "open",
        .recent_hits = 5,
        .requests = 6,
        .drifts = 7,
        .errors = {{"timeout", 0}, {"busy", 8}},
        .errors_count = 2,
    };
    assert_int_equal(codec_write_stats(&stats, &small_limits, *state, &reply, NULL), STATUS_OK);
    const Reprise__V1__StatsResponse *message = (Reprise__V1__StatsResponse *)unpacked(
        &reprise__v1__stats_response__descriptor, reply.head, *state);
    assert_int_equal(message->tiers[0]->tier, REPRISE__V1__TIER__TIER_EXACT);
    assert_true(message->tiers[0]->hit_rate == 0.25);
    assert_true(message->tiers[0]->tier_rate == 0.2);
    assert_int_equal(message->tiers[0]->p99_us, 9);
    assert_int_equal(message->tiers[1]->tier, REPRISE__V1__TIER__TIER_SEMANTIC);
    assert_int_equal(message->tiers[1]->size_bytes, 2048);
    assert_int_equal(message->n_misses, 2);
    assert_int_equal(message->misses[0]->reason, REPRISE__V1__MISS_REASON__MISS_REASON_BELOW_CUT);
    assert_int_equal(message->misses[1]->count, 1);
    assert_true(message->cache_rate == 0.5);
    assert_int_equal(message->entries_max, 100);
    assert_int_equal(message->evictions, 1);
    assert_int_equal(message->expirations, 2);
    assert_int_equal(message->sets, 7);
    assert_int_equal(message->uptime_s, 3600);
    assert_int_equal(message->n_degraded, 3);
    assert_string_equal(message->degraded[0], "index_memory");
    assert_string_equal(message->degraded[1], "embedder_down");
    assert_string_equal(message->degraded[2], "embedder_changed");
    const Reprise__V1__EmbedderInfo *embedder = message->embedders[0];
    assert_int_equal(strlen(embedder->space_id), 16);
    assert_int_equal(strtoull(embedder->space_id, NULL, 16), stats.embedder->id);
    assert_int_equal(embedder->texts, 100);
    assert_int_equal(embedder->too_long, 1);
    assert_int_equal(embedder->overloaded, 2); /* no room ... */
    assert_int_equal(embedder->late, 3);       /* ... is not no time */
    assert_int_equal(embedder->failed, 4);
    assert_remote_figures(embedder);
    assert_string_equal(message->embedders[0]->name, "lexical");
    assert_int_equal(message->embedders[0]->dimension, 512);
    assert_int_equal(message->n_policies, 2);
    const Reprise__V1__ScopePolicy *policy = message->policies[0];
    assert_string_equal(policy->scope->namespace_, "shop");
    assert_string_equal(policy->scope->embedder, "lexical-1");
    assert_string_equal(policy->scope->attributes[0]->value, "eu");
    assert_int_equal(policy->mode, REPRISE__V1__POLICY_MODE__POLICY_MODE_ADAPTIVE);
    assert_int_equal(policy->feedback_count, 4);
    assert_true(policy->recent_accuracy_given_case != 0); /* all wrong is 0 and given */
    assert_true(policy->recent_accuracy == 0);
    assert_int_equal(message->policies[1]->mode, REPRISE__V1__POLICY_MODE__POLICY_MODE_OFF);
    assert_int_equal(message->policies[1]->recent_accuracy_given_case, 0);
}

static void stats_over_the_limit_are_refused(void **state)
{
    const struct cache_stats stats = busy_stats();
    struct codec_limits limits = small_limits;
    limits.reply_max = 100;
    struct codec_reply reply;
    struct failure failure;
    assert_int_equal(codec_write_stats(&stats, &limits, *state, &reply, &failure),
                     STATUS_REPLY_TOO_LARGE);
    struct text name;
    assert_int_equal(codec_read_stats(TEXT("\x0a\x04shop"), &limits, *state, &name, NULL),
                     STATUS_OK);
    assert_text(name, "shop");
}

/* ---- Health ----------------------------------------------------------------- */

static void a_health_check_names_a_service(void **state)
{
    char service[CODEC_SERVICE_MAX + 2];
    memset(service, 's', sizeof(service));
    service[CODEC_SERVICE_MAX + 1] = '\0';
    Grpc__Health__V1__HealthCheckRequest message = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    message.service = service;
    struct text name;
    struct failure failure;
    assert_int_equal(
        codec_read_health(packed(&message.base, *state), &small_limits, *state, &name, &failure),
        STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "service");
    service[CODEC_SERVICE_MAX] = '\0';
    assert_int_equal(
        codec_read_health(packed(&message.base, *state), &small_limits, *state, &name, &failure),
        STATUS_OK);
    assert_text(name, service);
    for (int serving = 0; serving <= 3; serving++) {
        struct codec_reply reply;
        assert_int_equal(codec_write_health(serving, *state, &reply), STATUS_OK);
        const Grpc__Health__V1__HealthCheckResponse *answer =
            (Grpc__Health__V1__HealthCheckResponse *)unpacked(
                &grpc__health__v1__health_check_response__descriptor, reply.head, *state);
        assert_int_equal(answer->status, serving);
    }
}

/* ---- Details ---------------------------------------------------------------- */

static ProtobufCMessage *detail(const Google__Rpc__Status *status, size_t index,
                                const ProtobufCMessageDescriptor *descriptor, struct arena *arena)
{
    const Google__Protobuf__Any *any = status->details[index];
    const char *name = strrchr(any->type_url, '/');
    assert_int_equal(strncmp(any->type_url, "type.googleapis.com/", 20), 0);
    assert_string_equal(name + 1, descriptor->name);
    return unpacked(descriptor, (struct text){(const char *)any->value.data, any->value.len},
                    arena);
}

static Google__Rpc__Status *written_details(const struct failure *failure, uint32_t retry_ms,
                                            struct arena *arena)
{
    struct text bytes;
    assert_int_equal(codec_write_details(failure, retry_ms, arena, &bytes), STATUS_OK);
    return (Google__Rpc__Status *)unpacked(&google__rpc__status__descriptor, bytes, arena);
}

static void a_refusal_names_its_reason_and_its_field(void **state)
{
    struct failure failure;
    (void)failure_set(&failure, STATUS_LIMIT_EXCEEDED, "tags", "at most %d are allowed", 16);
    const Google__Rpc__Status *status = written_details(&failure, 0, *state);
    assert_int_equal(status->code, 3);
    assert_string_equal(status->message, "tags: at most 16 are allowed");
    assert_int_equal(status->n_details, 2);
    const Google__Rpc__ErrorInfo *info =
        (Google__Rpc__ErrorInfo *)detail(status, 0, &google__rpc__error_info__descriptor, *state);
    assert_string_equal(info->reason, "LIMIT_EXCEEDED");
    assert_string_equal(info->domain, "reprise");
    const Google__Rpc__BadRequest *bad =
        (Google__Rpc__BadRequest *)detail(status, 1, &google__rpc__bad_request__descriptor, *state);
    assert_int_equal(bad->n_field_violations, 1);
    assert_string_equal(bad->field_violations[0]->field, "tags");
    assert_string_equal(bad->field_violations[0]->description, "at most 16 are allowed");
}

static void an_overload_says_when_to_come_back(void **state)
{
    const struct failure failure = {.status = STATUS_OVERLOADED};
    const Google__Rpc__Status *status = written_details(&failure, 1250, *state);
    assert_int_equal(status->code, 8);
    assert_string_equal(status->message, status_text(STATUS_OVERLOADED));
    assert_int_equal(status->n_details, 2);
    const Google__Rpc__RetryInfo *retry =
        (Google__Rpc__RetryInfo *)detail(status, 1, &google__rpc__retry_info__descriptor, *state);
    assert_int_equal(retry->retry_delay->seconds, 1);
    assert_int_equal(retry->retry_delay->nanos, 250000000);
    assert_int_equal(written_details(&failure, 0, *state)->n_details, 1);
}

static void a_failure_of_the_greatest_length_fits(void **state)
{
    struct failure failure = {.status = STATUS_BAD_NAME};
    memset(failure.field, 'f', sizeof(failure.field) - 1);
    memset(failure.message, 'm', sizeof(failure.message) - 1);
    const Google__Rpc__Status *status = written_details(&failure, 1, *state);
    assert_int_equal(status->n_details, 3);
    assert_int_equal(strlen(status->message),
                     strlen(failure.field) + strlen(": ") + strlen(failure.message));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(the_reply_of_a_set_is_whole),
        ARENA_TEST(a_set_says_why_it_has_no_vector),
        ARENA_TEST(a_batch_of_sets_answers_in_order),
        ARENA_TEST(a_delete_names_ids_an_identity_or_both),
        ARENA_TEST(an_id_is_64_lowercase_hex_digits),
        ARENA_TEST(a_selector_arrives_whole_and_must_be_there),
        ARENA_TEST(counts_of_the_removed_are_told),
        ARENA_TEST(a_verdict_is_required_and_a_source_known),
        ARENA_TEST(a_reporter_and_a_feedback_id_have_128_bytes),
        ARENA_TEST(a_report_is_answered_with_its_own_id),
        ARENA_TEST(stats_before_the_first_call_divide_by_nothing),
        ARENA_TEST(stats_are_told_in_full),
        ARENA_TEST(stats_over_the_limit_are_refused),
        ARENA_TEST(a_health_check_names_a_service),
        ARENA_TEST(a_refusal_names_its_reason_and_its_field),
        ARENA_TEST(an_overload_says_when_to_come_back),
        ARENA_TEST(a_failure_of_the_greatest_length_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
