/*
 * verbs_embed.c - embed and similarity: the embedder and the guard that a server with the same
 * options has, here and without a server. Options come from REPRISE_EMBED_* as the server's do;
 * flags of the verbs speak last. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "clients/cli/json.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "clients/cli/verbs.h"
#include "embed/embedder.h"
#include "trust/guard.h"

enum {
    EMBED_FLAGS = 4,
    FLAG_BYTES_MAX = 4200,
    NUMBERS_SHOWN = 6,
    PIECES_SHOWN = 40,
    NAME_BYTES = 80,
    TEXTS_MAX = 2,
};

static const char *const embed_flags[EMBED_FLAGS][2] = {
    {"provider", "--embed-provider"},
    {"embedder", "--embed-model"},
    {"folder", "--embed-folder"},
    {"precision", "--embed-precision"},
};

struct desk { /* what a verb works with; all zero is nothing */
    struct options *options;
    struct embedder *embedder;
    struct arena *arena;
    char name[NAME_BYTES]; /* of the space: "minilm-l6-int8-53aa5117" */
    struct text texts[TEXTS_MAX];
    float *units[TEXTS_MAX];
};

/* ---- options --------------------------------------------------------------------------------- */

/* Other REPRISE_ variables are the server's or the command's, and no fault. */
static enum status read_environment(struct options *options, FILE *errors)
{
    static const char prefix[] = "REPRISE_EMBED_";
    size_t count = 0, used = 0;
    while (environ[count] != NULL)
        count++;
    char **kept = calloc(count + 1, sizeof(*kept));
    if (kept == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], prefix, sizeof(prefix) - 1) == 0)
            kept[used++] = environ[i];
    const enum status status = options_read_environment(options, kept, errors);
    free(kept);
    return status;
}

static enum status read_flags(struct options *options, const struct arguments *arguments,
                              FILE *errors)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < EMBED_FLAGS && status == STATUS_OK; i++) {
        const char *value = arguments_text(arguments, embed_flags[i][0]);
        if (value == NULL)
            continue;
        char flag[FLAG_BYTES_MAX];
        if (snprintf(flag, sizeof(flag), "%s=%s", embed_flags[i][1], value) >= (int)sizeof(flag))
            return STATUS_LIMIT_EXCEEDED;
        char *const typed[] = {flag, flag};
        status = options_read_flags(options, 2, typed, errors);
    }
    return status;
}

static enum status make_options(const struct cli *cli, const struct arguments *arguments,
                                struct options **out_options)
{
    const struct option_table table = {embed_option_rows, embed_option_rows_count};
    struct options *options = NULL;
    enum status status = options_create(&table, 1, &options);
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

/* ---- a desk ---------------------------------------------------------------------------------- */

static void desk_close(struct desk *desk)
{
    for (size_t i = 0; i < TEXTS_MAX; i++)
        free(desk->units[i]);
    embedder_destroy(&desk->embedder);
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

static enum verb_exit desk_open(const struct cli *cli, const struct arguments *arguments,
                                struct desk *desk)
{
    struct failure failure = {.status = STATUS_OK};
    enum status status = make_options(cli, arguments, &desk->options);
    if (status == STATUS_BAD_OPTION)
        return VERB_USAGE; /* the options have said which, and why */
    if (status == STATUS_OK)
        status = arena_create(&desk->arena);
    if (status == STATUS_OK) {
        const struct embedder_setup setup = {.options = desk->options};
        status = embedder_open(&setup, &desk->embedder, &failure);
    }
    if (status == STATUS_UNIMPLEMENTED)
        return verb_fail(cli, "remote embedders are asked by the server; here --provider is "
                              "lexical or local");
    if (status != STATUS_OK)
        return refused(cli, status, &failure);
    if (desk->embedder == NULL)
        return verb_fail(cli, "with embed.provider = none there is nobody to ask");
    const struct embed_space *space = embedder_space(desk->embedder);
    (void)snprintf(desk->name, sizeof(desk->name), "%s-%s", space->name, space->version);
    return VERB_DONE;
}

/* The text as the server would compare it, and its vector. */
static enum verb_exit desk_take(const struct cli *cli, struct desk *desk, size_t place,
                                const char *typed)
{
    assert(place < TEXTS_MAX);
    struct failure failure = {.status = STATUS_OK};
    const struct text text = text_of(typed);
    const uint32_t dimension = embedder_space(desk->embedder)->dimension;
    enum status status = STATUS_BAD_TEXT;
    if (text_is_clean(text.bytes, text.length))
        status = text_canonical(text, desk->arena, &desk->texts[place]);
    desk->units[place] = calloc(dimension, sizeof(float));
    if (status == STATUS_OK && desk->units[place] == NULL)
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status =
            embedder_embed(desk->embedder, desk->texts[place], desk->arena, desk->units[place]);
    if (status == STATUS_NOT_FOUND)
        return verb_fail(
            cli, "\"%s\" has no vector: no word, or words that the model does not know", typed);
    return status == STATUS_OK ? VERB_DONE : refused(cli, status, &failure);
}

static enum verb_exit begin(const struct cli *cli, const struct arguments *arguments,
                            size_t texts_count, struct desk *desk)
{
    enum verb_exit exit_code = desk_open(cli, arguments, desk);
    for (size_t i = 0; i < texts_count && exit_code == VERB_DONE; i++)
        exit_code = desk_take(cli, desk, i, arguments->words[i]);
    return exit_code;
}

/* ---- embed ----------------------------------------------------------------------------------- */

/* Pieces a line below, ids under them: "[CLS] open the door [SEP]". */
static void print_tokens(const struct cli *cli, const struct embedder_tokens *tokens)
{
    const size_t shown = tokens->count < PIECES_SHOWN ? tokens->count : PIECES_SHOWN;
    const char *const more = tokens->count > shown ? " ..." : "";
    (void)fprintf(cli->out, "%-*s%zu", PRINT_LABEL, tokens->ids != NULL ? "tokens" : "words",
                  tokens->count);
    if (tokens->unknown > 0)
        (void)fprintf(cli->out, ", %zu unknown", tokens->unknown);
    (void)fprintf(cli->out, "%s:", tokens->is_head ? ", the beginning alone" : "");
    for (size_t i = 0; i < shown; i++)
        (void)fprintf(cli->out, " %.*s", (int)tokens->pieces[i].length, tokens->pieces[i].bytes);
    (void)fprintf(cli->out, "%s\n", more);
    if (tokens->ids == NULL)
        return;
    (void)fprintf(cli->out, "%-*s", PRINT_LABEL - 1, "ids");
    for (size_t i = 0; i < shown; i++)
        (void)fprintf(cli->out, " %u", tokens->ids[i]);
    (void)fprintf(cli->out, "%s\n", more);
}

static void print_vector(const struct cli *cli, const struct desk *desk,
                         const struct embedder_tokens *tokens)
{
    const struct embed_space *space = embedder_space(desk->embedder);
    struct embedder_state about;
    char id[EMBED_SPACE_HEX + 1];
    embedder_state(desk->embedder, &about);
    embed_space_hex(space, id);
    (void)fprintf(cli->out, "%-*s%s%s%s\n", PRINT_LABEL, "embedder", desk->name,
                  about.isa[0] != '\0' ? ", " : "", about.isa);
    (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "space", id);
    (void)fprintf(cli->out, "%-*s%.2f, and nothing below %.2f is looked at\n", PRINT_LABEL,
                  "threshold", (double)space->threshold_default, (double)space->min_similarity);
    print_tokens(cli, tokens);
    (void)fprintf(cli->out, "%-*s%u numbers:", PRINT_LABEL, "vector", space->dimension);
    for (uint32_t i = 0; i < NUMBERS_SHOWN && i < space->dimension; i++)
        (void)fprintf(cli->out, " %.4f", (double)desk->units[0][i]);
    (void)fprintf(cli->out, "%s\n", space->dimension > NUMBERS_SHOWN ? " ..." : "");
}

static void add_tokens(cJSON *tree, const struct embedder_tokens *tokens, struct arena *arena)
{
    json_add_count(tree, "tokens", tokens->count);
    json_add_count(tree, "unknown", tokens->unknown);
    (void)cJSON_AddBoolToObject(tree, "isHead", tokens->is_head);
    cJSON *pieces = cJSON_AddArrayToObject(tree, "pieces");
    for (size_t i = 0; i < tokens->count && pieces != NULL; i++) {
        char *piece = arena_calloc(arena, tokens->pieces[i].length + 1, 1);
        if (piece == NULL)
            return;
        memcpy(piece, tokens->pieces[i].bytes, tokens->pieces[i].length);
        (void)cJSON_AddItemToArray(pieces, cJSON_CreateString(piece));
    }
    cJSON *ids = tokens->ids != NULL ? cJSON_AddArrayToObject(tree, "ids") : NULL;
    for (size_t i = 0; i < tokens->count && ids != NULL; i++)
        (void)cJSON_AddItemToArray(ids, cJSON_CreateNumber(tokens->ids[i]));
}

static enum verb_exit print_vector_json(const struct cli *cli, const struct desk *desk,
                                        const struct embedder_tokens *tokens)
{
    const struct embed_space *space = embedder_space(desk->embedder);
    char id[EMBED_SPACE_HEX + 1];
    embed_space_hex(space, id);
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "embedder", desk->name);
    (void)cJSON_AddStringToObject(tree, "spaceId", id);
    json_add_count(tree, "dimension", space->dimension);
    json_add_float(tree, "threshold", (double)space->threshold_default);
    json_add_float(tree, "minSimilarity", (double)space->min_similarity);
    add_tokens(tree, tokens, desk->arena);
    cJSON *numbers = cJSON_AddArrayToObject(tree, "vector");
    for (uint32_t i = 0; i < space->dimension && numbers != NULL; i++) {
        char number[32]; /* 9 digits bring back the same float */
        (void)snprintf(number, sizeof(number), "%.9g", (double)desk->units[0][i]);
        (void)cJSON_AddItemToArray(numbers, cJSON_CreateRaw(number));
    }
    return json_print(tree, false, cli->out) ? VERB_DONE : verb_fail(cli, "out of memory");
}

enum verb_exit verb_embed(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 1)
        return verb_usage(cli, "embed wants one text, in quotes; see reprise help embed");
    struct desk desk = {.options = NULL};
    struct embedder_tokens tokens = {.count = 0};
    enum verb_exit exit_code = begin(cli, arguments, 1, &desk);
    if (exit_code == VERB_DONE &&
        embedder_tokens(desk.embedder, desk.texts[0], desk.arena, &tokens) != STATUS_OK)
        exit_code = verb_fail(cli, "out of memory");
    if (exit_code == VERB_DONE && cli->json)
        exit_code = print_vector_json(cli, &desk, &tokens);
    else if (exit_code == VERB_DONE)
        print_vector(cli, &desk, &tokens);
    desk_close(&desk);
    return exit_code;
}

/* ---- similarity ------------------------------------------------------------------------------ */

struct comparison {
    double similarity, threshold;
    unsigned guards; /* reasons to refuse */
    bool is_served;
};

static enum status compare(const struct desk *desk, struct comparison *out_comparison)
{
    const struct embed_space *space = embedder_space(desk->embedder);
    struct guard_signature signatures[TEXTS_MAX];
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        const enum status status = guard_sign(desk->texts[i], desk->arena, &signatures[i]);
        if (status != STATUS_OK)
            return status;
    }
    double sum = 0;
    for (uint32_t i = 0; i < space->dimension; i++)
        sum += (double)desk->units[0][i] * (double)desk->units[1][i];
    const unsigned guards = guard_check(&signatures[0], &signatures[1], GUARD_ALL);
    *out_comparison = (struct comparison){
        .similarity = sum,
        .threshold = (double)space->threshold_default,
        .guards = guards,
        .is_served = guards == 0 && sum >= (double)space->threshold_default,
    };
    return STATUS_OK;
}

/* Bit n of the guard's is value n + 1 of the protocol's. */
static enum reprise_guard guard_at(int bit)
{
    return (enum reprise_guard)(REPRISE_GUARD_NUMBER + bit);
}

static void print_comparison(const struct cli *cli, const struct desk *desk,
                             const struct comparison *comparison)
{
    char words[64];
    (void)fprintf(cli->out, "%-*s%.3f\n", PRINT_LABEL, "similarity", comparison->similarity);
    (void)fprintf(cli->out, "%-*s%.2f, of %s\n", PRINT_LABEL, "threshold", comparison->threshold,
                  desk->name);
    (void)fprintf(cli->out, "%-*s", PRINT_LABEL, "guard");
    const char *before = "";
    for (int bit = 0; comparison->guards >> bit != 0; bit++) {
        if ((comparison->guards >> bit & 1) == 0)
            continue;
        (void)fprintf(cli->out, "%s%s", before,
                      print_words(reprise_guard_name(guard_at(bit)), words));
        before = ", ";
    }
    (void)fprintf(cli->out, "%s\n", comparison->guards == 0 ? "clean" : "");
    const char *verdict = "yes: policy static gives one the answer of the other";
    if (comparison->guards != 0)
        verdict = "no: the guard forbids it";
    else if (!comparison->is_served)
        verdict = "no: below the threshold";
    (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "served", verdict);
}

static enum verb_exit print_comparison_json(const struct cli *cli, const struct desk *desk,
                                            const struct comparison *comparison)
{
    char name[64];
    cJSON *tree = cJSON_CreateObject();
    json_add_float(tree, "similarity", comparison->similarity);
    json_add_float(tree, "threshold", comparison->threshold);
    (void)cJSON_AddStringToObject(tree, "embedder", desk->name);
    cJSON *guards = cJSON_AddArrayToObject(tree, "guards");
    for (int bit = 0; comparison->guards >> bit != 0 && guards != NULL; bit++) {
        if ((comparison->guards >> bit & 1) == 0)
            continue;
        (void)snprintf(name, sizeof(name), "GUARD_%s", reprise_guard_name(guard_at(bit)));
        (void)cJSON_AddItemToArray(guards, cJSON_CreateString(name));
    }
    (void)cJSON_AddBoolToObject(tree, "served", comparison->is_served);
    return json_print(tree, false, cli->out) ? VERB_DONE : verb_fail(cli, "out of memory");
}

enum verb_exit verb_similarity(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 2)
        return verb_usage(cli, "similarity wants two texts, each in quotes; see reprise help "
                               "similarity");
    struct desk desk = {.options = NULL};
    struct comparison comparison = {.guards = 0};
    enum verb_exit exit_code = begin(cli, arguments, 2, &desk);
    if (exit_code == VERB_DONE && compare(&desk, &comparison) != STATUS_OK)
        exit_code = verb_fail(cli, "out of memory");
    if (exit_code == VERB_DONE && cli->json)
        exit_code = print_comparison_json(cli, &desk, &comparison);
    else if (exit_code == VERB_DONE)
        print_comparison(cli, &desk, &comparison);
    desk_close(&desk);
    return exit_code;
}
