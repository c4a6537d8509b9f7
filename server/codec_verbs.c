/*
 * codec_verbs.c - the quieter verbs, both ways: the replies of Set and BatchSet, then Delete,
 * Invalidate, Report, Stats and the health check. Their replies are protobuf-c's own structs,
 * packed: the compiler knows the field names.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <stdio.h>

/* ---- Set -------------------------------------------------------------------- */

static char *hex_string(const struct digest *digest, struct arena *arena)
{
    char *hex = arena_alloc(arena, DIGEST_HEX + 1);
    if (hex != NULL)
        digest_to_hex(digest, hex);
    return hex;
}

static enum status fill_degraded(const struct cache_set_reply *reply, struct arena *arena,
                                 Reprise__V1__SetResponse *message)
{
    const char *const words[] = {reply->degraded, reply->is_memory_only ? "memory_only" : NULL};
    const size_t words_count = sizeof(words) / sizeof(words[0]);
    char **list = arena_calloc(arena, words_count, sizeof(*list));
    if (list == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < words_count; i++) {
        if (words[i] == NULL)
            continue;
        char *word = codec_string(text_of(words[i]), arena);
        if (word == NULL)
            return STATUS_NO_MEMORY;
        list[message->n_degraded++] = word;
    }
    message->degraded = list;
    return STATUS_OK;
}

static enum status fill_set(const struct cache_set_reply *reply, struct arena *arena,
                            Reprise__V1__SetResponse *message)
{
    reprise__v1__set_response__init(message);
    message->entry_id = hex_string(&reply->entry_id, arena);
    message->stored = reply->stored;
    message->skip = (Reprise__V1__SetSkip)reply->skip;
    message->indexed = reply->indexed;
    message->ack = (Reprise__V1__Ack)reply->ack;
    message->expires_unix_ms = reply->expires_ms;
    message->sequence = reply->sequence;
    if (message->entry_id == NULL)
        return STATUS_NO_MEMORY;
    return fill_degraded(reply, arena, message);
}

enum status codec_write_set(const struct cache_set_reply *reply, struct arena *arena,
                            struct codec_reply *out)
{
    Reprise__V1__SetResponse message;
    enum status status = fill_set(reply, arena, &message);
    return status != STATUS_OK ? status : codec_reply_pack(&message.base, arena, out);
}

static enum status fill_error(const struct failure *failure, struct arena *arena,
                              Reprise__V1__ItemError *message)
{
    char sentence[CODEC_SENTENCE_MAX];
    codec_sentence(failure, sentence);
    reprise__v1__item_error__init(message);
    message->code = status_grpc_code(failure->status);
    message->reason = codec_string(text_of(status_name(failure->status)), arena);
    message->message = codec_string(text_of(sentence), arena);
    return message->reason != NULL && message->message != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

struct set_result { /* one item's messages, side by side */
    Reprise__V1__SetResult result;
    Reprise__V1__SetResponse response;
    Reprise__V1__ItemError error;
};

static enum status fill_result(const struct codec_set_result *from, struct arena *arena,
                               struct set_result *to)
{
    reprise__v1__set_result__init(&to->result);
    if (from->failure != NULL && from->failure->status != STATUS_OK) {
        to->result.error = &to->error;
        return fill_error(from->failure, arena, &to->error);
    }
    assert(from->reply != NULL);
    to->result.response = &to->response;
    return fill_set(from->reply, arena, &to->response);
}

enum status codec_write_batch_set(const struct codec_set_result *results, size_t count,
                                  uint32_t server_us, struct arena *arena, struct codec_reply *out)
{
    struct set_result *items = arena_calloc(arena, count, sizeof(*items));
    Reprise__V1__SetResult **list = arena_calloc(arena, count, sizeof(*list));
    if (items == NULL || list == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        enum status status = fill_result(&results[i], arena, &items[i]);
        if (status != STATUS_OK)
            return status;
        list[i] = &items[i].result;
    }
    Reprise__V1__BatchSetResponse message = REPRISE__V1__BATCH_SET_RESPONSE__INIT;
    message.n_results = count;
    message.results = list;
    message.server_us = server_us;
    return codec_reply_pack(&message.base, arena, out);
}

/* ---- Delete ----------------------------------------------------------------- */

enum status codec_ids(char *const *hex, size_t count, struct arena *arena,
                      const struct digest **out_ids, struct failure *failure)
{
    struct digest *ids = arena_calloc(arena, count, sizeof(*ids));
    if (ids == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < count; i++) {
        const struct text id = text_of(hex[i]);
        if (digest_from_hex(id.bytes, id.length, &ids[i]))
            continue;
        char field[FAILURE_FIELD_MAX];
        (void)snprintf(field, sizeof(field), "entry_ids[%zu]", i);
        return failure_set(failure, STATUS_BAD_ID, field, "%s", status_text(STATUS_BAD_ID));
    }
    *out_ids = ids;
    return STATUS_OK;
}

enum status codec_read_delete(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_delete_request *out,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_DELETE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__DeleteRequest *message = (const Reprise__V1__DeleteRequest *)unpacked;
    struct cache_delete_request request = {.namespace_ = text_of(message->namespace_),
                                           .entry_ids_count = message->n_entry_ids};
    status =
        codec_ids(message->entry_ids, message->n_entry_ids, arena, &request.entry_ids, failure);
    if (status == STATUS_OK && message->identity != NULL) {
        struct identity *identity = arena_calloc(arena, 1, sizeof(*identity));
        if (identity == NULL)
            return codec_spent(failure);
        status = codec_identity(message->identity, arena, identity, failure);
        request.identity = identity;
    }
    if (status == STATUS_OK)
        *out = request;
    return status;
}

enum status codec_write_delete(uint32_t deleted, struct arena *arena, struct codec_reply *out)
{
    Reprise__V1__DeleteResponse message = REPRISE__V1__DELETE_RESPONSE__INIT;
    message.deleted = deleted;
    return codec_reply_pack(&message.base, arena, out);
}

/* ---- Invalidate ------------------------------------------------------------- */

enum status codec_selector(const Reprise__V1__Selector *message, struct arena *arena,
                           struct cache_selector *out, struct failure *failure)
{
    struct text *tags = codec_texts(message->tags, message->n_tags, arena);
    if (tags == NULL)
        return codec_spent(failure);
    *out = (struct cache_selector){
        .namespace_ = text_of(message->namespace_),
        .model = text_of(message->model),
        .tags = tags,
        .tags_count = message->n_tags,
        .depends_on_id = text_of(message->depends_on_id),
        .depends_on_version_not = text_of(message->depends_on_version_not),
        .created_before_ms = message->created_before_unix_ms,
    };
    return STATUS_OK;
}

enum status codec_read_invalidate(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct cache_selector *out,
                                  struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_INVALIDATE, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__InvalidateRequest *message =
        (const Reprise__V1__InvalidateRequest *)unpacked;
    struct cache_selector selector;
    if (message->selector == NULL)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "selector", "an empty one is refused");
    status = codec_selector(message->selector, arena, &selector, failure);
    if (status != STATUS_OK)
        return status;
    selector.dry_run = message->dry_run != 0;
    selector.make_stale = message->make_stale != 0;
    selector.confirm = text_of(message->confirm);
    *out = selector;
    return STATUS_OK;
}

enum status codec_write_invalidate(const struct cache_invalidate_reply *reply, struct arena *arena,
                                   struct codec_reply *out)
{
    assert(reply->samples_count <= CACHE_SAMPLES_MAX);
    char *samples[CACHE_SAMPLES_MAX];
    for (size_t i = 0; i < reply->samples_count; i++) {
        samples[i] = hex_string(&reply->samples[i], arena);
        if (samples[i] == NULL)
            return STATUS_NO_MEMORY;
    }
    Reprise__V1__InvalidateResponse message = REPRISE__V1__INVALIDATE_RESPONSE__INIT;
    message.matched = reply->matched;
    message.n_sample_ids = reply->samples_count;
    message.sample_ids = samples;
    return codec_reply_pack(&message.base, arena, out);
}

/* ---- Report ----------------------------------------------------------------- */

static enum status read_verdict(const Reprise__V1__ReportRequest *message, struct cache_report *out,
                                struct failure *failure)
{
    const int verdict = (int)message->verdict, source = (int)message->source;
    if (verdict < CACHE_CORRECT || verdict > CACHE_STALE)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "verdict",
                           "one of VERDICT_CORRECT, VERDICT_WRONG, VERDICT_UNSURE, VERDICT_STALE");
    if (source != REPRISE__V1__VERDICT_SOURCE__VERDICT_SOURCE_UNSPECIFIED &&
        source != CACHE_SOURCE_USER && source != CACHE_SOURCE_OPERATOR)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "source",
                           "one of VERDICT_SOURCE_USER, VERDICT_SOURCE_OPERATOR, or none");
    out->verdict = (enum cache_verdict)verdict;
    out->source = source == CACHE_SOURCE_OPERATOR ? CACHE_SOURCE_OPERATOR : CACHE_SOURCE_USER;
    return STATUS_OK;
}

static enum status check_length(const char *field, struct text text, size_t length_max,
                                struct failure *failure)
{
    if (text.length <= length_max)
        return STATUS_OK;
    return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "at most %zu bytes", length_max);
}

static enum status take_report(const Reprise__V1__ReportRequest *message, struct codec_report *out,
                               struct failure *failure)
{
    struct codec_report report = {.report = {.token = text_of(message->decision_token),
                                             .reporter = text_of(message->reporter)},
                                  .feedback_id = text_of(message->feedback_id)};
    enum status status = read_verdict(message, &report.report, failure);
    if (status == STATUS_OK)
        status = check_length("reporter", report.report.reporter, CODEC_HASH_MAX, failure);
    if (status == STATUS_OK)
        status = check_length("feedback_id", report.feedback_id, CODEC_HASH_MAX, failure);
    if (status == STATUS_OK)
        *out = report;
    return status;
}

enum status codec_read_report(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct codec_report *out,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_REPORT, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    return take_report((const Reprise__V1__ReportRequest *)unpacked, out, failure);
}

enum status codec_read_batch_report(struct text bytes, const struct codec_limits *limits,
                                    struct arena *arena, struct codec_report **out_reports,
                                    size_t *out_count, struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_BATCH_REPORT, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__BatchReportRequest *message =
        (const Reprise__V1__BatchReportRequest *)unpacked;
    if (message->n_items == 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "items", "1 to %d", CODEC_REPORTS_MAX);
    struct codec_report *reports = arena_calloc(arena, message->n_items, sizeof(*reports));
    if (reports == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < message->n_items; i++) {
        char field[32];
        (void)snprintf(field, sizeof(field), "items[%zu]", i);
        status = take_report(message->items[i], &reports[i], failure);
        if (status != STATUS_OK) {
            failure_prefix(failure, field);
            return status;
        }
    }
    *out_reports = reports;
    *out_count = message->n_items;
    return STATUS_OK;
}

enum status codec_write_batch_report(const struct codec_report *reports,
                                     const struct codec_report_result *results, size_t count,
                                     struct arena *arena, struct codec_reply *out)
{
    Reprise__V1__BatchReportResponse message = REPRISE__V1__BATCH_REPORT_RESPONSE__INIT;
    Reprise__V1__ReportResponse *items = arena_calloc(arena, count, sizeof(*items));
    message.results = arena_calloc(arena, count, sizeof(Reprise__V1__ReportResponse *));
    if (items == NULL || message.results == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        reprise__v1__report_response__init(&items[i]);
        items[i].feedback_id = codec_string(reports[i].feedback_id, arena);
        items[i].outcome = (Reprise__V1__ReportOutcome)results[i].outcome;
        items[i].labels_left_this_minute = results[i].left;
        if (items[i].feedback_id == NULL)
            return STATUS_NO_MEMORY;
        message.results[message.n_results++] = &items[i];
    }
    return codec_reply_pack(&message.base, arena, out);
}

enum status codec_write_report(struct text feedback_id, enum cache_outcome outcome, uint32_t left,
                               struct arena *arena, struct codec_reply *out)
{
    Reprise__V1__ReportResponse message = REPRISE__V1__REPORT_RESPONSE__INIT;
    message.feedback_id = codec_string(feedback_id, arena);
    message.outcome = (Reprise__V1__ReportOutcome)outcome;
    message.labels_left_this_minute = left;
    return message.feedback_id == NULL ? STATUS_NO_MEMORY
                                       : codec_reply_pack(&message.base, arena, out);
}

/* ---- Health ----------------------------------------------------------------- */

enum status codec_read_health(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct text *out_service,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_HEALTH_CHECK, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Grpc__Health__V1__HealthCheckRequest *message =
        (const Grpc__Health__V1__HealthCheckRequest *)unpacked;
    const struct text service = text_of(message->service);
    status = check_length("service", service, CODEC_SERVICE_MAX, failure);
    if (status == STATUS_OK)
        *out_service = service;
    return status;
}

enum status codec_write_health(int serving, struct arena *arena, struct codec_reply *out)
{
    assert(serving >= 0);
    assert(serving <= GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN);
    Grpc__Health__V1__HealthCheckResponse message = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    message.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)serving;
    return codec_reply_pack(&message.base, arena, out);
}
