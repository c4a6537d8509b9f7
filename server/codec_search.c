/*
 * codec_search.c - Search and Explain, both ways: their replies are written field by field, for
 * they hold a Get's reply and stored answers, which are wire bytes already. Owns nothing. Threads:
 * any; all of it works in the caller's arena.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <stdio.h>

/* Field numbers of proto/reprise/v1/cache.proto. */
enum {
    SEARCH_CANDIDATES = 1,
    SEARCH_SCANNED = 2,
    EXPLAIN_WOULD_BE = 1,
    EXPLAIN_CANDIDATES = 2,
    EXPLAIN_FIELDS = 3,
    EXPLAIN_SCOPE_KEY = 4,
    EXPLAIN_COMPAT_KEY = 5,
    EXPLAIN_EXACT_KEY = 6,
    EXPLAIN_CANONICAL = 7,
    EXPLAIN_STEPS = 8,
    EXPLAIN_REASON = 9,
    EXPLAIN_AGAINST = 10,
    EXPLAIN_AGAINST_SIMILARITY = 11,
    FIELD_NAME = 1,
    FIELD_REQUEST = 2,
    FIELD_ENTRY = 3,
    FIELD_EQUAL = 4,
};

enum { PREVIEW_BYTES = 256 };

/* A prompt's beginning, cut between two code points. */
static struct text preview(struct text prompt)
{
    if (prompt.length <= PREVIEW_BYTES)
        return prompt;
    size_t length = PREVIEW_BYTES;
    while (length > 0 && ((unsigned char)prompt.bytes[length] & 0xC0) == 0x80)
        length--;
    return (struct text){prompt.bytes, length};
}

static struct codec_candidate candidate_of(const struct entry *entry, float similarity,
                                           unsigned guards, unsigned include)
{
    struct codec_candidate candidate = {
        .id = entry_digest(entry), .similarity = similarity, .guards = guards};
    if ((include & CACHE_INCLUDE_MATCHED_PROMPT) != 0)
        candidate.prompt = preview(entry_prompt(entry));
    if ((include & CACHE_INCLUDE_ANSWER) != 0)
        candidate.answer = entry;
    return candidate;
}

static enum status finish(const struct wire *wire, const struct codec_limits *limits,
                          struct codec_reply *out, struct failure *failure)
{
    struct codec_reply packed = {.tail_entry = NULL};
    enum status status = wire_done(wire, &packed.head);
    if (status != STATUS_OK)
        return codec_spent(failure);
    status = codec_reply_fits(&packed, limits, failure);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

/* ---- Search ----------------------------------------------------------------- */

enum status codec_read_search(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_search_request *out,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_SEARCH, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__SearchRequest *message = (const Reprise__V1__SearchRequest *)unpacked;
    struct cache_search_request request = {
        .top_k = message->top_k,
        .min_similarity = message->min_similarity,
        .any_compatibility = message->any_compatibility != 0,
        .exhaustive = message->exhaustive != 0,
    };
    status = codec_identity(message->identity, arena, &request.identity, failure);
    if (status == STATUS_OK)
        status = codec_vector(message->vector, arena, &request.vector, &request.dimension, failure);
    if (status == STATUS_OK)
        status = codec_include(message->include, message->n_include, &request.include, failure);
    if (status == STATUS_OK)
        *out = request;
    return status;
}

enum status codec_write_search(const struct cache_search *search, const struct codec_limits *limits,
                               struct arena *arena, struct codec_reply *out,
                               struct failure *failure)
{
    struct wire wire;
    wire_init(&wire, arena, 128 * (search->found_count + 1));
    for (size_t i = 0; i < search->found_count; i++) {
        const struct cache_found *found = &search->found[i];
        struct codec_candidate candidate =
            candidate_of(found->entry, found->similarity, found->guards, search->request->include);
        candidate.other_compatibility = !found->compatible;
        codec_put_candidate(&wire, SEARCH_CANDIDATES, &candidate);
    }
    wire_uint(&wire, SEARCH_SCANNED,
              search->scanned < UINT32_MAX ? search->scanned : (uint64_t)UINT32_MAX);
    return finish(&wire, limits, out, failure);
}

/* ---- Explain ---------------------------------------------------------------- */

enum status codec_read_explain(struct text bytes, const struct codec_limits *limits,
                               struct arena *arena, struct cache_explain_request *out,
                               struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_EXPLAIN, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__ExplainRequest *message = (const Reprise__V1__ExplainRequest *)unpacked;
    struct cache_explain_request request = {.against_given = message->against_entry_id[0] != 0};
    const struct text id = text_of(message->against_entry_id);
    if (request.against_given && !digest_from_hex(id.bytes, id.length, &request.against))
        return failure_set(failure, STATUS_BAD_ID, "against_entry_id", "%s",
                           status_text(STATUS_BAD_ID));
    if (message->request == NULL)
        return failure_set(failure, STATUS_EMPTY_PROMPT, "request", "it is required");
    status = codec_get_message(message->request, arena, &request.get, failure);
    if (status == STATUS_OK)
        *out = request;
    else
        failure_prefix(failure, "request");
    return status;
}

static void write_hex(struct wire *wire, uint32_t number, const struct digest *digest)
{
    char hex[DIGEST_HEX + 1];
    digest_to_hex(digest, hex);
    wire_text(wire, number, (struct text){hex, DIGEST_HEX});
}

static void write_sum(struct wire *wire, uint32_t number, bool given, uint32_t sum)
{
    char hex[9] = "";
    if (given)
        (void)snprintf(hex, sizeof(hex), "%08x", sum);
    wire_text(wire, number, text_of(hex));
}

static void write_field(struct wire *wire, const struct field_difference *field)
{
    const struct wire_inner parts = wire_begin(wire, EXPLAIN_FIELDS, 0);
    wire_text(wire, FIELD_NAME, text_of(field->field));
    write_sum(wire, FIELD_REQUEST, field->in_request, field->request_sum);
    write_sum(wire, FIELD_ENTRY, field->in_entry, field->entry_sum);
    wire_uint(wire, FIELD_EQUAL, !field_differs(field));
    wire_end(wire, parts);
}

static enum status write_keys(struct wire *wire, const struct cache_explain *explain,
                              const struct codec_limits *limits, struct arena *arena,
                              struct failure *failure)
{
    const struct key *key = &explain->get.key;
    struct text canonical;
    if (!key->canonical)
        return STATUS_OK;
    write_hex(wire, EXPLAIN_SCOPE_KEY, &key->scope);
    write_hex(wire, EXPLAIN_COMPAT_KEY, &key->compatibility);
    write_hex(wire, EXPLAIN_EXACT_KEY, &key->exact);
    enum status status =
        key_canonical(&explain->get.request->identity, &limits->key, arena, &canonical, failure);
    if (status == STATUS_OK)
        wire_text(wire, EXPLAIN_CANONICAL, canonical);
    return status;
}

enum status codec_write_explain(const struct cache_explain *explain, int64_t now_ms,
                                const struct codec_limits *limits, struct arena *arena,
                                struct codec_reply *out, struct failure *failure)
{
    struct wire wire;
    wire_init(&wire, arena, 4096);
    assert(explain->steps_count > 0);
    codec_put_get(&wire, EXPLAIN_WOULD_BE, &explain->get, now_ms);
    for (size_t i = 0; i < explain->nearest_count; i++) {
        const struct cache_candidate *near = &explain->nearest[i];
        const struct codec_candidate candidate = candidate_of(
            near->entry, near->similarity, near->guards, explain->get.request->include);
        codec_put_candidate(&wire, EXPLAIN_CANDIDATES, &candidate);
    }
    for (size_t i = 0; i < explain->fields_count; i++)
        write_field(&wire, &explain->fields[i]);
    enum status status = write_keys(&wire, explain, limits, arena, failure);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < explain->steps_count; i++)
        wire_text(&wire, EXPLAIN_STEPS, explain->steps[i]);
    wire_text(&wire, EXPLAIN_REASON, explain->reason);
    if (explain->against != NULL) {
        write_hex(&wire, EXPLAIN_AGAINST, entry_digest(explain->against));
        wire_float(&wire, EXPLAIN_AGAINST_SIMILARITY, explain->against_similarity);
    }
    return finish(&wire, limits, out, failure);
}
