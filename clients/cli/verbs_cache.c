/*
 * verbs_cache.c - get, set, del, invalidate. Owns what it reads for the length of a verb. Threads:
 * the main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "clients/cli/ask.h"
#include "clients/cli/json.h"
#include "clients/cli/life.h"
#include "clients/cli/print.h"
#include "clients/cli/units.h"
#include "clients/cli/verbs.h"

static enum verb_exit run_get(const struct cli *cli, const struct reprise_get_request *request)
{
    struct cli patient = *cli; /* the wait for another's answer comes on top of the reply's */
    if (request->lease == REPRISE_LEASE_WAIT)
        patient.timeout_ms += request->lease_wait_ms > 0 ? request->lease_wait_ms : 60 * 1000;
    struct reprise_client *client = verb_connect(&patient);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_get(client, request, NULL);
    enum verb_exit exit_code;
    if (result->code != REPRISE_OK) {
        exit_code = verb_call_failed(cli, &result->error);
    } else {
        exit_code = result->get->hit ? VERB_DONE : VERB_MISS;
        if (cli->json)
            (void)json_print(json_get(result->get), false, cli->out);
        else
            print_get(cli->out, result->get);
    }
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

/* With --batch there is a model, and nothing that is for one question alone. */
static enum verb_exit needs_lines(const struct cli *cli, const char *verb,
                                  const struct arguments *arguments, const struct ask *ask)
{
    static const char *const alone[] = {"prompt",     "vector",  "lease", "stream",
                                        "print-json", "content", "file",  "content-type"};
    if (ask->get.identity.model == NULL)
        return verb_usage(cli, "%s needs --model NAME; see reprise help %s", verb, verb);
    if (ask->prompt[0] != '\0')
        return verb_usage(cli, "with --batch the questions stand in the file");
    for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
        if (arguments_has(arguments, alone[i]))
            return verb_usage(cli, "--%s does not go with --batch", alone[i]);
    }
    return VERB_DONE;
}

enum verb_exit verb_get(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    enum verb_exit exit_code = ask_read(cli, arguments, &ask);
    if (exit_code != VERB_DONE)
        return exit_code;
    const char *batch = arguments_text(arguments, "batch");
    exit_code =
        batch != NULL ? needs_lines(cli, "get", arguments, &ask) : ask_needs(cli, "get", &ask);
    if (exit_code == VERB_DONE)
        exit_code = life_read_control(cli, arguments, &ask.get.cache_control);
    if (exit_code == VERB_DONE)
        exit_code = lease_read(cli, arguments, &ask.get);
    if (exit_code == VERB_DONE && arguments_has(arguments, "pace") &&
        !arguments_has(arguments, "stream"))
        exit_code = verb_usage(cli, "--pace goes with --stream");
    if (exit_code == VERB_DONE && arguments_has(arguments, "print-json"))
        (void)json_print(json_get_request(&ask.get), true, cli->out);
    else if (exit_code == VERB_DONE && batch != NULL)
        exit_code = batch_get(cli, arguments, &ask.get);
    else if (exit_code == VERB_DONE && arguments_has(arguments, "stream"))
        exit_code = stream_get(cli, arguments, &ask.get);
    else if (exit_code == VERB_DONE)
        exit_code = run_get(cli, &ask.get);
    ask_deinit(&ask);
    return exit_code;
}

/* What a Set holds beside the question. */
struct answer {
    char *bytes;
    size_t size;
    struct reprise_pair *metadata;
    size_t metadata_count;
    const char **tags;
    size_t tags_count;
    struct reprise_dependency *depends_on;
    size_t depends_on_count;
};

static enum verb_exit read_file(const struct cli *cli, const char *path, struct answer *answer)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return verb_fail(cli, "%s cannot be opened", path);
    enum verb_exit exit_code = ask_read_all(cli, file, path, &answer->bytes, &answer->size);
    (void)fclose(file);
    return exit_code;
}

static enum verb_exit read_answer(const struct cli *cli, const struct arguments *arguments,
                                  struct answer *answer)
{
    const char *content = arguments_text(arguments, "content");
    const char *path = arguments_text(arguments, "file");
    if ((content == NULL) == (path == NULL))
        return verb_usage(cli,
                          "set needs the answer once: --content TEXT, --content - or --file PATH");
    if (arguments_has(arguments, "stream")) /* it is read while it is sent */
        return content != NULL && strcmp(content, "-") == 0
                   ? VERB_DONE
                   : verb_usage(cli, "--stream goes with --content -");
    if (path != NULL)
        return read_file(cli, path, answer);
    if (strcmp(content, "-") == 0)
        return ask_read_all(cli, cli->in, "standard input", &answer->bytes, &answer->size);
    answer->bytes = strdup(content);
    answer->size = strlen(content);
    return answer->bytes != NULL ? VERB_DONE : verb_fail(cli, "out of memory");
}

static enum verb_exit read_tags(const struct cli *cli, const struct arguments *arguments,
                                const char ***out_tags, size_t *out_count)
{
    size_t count = arguments_count(arguments, "tag");
    const char **tags = calloc(count + 1, sizeof(*tags));
    if (tags == NULL)
        return verb_fail(cli, "out of memory");
    for (size_t i = 0; i < count; i++)
        tags[i] = arguments_at(arguments, "tag", i);
    *out_tags = tags;
    *out_count = count;
    return VERB_DONE;
}

static void answer_deinit(struct answer *answer)
{
    free(answer->bytes);
    free(answer->tags);
    life_free_dependencies(&answer->depends_on, answer->depends_on_count);
    ask_free_pairs(&answer->metadata, answer->metadata_count);
}

static enum verb_exit run_set(const struct cli *cli, const struct reprise_set_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_set(client, request, NULL);
    enum verb_exit exit_code;
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

static bool is_text_type(const char *type)
{
    return strncmp(type, "text/", 5) == 0 || strcmp(type, "application/json") == 0;
}

static enum verb_exit set_answer(const struct cli *cli, const struct arguments *arguments,
                                 const struct ask *ask, const struct answer *answer)
{
    const char *type = arguments_text(arguments, "content-type");
    struct reprise_info info = {.content_type = type};
    struct reprise_set_request request = {
        .identity = ask->get.identity,
        .info = type != NULL ? &info : NULL,
        .vector = ask->get.vector,
        .depends_on = answer->depends_on,
        .depends_on_count = answer->depends_on_count,
        .lease_token = arguments_text(arguments, "lease"),
        .tags = answer->tags,
        .tags_count = answer->tags_count,
        .metadata = answer->metadata,
        .metadata_count = answer->metadata_count,
    };
    enum verb_exit exit_code = life_read_set(cli, arguments, &request);
    if (exit_code == VERB_DONE)
        exit_code = ask_read_ack(cli, arguments, &request.ack);
    if (exit_code != VERB_DONE)
        return exit_code;
    if (arguments_has(arguments, "batch"))
        return batch_set(cli, arguments, &request);
    if (answer->bytes == NULL)
        return stream_set(cli, &request);
    if (type == NULL || is_text_type(type)) {
        if (strlen(answer->bytes) != answer->size)
            return verb_fail(cli,
                             "the answer holds a NUL byte; for bytes give their --content-type");
        request.content = answer->bytes;
    } else {
        request.blob = answer->bytes;
        request.blob_size = answer->size;
    }
    return run_set(cli, &request);
}

enum verb_exit verb_set(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    struct answer answer = {0};
    enum verb_exit exit_code = ask_read(cli, arguments, &ask);
    if (exit_code != VERB_DONE)
        return exit_code;
    const bool is_batch = arguments_has(arguments, "batch");
    exit_code = is_batch ? needs_lines(cli, "set", arguments, &ask) : ask_needs(cli, "set", &ask);
    if (exit_code == VERB_DONE && !is_batch)
        exit_code = read_answer(cli, arguments, &answer);
    if (exit_code == VERB_DONE)
        exit_code =
            ask_read_pairs(cli, arguments, "metadata", &answer.metadata, &answer.metadata_count);
    if (exit_code == VERB_DONE)
        exit_code = read_tags(cli, arguments, &answer.tags, &answer.tags_count);
    if (exit_code == VERB_DONE)
        exit_code =
            life_read_dependencies(cli, arguments, &answer.depends_on, &answer.depends_on_count);
    if (exit_code == VERB_DONE)
        exit_code = set_answer(cli, arguments, &ask, &answer);
    answer_deinit(&answer);
    ask_deinit(&ask);
    return exit_code;
}

static enum verb_exit run_delete(const struct cli *cli,
                                 const struct reprise_delete_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_delete(client, request, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else if (cli->json)
        (void)json_print(json_delete(result->delete_), false, cli->out);
    else
        (void)fprintf(cli->out, "%-*s%u\n", PRINT_LABEL, "removed", result->delete_->deleted);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

enum verb_exit verb_del(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    enum verb_exit exit_code = ask_read(cli, arguments, &ask);
    if (exit_code != VERB_DONE)
        return exit_code;
    size_t count = arguments_count(arguments, "id");
    const char **ids = calloc(count + 1, sizeof(*ids));
    bool asked = ask.prompt[0] != '\0';
    if (ids == NULL)
        exit_code = verb_fail(cli, "out of memory");
    else if (!asked && count == 0)
        exit_code = verb_usage(cli, "del needs --id ID, or --model NAME and the question");
    else if (asked)
        exit_code = ask_needs(cli, "del", &ask);
    for (size_t i = 0; ids != NULL && i < count; i++)
        ids[i] = arguments_at(arguments, "id", i);
    const struct reprise_delete_request request = {
        .namespace_ = ask.get.identity.namespace_,
        .entry_ids = ids,
        .entry_ids_count = count,
        .identity = asked ? &ask.get.identity : NULL,
    };
    if (exit_code == VERB_DONE)
        exit_code = run_delete(cli, &request);
    free(ids);
    ask_deinit(&ask);
    return exit_code;
}

static enum verb_exit run_invalidate(const struct cli *cli,
                                     const struct reprise_invalidate_request *request)
{
    struct reprise_client *client = verb_connect(cli);
    if (client == NULL)
        return VERB_ERROR;
    struct reprise_result *result = reprise_invalidate(client, request, NULL);
    enum verb_exit exit_code = VERB_DONE;
    if (result->code != REPRISE_OK)
        exit_code = verb_call_failed(cli, &result->error);
    else if (cli->json)
        (void)json_print(json_invalidate(result->invalidate), false, cli->out);
    else
        print_invalidate(cli->out, result->invalidate, request);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
    return exit_code;
}

enum verb_exit verb_invalidate(const struct cli *cli, const struct arguments *arguments)
{
    const char *age = arguments_text(arguments, "older-than");
    const char **tags = NULL;
    uint64_t age_ms = 0;
    struct reprise_invalidate_request request = {
        .namespace_ = arguments_text(arguments, "namespace"),
        .model = arguments_text(arguments, "model"),
        .depends_on_id = arguments_text(arguments, "depends-on"),
        .depends_on_version_not = arguments_text(arguments, "version-not"),
        .make_stale = arguments_has(arguments, "make-stale"),
        .dry_run = arguments_has(arguments, "dry-run"),
        .confirm = arguments_text(arguments, "confirm"),
    };
    if (age != NULL && !units_read_ms(age, &age_ms))
        return verb_usage(
            cli, "--older-than wants a time such as 7d (ms, s, min, h, d), not \"%s\"", age);
    int64_t now_ms = clock_wall_ms();
    if (age_ms > (uint64_t)now_ms)
        return verb_usage(cli, "--older-than %s is before 1970", age);
    request.created_before_unix_ms = age != NULL ? now_ms - (int64_t)age_ms : 0;
    enum verb_exit exit_code = read_tags(cli, arguments, &tags, &request.tags_count);
    if (exit_code != VERB_DONE)
        return exit_code;
    request.tags = tags;
    bool selects = request.namespace_ != NULL || request.model != NULL || request.tags_count > 0 ||
                   request.depends_on_id != NULL || age != NULL;
    if (selects)
        exit_code = run_invalidate(cli, &request);
    else
        exit_code = verb_usage(cli, "invalidate needs at least one of --namespace, --model, --tag, "
                                    "--depends-on, --older-than");
    free(tags);
    return exit_code;
}
