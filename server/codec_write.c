/*
 * codec_write.c - the replies of Get and BatchGet, written field by field.
 *
 * Get is the reply that counts in nanoseconds, and the one with parts that are wire bytes already:
 * the answer's info is spliced in as it was stored, and an answer above 4 KiB stays where it is:
 * the reply's head ends with the tag and length of `content` (or `blob`), and the tail is the
 * entry's own bytes. Fields may come in any order on the wire; these two stand last for this. Hence
 * no protobuf-c here; tests read every field back with it.
 */
#include "server/codec_internal.h"

#include <assert.h>

#include "cache/answer.h"

/* Field numbers of proto/reprise/v1/cache.proto. */
enum {
    GET_HIT = 1,
    GET_TIER = 2,
    GET_MISS_REASON = 3,
    GET_SIMILARITY = 5,
    GET_THRESHOLD = 6,
    GET_ENTRY = 7,
    GET_INFO = 8,
    GET_DECISION = 9,
    GET_DEBUG = 14,
    GET_CONTENT = 100,
    GET_BLOB = 101,
    ENTRY_ENTRY_ID = 1,
    ENTRY_CREATED_UNIX_MS = 2,
    ENTRY_AGE_MS = 3,
    ENTRY_TTL_REMAINING_MS = 4,
    ENTRY_HIT_COUNT = 5,
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
static void write_metadata(struct wire *entry, struct text metadata)
{
    struct key_attribute pair;
    while (answer_next_attribute(&metadata, &pair)) {
        struct wire attribute;
        wire_init(&attribute, entry->arena, pair.name.length + pair.value.length + 16);
        wire_text(&attribute, ATTRIBUTE_NAME, pair.name);
        wire_text(&attribute, ATTRIBUTE_VALUE, pair.value);
        wire_message(entry, ENTRY_METADATA, &attribute);
    }
}

static void write_entry(struct wire *wire, const struct store_hit *found, struct text metadata,
                        int64_t now_ms)
{
    const int64_t created_ms = entry_created_ms(found->entry);
    const int64_t left_ms = found->expires_ms > now_ms ? found->expires_ms - now_ms : 0;
    struct wire entry;
    wire_init(&entry, wire->arena, 128 + metadata.length);
    write_id(&entry, ENTRY_ENTRY_ID, entry_digest(found->entry));
    wire_uint(&entry, ENTRY_CREATED_UNIX_MS, (uint64_t)created_ms);
    wire_uint(&entry, ENTRY_AGE_MS, now_ms > created_ms ? (uint64_t)(now_ms - created_ms) : 0);
    wire_uint(&entry, ENTRY_TTL_REMAINING_MS, (uint64_t)(found->expires_ms == 0 ? -1 : left_ms));
    wire_uint(&entry, ENTRY_HIT_COUNT, found->hits_count);
    write_metadata(&entry, metadata);
    wire_message(wire, GET_ENTRY, &entry);
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
    struct wire near;
    wire_init(&near, wire->arena, 96);
    write_id(&near, NEAR_MISS_ENTRY_ID, &reply->near_entry_id);
    wire_float(&near, NEAR_MISS_SIMILARITY, similarity);
    wire_float(&near, NEAR_MISS_DELTA, reply->threshold - similarity);
    wire_message(wire, DECISION_NEAR_MISS, &near);
}

static void write_decision(struct wire *wire, const struct cache_get_reply *reply)
{
    struct wire decision;
    wire_init(&decision, wire->arena, 192);
    wire_text(&decision, DECISION_TOKEN, text_of(reply->token));
    if (reply->tier == CACHE_TIER_NONE) {
        write_guards(&decision, reply->guards);
        if (reply->near_miss)
            write_near_miss(&decision, reply);
    }
    wire_message(wire, GET_DECISION, &decision);
}

static void write_timing(struct wire *wire, const struct cache_timing *timing)
{
    struct wire parts;
    wire_init(&parts, wire->arena, 64);
    wire_uint(&parts, TIMING_KEY_US, timing->key_us);
    wire_uint(&parts, TIMING_EMBED_US, timing->embed_us);
    wire_uint(&parts, TIMING_SEARCH_US, timing->search_us);
    wire_uint(&parts, TIMING_DECIDE_US, timing->decide_us);
    wire_uint(&parts, TIMING_TOTAL_US, timing->total_us);
    wire_message(wire, DEBUG_TIMING, &parts);
}

static void write_candidate(struct wire *wire, const struct cache_candidate *candidate)
{
    struct wire parts;
    struct text prompt = {NULL, 0};
    if (candidate->entry != NULL)
        prompt = entry_prompt(candidate->entry);
    wire_init(&parts, wire->arena, 96 + prompt.length);
    write_id(&parts, CANDIDATE_ENTRY_ID, &candidate->entry_id);
    wire_float(&parts, CANDIDATE_SIMILARITY, clipped(candidate->similarity));
    if (candidate->guards != 0) /* the lowest bit is the first reason */
        wire_uint(&parts, CANDIDATE_GUARD, (uint64_t)__builtin_ctz(candidate->guards) + 1);
    wire_text(&parts, CANDIDATE_PROMPT, prompt);
    wire_message(wire, DEBUG_CANDIDATES, &parts);
}

static void write_debug(struct wire *wire, const struct cache_get_reply *reply, unsigned include)
{
    struct wire debug;
    wire_init(&debug, wire->arena, 256);
    if ((include & CACHE_INCLUDE_KEY) != 0)
        write_id(&debug, DEBUG_KEY, &reply->key);
    if ((include & CACHE_INCLUDE_TIMING) != 0)
        write_timing(&debug, &reply->timing);
    for (size_t i = 0; (include & CACHE_INCLUDE_CANDIDATES) != 0 && i < reply->candidates_count;
         i++)
        write_candidate(&debug, &reply->candidates[i]);
    if ((include & CACHE_INCLUDE_MATCHED_PROMPT) != 0 && reply->found.entry != NULL)
        wire_text(&debug, DEBUG_MATCHED_PROMPT, entry_prompt(reply->found.entry));
    wire_message(wire, GET_DEBUG, &debug);
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

static enum status pack_get(const struct cache_get *get, int64_t now_ms, struct arena *arena,
                            struct codec_reply *out)
{
    const struct cache_get_reply *reply = &get->reply;
    const bool hit = reply->tier != CACHE_TIER_NONE;
    struct codec_reply packed = {.tail_entry = NULL};
    struct cache_answer answer = {.opaque = false};
    if (hit) {
        assert(reply->found.entry != NULL);
        cache_answer_read(reply->found.entry, &answer);
    }
    const size_t inlined = answer.answer.length <= CODEC_BORROW_BYTES ? answer.answer.length : 0;
    struct wire wire;
    wire_init(&wire, arena, 384 + answer.info.length + answer.metadata.length + inlined);
    wire_uint(&wire, GET_HIT, hit);
    wire_uint(&wire, GET_TIER, reply->tier);
    wire_uint(&wire, GET_MISS_REASON, hit ? CACHE_MISS_NONE : reply->miss_reason);
    wire_float(&wire, GET_SIMILARITY, clipped(reply->similarity));
    wire_float(&wire, GET_THRESHOLD, reply->threshold);
    if (hit)
        write_entry(&wire, &reply->found, answer.metadata, now_ms);
    wire_text(&wire, GET_INFO, answer.info);
    if (reply->decided)
        write_decision(&wire, reply);
    if (get->request->include != 0)
        write_debug(&wire, reply, get->request->include);
    if (hit)
        write_answer(&wire, &answer, reply->found.entry, &packed);
    enum status status = wire_done(&wire, &packed.head);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

enum status codec_write_get(const struct cache_get *get, int64_t now_ms,
                            const struct codec_limits *limits, struct arena *arena,
                            struct codec_reply *out, struct failure *failure)
{
    struct codec_reply packed;
    enum status status = pack_get(get, now_ms, arena, &packed);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "%s", status_text(status));
    status = codec_reply_fits(&packed, limits, failure);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

/* ---- BatchGet --------------------------------------------------------------- */

/* One GetResult, before it is joined with the others: its field and what it holds. */
struct piece {
    uint32_t number; /* RESULT_RESPONSE or RESULT_ERROR */
    struct text head, tail;
};

static size_t piece_bytes(const struct piece *piece)
{
    return wire_size(wire_size(piece->head.length + piece->tail.length));
}

static enum status pack_error(const struct failure *failure, struct arena *arena,
                              struct piece *out_piece)
{
    char sentence[CODEC_SENTENCE_MAX];
    codec_sentence(failure, sentence);
    struct wire wire;
    wire_init(&wire, arena, 128);
    wire_uint(&wire, ERROR_CODE, (uint64_t)status_grpc_code(failure->status));
    wire_text(&wire, ERROR_REASON, text_of(status_name(failure->status)));
    wire_text(&wire, ERROR_MESSAGE, text_of(sentence));
    out_piece->number = RESULT_ERROR;
    out_piece->tail = (struct text){NULL, 0};
    return wire_done(&wire, &out_piece->head);
}

static enum status pack_piece(const struct codec_get_result *result, int64_t now_ms,
                              struct arena *arena, struct piece *out_piece)
{
    if (result->failure != NULL && result->failure->status != STATUS_OK)
        return pack_error(result->failure, arena, out_piece);
    assert(result->get != NULL);
    struct codec_reply reply;
    enum status status = pack_get(result->get, now_ms, arena, &reply);
    if (status == STATUS_OK)
        *out_piece =
            (struct piece){.number = RESULT_RESPONSE, .head = reply.head, .tail = reply.tail};
    return status;
}

/*
 * Packs each item alone and sums up what the reply will take. An item fits when it leaves room for
 * the refusal of every item after it, so that all items are answered and the reply stays within its
 * limit.
 */
static enum status pack_pieces(const struct codec_get_result *results, size_t count, int64_t now_ms,
                               uint64_t reply_max, struct arena *arena, struct piece *out_pieces,
                               size_t *out_bytes)
{
    const struct failure refusal = {.status = STATUS_REPLY_TOO_LARGE};
    struct piece refused;
    enum status status = pack_error(&refusal, arena, &refused);
    size_t bytes = 0;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = pack_piece(&results[i], now_ms, arena, &out_pieces[i]);
        if (status != STATUS_OK)
            break;
        const size_t reserved = (count - i - 1) * piece_bytes(&refused);
        if (bytes + piece_bytes(&out_pieces[i]) + reserved > reply_max)
            out_pieces[i] = refused;
        bytes += piece_bytes(&out_pieces[i]);
    }
    *out_bytes = bytes;
    return status;
}

enum status codec_write_batch_get(const struct codec_get_result *results, size_t count,
                                  uint32_t server_us, int64_t now_ms,
                                  const struct codec_limits *limits, struct arena *arena,
                                  struct codec_reply *out)
{
    enum { SERVER_US_BYTES = 6 };
    assert(limits->reply_max > SERVER_US_BYTES);
    struct piece *pieces = arena_calloc(arena, count, sizeof(*pieces));
    if (pieces == NULL)
        return STATUS_NO_MEMORY;
    size_t bytes = 0;
    enum status status = pack_pieces(results, count, now_ms, limits->reply_max - SERVER_US_BYTES,
                                     arena, pieces, &bytes);
    if (status != STATUS_OK)
        return status;
    struct wire wire;
    wire_init(&wire, arena, bytes + SERVER_US_BYTES + 16);
    for (size_t i = 0; i < count; i++) {
        const size_t length = pieces[i].head.length + pieces[i].tail.length;
        wire_open(&wire, BATCH_RESULTS, wire_size(length));
        wire_open(&wire, pieces[i].number, length);
        wire_raw(&wire, pieces[i].head);
        wire_raw(&wire, pieces[i].tail);
    }
    wire_uint(&wire, BATCH_SERVER_US, server_us);
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}
