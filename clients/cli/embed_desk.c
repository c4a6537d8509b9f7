/*
 * embed_desk.c - options, and from them the embedder that a server would have; texts into vectors.
 *
 * A remote embedder answers on a thread of its own (embedder_submit), so it gets a pool of one, and
 * the verb waits for `done`, which comes in any case: every job has a deadline.
 *
 * THREADS. The main thread; `done` posts a semaphore and nothing else.
 */
#include "clients/cli/embed_desk.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/pool.h"

enum {
    FLAG_BYTES_MAX = 4200,
    QUEUE_MAX = 64,
    ATTEMPTS_MAX = 3, /* of a remote embedder; each may take embed.timeout */
};

/* What is typed here, and what the server calls it. */
static const char *const desk_flags[][2] = {
    {"provider", "--embed-provider"},
    {"embedder", "--embed-model"},
    {"folder", "--embed-folder"},
    {"precision", "--embed-precision"},
    {"url", "--embed-url"},
    {"key-file", "--embed-key-file"},
    {"dimensions", "--embed-dimensions"},
    {"timeout", "--embed-timeout"},
    {"mode", "--semantic-policy"},
    {"threshold", "--semantic-static-threshold"},
};

/* ---- options --------------------------------------------------------------------------------- */

/* Other REPRISE_ variables are the server's or the command's, and no fault. */
static bool is_ours(const char *variable)
{
    static const char *const prefixes[] = {"REPRISE_EMBED_",
                                           "REPRISE_SEMANTIC_POLICY=", "REPRISE_SEMANTIC_STATIC_",
                                           "REPRISE_ADAPTIVE_", "REPRISE_GUARD_"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static enum status read_environment(struct options *options, FILE *errors)
{
    size_t count = 0, used = 0;
    while (environ[count] != NULL)
        count++;
    char **kept = calloc(count + 1, sizeof(*kept));
    if (kept == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (is_ours(environ[i]))
            kept[used++] = environ[i];
    const enum status status = options_read_environment(options, kept, errors);
    free(kept);
    return status;
}

static enum status read_flags(struct options *options, const struct arguments *arguments,
                              FILE *errors)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof(desk_flags) / sizeof(desk_flags[0]) && status == STATUS_OK; i++) {
        const char *value = arguments_text(arguments, desk_flags[i][0]);
        if (value == NULL)
            continue;
        char flag[FLAG_BYTES_MAX];
        if (snprintf(flag, sizeof(flag), "%s=%s", desk_flags[i][1], value) >= (int)sizeof(flag))
            return STATUS_LIMIT_EXCEEDED;
        char *const typed[] = {flag, flag};
        status = options_read_flags(options, 2, typed, errors);
    }
    return status;
}

static enum status make_options(const struct cli *cli, const struct arguments *arguments,
                                struct options **out_options)
{
    const struct option_table tables[] = {{embed_option_rows, embed_option_rows_count},
                                          {policy_option_rows, policy_option_rows_count}};
    struct options *options = NULL;
    enum status status = options_create(tables, sizeof(tables) / sizeof(tables[0]), &options);
    if (status == STATUS_OK)
        status = read_environment(options, cli->errors);
    if (status == STATUS_OK)
        status = read_flags(options, arguments, cli->errors);
    if (status != STATUS_OK)
        options_destroy(&options);
    else
        *out_options = options;
    return status;
}

/* ---- open and close -------------------------------------------------------------------------- */

void desk_close(struct desk *desk)
{
    for (size_t i = 0; i < DESK_TEXTS_MAX; i++)
        free(desk->units[i]);
    embedder_destroy(&desk->embedder);
    pool_destroy(&desk->pool);
    arena_destroy(&desk->arena);
    options_destroy(&desk->options);
}

static enum verb_exit refused(const struct cli *cli, enum status status,
                              const struct failure *failure)
{
    const bool has_words = failure->status != STATUS_OK;
    const bool has_field = has_words && failure->field[0] != '\0';
    return verb_fail(cli, "%s%s%s%s: %s", status_name(status), has_field ? " (" : "",
                     has_field ? failure->field : "", has_field ? ")" : "",
                     has_words ? failure->message : status_text(status));
}

static enum status open_embedder(struct desk *desk, struct failure *failure)
{
    struct embedder_setup setup = {.options = desk->options, .clock_us = clock_monotonic_us};
    clock_chance(&setup.seed, sizeof(setup.seed));
    enum status status = pool_create(1, QUEUE_MAX, &desk->pool);
    setup.pool = desk->pool;
    if (status == STATUS_OK)
        status = embedder_open(&setup, &desk->embedder, failure);
    return status;
}

static enum verb_exit desk_open(const struct cli *cli, const struct arguments *arguments,
                                struct desk *desk)
{
    struct failure failure = {.status = STATUS_OK};
    enum status status = make_options(cli, arguments, &desk->options);
    if (status == STATUS_BAD_OPTION)
        return VERB_USAGE; /* the options have said which, and why */
    if (status == STATUS_OK)
        status = policy_settings_read(desk->options, &desk->policy, &failure);
    if (status == STATUS_OK)
        status = arena_create(&desk->arena);
    if (status == STATUS_OK)
        status = open_embedder(desk, &failure);
    if (status != STATUS_OK)
        return refused(cli, status, &failure);
    if (desk->embedder == NULL)
        return verb_fail(cli, "with embed.provider = none there is nobody to ask");
    const struct embed_space *space = embedder_space(desk->embedder);
    (void)snprintf(desk->name, sizeof(desk->name), "%s-%s", space->name, space->version);
    embed_space_hex(space, desk->space);
    return VERB_DONE;
}

/* ---- a text ---------------------------------------------------------------------------------- */

struct errand {           /* one text that is on its way */
    struct embed_job job; /* first member */
    sem_t over;
    enum status status;
};

static void errand_done(struct embed_job *job, enum status status)
{
    struct errand *errand = (struct errand *)job;
    errand->status = status;
    int error = sem_post(&errand->over);
    assert(error == 0);
}

static enum status embed(struct desk *desk, struct text text, float *out_unit)
{
    const uint64_t patience_us = ATTEMPTS_MAX * options_us(desk->options, "embed.timeout");
    struct errand errand = {
        .job = {.text = text,
                .out_unit = out_unit,
                .deadline_us = clock_monotonic_us() + patience_us,
                .done = errand_done},
    };
    int error = sem_init(&errand.over, 0, 0);
    assert(error == 0);
    embedder_submit(desk->embedder, &errand.job);
    while (sem_wait(&errand.over) != 0)
        assert(errno == EINTR);
    (void)sem_destroy(&errand.over);
    return errand.status;
}

static enum verb_exit take(const struct cli *cli, struct desk *desk, size_t place,
                           const char *typed)
{
    assert(place < DESK_TEXTS_MAX);
    const struct failure none = {.status = STATUS_OK};
    const struct text text = text_of(typed);
    enum status status = STATUS_BAD_TEXT;
    if (text_is_clean(text.bytes, text.length))
        status = text_canonical(text, desk->arena, &desk->texts[place]);
    desk->units[place] = calloc(embedder_space(desk->embedder)->dimension, sizeof(float));
    if (status == STATUS_OK && desk->units[place] == NULL)
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = embed(desk, desk->texts[place], desk->units[place]);
    if (status == STATUS_NOT_FOUND)
        return verb_fail(
            cli, "\"%s\" has no vector: no word, or words that the model does not know", typed);
    return status == STATUS_OK ? VERB_DONE : refused(cli, status, &none);
}

/* What is counted since `before`, the canary of the start being in there. */
static void count_tokens(struct desk *desk, const struct embedder_state *before)
{
    struct embedder_state after;
    embedder_state(desk->embedder, &after);
    desk->has_tokens = after.counted > before->counted && after.uncounted == before->uncounted;
    desk->tokens = desk->has_tokens ? after.tokens - before->tokens : 0;
}

enum verb_exit desk_begin(const struct cli *cli, const struct arguments *arguments,
                          size_t texts_count, struct desk *desk)
{
    struct embedder_state before;
    enum verb_exit exit_code = desk_open(cli, arguments, desk);
    if (exit_code != VERB_DONE)
        return exit_code;
    embedder_state(desk->embedder, &before);
    for (size_t i = 0; i < texts_count && exit_code == VERB_DONE; i++)
        exit_code = take(cli, desk, i, arguments->words[i]);
    count_tokens(desk, &before);
    return exit_code;
}
