/*
 * Goal: the reply of a Get says what cache/ decided, field by field; a long answer is not copied;
 * no reply passes server.reply_max, and in a batch the items that do not fit are refused alone.
 * Method: replies written by codec_write, read back by protobuf-c; head and tail joined as the door
 * would send them.
 */
#include "codec_support.h"

#include <math.h>

#include "cache/answer.h"
#include "trust/guard.h"

static const int64_t CREATED_MS = 1700000000000, NOW_MS = 1700000060000;

static struct entry *make_entry(struct text answer, bool opaque, struct text info,
                                struct arena *arena)
{
    static const struct key_attribute metadata[] = {{{"owner", 5}, {"team-a", 6}},
                                                    {{"empty", 5}, {NULL, 0}}};
    const struct answer_parts parts = {.tenant = TEXT("default"),
                                       .namespace_ = TEXT("default"),
                                       .model = TEXT("m"),
                                       .metadata = metadata,
                                       .metadata_count = 2,
                                       .info = info,
                                       .opaque = opaque};
    struct entry_source source = {
        .created_ms = CREATED_MS, .prompt = TEXT("how?"), .answer = answer};
    memset(&source.digest, 0xab, sizeof(source.digest));
    assert_int_equal(answer_pack(&parts, arena, &source.metadata), STATUS_OK);
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    return entry;
}

static const struct cache_get_request plain_request;

static struct cache_get a_hit(struct entry *entry)
{
    struct cache_get get = {.request = &plain_request};
    get.reply.tier = CACHE_TIER_EXACT;
    get.reply.similarity = 1;
    get.reply.found =
        (struct store_hit){.entry = entry, .expires_ms = NOW_MS + 500, .hits_count = 3};
    return get;
}

static struct cache_get a_miss(void)
{
    struct cache_get get = {.request = &plain_request};
    get.reply.miss_reason = CACHE_MISS_BELOW_CUT;
    get.reply.similarity = 0.5F;
    get.reply.threshold = 0.9F;
    return get;
}

/* What the caller receives: head and tail behind each other. */
static Reprise__V1__GetResponse *received(const struct codec_reply *reply, struct arena *arena)
{
    struct wire wire;
    wire_init(&wire, arena, 0);
    wire_raw(&wire, reply->head);
    wire_raw(&wire, reply->tail);
    return (Reprise__V1__GetResponse *)unpacked(&reprise__v1__get_response__descriptor,
                                                wire_text_of(&wire), arena);
}

static Reprise__V1__GetResponse *written(const struct cache_get *get, struct arena *arena)
{
    struct codec_reply reply;
    assert_int_equal(codec_write_get(get, NOW_MS, &small_limits, arena, &reply, NULL), STATUS_OK);
    return received(&reply, arena);
}

/* ---- Get -------------------------------------------------------------------- */

static void a_hit_carries_the_entry_and_its_answer(void **state)
{
    struct entry *entry = make_entry(TEXT("Under Settings."), false, TEXT("\x22\x04stop"), *state);
    struct cache_get get = a_hit(entry);
    const Reprise__V1__GetResponse *reply = written(&get, *state);
    assert_true(reply->hit);
    assert_int_equal(reply->tier, REPRISE__V1__TIER__TIER_EXACT);
    assert_int_equal(reply->miss_reason, 0);
    assert_true(reply->similarity == 1);
    assert_true(reply->threshold == 0);
    assert_string_equal(reply->content, "Under Settings.");
    assert_int_equal(reply->blob.len, 0);
    assert_string_equal(reply->info->finish_reason, "stop");
    assert_null(reply->decision);
    assert_null(reply->debug);
    const Reprise__V1__EntryInfo *info = reply->entry;
    assert_int_equal(strlen(info->entry_id), DIGEST_HEX);
    assert_int_equal(strspn(info->entry_id, "ab"), DIGEST_HEX);
    assert_true(info->created_unix_ms == CREATED_MS);
    assert_int_equal(info->age_ms, 60000);
    assert_int_equal(info->ttl_remaining_ms, 500);
    assert_int_equal(info->hit_count, 3);
    assert_int_equal(info->n_metadata, 2);
    assert_string_equal(info->metadata[0]->name, "owner");
    assert_string_equal(info->metadata[0]->value, "team-a");
    assert_string_equal(info->metadata[1]->name, "empty");
    assert_string_equal(info->metadata[1]->value, "");
    entry_release(entry);
}

static void times_are_told_without_lies_at_their_edges(void **state)
{
    struct entry *entry = make_entry(TEXT("x"), false, TEXT(""), *state);
    struct cache_get get = a_hit(entry);
    get.reply.found.expires_ms = 0;
    assert_true(written(&get, *state)->entry->ttl_remaining_ms ==
                INT64_MAX); /* it does not expire */
    get.reply.found.expires_ms = NOW_MS - 10;
    assert_true(written(&get, *state)->entry->ttl_remaining_ms == 0);
    assert_false(written(&get, *state)->stale);
    get.reply.stale = true;
    assert_true(written(&get, *state)->entry->ttl_remaining_ms == -10);
    assert_true(written(&get, *state)->stale);
    get.reply.found.expires_ms = NOW_MS + 10; /* a clock that went back since it was decided */
    assert_true(written(&get, *state)->entry->ttl_remaining_ms == -1);
    get.reply.stale = false;
    struct codec_reply reply; /* the clock went back */
    assert_int_equal(codec_write_get(&get, CREATED_MS - 5000, &small_limits, *state, &reply, NULL),
                     STATUS_OK);
    assert_true(received(&reply, *state)->entry->age_ms == 0);
    entry_release(entry);
}

static void an_opaque_answer_goes_into_blob(void **state)
{
    struct entry *entry = make_entry(TEXT("\0\xff\x01"), true, TEXT("\x4a\x09image/png"), *state);
    struct cache_get get = a_hit(entry);
    const Reprise__V1__GetResponse *reply = written(&get, *state);
    assert_string_equal(reply->content, "");
    assert_int_equal(reply->blob.len, 3);
    assert_memory_equal(reply->blob.data, "\0\xff\x01", 3);
    assert_string_equal(reply->info->content_type, "image/png");
    entry_release(entry);
}

static void a_long_answer_is_the_tail_and_is_not_copied(void **state)
{
    static const size_t lengths[] = {0, 1, CODEC_BORROW_BYTES, CODEC_BORROW_BYTES + 1, 300000};
    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        const bool opaque = i % 2 == 1;
        const size_t length = lengths[i / 2];
        char *answer = calloc(length + 1, 1);
        assert_non_null(answer);
        memset(answer, 'y', length);
        struct entry *entry =
            make_entry((struct text){answer, length}, opaque, TEXT("\x22\x04stop"), *state);
        struct cache_get get = a_hit(entry);
        get.reply.decided = true;
        (void)memset(get.reply.token, 'T', TOKEN_TEXT);
        struct codec_reply reply;
        assert_int_equal(codec_write_get(&get, NOW_MS, &small_limits, *state, &reply, NULL),
                         STATUS_OK);
        if (length > CODEC_BORROW_BYTES) {
            assert_ptr_equal(reply.tail.bytes, entry_answer(entry).bytes);
            assert_int_equal(reply.tail.length, length);
            assert_ptr_equal(reply.tail_entry, entry);
            assert_true(reply.head.length < 512);
        } else {
            assert_int_equal(reply.tail.length, 0);
            assert_null(reply.tail_entry);
        }
        const Reprise__V1__GetResponse *message = received(&reply, *state);
        assert_int_equal(opaque ? message->blob.len : strlen(message->content), length);
        assert_int_equal(strlen(message->decision->token), TOKEN_TEXT);
        assert_string_equal(message->info->finish_reason, "stop");
        entry_release(entry);
        free(answer);
    }
}

static void info_comes_back_byte_for_byte(void **state)
{
    const struct text info =
        TEXT("\x22\x04stop\xf8\x3f\x01\x2a\x02\x08\x07"); /* with an unknown field */
    struct entry *entry = make_entry(TEXT("x"), false, info, *state);
    struct cache_get get = a_hit(entry);
    struct codec_reply reply;
    assert_int_equal(codec_write_get(&get, NOW_MS, &small_limits, *state, &reply, NULL), STATUS_OK);
    assert_non_null(memmem(reply.head.bytes, reply.head.length, info.bytes, info.length));
    assert_int_equal(received(&reply, *state)->info->usage->input_tokens, 7);
    entry_release(entry);
}

static void a_miss_says_why_and_what_was_near(void **state)
{
    struct cache_get get = a_miss();
    const Reprise__V1__GetResponse *reply = written(&get, *state);
    assert_false(reply->hit);
    assert_int_equal(reply->tier, 0);
    assert_int_equal(reply->miss_reason, REPRISE__V1__MISS_REASON__MISS_REASON_BELOW_CUT);
    assert_null(reply->entry);
    assert_null(reply->info);
    assert_null(reply->decision);
    get.reply.decided = true;
    get.reply.guards = GUARD_NUMBER | GUARD_NAMES;
    get.reply.near_miss = true;
    get.reply.near_similarity = 0.75F;
    (void)memset(get.reply.token, 'T', TOKEN_TEXT);
    reply = written(&get, *state);
    const Reprise__V1__Decision *decision = reply->decision;
    assert_int_equal(strlen(decision->token), TOKEN_TEXT);
    assert_false(decision->certified);
    assert_int_equal(decision->n_guards, 2);
    assert_int_equal(decision->guards[0], REPRISE__V1__GUARD__GUARD_NUMBER);
    assert_int_equal(decision->guards[1], REPRISE__V1__GUARD__GUARD_NAMES);
    assert_int_equal(strspn(decision->near_miss->entry_id, "0"), DIGEST_HEX);
    assert_true(decision->near_miss->similarity == 0.75F);
    assert_true(fabsf(decision->near_miss->delta - 0.15F) < 1e-6F);
}

static void a_get_says_that_the_embedder_is_down(void **state)
{
    struct cache_get get = a_miss();
    assert_int_equal(written(&get, *state)->n_degraded, 0);
    get.reply.miss_reason = CACHE_MISS_EMBEDDER_DOWN;
    get.reply.degraded = "embedder_down";
    const Reprise__V1__GetResponse *reply = written(&get, *state);
    assert_int_equal(reply->miss_reason, REPRISE__V1__MISS_REASON__MISS_REASON_EMBEDDER_DOWN);
    assert_int_equal(reply->n_degraded, 1);
    assert_string_equal(reply->degraded[0], "embedder_down");
}

static void a_hit_tells_no_near_miss(void **state)
{
    struct entry *entry = make_entry(TEXT("x"), false, TEXT(""), *state);
    struct cache_get get = a_hit(entry);
    get.reply.tier = CACHE_TIER_SEMANTIC;
    get.reply.decided = true;
    get.reply.guards = GUARD_ORDER; /* of a candidate that was passed over */
    get.reply.near_miss = true;
    const Reprise__V1__GetResponse *reply = written(&get, *state);
    assert_int_equal(reply->tier, REPRISE__V1__TIER__TIER_SEMANTIC);
    assert_int_equal(reply->decision->n_guards, 0);
    assert_null(reply->decision->near_miss);
    entry_release(entry);
}

static void similarity_is_clipped_to_0_and_1(void **state)
{
    static const float raw[] = {-0.3F, 1.0000001F, NAN}, clipped[] = {0, 1, 0};
    for (size_t i = 0; i < 3; i++) {
        struct cache_get get = a_miss();
        get.reply.similarity = raw[i];
        assert_true(written(&get, *state)->similarity == clipped[i]);
    }
}

static void debug_holds_what_was_included_and_nothing_else(void **state)
{
    struct entry *entry = make_entry(TEXT("x"), false, TEXT(""), *state);
    for (unsigned part = 1; part <= 4; part++) {
        struct cache_get_request request = {.include = 1U << part};
        struct cache_get get = a_hit(entry);
        get.request = &request;
        get.reply.timing = (struct cache_timing){1, 2, 3, 4, 10};
        struct cache_candidate candidates[] = {
            {.similarity = 0.8F, .entry = entry},
            {.similarity = 0.7F, .guards = GUARD_ANTONYM | GUARD_ORDER, .entry = NULL}};
        get.reply.candidates = candidates;
        get.reply.candidates_count = 2;
        const Reprise__V1__Debug *debug = written(&get, *state)->debug;
        assert_non_null(debug);
        assert_int_equal(strlen(debug->key), part == 1 ? DIGEST_HEX : 0);
        assert_int_equal(debug->timing != NULL, part == 2);
        assert_string_equal(debug->matched_prompt, part == 3 ? "how?" : "");
        assert_int_equal(debug->n_candidates, part == 4 ? 2 : 0);
        if (part == 2) {
            assert_int_equal(debug->timing->key_us, 1);
            assert_int_equal(debug->timing->embed_us, 2);
            assert_int_equal(debug->timing->search_us, 3);
            assert_int_equal(debug->timing->decide_us, 4);
            assert_int_equal(debug->timing->total_us, 10);
        }
        if (part == 4) {
            assert_string_equal(debug->candidates[0]->prompt, "how?");
            assert_int_equal(debug->candidates[0]->guard, 0);
            assert_true(debug->candidates[0]->similarity == 0.8F);
            assert_string_equal(debug->candidates[1]->prompt, ""); /* it has died meanwhile */
            assert_int_equal(debug->candidates[1]->guard, REPRISE__V1__GUARD__GUARD_ANTONYM);
        }
    }
    entry_release(entry);
}

static void a_reply_over_the_limit_is_refused_with_the_limit(void **state)
{
    char answer[2000];
    memset(answer, 'z', sizeof(answer));
    struct entry *entry =
        make_entry((struct text){answer, sizeof(answer)}, false, TEXT(""), *state);
    struct cache_get get = a_hit(entry);
    struct codec_reply reply;
    struct codec_limits limits = small_limits;
    assert_int_equal(codec_write_get(&get, NOW_MS, &limits, *state, &reply, NULL), STATUS_OK);
    limits.reply_max = reply.head.length;
    assert_int_equal(codec_write_get(&get, NOW_MS, &limits, *state, &reply, NULL), STATUS_OK);
    limits.reply_max--;
    struct failure failure;
    assert_int_equal(codec_write_get(&get, NOW_MS, &limits, *state, &reply, &failure),
                     STATUS_REPLY_TOO_LARGE);
    assert_non_null(strstr(failure.message, "server.reply_max"));
    entry_release(entry);
}

/* ---- BatchGet --------------------------------------------------------------- */

static Reprise__V1__BatchGetResponse *written_batch(const struct codec_get_result *results,
                                                    size_t count, uint64_t reply_max,
                                                    struct arena *arena)
{
    struct codec_limits limits = small_limits;
    limits.reply_max = reply_max;
    struct codec_reply reply;
    assert_int_equal(codec_write_batch_get(results, count, 4321, NOW_MS, &limits, arena, &reply),
                     STATUS_OK);
    assert_int_equal(reply.tail.length, 0);
    assert_null(reply.tail_entry);
    assert_true(reply.head.length <= reply_max);
    return (Reprise__V1__BatchGetResponse *)unpacked(&reprise__v1__batch_get_response__descriptor,
                                                     reply.head, arena);
}

static void a_batch_answers_each_item_in_order(void **state)
{
    char answer[10000];
    memset(answer, 'z', sizeof(answer));
    struct entry *entry =
        make_entry((struct text){answer, sizeof(answer)}, false, TEXT(""), *state);
    const struct cache_get hit = a_hit(entry), miss = a_miss();
    struct failure failure;
    (void)failure_set(&failure, STATUS_BAD_TEXT, "identity.prompt", "not UTF-8");
    const struct failure none = {.status = STATUS_OK};
    const struct codec_get_result results[] = {
        {&hit, NULL}, {NULL, &failure}, {&miss, &none}, {&hit, NULL}};
    const Reprise__V1__BatchGetResponse *reply = written_batch(results, 4, 1 << 20, *state);
    assert_int_equal(reply->server_us, 4321);
    assert_int_equal(reply->n_results, 4);
    assert_int_equal(strlen(reply->results[0]->response->content), sizeof(answer));
    assert_null(reply->results[0]->error);
    assert_null(reply->results[1]->response);
    assert_int_equal(reply->results[1]->error->code, 3);
    assert_string_equal(reply->results[1]->error->reason, "BAD_TEXT");
    assert_string_equal(reply->results[1]->error->message, "identity.prompt: not UTF-8");
    assert_false(reply->results[2]->response->hit);
    assert_true(reply->results[3]->response->hit);
    entry_release(entry);
}

static void assert_result(const Reprise__V1__GetResult *result, char expected)
{
    assert_true((result->response != NULL) != (result->error != NULL));
    if (expected == '!') {
        assert_non_null(result->error);
        assert_int_equal(result->error->code, 8);
        assert_string_equal(result->error->reason, "REPLY_TOO_LARGE");
    } else {
        assert_non_null(result->response);
        assert_int_equal(strlen(result->response->content), expected == 'b' ? 10000 : 3);
    }
}

static void items_that_do_not_fit_are_refused_and_smaller_ones_still_answered(void **state)
{
    char answer[10000];
    memset(answer, 'z', sizeof(answer));
    struct entry *large =
        make_entry((struct text){answer, sizeof(answer)}, false, TEXT(""), *state);
    struct entry *small = make_entry(TEXT("yes"), false, TEXT(""), *state);
    const struct cache_get big_hit = a_hit(large), small_hit = a_hit(small);
    const struct codec_get_result results[] = {{&big_hit, NULL},   {&big_hit, NULL},
                                               {&small_hit, NULL}, {&big_hit, NULL},
                                               {&small_hit, NULL}, {&small_hit, NULL}};
    static const struct {
        uint64_t reply_max;
        const char *answered; /* '!': refused */
    } expected[] = {{2000, "!!s!ss"}, {15000, "b!s!ss"}, {25000, "bbs!ss"}, {35000, "bbsbss"}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const Reprise__V1__BatchGetResponse *reply =
            written_batch(results, 6, expected[i].reply_max, *state);
        assert_int_equal(reply->n_results, 6);
        for (size_t item = 0; item < 6; item++)
            assert_result(reply->results[item], expected[i].answered[item]);
    }
    for (uint64_t reply_max = 650; reply_max < 34000; reply_max += 97)
        (void)written_batch(results, 6, reply_max, *state); /* never over it: asserted there */
    entry_release(large);
    entry_release(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_hit_carries_the_entry_and_its_answer),
        ARENA_TEST(times_are_told_without_lies_at_their_edges),
        ARENA_TEST(an_opaque_answer_goes_into_blob),
        ARENA_TEST(a_long_answer_is_the_tail_and_is_not_copied),
        ARENA_TEST(info_comes_back_byte_for_byte),
        ARENA_TEST(a_miss_says_why_and_what_was_near),
        ARENA_TEST(a_get_says_that_the_embedder_is_down),
        ARENA_TEST(a_hit_tells_no_near_miss),
        ARENA_TEST(similarity_is_clipped_to_0_and_1),
        ARENA_TEST(debug_holds_what_was_included_and_nothing_else),
        ARENA_TEST(a_reply_over_the_limit_is_refused_with_the_limit),
        ARENA_TEST(a_batch_answers_each_item_in_order),
        ARENA_TEST(items_that_do_not_fit_are_refused_and_smaller_ones_still_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
