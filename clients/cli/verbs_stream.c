/*
 * verbs_stream.c - get --stream prints an answer as it comes, set --stream sends standard input as
 * it comes. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

enum { PIECE_BYTES = 16 * 1024, CHARACTER_BYTES = 4, TOKENS_MAX = 100 * 1000 * 1000 };

/* ---- get --------------------------------------------------------------------- */

static cJSON *json_part(const struct reprise_part *part)
{
    cJSON *tree = cJSON_CreateObject();
    if (part->head != NULL) {
        (void)cJSON_AddItemToObject(tree, "head", json_get(part->head));
    } else if (part->finish != NULL) {
        cJSON *finish = cJSON_AddObjectToObject(tree, "finish");
        (void)cJSON_AddStringToObject(finish, "finishReason", part->finish->finish_reason);
    } else {
        cJSON *delta = cJSON_AddObjectToObject(tree, "delta");
        (void)cJSON_AddStringToObject(delta, "content", part->text);
    }
    return tree;
}

static bool print_part(void *context, const struct reprise_part *part)
{
    const struct cli *cli = context;
    if (cli->json)
        (void)json_print(json_part(part), true, cli->out);
    else if (part->head != NULL && (!part->head->hit || part->head->blob_size > 0))
        print_get(cli->out, part->head);
    else if (part->finish != NULL)
        (void)fputc('\n', cli->out);
    else
        (void)fputs(part->text, cli->out);
    (void)fflush(cli->out);
    return ferror(cli->out) == 0;
}

static enum verb_exit read_pace(const struct cli *cli, const struct arguments *arguments,
                                struct reprise_pace *out_pace)
{
    const char *typed = arguments_text(arguments, "pace");
    uint64_t tokens = 0;
    if (typed != NULL && !units_read_count(typed, 1, TOKENS_MAX, &tokens))
        return verb_usage(cli, "--pace wants tokens a second, not \"%s\"", typed);
    *out_pace = (struct reprise_pace){.tokens_per_second = (uint32_t)tokens};
    return VERB_DONE;
}

enum verb_exit stream_get(const struct cli *cli, const struct arguments *arguments,
                          const struct reprise_get_request *request)
{
    struct reprise_pace pace;
    struct cli streams = *cli;
    const struct reprise_listener listener = {.part = print_part, .context = &streams};
    enum verb_exit exit_code = read_pace(cli, arguments, &pace);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_get_stream(client, request, &pace, &listener, NULL);
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else
        exit_code = result->get->hit ? VERB_DONE : VERB_MISS;
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

/* ---- set --------------------------------------------------------------------- */

/* Bytes at the end that begin a character and do not end it. */
static size_t unfinished(const char *text, size_t length)
{
    for (size_t back = 1; back < CHARACTER_BYTES && back <= length; back++) {
        const unsigned char byte = (unsigned char)text[length - back];
        if (byte < 0x80)
            return 0;
        if (byte >= 0xC0)
            return (byte >= 0xF0 ? 4u : byte >= 0xE0 ? 3u : 2u) > back ? back : 0;
    }
    return 0;
}

/* What there is, as soon as there is something: fread would wait for more. */
static enum verb_exit feed(const struct cli *cli, struct reprise_capture *capture)
{
    char piece[PIECE_BYTES + 1];
    size_t kept = 0;
    for (;;) {
        const ssize_t got = read(fileno(cli->in), piece + kept, PIECE_BYTES - kept);
        if (got < 0)
            return verb_fail(cli, "standard input cannot be read");
        const size_t length = kept + (size_t)got;
        kept = got > 0 ? unfinished(piece, length) : 0; /* the last bytes are sent as they are */
        char rest[CHARACTER_BYTES];
        memcpy(rest, piece + length - kept, kept);
        piece[length - kept] = '\0';
        if (strlen(piece) != length - kept)
            return verb_fail(cli, "the answer holds a NUL byte, which is no text");
        const struct reprise_delta delta = {.content = piece};
        if (length > kept && !reprise_capture_add(capture, &delta))
            return VERB_DONE; /* the finish says why */
        if (got == 0)
            return VERB_DONE;
        memcpy(piece, rest, kept);
    }
}

enum verb_exit stream_set(const struct cli *cli, const struct reprise_set_request *head)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_capture *capture = reprise_capture_begin(client, head, NULL);
    enum verb_exit exit_code =
        capture != NULL ? feed(cli, capture) : verb_fail(cli, "out of memory");
    if (exit_code != VERB_DONE) {
        reprise_capture_abandon(&capture);
        reprise_client_destroy(&client);
        return exit_code;
    }
    struct reprise_result *result = reprise_capture_finish(&capture, NULL);
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(cli, &result->error);
    } else {
        exit_code = result->set->stored ? VERB_DONE : VERB_ERROR;
        if (cli->json)
            (void)json_print(json_set(result->set), false, cli->out);
        else
            print_set(cli->out, result->set, clock_wall_ms());
    }
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}
