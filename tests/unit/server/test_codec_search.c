/*
 * Goal: what a Search and an Explain ask for arrives in cache/'s words, what is wrong in them is
 * named, and their replies can be read. Covers codec_search.c. Method: requests packed and replies
 * read by protobuf-c.
 */
#include "codec_support.h"

#include "cache/answer.h"

static Reprise__V1__Identity identity(void)
{
    Reprise__V1__Identity message = REPRISE__V1__IDENTITY__INIT;
    message.model = (char *)(uintptr_t) "m";
    message.prompt = (char *)(uintptr_t) "how?";
    return message;
}

static void a_search_arrives_whole(void **state)
{
    Reprise__V1__Identity who = identity();
    Reprise__V1__Include parts[] = {REPRISE__V1__INCLUDE__INCLUDE_MATCHED_PROMPT,
                                    REPRISE__V1__INCLUDE__INCLUDE_ANSWER};
    Reprise__V1__SearchRequest message = REPRISE__V1__SEARCH_REQUEST__INIT;
    message.identity = &who;
    message.top_k = 7;
    message.min_similarity = 0.5F;
    message.any_compatibility = 1;
    message.exhaustive = 1;
    message.include = parts;
    message.n_include = 2;
    struct cache_search_request request;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(
        codec_read_search(packed(&message.base, *state), &small_limits, *state, &request, &failure),
        STATUS_OK);
    assert_text(request.identity.prompt, "how?");
    assert_int_equal(request.top_k, 7);
    assert_true(request.min_similarity == 0.5F);
    assert_true(request.any_compatibility);
    assert_true(request.exhaustive);
    assert_int_equal(request.include, CACHE_INCLUDE_MATCHED_PROMPT | CACHE_INCLUDE_ANSWER);
    parts[1] = (Reprise__V1__Include)6;
    assert_int_equal(
        codec_read_search(packed(&message.base, *state), &small_limits, *state, &request, &failure),
        STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "include[1]");
}

static void what_is_wrong_in_an_explain_is_named(void **state)
{
    Reprise__V1__ExplainRequest message = REPRISE__V1__EXPLAIN_REQUEST__INIT;
    struct cache_explain_request request;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(codec_read_explain(packed(&message.base, *state), &small_limits, *state,
                                        &request, &failure),
                     STATUS_EMPTY_PROMPT);
    assert_string_equal(failure.field, "request");
    Reprise__V1__GetRequest get = REPRISE__V1__GET_REQUEST__INIT;
    message.request = &get;
    assert_int_equal(codec_read_explain(packed(&message.base, *state), &small_limits, *state,
                                        &request, &failure),
                     STATUS_EMPTY_PROMPT);
    assert_string_equal(failure.field, "request.identity");
    Reprise__V1__Identity who = identity();
    get.identity = &who;
    message.against_entry_id = (char *)(uintptr_t) "abc";
    assert_int_equal(codec_read_explain(packed(&message.base, *state), &small_limits, *state,
                                        &request, &failure),
                     STATUS_BAD_ID);
    assert_string_equal(failure.field, "against_entry_id");
    char id[DIGEST_HEX + 1];
    memset(id, 'a', DIGEST_HEX);
    id[DIGEST_HEX] = '\0';
    message.against_entry_id = id;
    assert_int_equal(codec_read_explain(packed(&message.base, *state), &small_limits, *state,
                                        &request, &failure),
                     STATUS_OK);
    assert_true(request.against_given);
    assert_int_equal(request.against.bytes[31], 0xaa);
    assert_text(request.get.identity.prompt, "how?");
}

static struct entry *make_entry(struct text prompt, struct arena *arena)
{
    const struct answer_parts parts = {.tenant = TEXT("default"),
                                       .namespace_ = TEXT("default"),
                                       .model = TEXT("m"),
                                       .info = TEXT("\x22\x04stop")};
    struct entry_source source = {.prompt = prompt, .answer = TEXT("so")};
    assert_int_equal(answer_pack(&parts, arena, &source.metadata), STATUS_OK);
    struct entry *entry = NULL;
    assert_int_equal(entry_create(&source, &entry), STATUS_OK);
    return entry;
}

static Reprise__V1__SearchResponse *found(struct cache_search_request *request, struct entry *entry,
                                          struct arena *arena)
{
    struct cache_found one = {.entry = entry, .similarity = 1.5F, .guards = 2};
    const struct cache_search search = {
        .request = request, .found = &one, .found_count = 1, .scanned = UINT64_MAX};
    struct codec_reply reply;
    assert_int_equal(codec_write_search(&search, &small_limits, arena, &reply, NULL), STATUS_OK);
    return (Reprise__V1__SearchResponse *)unpacked(&reprise__v1__search_response__descriptor,
                                                   reply.head, arena);
}

static void a_reply_shows_only_what_was_asked_for(void **state)
{
    struct cache_search_request request = {.include = 0};
    struct entry *entry = make_entry(TEXT("how?"), *state);
    const Reprise__V1__SearchResponse *reply = found(&request, entry, *state);
    assert_int_equal(reply->scanned, UINT32_MAX);
    assert_int_equal(reply->n_candidates, 1);
    const Reprise__V1__Candidate *candidate = reply->candidates[0];
    assert_true(candidate->similarity == 1);
    assert_int_equal(candidate->guard, REPRISE__V1__GUARD__GUARD_NEGATION);
    assert_true(candidate->other_compatibility);
    assert_string_equal(candidate->prompt, "");
    assert_string_equal(candidate->content, "");
    assert_null(candidate->info);
    request.include = CACHE_INCLUDE_MATCHED_PROMPT | CACHE_INCLUDE_ANSWER;
    candidate = found(&request, entry, *state)->candidates[0];
    assert_string_equal(candidate->prompt, "how?");
    assert_string_equal(candidate->content, "so");
    assert_string_equal(candidate->info->finish_reason, "stop");
    entry_release(entry);
}

/* Two bytes a letter, so that 256 falls between them after the one of one byte. */
static void a_long_prompt_is_cut_between_two_letters(void **state)
{
    char prompt[600];
    struct cache_search_request request = {.include = CACHE_INCLUDE_MATCHED_PROMPT};
    prompt[0] = 'a';
    for (size_t i = 1; i < sizeof(prompt) - 1; i += 2)
        memcpy(prompt + i, "\xc3\xa4", 2);
    struct entry *entry = make_entry((struct text){prompt, 599}, *state);
    const Reprise__V1__SearchResponse *reply = found(&request, entry, *state);
    assert_int_equal(strlen(reply->candidates[0]->prompt), 255);
    entry_release(entry);
}

static void a_reply_over_its_limit_is_refused(void **state)
{
    struct cache_search_request request = {.include = CACHE_INCLUDE_ANSWER};
    struct codec_limits limits = small_limits;
    struct entry *entry = make_entry(TEXT("how?"), *state);
    struct cache_found one = {.entry = entry, .similarity = 1};
    const struct cache_search search = {.request = &request, .found = &one, .found_count = 1};
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    limits.reply_max = 16;
    assert_int_equal(codec_write_search(&search, &limits, *state, &reply, &failure),
                     STATUS_REPLY_TOO_LARGE);
    entry_release(entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_search_arrives_whole),
        ARENA_TEST(what_is_wrong_in_an_explain_is_named),
        ARENA_TEST(a_reply_shows_only_what_was_asked_for),
        ARENA_TEST(a_long_prompt_is_cut_between_two_letters),
        ARENA_TEST(a_reply_over_its_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
