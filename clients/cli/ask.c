/*
 * ask.c - from flags to a request. Owns what an `ask` holds. Threads: the main thread.
 * What a name or a number may be is the server's word; here only what cannot be sent at all is
 * refused.
 */
#include "clients/cli/ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/cli/nearest.h"
#include "clients/cli/units.h"

/* clang-format off */
const struct flag_row ask_identity_rows[ASK_IDENTITY_ROWS] = {
    {"model",       "NAME",       false, "the model whose answer it is (needed)"},
    {"prompt",      "TEXT",       false, "the question, instead of words; - reads standard input"},
    {"namespace",   "NAME",       false, "a space of its own; without it: default"},
    {"system",      "TEXT",       false, "the system prompt"},
    {"temperature", "NUMBER",     false, "0 to 10; above 0 only the exact tier is asked"},
    {"attribute",   "NAME=VALUE", true,  "part of the scope; may be repeated"},
    {"embedder",    "NAME",       false, "your embedder's name, with --vector"},
};
const struct flag_row ask_get_rows[ASK_GET_ROWS] = {
    {"vector",         "N,N,...",  false, "your own vector of the question"},
    {"min-similarity", "NUMBER",   false, "0 to 1; tightens the server's threshold, never loosens it"},
    {"tier",           "TIER,...", false, "ask only these: exact, semantic"},
    {"include",        "PART,...", false, "key, timing, prompt (the matched one), candidates, answer (theirs)"},
};
/* clang-format on */

enum verb_exit ask_read_all(const struct cli *cli, FILE *file, const char *name, char **out_bytes,
                            size_t *out_size)
{
    size_t room = 64 * 1024, size = 0;
    char *bytes = malloc(room);
    while (bytes != NULL) {
        size += fread(bytes + size, 1, room - 1 - size, file);
        if (size < room - 1)
            break;
        room *= 2;
        char *larger = size < ASK_INPUT_MAX ? realloc(bytes, room) : NULL;
        if (larger == NULL) {
            free(bytes);
            return verb_fail(cli, "%s is over %d MiB", name, ASK_INPUT_MAX / (1024 * 1024));
        }
        bytes = larger;
    }
    if (bytes == NULL || ferror(file)) {
        free(bytes);
        return verb_fail(cli, "%s cannot be read", name);
    }
    bytes[size] = '\0';
    *out_bytes = bytes;
    *out_size = size;
    return VERB_DONE;
}

static enum verb_exit read_piped_prompt(const struct cli *cli, struct ask *ask)
{
    size_t size = 0;
    enum verb_exit exit_code = ask_read_all(cli, cli->in, "standard input", &ask->prompt, &size);
    if (exit_code != VERB_DONE)
        return exit_code;
    if (strlen(ask->prompt) != size)
        return verb_fail(cli, "the prompt on standard input holds a NUL byte");
    if (size > 0 && ask->prompt[size - 1] == '\n')
        ask->prompt[size - 1] = '\0'; /* echo's newline is not part of the question */
    return VERB_DONE;
}

/* The words of the command line, joined by one space each. */
static char *join(const struct arguments *arguments)
{
    size_t length = 1;
    for (size_t i = 0; i < arguments->words_count; i++)
        length += strlen(arguments->words[i]) + 1;
    char *joined = calloc(length, 1);
    if (joined == NULL)
        return NULL;
    char *at = joined;
    for (size_t i = 0; i < arguments->words_count; i++) {
        if (i > 0)
            *at++ = ' ';
        size_t word = strlen(arguments->words[i]);
        memcpy(at, arguments->words[i], word);
        at += word;
    }
    return joined;
}

static enum verb_exit read_prompt(const struct cli *cli, const struct arguments *arguments,
                                  struct ask *ask)
{
    const char *flag = arguments_text(arguments, "prompt");
    if (flag != NULL && arguments->words_count > 0)
        return verb_usage(cli, "the question is given twice: as --prompt and as \"%s\"",
                          arguments->words[0]);
    bool one_word = arguments->words_count == 1;
    bool piped =
        flag != NULL ? strcmp(flag, "-") == 0 : one_word && strcmp(arguments->words[0], "-") == 0;
    if (piped)
        return read_piped_prompt(cli, ask);
    ask->prompt = flag != NULL ? strdup(flag) : join(arguments);
    return ask->prompt != NULL ? VERB_DONE : verb_fail(cli, "out of memory");
}

void ask_free_pairs(struct reprise_pair **pairs, size_t count)
{
    for (size_t i = 0; *pairs != NULL && i < count; i++)
        free((char *)(uintptr_t)(*pairs)[i].name); /* the copy that holds both halves */
    free(*pairs);
    *pairs = NULL;
}

enum verb_exit ask_read_pairs(const struct cli *cli, const struct arguments *arguments,
                              const char *flag, struct reprise_pair **out_pairs, size_t *out_count)
{
    size_t count = arguments_count(arguments, flag);
    struct reprise_pair *pairs = calloc(count + 1, sizeof(*pairs));
    if (pairs == NULL)
        return verb_fail(cli, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const char *typed = arguments_at(arguments, flag, i);
        char *copy = strdup(typed);
        char *equals = copy != NULL ? strchr(copy, '=') : NULL;
        if (equals == NULL || equals == copy) {
            free(copy);
            ask_free_pairs(&pairs, i);
            return verb_usage(cli, "--%s wants NAME=VALUE, not \"%s\"", flag, typed);
        }
        *equals = '\0';
        pairs[i] = (struct reprise_pair){copy, equals + 1};
    }
    *out_pairs = pairs;
    *out_count = count;
    return VERB_DONE;
}

/* A word of a list that has names; the number of a name is its place, from 1. */
struct choice {
    const char *flag;
    const char *const *names;
    size_t names_count;
};

static const char *const tier_names[] = {"exact", "semantic"};
static const char *const include_names[] = {"key", "timing", "prompt", "candidates", "answer"};

static enum verb_exit unknown_choice(const struct cli *cli, const struct choice *choice,
                                     const char *typed)
{
    const char *best = NULL;
    for (size_t i = 0; i < choice->names_count; i++)
        nearest_consider(typed, choice->names[i], &best);
    if (best != NULL)
        return verb_usage(cli, "--%s knows no \"%s\"; did you mean %s?", choice->flag, typed, best);
    char all[64] = "";
    size_t at = 0;
    for (size_t i = 0; i < choice->names_count; i++)
        at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", i > 0 ? ", " : "",
                               choice->names[i]);
    return verb_usage(cli, "--%s knows no \"%s\"; it takes %s", choice->flag, typed, all);
}

/* Reads "a,b" into numbers; a name that stands there twice counts once. */
static enum verb_exit read_choices(const struct cli *cli, const char *text,
                                   const struct choice *choice, int *numbers, size_t *out_count)
{
    size_t count = 0;
    unsigned seen = 0;
    for (const char *at = text; at != NULL;) {
        const char *comma = strchr(at, ',');
        char word[32];
        (void)snprintf(word, sizeof(word), "%.*s",
                       (int)(comma != NULL ? comma - at : (ptrdiff_t)strlen(at)), at);
        size_t found = 0;
        while (found < choice->names_count && strcmp(word, choice->names[found]) != 0)
            found += 1;
        if (found == choice->names_count)
            return unknown_choice(cli, choice, word);
        if ((seen & (1U << found)) == 0)
            numbers[count++] = (int)found + 1;
        seen |= 1U << found;
        at = comma != NULL ? comma + 1 : NULL;
    }
    *out_count = count;
    return VERB_DONE;
}

static enum verb_exit read_lists(const struct cli *cli, const struct arguments *arguments,
                                 struct ask *ask)
{
    static const struct choice tiers = {"tier", tier_names, 2};
    static const struct choice parts = {"include", include_names, 5};
    const char *tier = arguments_text(arguments, "tier");
    const char *include = arguments_text(arguments, "include");
    int numbers[5];
    enum verb_exit exit_code = VERB_DONE;
    if (tier != NULL)
        exit_code = read_choices(cli, tier, &tiers, numbers, &ask->get.tiers_count);
    for (size_t i = 0; i < ask->get.tiers_count; i++)
        ask->tiers[i] = (enum reprise_tier)numbers[i];
    if (exit_code == VERB_DONE && include != NULL)
        exit_code = read_choices(cli, include, &parts, numbers, &ask->get.include_count);
    for (size_t i = 0; i < ask->get.include_count; i++)
        ask->include[i] = (enum reprise_include)numbers[i];
    return exit_code;
}

static enum verb_exit read_numbers(const struct cli *cli, const struct arguments *arguments,
                                   struct ask *ask)
{
    const char *temperature = arguments_text(arguments, "temperature");
    const char *similarity = arguments_text(arguments, "min-similarity");
    const char *vector = arguments_text(arguments, "vector");
    struct reprise_params *params = &ask->get.identity.params;
    double number = 0;
    if (temperature != NULL && !units_read_number(temperature, &params->temperature))
        return verb_usage(cli, "--temperature wants a number, not \"%s\"", temperature);
    params->temperature_given = temperature != NULL;
    if (similarity != NULL && !units_read_number(similarity, &number))
        return verb_usage(cli, "--min-similarity wants a number, not \"%s\"", similarity);
    ask->get.min_similarity_given = similarity != NULL;
    ask->get.min_similarity = (float)number;
    if (vector != NULL && !units_read_vector(vector, &ask->numbers, &ask->get.vector.count))
        return verb_usage(cli, "--vector wants numbers with commas between them");
    return VERB_DONE;
}

enum verb_exit ask_read(const struct cli *cli, const struct arguments *arguments,
                        struct ask *out_ask)
{
    struct ask *ask = out_ask; /* filled in place: lists in it are pointed to */
    *ask = (struct ask){0};
    struct reprise_identity *identity = &ask->get.identity;
    identity->model = arguments_text(arguments, "model");
    identity->namespace_ = arguments_text(arguments, "namespace");
    identity->system_prompt = arguments_text(arguments, "system");
    identity->embedder = arguments_text(arguments, "embedder");
    enum verb_exit exit_code = read_prompt(cli, arguments, ask);
    if (exit_code == VERB_DONE)
        exit_code = ask_read_pairs(cli, arguments, "attribute", &ask->attributes,
                                   &identity->attributes_count);
    if (exit_code == VERB_DONE)
        exit_code = read_numbers(cli, arguments, ask);
    if (exit_code == VERB_DONE)
        exit_code = read_lists(cli, arguments, ask);
    if (exit_code != VERB_DONE) {
        ask_deinit(ask);
        return exit_code;
    }
    identity->prompt = ask->prompt;
    identity->attributes = ask->attributes;
    ask->get.vector.numbers = ask->numbers;
    ask->get.tiers = ask->tiers;
    ask->get.include = ask->include;
    return VERB_DONE;
}

enum verb_exit ask_needs(const struct cli *cli, const char *verb, const struct ask *ask)
{
    if (ask->get.identity.model == NULL)
        return verb_usage(cli, "%s needs --model NAME; see reprise help %s", verb, verb);
    if (ask->prompt[0] == '\0')
        return verb_usage(cli, "%s needs a question: reprise %s --model NAME \"...\"", verb, verb);
    return VERB_DONE;
}

void ask_deinit(struct ask *ask)
{
    free(ask->prompt);
    free(ask->numbers);
    ask_free_pairs(&ask->attributes, ask->get.identity.attributes_count);
    *ask = (struct ask){0};
}

enum verb_exit ask_read_ack(const struct cli *cli, const struct arguments *arguments,
                            enum reprise_ack *out_ack)
{
    static const char *const levels[] = {"memory", "logged", "synced"}; /* 1 to 3 */
    const char *typed = arguments_text(arguments, "ack");
    if (typed == NULL)
        return VERB_DONE;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(typed, levels[i]) == 0) {
            *out_ack = (enum reprise_ack)(i + 1);
            return VERB_DONE;
        }
    }
    return verb_usage(cli, "--ack is memory, logged or synced, not \"%s\"", typed);
}
