/*
 * Goal: replies are printed so that people and programs read them: nothing over 100 columns,
 * nothing that could steer a terminal, one JSON document with the protocol's own names. Method:
 * replies written by hand, printed into memory. Rooms: print, print_stats, json, json_stats.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/json.h"
#include "clients/cli/print.h"
#include "tests/support/unit.h"

static char *text;
static size_t text_size;
static FILE *out;

static int open_out(void **state)
{
    (void)state;
    out = open_memstream(&text, &text_size);
    return out != NULL ? 0 : -1;
}

static int free_out(void **state)
{
    (void)state;
    free(text);
    return 0;
}

/* Ends the printing; afterwards `text` may be read. */
static void printed(void)
{
    (void)fclose(out);
}

static void has(const char *part)
{
    if (strstr(text, part) == NULL)
        print_error("printed:\n%s\n", text);
    assert_non_null(strstr(text, part));
}

static void no_line_is_wider_than_a_page(void)
{
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(end - line <= PRINT_COLUMNS);
        line = end + 1;
    }
}

#define ID "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a"
#define TOKEN                                                                                      \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct reprise_pair metadata[] = {{"group", "reset_password"}};
static const struct reprise_entry entry = {.entry_id = ID,
                                           .age_ms = 61000,
                                           .ttl_remaining_ms = 86339000,
                                           .hit_count = 3,
                                           .metadata = metadata,
                                           .metadata_count = 1};
static const enum reprise_guard guards[] = {REPRISE_GUARD_NUMBER, REPRISE_GUARD_ANTONYM};
static const struct reprise_candidate candidates[] = {
    {.entry_id = ID,
     .similarity = 0.95F,
     .guard = REPRISE_GUARD_ANTONYM,
     .prompt = "a prompt that is long, with a\tand a \x1b[31m in it, so long that "
               "it cannot stand on one line of one hundred columns at all"},
    {.entry_id = ID, .similarity = 0.91F, .prompt = "short"}};
static const struct reprise_timing timing = {1, 2, 3, 4, 10};

static void a_semantic_hit_tells_how_near_and_what_was_stored(void **state)
{
    (void)state;
    const struct reprise_decision decision = {.token = TOKEN, .near_entry_id = ""};
    const struct reprise_get_reply reply = {.hit = true,
                                            .tier = REPRISE_TIER_SEMANTIC,
                                            .similarity = 0.9312F,
                                            .threshold = 0.9F,
                                            .entry = &entry,
                                            .decision = &decision,
                                            .content = "Under Settings."};
    print_get(out, &reply);
    printed();
    has("hit          semantic, similarity 0.9312 (threshold 0.9000)\n");
    has("stored       1 min 1 s ago, 23 h 58 min left, 3 hits\n");
    has("metadata     group=reset_password\n");
    has("\n\nUnder Settings.\n");
    no_line_is_wider_than_a_page();
}

static const char *const embedder_down[] = {"embedder_down"};

static void a_blocked_miss_names_the_reasons_and_the_candidates(void **state)
{
    (void)state;
    const struct reprise_decision decision = {.token = TOKEN,
                                              .guards = guards,
                                              .guards_count = 2,
                                              .near_miss = true,
                                              .near_entry_id = ID,
                                              .near_similarity = 0.95F,
                                              .near_delta = -0.05F};
    const struct reprise_debug debug = {.key = ID,
                                        .timing = &timing,
                                        .candidates = candidates,
                                        .candidates_count = 2,
                                        .matched_prompt = ""};
    const struct reprise_get_reply reply = {.miss_reason = REPRISE_MISS_GUARD_BLOCKED,
                                            .threshold = 0.9F,
                                            .decision = &decision,
                                            .debug = &debug,
                                            .degraded = embedder_down,
                                            .degraded_count = 1,
                                            .content = ""};
    print_get(out, &reply);
    printed();
    has("miss         guard blocked: number, antonym\n");
    has("degraded     embedder_down\n");
    has("nearest      similarity 0.9500 (threshold 0.9000)\n");
    has("total 10 us\n");
    has("candidates   0.9500  antonym   a prompt that is long");
    has("...\n");
    has("             0.9100  clean     short\n");
    assert_null(strchr(text, '\x1b'));
    no_line_is_wider_than_a_page();
}

static void a_clip_cuts_between_characters(void **state)
{
    (void)state;
    print_clipped(out, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 5);
    (void)fputc('|', out);
    print_clipped(out, "12345", 5);
    (void)fputc('|', out);
    print_clipped(out, "123456", 5);
    printed();
    assert_string_equal(text, "\xC3\xA9\xC3\xA9...|12345|12...");
}

static void a_set_tells_whether_it_was_stored(void **state)
{
    (void)state;
    const struct reprise_set_reply stored = {
        .entry_id = ID, .stored = true, .indexed = true, .sequence = 7, .expires_unix_ms = 601000};
    const struct reprise_set_reply exact = {.entry_id = ID,
                                            .stored = true,
                                            .ack = REPRISE_ACK_SYNCED,
                                            .sequence = 8,
                                            .degraded = embedder_down,
                                            .degraded_count = 1};
    const struct reprise_set_reply skipped = {.entry_id = ID, .skip = REPRISE_SKIP_FINISH_REASON};
    print_set(out, &stored, 1000);
    print_set(out, &exact, 1000);
    print_set(out, &skipped, 1000);
    printed();
    has("stored       number 7, findable by meaning too, in memory\n");
    has("expires      in 10 min\n");
    has("number 8, exact tier only, synced to the disk\ndegraded     embedder_down\n");
    has("not stored   finish reason\n");
}

static struct reprise_tier_stats tiers[] = {
    {REPRISE_TIER_EXACT, 1000000, 400000, 0, 0, 600000, 0.4, 0.4, 99999, 1 << 30, 12, 40},
    {REPRISE_TIER_SEMANTIC, 600000, 100000, 0, 0, 500000, 0.1667, 0.1, 99999, 1 << 28, 180, 12500}};
static struct reprise_miss_count misses[] = {{REPRISE_MISS_GUARD_BLOCKED, 12}};
static struct reprise_scope_policy policies[] = {{.namespace_ = "a-namespace-with-a-long-name",
                                                  .model = "gpt-4o-mini",
                                                  .embedder = "lexical-1",
                                                  .mode = REPRISE_MODE_ADAPTIVE,
                                                  .threshold = 0.9F,
                                                  .recent_accuracy = 0.98,
                                                  .feedback_count = 100,
                                                  .lookups = 600000,
                                                  .hits = 100000,
                                                  .guard_blocked = 12},
                                                 {.namespace_ = "default",
                                                  .model = "m",
                                                  .embedder = "lexical-1",
                                                  .mode = REPRISE_MODE_STATIC,
                                                  .recent_accuracy = -1}};
static const char *const degraded[] = {"index_memory"};
static const struct reprise_embedder_info embedders[] = {{.name = "lexical",
                                                          .version = "1",
                                                          .dimension = 512,
                                                          .threshold_default = 0.9F,
                                                          .min_similarity = 0.4F,
                                                          .space_id = "00000000000000ab",
                                                          .texts = 500,
                                                          .overloaded = 7,
                                                          .late = 3}};
static const struct reprise_stats_reply stats = {.tiers = tiers,
                                                 .tiers_count = 2,
                                                 .misses = misses,
                                                 .misses_count = 1,
                                                 .total_requests = 1000000,
                                                 .cached_requests = 500000,
                                                 .cache_rate = 0.5,
                                                 .entries = 99999,
                                                 .size_bytes = UINT64_C(1) << 30,
                                                 .bytes_max = UINT64_C(4) << 30,
                                                 .sets = 100000,
                                                 .degraded = degraded,
                                                 .degraded_count = 1,
                                                 .uptime_s = 3661,
                                                 .version = "0.1.0",
                                                 .policies = policies,
                                                 .policies_count = 2,
                                                 .embedders = embedders,
                                                 .embedders_count = 1};

static void statistics_are_a_page(void **state)
{
    (void)state;
    print_stats(out, &stats);
    printed();
    has("reprise 0.1.0, up 1 h 1 min, embedder lexical (512 dimensions)\n");
    has("requests 1000000, answered 500000 (50.0 %), sets 100000\n");
    has("1.0 GiB of 4.0 GiB");
    has("DEGRADED: index_memory\nwithout a vector: no room 7, not in time 3\n");
    has("guard blocked                12\n");
    has("a-namespace-w... ");
    has("0.98 (100)\n");
    assert_null(strstr(text, "circuit")); /* nobody is asked */
    no_line_is_wider_than_a_page();
}

static void a_remote_embedder_has_a_line(void **state)
{
    (void)state;
    const struct reprise_embedder_error errors[] = {{"timeout", 2}, {"busy", 1}};
    const struct reprise_embedder_info remote = {.name = "m",
                                                 .provider = "tei",
                                                 .circuit = "open",
                                                 .requests = 12,
                                                 .retries = 3,
                                                 .canaries = 4,
                                                 .canary_drifts = 1,
                                                 .errors = errors,
                                                 .errors_count = 2};
    struct reprise_stats_reply reply = stats;
    reply.embedders = &remote;
    print_stats(out, &reply);
    printed();
    has("embedder tei: circuit open, 12 requests, 3 retries, 1 of 4 canaries drifted\n"
        "  errors: timeout 2, busy 1\n");
    no_line_is_wider_than_a_page();
}

static void statistics_are_a_document(void **state)
{
    (void)state;
    assert_true(json_print(json_stats(&stats), true, out));
    printed();
    has("\"tier\":\"TIER_SEMANTIC\"");
    has("\"reason\":\"MISS_REASON_GUARD_BLOCKED\",\"count\":12");
    has("\"mode\":\"POLICY_MODE_ADAPTIVE\",\"threshold\":0.9,");
    has("\"bytesMax\":4294967296");
    assert_int_equal(text[0], '{');
    assert_string_equal(text + text_size - 2, "}\n");
}

static void a_get_is_a_document_with_the_names_of_the_protocol(void **state)
{
    (void)state;
    const struct reprise_decision decision = {.token = TOKEN,
                                              .guards = guards,
                                              .guards_count = 2,
                                              .near_miss = true,
                                              .near_entry_id = ID,
                                              .near_similarity = 0.95F};
    const struct reprise_usage usage = {.input_tokens = 7};
    const struct reprise_info info = {.reasoning = "",
                                      .refusal = "",
                                      .tool_calls_json = "",
                                      .finish_reason = "stop",
                                      .usage = &usage,
                                      .upstream_id = "",
                                      .system_fingerprint = "",
                                      .content_type = "image/png",
                                      .extra_choices_json = ""};
    const struct reprise_get_reply reply = {.hit = true,
                                            .tier = REPRISE_TIER_EXACT,
                                            .similarity = 1,
                                            .entry = &entry,
                                            .info = &info,
                                            .decision = &decision,
                                            .degraded = embedder_down,
                                            .degraded_count = 1,
                                            .content = "a \"quote\"\n",
                                            .blob = "\xFB\xFF",
                                            .blob_size = 2};
    assert_true(json_print(json_get(&reply), true, out));
    printed();
    has("{\"hit\":true,\"tier\":\"TIER_EXACT\",\"missReason\":\"MISS_REASON_UNSPECIFIED\","
        "\"stale\":false,\"similarity\":1,");
    has("\"degraded\":[\"embedder_down\"]");
    has("\"ageMs\":61000,\"ttlRemainingMs\":86339000,\"hitCount\":3,\"negative\":false,"
        "\"metadata\":[{\"name\":"
        "\"group\"");
    has("\"guards\":[\"GUARD_NUMBER\",\"GUARD_ANTONYM\"],\"nearMiss\":{\"entryId\":\"" ID
        "\",\"similarity\":0.95");
    has("\"finishReason\":\"stop\"");
    has("\"inputTokens\":7");
    has("\"content\":\"a \\\"quote\\\"\\n\",\"blob\":\"-_8\"}");
}

static void an_error_is_a_document_too(void **state)
{
    (void)state;
    const struct reprise_error error = {REPRISE_RESOURCE_EXHAUSTED, "OVERLOADED", "", "later", 50};
    assert_true(json_print(json_error(&error), true, out));
    printed();
    assert_string_equal(text,
                        "{\"error\":{\"code\":\"RESOURCE_EXHAUSTED\",\"reason\":\"OVERLOADED\","
                        "\"field\":\"\",\"message\":\"later\",\"retryAfterMs\":50}}\n");
}

static void numbers_that_are_unknown_still_have_a_name(void **state)
{
    (void)state;
    printed();
    assert_string_equal(reprise_tier_name((enum reprise_tier)77), "UNRECOGNIZED");
    assert_string_equal(reprise_code_name((enum reprise_code)99), "UNRECOGNIZED");
    assert_string_equal(reprise_skip_name(REPRISE_SKIP_ADMISSION), "ADMISSION");
    assert_string_equal(reprise_outcome_name(REPRISE_OUTCOME_COUNTED_ONLY), "COUNTED_ONLY");
    assert_string_equal(reprise_health_name(REPRISE_HEALTH_SERVING), "SERVING");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_out, free_out)
    const struct CMUnitTest tests[] = {
        TEST(a_semantic_hit_tells_how_near_and_what_was_stored),
        TEST(a_blocked_miss_names_the_reasons_and_the_candidates),
        TEST(a_clip_cuts_between_characters),
        TEST(a_set_tells_whether_it_was_stored),
        TEST(statistics_are_a_page),
        TEST(a_remote_embedder_has_a_line),
        TEST(statistics_are_a_document),
        TEST(a_get_is_a_document_with_the_names_of_the_protocol),
        TEST(an_error_is_a_document_too),
        TEST(numbers_that_are_unknown_still_have_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
