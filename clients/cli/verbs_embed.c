/*
 * verbs_embed.c - embed and similarity: what the embedder, the guard and the policy of a server
 * with the same options say (embed_desk.c), printed. Owns nothing beyond a verb. Threads: the main
 * thread.
 */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "clients/cli/embed_desk.h"
#include "clients/cli/json.h"
#include "clients/cli/json_parts.h"
#include "clients/cli/print.h"
#include "trust/guard.h"

enum { NUMBERS_SHOWN = 6, PIECES_SHOWN = 40 };

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

/* Of a remote embedder, who alone knows the pieces. */
static void print_count(const struct cli *cli, const struct desk *desk)
{
    (void)fprintf(cli->out, "%-*s", PRINT_LABEL, "tokens");
    if (desk->has_tokens)
        (void)fprintf(cli->out, "%" PRIu64 ", as the embedder counts them\n", desk->tokens);
    else
        (void)fprintf(cli->out, "unknown: the embedder does not count them\n");
}

static void print_vector(const struct cli *cli, const struct desk *desk,
                         const struct embedder_tokens *tokens)
{
    const struct embed_space *space = embedder_space(desk->embedder);
    struct embedder_state about;
    embedder_state(desk->embedder, &about);
    (void)fprintf(cli->out, "%-*s%s%s%s\n", PRINT_LABEL, "embedder", desk->name,
                  about.isa[0] != '\0' ? ", " : "", about.isa);
    (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "space", desk->space);
    (void)fprintf(cli->out, "%-*s%.2f, and nothing below %.2f is looked at\n", PRINT_LABEL,
                  "threshold", (double)space->threshold_default, (double)space->min_similarity);
    if (tokens->pieces != NULL)
        print_tokens(cli, tokens);
    else
        print_count(cli, desk);
    (void)fprintf(cli->out, "%-*s%u numbers:", PRINT_LABEL, "vector", space->dimension);
    for (uint32_t i = 0; i < NUMBERS_SHOWN && i < space->dimension; i++)
        (void)fprintf(cli->out, " %.4f", (double)desk->units[0][i]);
    (void)fprintf(cli->out, "%s\n", space->dimension > NUMBERS_SHOWN ? " ..." : "");
}

/* Of a remote embedder null where it does not count them: unknown is not 0. */
static void add_count(cJSON *tree, const struct desk *desk)
{
    if (desk->has_tokens)
        json_add_count(tree, "tokens", desk->tokens);
    else
        (void)cJSON_AddNullToObject(tree, "tokens");
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
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "embedder", desk->name);
    (void)cJSON_AddStringToObject(tree, "spaceId", desk->space);
    json_add_count(tree, "dimension", space->dimension);
    json_add_float(tree, "threshold", (double)space->threshold_default);
    json_add_float(tree, "minSimilarity", (double)space->min_similarity);
    if (tokens->pieces != NULL)
        add_tokens(tree, tokens, desk->arena);
    else
        add_count(tree, desk);
    cJSON *numbers = cJSON_AddArrayToObject(tree, "vector");
    for (uint32_t i = 0; i < space->dimension && numbers != NULL; i++) {
        char number[32]; /* 9 digits bring back the same float */
        (void)snprintf(number, sizeof(number), "%.9g", (double)desk->units[0][i]);
        (void)cJSON_AddItemToArray(numbers, cJSON_CreateRaw(number));
    }
    return json_print(tree, false, cli->out) ? VERB_DONE : verb_fail(cli, "out of memory");
}

/* A remote embedder's pieces are its own; none are no fault. */
static enum verb_exit cut(const struct cli *cli, struct desk *desk,
                          struct embedder_tokens *out_tokens)
{
    const enum status status =
        embedder_tokens(desk->embedder, desk->texts[0], desk->arena, out_tokens);
    if (status == STATUS_OK || status == STATUS_UNIMPLEMENTED)
        return VERB_DONE;
    return verb_fail(cli, "out of memory");
}

enum verb_exit verb_embed(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 1)
        return verb_usage(cli, "embed wants one text, in quotes; see reprise help embed");
    struct desk desk = {.options = NULL};
    struct embedder_tokens tokens = {.count = 0};
    enum verb_exit exit_code = desk_begin(cli, arguments, 1, &desk);
    if (exit_code == VERB_DONE)
        exit_code = cut(cli, &desk, &tokens);
    if (exit_code == VERB_DONE && cli->json)
        exit_code = print_vector_json(cli, &desk, &tokens);
    else if (exit_code == VERB_DONE)
        print_vector(cli, &desk, &tokens);
    desk_close(&desk);
    return exit_code;
}

/* ---- similarity ------------------------------------------------------------------------------ */

struct comparison {
    double similarity;
    unsigned guards; /* reasons to refuse, by the rules that are on */
    struct decision decision;
};

static double cosine(const float *a, const float *b, uint32_t dimension)
{
    double sum = 0;
    for (uint32_t i = 0; i < dimension; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* As if the second text were stored and the first one asked. */
static enum status compare(const struct desk *desk, struct comparison *out_comparison)
{
    const struct embed_space *space = embedder_space(desk->embedder);
    struct guard_signature asked, stored;
    struct policy_scope *scope = NULL;
    enum status status = guard_sign(desk->texts[0], desk->arena, &asked);
    if (status == STATUS_OK)
        status = guard_sign(desk->texts[1], desk->arena, &stored);
    if (status == STATUS_OK)
        status = policy_scope_create(&desk->policy, space->threshold_default, &scope);
    if (status != STATUS_OK)
        return status;
    const double similarity = cosine(desk->units[0], desk->units[1], space->dimension);
    const struct candidate candidate = {.similarity = (float)similarity, .signature = &stored};
    *out_comparison = (struct comparison){
        .similarity = similarity,
        .guards = guard_check(&asked, &stored, desk->policy.guard_rules),
        .decision = policy_decide(scope, &asked, &candidate, 1, space->min_similarity, 0),
    };
    policy_scope_destroy(&scope);
    return STATUS_OK;
}

static const char *policy_word(const struct desk *desk)
{
    return options_text(desk->options, "semantic.policy");
}

static void print_served(const struct cli *cli, const struct desk *desk,
                         const struct comparison *comparison)
{
    const char *policy = policy_word(desk);
    (void)fprintf(cli->out, "%-*s", PRINT_LABEL, "served");
    if (desk->policy.mode == POLICY_OFF) {
        (void)fprintf(cli->out, "no: policy off\n");
        return;
    }
    switch (comparison->decision.verdict) {
    case POLICY_SERVE:
        (void)fprintf(cli->out, "yes: policy %s gives one the answer of the other\n", policy);
        return;
    case POLICY_WOULD_SERVE:
        (void)fprintf(cli->out, "no: policy %s serves nothing; static would\n", policy);
        return;
    case POLICY_GUARD_BLOCKED:
        (void)fprintf(cli->out, "no: the guard forbids it\n");
        return;
    case POLICY_BELOW_CUT:
    case POLICY_NO_CANDIDATE:
        (void)fprintf(cli->out, "no: below the threshold%s\n",
                      comparison->guards != 0 ? ", and the guard forbids it" : "");
        return;
    }
}

/* Bit n of the guard's is value n + 1 of the protocol's. */
static enum reprise_guard guard_at(int bit)
{
    return (enum reprise_guard)(REPRISE_GUARD_NUMBER + bit);
}

static void print_guards(const struct cli *cli, unsigned guards)
{
    char words[64];
    const char *before = "";
    (void)fprintf(cli->out, "%-*s", PRINT_LABEL, "guard");
    for (int bit = 0; guards >> bit != 0; bit++) {
        if ((guards >> bit & 1) == 0)
            continue;
        (void)fprintf(cli->out, "%s%s", before,
                      print_words(reprise_guard_name(guard_at(bit)), words));
        before = ", ";
    }
    (void)fprintf(cli->out, "%s\n", guards == 0 ? "clean" : "");
}

static void print_comparison(const struct cli *cli, const struct desk *desk,
                             const struct comparison *comparison)
{
    (void)fprintf(cli->out, "%-*s%.3f\n", PRINT_LABEL, "similarity", comparison->similarity);
    (void)fprintf(cli->out, "%-*s%.2f, policy %s with %s\n", PRINT_LABEL, "threshold",
                  (double)comparison->decision.threshold, policy_word(desk), desk->name);
    (void)fprintf(cli->out, "%-*s%s\n", PRINT_LABEL, "space", desk->space);
    print_guards(cli, comparison->guards);
    print_served(cli, desk, comparison);
}

static enum verb_exit print_comparison_json(const struct cli *cli, const struct desk *desk,
                                            const struct comparison *comparison)
{
    char name[64];
    cJSON *tree = cJSON_CreateObject();
    json_add_float(tree, "similarity", comparison->similarity);
    json_add_float(tree, "threshold", (double)comparison->decision.threshold);
    (void)cJSON_AddStringToObject(tree, "policy", policy_word(desk));
    (void)cJSON_AddStringToObject(tree, "embedder", desk->name);
    (void)cJSON_AddStringToObject(tree, "spaceId", desk->space);
    cJSON *guards = cJSON_AddArrayToObject(tree, "guards");
    for (int bit = 0; comparison->guards >> bit != 0 && guards != NULL; bit++) {
        if ((comparison->guards >> bit & 1) == 0)
            continue;
        (void)snprintf(name, sizeof(name), "GUARD_%s", reprise_guard_name(guard_at(bit)));
        (void)cJSON_AddItemToArray(guards, cJSON_CreateString(name));
    }
    (void)cJSON_AddBoolToObject(tree, "served", comparison->decision.verdict == POLICY_SERVE);
    return json_print(tree, false, cli->out) ? VERB_DONE : verb_fail(cli, "out of memory");
}

enum verb_exit verb_similarity(const struct cli *cli, const struct arguments *arguments)
{
    if (arguments->words_count != 2)
        return verb_usage(cli, "similarity wants two texts, each in quotes; see reprise help "
                               "similarity");
    struct desk desk = {.options = NULL};
    struct comparison comparison = {.guards = 0};
    enum verb_exit exit_code = desk_begin(cli, arguments, 2, &desk);
    if (exit_code == VERB_DONE && compare(&desk, &comparison) != STATUS_OK)
        exit_code = verb_fail(cli, "out of memory");
    if (exit_code == VERB_DONE && cli->json)
        exit_code = print_comparison_json(cli, &desk, &comparison);
    else if (exit_code == VERB_DONE)
        print_comparison(cli, &desk, &comparison);
    desk_close(&desk);
    return exit_code;
}
