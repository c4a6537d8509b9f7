/*
 * codec_write.c - the replies of Get and BatchGet, written field by field.
 *
 * Get is the reply that counts in nanoseconds, and the one with parts that are wire bytes already:
 * the answer's info is spliced in as it was stored, and an answer above 4 KiB stays where it is:
 * the reply's head ends with the tag and length of `content` (or `blob`), and the tail is the
 * entry's own bytes. Fields may come in any order on the wire; these two stand last for this. Hence
 * no protobuf-c here; tests read every field back with it. The items of a batch are written one
 * behind the other into the one reply.
 */
#include "server/codec_internal.h"

#include <assert.h>

#include "cache/answer.h"

/* Field numbers of proto/reprise/v1/cache.proto. */
enum {
    GET_HIT = 1,
    GET_TIER = 2,
    GET_MISS_REASON = 3,
    GET_STALE = 4,
    GET_SIMILARITY = 5,
    GET_THRESHOLD = 6,
    GET_ENTRY = 7,
    GET_INFO = 8,
    GET_DECISION = 9,
    GET_LEASE = 10,
    GET_DEGRADED = 13,
    GET_DEBUG = 14,
    GET_CONTENT = 100,
    GET_BLOB = 101,
    ENTRY_ENTRY_ID = 1,
    ENTRY_CREATED_UNIX_MS = 2,
    ENTRY_AGE_MS = 3,
    ENTRY_TTL_REMAINING_MS = 4,
    ENTRY_HIT_COUNT = 5,
    ENTRY_NEGATIVE = 6,
    ENTRY_METADATA = 7,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_VALUE = 2,
    DECISION_TOKEN = 1,
    DECISION_GUARDS = 4,
    DECISION_NEAR_MISS = 7,
    NEAR_MISS_ENTRY_ID = 1,
    NEAR_MISS_SIMILARITY = 2,
    NEAR_MISS_DELTA = 3,
    DEBUG_KEY = 1,
    DEBUG_TIMING = 2,
    DEBUG_CANDIDATES = 3,
    DEBUG_MATCHED_PROMPT = 4,
    TIMING_KEY_US = 2,
    TIMING_EMBED_US = 3,
    TIMING_SEARCH_US = 4,
    TIMING_DECIDE_US = 5,
    TIMING_TOTAL_US = 8,
    CANDIDATE_ENTRY_ID = 1,
    CANDIDATE_SIMILARITY = 2,
    CANDIDATE_GUARD = 3,
    CANDIDATE_PROMPT = 6,
    CANDIDATE_INFO = 7,
    CANDIDATE_OTHER = 8,
    CANDIDATE_CONTENT = 100,
    CANDIDATE_BLOB = 101,
    BATCH_RESULTS = 1,
    BATCH_SERVER_US = 2,
    RESULT_RESPONSE = 1,
    RESULT_ERROR = 2,
    ERROR_CODE = 1,
    ERROR_REASON = 2,
    ERROR_MESSAGE = 3,
};

enum { GUARD_BITS = 5 }; /* enum guard_reason: bit n is Guard n + 1 */

static float clipped(float similarity)
{
    if (!(similarity > 0))
        return 0;
    return similarity < 1 ? similarity : 1;
}

static void write_id(struct wire *wire, uint32_t number, const struct digest *id)
{
    char hex[DIGEST_HEX + 1];
    digest_to_hex(id, hex);
    wire_text(wire, number, (struct text){hex, DIGEST_HEX});
}

/* ---- The parts of a Get's reply --------------------------------------------- */

/* Pairs in the encoding of cache/answer.h become messages. */
static void write_metadata(struct wire *wire, struct text metadata)
{
    struct key_attribute pair;
    while (answer_next_attribute(&metadata, &pair)) {
        const struct wire_inner attribute = wire_begin(wire, ENTRY_METADATA, 0);
        wire_text(wire, ATTRIBUTE_NAME, pair.name);
        wire_text(wire, ATTRIBUTE_VALUE, pair.value);
        wire_end(wire, attribute);
    }
}

/* Decided a moment ago: what was fresh then is told as 0 at least, what was stale as -1 at most. */
static int64_t left_of(const struct cache_get_reply *reply, const struct cache_answer *answer,
                       int64_t now_ms)
{
    if (reply->found.expires_ms == 0)
        return INT64_MAX;
    const int64_t left_ms = reply->found.expires_ms - (int64_t)answer->stale_ms - now_ms;
    if (reply->stale)
        return left_ms < -1 ? left_ms : -1;
    return left_ms > 0 ? left_ms : 0;
}

static void write_entry(struct wire *wire, const struct cache_get_reply *reply,
                        const struct cache_answer *answer, int64_t now_ms)
{
    const struct store_hit *found = &reply->found;
    const int64_t created_ms = entry_created_ms(found->entry);
    const struct wire_inner entry = wire_begin(wire, GET_ENTRY, 0);
    write_id(wire, ENTRY_ENTRY_ID, entry_digest(found->entry));
    wire_uint(wire, ENTRY_CREATED_UNIX_MS, (uint64_t)created_ms);
    wire_uint(wire, ENTRY_AGE_MS, now_ms > created_ms ? (uint64_t)(now_ms - created_ms) : 0);
    wire_uint(wire, ENTRY_TTL_REMAINING_MS, (uint64_t)left_of(reply, answer, now_ms));
    wire_uint(wire, ENTRY_HIT_COUNT, found->hits_count);
    wire_uint(wire, ENTRY_NEGATIVE, answer->negative);
    write_metadata(wire, answer->metadata);
    wire_end(wire, entry);
}

static void write_guards(struct wire *wire, unsigned guards)
{
    char numbers[GUARD_BITS];
    struct text packed = {numbers, 0};
    for (unsigned bit = 0; bit < GUARD_BITS; bit++) {
        if ((guards & 1U << bit) != 0)
            numbers[packed.length++] = (char)(bit + 1);
    }
    wire_text(wire, DECISION_GUARDS, packed);
}

static void write_near_miss(struct wire *wire, const struct cache_get_reply *reply)
{
    const float similarity = clipped(reply->near_similarity);
    const struct wire_inner near = wire_begin(wire, DECISION_NEAR_MISS, 0);
    write_id(wire, NEAR_MISS_ENTRY_ID, &reply->near_entry_id);
    wire_float(wire, NEAR_MISS_SIMILARITY, similarity);
    wire_float(wire, NEAR_MISS_DELTA, reply->threshold - similarity);
    wire_end(wire, near);
}

static void write_decision(struct wire *wire, const struct cache_get_reply *reply)
{
    const struct wire_inner decision = wire_begin(wire, GET_DECISION, 0);
    wire_text(wire, DECISION_TOKEN, text_of(reply->token));
    if (reply->tier == CACHE_TIER_NONE) {
        write_guards(wire, reply->guards);
        if (reply->near_miss)
            write_near_miss(wire, reply);
    }
    wire_end(wire, decision);
}

static void write_timing(struct wire *wire, const struct cache_timing *timing)
{
    const struct wire_inner parts = wire_begin(wire, DEBUG_TIMING, 0);
    wire_uint(wire, TIMING_KEY_US, timing->key_us);
    wire_uint(wire, TIMING_EMBED_US, timing->embed_us);
    wire_uint(wire, TIMING_SEARCH_US, timing->search_us);
    wire_uint(wire, TIMING_DECIDE_US, timing->decide_us);
    wire_uint(wire, TIMING_TOTAL_US, timing->total_us);
    wire_end(wire, parts);
}

void codec_put_candidate(struct wire *wire, uint32_t number,
                         const struct codec_candidate *candidate)
{
    const struct wire_inner parts = wire_begin(wire, number, 0);
    write_id(wire, CANDIDATE_ENTRY_ID, candidate->id);
    wire_float(wire, CANDIDATE_SIMILARITY, clipped(candidate->similarity));
    if (candidate->guards != 0) /* the lowest bit is the first reason */
        wire_uint(wire, CANDIDATE_GUARD, (uint64_t)__builtin_ctz(candidate->guards) + 1);
    wire_text(wire, CANDIDATE_PROMPT, candidate->prompt);
    wire_uint(wire, CANDIDATE_OTHER, candidate->other_compatibility);
    if (candidate->answer != NULL) {
        struct cache_answer answer;
        cache_answer_read(candidate->answer, &answer);
        wire_text(wire, CANDIDATE_INFO, answer.info);
        wire_text(wire, answer.opaque ? CANDIDATE_BLOB : CANDIDATE_CONTENT, answer.answer);
    }
    wire_end(wire, parts);
}

static void write_candidate(struct wire *wire, const struct cache_candidate *candidate,
                            unsigned include)
{
    const bool with_answer = (include & CACHE_INCLUDE_ANSWER) != 0;
    struct codec_candidate shown = {.id = &candidate->entry_id,
                                    .similarity = candidate->similarity,
                                    .guards = candidate->guards};
    if (candidate->entry != NULL)
        shown.prompt = entry_prompt(candidate->entry);
    if (with_answer)
        shown.answer = candidate->entry;
    codec_put_candidate(wire, DEBUG_CANDIDATES, &shown);
}

static void write_debug(struct wire *wire, const struct cache_get_reply *reply, unsigned include)
{
    const struct wire_inner debug = wire_begin(wire, GET_DEBUG, 0);
    if ((include & CACHE_INCLUDE_KEY) != 0)
        write_id(wire, DEBUG_KEY, &reply->key);
    if ((include & CACHE_INCLUDE_TIMING) != 0)
        write_timing(wire, &reply->timing);
    for (size_t i = 0; (include & CACHE_INCLUDE_CANDIDATES) != 0 && i < reply->candidates_count;
         i++)
        write_candidate(wire, &reply->candidates[i], include);
    if ((include & CACHE_INCLUDE_MATCHED_PROMPT) != 0 && reply->found.entry != NULL)
        wire_text(wire, DEBUG_MATCHED_PROMPT, entry_prompt(reply->found.entry));
    wire_end(wire, debug);
}

/* Last of all, since its payload may be the tail. */
static void write_answer(struct wire *wire, const struct cache_answer *answer, struct entry *entry,
                         struct codec_reply *out)
{
    const uint32_t number = answer->opaque ? GET_BLOB : GET_CONTENT;
    if (answer->answer.length <= CODEC_BORROW_BYTES) {
        wire_text(wire, number, answer->answer);
        return;
    }
    wire_open(wire, number, answer->answer.length);
    out->tail = answer->answer;
    out->tail_entry = entry;
}

/* The answer of a hit; empty: a miss. */
static struct cache_answer answer_of(const struct cache_get_reply *reply)
{
    struct cache_answer answer = {.opaque = false};
    if (reply->tier != CACHE_TIER_NONE) {
        assert(reply->found.entry != NULL);
        cache_answer_read(reply->found.entry, &answer);
    }
    return answer;
}

/* Bytes that a reply with this answer takes at most, but for decision and debug, without the tail.
 */
static size_t reply_bytes(const struct cache_answer *answer)
{
    const size_t inlined = answer->answer.length <= CODEC_BORROW_BYTES ? answer->answer.length : 0;
    return 192 + answer->info.length + answer->metadata.length + inlined;
}

/* Writes all but the tail. */
static void write_get(struct wire *wire, const struct cache_get *get,
                      const struct cache_answer *answer, int64_t now_ms, struct codec_reply *out)
{
    const struct cache_get_reply *reply = &get->reply;
    const bool hit = reply->tier != CACHE_TIER_NONE;
    wire_uint(wire, GET_HIT, hit);
    wire_uint(wire, GET_TIER, reply->tier);
    wire_uint(wire, GET_MISS_REASON, hit ? CACHE_MISS_NONE : reply->miss_reason);
    wire_uint(wire, GET_STALE, hit && reply->stale);
    wire_float(wire, GET_SIMILARITY, clipped(reply->similarity));
    wire_float(wire, GET_THRESHOLD, reply->threshold);
    if (hit)
        write_entry(wire, reply, answer, now_ms);
    wire_text(wire, GET_INFO, answer->info);
    if (reply->decided)
        write_decision(wire, reply);
    if (reply->lease.given)
        codec_write_lease(wire, GET_LEASE, &reply->lease);
    if (reply->degraded != NULL)
        wire_text(wire, GET_DEGRADED, text_of(reply->degraded));
    if (get->request->include != 0)
        write_debug(wire, reply, get->request->include);
    if (hit)
        write_answer(wire, answer, reply->found.entry, out);
}

void codec_write_get_head(struct wire *wire, const struct cache_get *get, int64_t now_ms)
{
    struct codec_reply packed = {.tail_entry = NULL};
    struct cache_answer answer = answer_of(&get->reply);
    if (!answer.opaque)
        answer.answer.length = 0;
    write_get(wire, get, &answer, now_ms, &packed);
    wire_raw(wire, packed.tail);
}

enum status codec_write_get(const struct cache_get *get, int64_t now_ms,
                            const struct codec_limits *limits, struct arena *arena,
                            struct codec_reply *out, struct failure *failure)
{
    struct codec_reply packed = {.tail_entry = NULL};
    const struct cache_answer answer = answer_of(&get->reply);
    struct wire wire;
    wire_init(&wire, arena, reply_bytes(&answer));
    write_get(&wire, get, &answer, now_ms, &packed);
    enum status status = wire_done(&wire, &packed.head);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "%s", status_text(status));
    status = codec_reply_fits(&packed, limits, failure);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

void codec_put_get(struct wire *wire, uint32_t number, const struct cache_get *get, int64_t now_ms)
{
    struct codec_reply packed = {.tail_entry = NULL};
    const struct cache_answer answer = answer_of(&get->reply);
    const struct wire_inner inner =
        wire_begin(wire, number, reply_bytes(&answer) + answer.answer.length);
    write_get(wire, get, &answer, now_ms, &packed);
    wire_raw(wire, packed.tail);
    wire_end(wire, inner);
}

/* ---- BatchGet --------------------------------------------------------------- */

static void write_error(struct wire *wire, const struct failure *failure)
{
    char sentence[CODEC_SENTENCE_MAX];
    codec_sentence(failure, sentence);
    const struct wire_inner result = wire_begin(wire, BATCH_RESULTS, 0);
    const struct wire_inner error = wire_begin(wire, RESULT_ERROR, 0);
    wire_uint(wire, ERROR_CODE, (uint64_t)status_grpc_code(failure->status));
    wire_text(wire, ERROR_REASON, text_of(status_name(failure->status)));
    wire_text(wire, ERROR_MESSAGE, text_of(sentence));
    wire_end(wire, error);
    wire_end(wire, result);
}

/* False, and nothing written, when the result takes more than bytes_max. A tail is looked at before
 * it is copied. */
static bool write_response(struct wire *wire, const struct cache_get *get, int64_t now_ms,
                           size_t bytes_max)
{
    const size_t start = wire->length;
    struct codec_reply packed = {.tail_entry = NULL};
    const struct cache_answer answer = answer_of(&get->reply);
    const size_t expected =
        128 + answer.info.length + answer.metadata.length + answer.answer.length;
    const struct wire_inner result = wire_begin(wire, BATCH_RESULTS, expected);
    const struct wire_inner response = wire_begin(wire, RESULT_RESPONSE, expected);
    write_get(wire, get, &answer, now_ms, &packed);
    const size_t length = wire->length - response.begin + packed.tail.length;
    if (!wire->spent && wire_size(wire_size(length)) > bytes_max) {
        wire->length = start;
        return false;
    }
    wire_raw(wire, packed.tail);
    wire_end(wire, response);
    wire_end(wire, result);
    return true;
}

/* The refusal of an item that does not fit, as it stands in the reply. */
static enum status pack_refusal(struct arena *arena, struct text *out_bytes)
{
    const struct failure refusal = {.status = STATUS_REPLY_TOO_LARGE};
    struct wire wire;
    wire_init(&wire, arena, 128);
    write_error(&wire, &refusal);
    return wire_done(&wire, out_bytes);
}

/*
 * An item fits when it leaves room for the refusal of every item after it, so that all items are
 * answered and the reply stays within its limit.
 */
static void write_result(struct wire *wire, const struct codec_get_result *result, int64_t now_ms,
                         struct text refusal, size_t bytes_max)
{
    const size_t start = wire->length;
    if (result->failure != NULL && result->failure->status != STATUS_OK) {
        write_error(wire, result->failure);
        if (wire->length - start <= bytes_max)
            return;
        wire->length = start;
    } else {
        assert(result->get != NULL);
        if (write_response(wire, result->get, now_ms, bytes_max))
            return;
    }
    wire_raw(wire, refusal);
}

enum status codec_write_batch_get(const struct codec_get_result *results, size_t count,
                                  uint32_t server_us, int64_t now_ms,
                                  const struct codec_limits *limits, struct arena *arena,
                                  struct codec_reply *out)
{
    enum { SERVER_US_BYTES = 6, RESULT_BYTES = 256 };
    assert(limits->reply_max > SERVER_US_BYTES);
    struct text refusal;
    enum status status = pack_refusal(arena, &refusal);
    if (status != STATUS_OK)
        return status;
    struct wire wire;
    wire_init(&wire, arena, count * RESULT_BYTES);
    const uint64_t reply_max = limits->reply_max;
    for (size_t i = 0; i < count; i++) {
        const size_t taken = wire.length + (count - i - 1) * refusal.length + SERVER_US_BYTES;
        write_result(&wire, &results[i], now_ms, refusal,
                     reply_max > taken ? reply_max - taken : 0);
    }
    wire_uint(&wire, BATCH_SERVER_US, server_us);
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}
