/*
 * c_client.c - the batches of the C client against a real server; test_c_client.py starts both. It
 * is built as a user would: the shared library and its one header. Prints nothing when all is well;
 * otherwise what was expected, and exits with 1.
 */
#include <stdio.h>
#include <string.h>

#include "reprise.h"

static int failures_count;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "line %d: expected %s\n", __LINE__, #condition);                 \
            failures_count++;                                                                      \
        }                                                                                          \
    } while (0)

static struct reprise_identity about(const char *prompt)
{
    return (struct reprise_identity){.namespace_ = "c-client", .model = "m", .prompt = prompt};
}

static bool is_refused(const struct reprise_error *error, const char *reason)
{
    return error != NULL && error->code == REPRISE_INVALID_ARGUMENT &&
           strcmp(error->reason, reason) == 0 && error->message[0] != '\0';
}

/* Three are kept, one is skipped, one is refused; none holds up another. */
static void store_all(struct reprise_client *client)
{
    static const char *const tags[] = {"faq"};
    const struct reprise_info cut_off = {.finish_reason = "length"};
    const struct reprise_set_request requests[] = {
        {.identity = about("How do I reset my password?"), .content = "Under Settings."},
        {.identity = about("half"), .content = "hal", .info = &cut_off},
        {.identity = about(""), .content = "no question"},
        {.identity = about("Where is my invoice?"),
         .content = "Under Billing.",
         .tags = tags,
         .tags_count = 1,
         .ttl_given = true,
         .ttl_ms = 60000},
        {.identity = about("bytes"),
         .info = &(struct reprise_info){.content_type = "image/png"},
         .blob = "\x89P\0G",
         .blob_size = 4},
    };
    struct reprise_result *result = reprise_batch_set(client, requests, 5, NULL);
    EXPECT(result->code == REPRISE_OK);
    EXPECT(result->batch_get == NULL);
    EXPECT(result->batch_set != NULL && result->batch_set->items_count == 5);
    if (result->batch_set != NULL && result->batch_set->items_count == 5) {
        const struct reprise_set_item *items = result->batch_set->items;
        EXPECT(items[0].reply != NULL && items[0].reply->stored && items[0].reply->indexed);
        EXPECT(items[1].reply != NULL && !items[1].reply->stored);
        EXPECT(items[1].reply != NULL && items[1].reply->skip == REPRISE_SKIP_FINISH_REASON);
        EXPECT(items[2].reply == NULL && is_refused(items[2].error, "EMPTY_PROMPT"));
        EXPECT(items[3].reply != NULL && items[3].reply->stored);
        EXPECT(items[4].reply != NULL && items[4].reply->stored);
    }
    reprise_result_free(&result);
}

static void check_answers(const struct reprise_get_item *items)
{
    const struct reprise_get_reply *exact = items[0].reply, *near = items[1].reply;
    EXPECT(exact != NULL && exact->hit && exact->tier == REPRISE_TIER_EXACT);
    EXPECT(exact != NULL && strcmp(exact->content, "Under Billing.") == 0);
    EXPECT(exact != NULL && exact->entry != NULL && exact->entry->ttl_remaining_ms <= 60000);
    EXPECT(near != NULL && near->hit && near->tier == REPRISE_TIER_SEMANTIC);
    EXPECT(near != NULL && strcmp(near->content, "Under Settings.") == 0);
    EXPECT(near != NULL && near->decision != NULL && strlen(near->decision->token) == 86);
    EXPECT(items[2].reply == NULL && is_refused(items[2].error, "BAD_NAME"));
    EXPECT(items[3].error == NULL && items[3].reply != NULL && !items[3].reply->hit);
    EXPECT(items[3].reply != NULL && items[3].reply->miss_reason == REPRISE_MISS_NOT_FOUND);
    EXPECT(items[4].reply != NULL && items[4].reply->blob_size == 4);
    EXPECT(items[4].reply != NULL && memcmp(items[4].reply->blob, "\x89P\0G", 4) == 0);
}

static void ask_all(struct reprise_client *client)
{
    static const enum reprise_tier exact_only[] = {REPRISE_TIER_EXACT};
    const struct reprise_get_request requests[] = {
        {.identity = about("Where is my invoice?")},
        {.identity = about("How can I reset my password?")},
        {.identity = {.prompt = "no model"}},
        {.identity = about("half"), .tiers = exact_only, .tiers_count = 1},
        {.identity = about("bytes")},
    };
    struct reprise_result *result = reprise_batch_get(client, requests, 5, NULL);
    EXPECT(result->code == REPRISE_OK);
    EXPECT(result->batch_set == NULL);
    EXPECT(result->batch_get != NULL && result->batch_get->items_count == 5);
    if (result->batch_get != NULL && result->batch_get->items_count == 5)
        check_answers(result->batch_get->items);
    reprise_result_free(&result);
}

/* An empty batch and one too many are refused whole, before anything is stored. */
static void ask_too_much(struct reprise_client *client)
{
    static struct reprise_get_request gets[257];
    static struct reprise_set_request sets[257];
    for (int i = 0; i < 257; i++) {
        gets[i].identity = about("again and again");
        sets[i] =
            (struct reprise_set_request){.identity = about("again and again"), .content = "x"};
    }
    static const size_t counts[] = {0, 257};
    for (int i = 0; i < 2; i++) {
        struct reprise_result *result = reprise_batch_get(client, gets, counts[i], NULL);
        EXPECT(result->code == REPRISE_INVALID_ARGUMENT);
        EXPECT(is_refused(&result->error, "LIMIT_EXCEEDED"));
        EXPECT(strcmp(result->error.field, "items") == 0);
        reprise_result_free(&result);
        result = reprise_batch_set(client, sets, counts[i], NULL);
        EXPECT(is_refused(&result->error, "LIMIT_EXCEEDED"));
        EXPECT(result->batch_set == NULL);
        reprise_result_free(&result);
    }
    struct reprise_result *full = reprise_batch_get(client, gets, 256, NULL);
    EXPECT(full->batch_get != NULL && full->batch_get->items_count == 256);
    EXPECT(full->batch_get != NULL && !full->batch_get->items[255].reply->hit);
    reprise_result_free(&full);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    /* A test waits longer than an application should: the machine may be busy. */
    const struct reprise_client_options options = {
        .endpoint = argv[1], .read_deadline_ms = 30000, .write_deadline_ms = 30000};
    struct reprise_client *client = reprise_client_create(&options);
    if (client == NULL)
        return 2;
    store_all(client);
    ask_all(client);
    ask_too_much(client);
    reprise_client_destroy(&client);
    return failures_count > 0;
}
