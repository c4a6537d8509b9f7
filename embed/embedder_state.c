/*
 * embedder_state.c - what an embedder is like at this moment, and the same as metrics, with
 * histograms of what it took.
 *
 * The figures are one table: a name, a label that tells rows of one name apart, and the field of
 * struct embedder_state that holds the value. To add a figure: a field there, a row here, and its
 * place in add_batch or add_remote. Rows of one name stand together, for its head is written once.
 *
 * THREADS. Any. Each figure is right; all of them together only while nothing happens.
 */
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "embed/embedder_inside.h"

/* Every word that `degraded` may hold. */
static const char *const degraded_words[] = {"no_weights", "embedder_down", "embedder_changed",
                                             "embedder_bad_vectors"};
static_assert((int)REMOTE_ERROR_COUNT <= (int)EMBEDDER_ERRORS_MAX,
              "each has its place in the state");

/* ---- the state ------------------------------------------------------------------------------- */

static void degrade(struct embedder_state *state, const char *word)
{
    assert(state->degraded_count < EMBEDDER_DEGRADED_MAX);
    state->degraded[state->degraded_count++] = word;
}

static void add_remote(const struct remote *remote, struct embedder_state *state)
{
    struct remote_state about;
    remote_state(remote, &about);
    if (!about.is_up)
        degrade(state, "embedder_down");
    if (about.has_drifted)
        degrade(state, "embedder_changed");
    if (about.has_bad_vectors)
        degrade(state, "embedder_bad_vectors");
    state->circuit = about.is_up ? "closed" : "open";
    state->circuit_open = !about.is_up;
    state->waiting += about.waiting;
    state->flying = about.flying;
    state->batch_now = about.batch_now;
    state->requests = about.requests;
    state->retries = about.retries;
    state->openings = about.openings;
    state->canaries = about.canaries;
    state->drifts = about.drifts;
    state->tokens = about.tokens;
    state->has_tokens = about.counted > 0;
    state->counted = about.counted;
    state->uncounted = about.uncounted;
    state->bad_vectors =
        about.errors[REMOTE_ERROR_BAD_VECTOR] + about.errors[REMOTE_ERROR_MISMATCH];
    for (int i = 0; i < REMOTE_ERROR_COUNT; i++)
        state->errors[i] =
            (struct embedder_error){remote_error_word((enum remote_error)i), about.errors[i]};
    state->errors_count = REMOTE_ERROR_COUNT;
}

static void add_batch(struct batch *batch, struct embedder_state *state)
{
    struct batch_state about;
    batch_state(batch, &about);
    state->waiting = about.waiting;
    state->texts = about.texts;
    state->tokens = about.tokens;
    state->packs = about.packs;
    state->unknown = about.unknown;
    state->recent_hits = about.recent_hits;
    state->twins = about.twins;
    state->too_long = about.too_long;
    state->wordless = about.wordless;
    state->overloaded = about.overloaded;
    state->late = about.late;
    state->failed = about.failed;
}

void embedder_state(const struct embedder *embedder, struct embedder_state *out_state)
{
    struct embedder_state state = {
        .provider = embedder->provider,
        .precision = embedder->local != NULL ? local_precision(embedder->local) : "",
        .isa = embedder->local != NULL ? local_isa(embedder->local) : "",
        .circuit = "",
        .has_tokens = true,
        .has_unknown = embedder->remote == NULL,
    };
    if (embedder->lacks_weights)
        degrade(&state, "no_weights");
    if (embedder->batch != NULL)
        add_batch(embedder->batch, &state);
    if (embedder->remote != NULL)
        add_remote(embedder->remote, &state);
    *out_state = state;
}

/* ---- metrics --------------------------------------------------------------------------------- */

/* uint64_t; uint32_t; uint64_t, without a line while has_tokens or has_unknown is false: what
 * nobody told is not 0 */
enum width { WIDE, NARROW, TOLD, KNOWN };

struct figure {
    struct metric_row row;
    const char *label; /* NULL: none beside the provider */
    size_t offset;
    enum width width;
};

#define ROW(field, width, name, kind, unit, label, meaning)                                        \
    {{"reprise_embed_" name, METRIC_##kind, unit, meaning},                                        \
     label,                                                                                        \
     offsetof(struct embedder_state, field),                                                       \
     width},

#define WITHOUT                                                                                    \
    "Texts that got none, by reason; late: it could not be in time; overloaded: no room in a "     \
    "queue."

/* clang-format off */
static const struct figure figures[] = {
    /*  field         width   metric                 kind     unit        label                   meaning */
    ROW(texts,        WIDE,   "texts_total",         COUNTER, "texts",    NULL,                   "Texts that got a vector.")
    ROW(too_long,     WIDE,   "without_vector_total", COUNTER, "texts",   "reason=\"too_long\"",   WITHOUT)
    ROW(wordless,     WIDE,   "without_vector_total", COUNTER, "texts",   "reason=\"wordless\"",   WITHOUT)
    ROW(overloaded,   WIDE,   "without_vector_total", COUNTER, "texts",   "reason=\"overloaded\"", WITHOUT)
    ROW(late,         WIDE,   "without_vector_total", COUNTER, "texts",   "reason=\"late\"",       WITHOUT)
    ROW(failed,       WIDE,   "without_vector_total", COUNTER, "texts",   "reason=\"failed\"",     WITHOUT)
    ROW(tokens,       TOLD,   "tokens_total",        COUNTER, "tokens",   NULL,                   "Tokens that went through the encoder; of a remote one, as its replies count them: absent while none does.")
    ROW(unknown,      KNOWN,  "unknown_tokens_total", COUNTER, "tokens",  NULL,                   "Tokens that stand for words which the vocabulary does not have, also of texts that got no vector for that.")
    ROW(packs,        WIDE,   "packs_total",         COUNTER, "packs",    NULL,                   "Packs of texts that went through the encoder.")
    ROW(recent_hits,  WIDE,   "recent_hits_total",   COUNTER, "texts",    NULL,                   "Texts whose vector was still known.")
    ROW(twins,        WIDE,   "twins_total",         COUNTER, "texts",    NULL,                   "Texts that shared a vector with an equal one in their pack.")
    ROW(waiting,      NARROW, "queue",               GAUGE,   "texts",    NULL,                   "Texts that wait for their vector.")
};
static const struct figure remote_figures[] = {
    ROW(circuit_open, NARROW, "circuit_open",        GAUGE,   "0 or 1",   NULL,                   "The remote embedder is taken for down and only probed.")
    ROW(openings,     WIDE,   "circuit_opened_total", COUNTER, "times",   NULL,                   "Times that the remote embedder was taken for down.")
    ROW(flying,       NARROW, "requests_flying",     GAUGE,   "requests", NULL,                   "Requests to the remote embedder under way.")
    ROW(batch_now,    NARROW, "request_texts",       GAUGE,   "texts",    NULL,                   "Texts in a request at most, as learned from its refusals.")
    ROW(requests,     WIDE,   "requests_total",      COUNTER, "requests", NULL,                   "Attempts to ask the remote embedder.")
    ROW(retries,      WIDE,   "retries_total",       COUNTER, "requests", NULL,                   "Of these, those after the first.")
    ROW(canaries,     WIDE,   "canaries_total",      COUNTER, "texts",    NULL,                   "Known texts that it was asked, to see whether its vectors are the same.")
    ROW(drifts,       WIDE,   "canary_drifts_total", COUNTER, "texts",    NULL,                   "Of these, those whose vector was another.")
    ROW(uncounted,    WIDE,   "uncounted_replies_total", COUNTER, "replies", NULL,                "Its replies that do not say how many tokens they took; tokens_total lacks theirs.")
    ROW(bad_vectors,  WIDE,   "bad_vectors_total",   COUNTER, "replies",  NULL,                   "Its replies of another dimension, or with a vector that is zero or no number.")
};
/* clang-format on */
#undef ROW

enum { FIGURES = sizeof(figures) / sizeof(figures[0]) };
enum { REMOTE_FIGURES = sizeof(remote_figures) / sizeof(remote_figures[0]) };

static const struct metric_row errors_row = {"reprise_embed_errors_total", METRIC_COUNTER, "errors",
                                             "What went wrong with the remote embedder, by reason: "
                                             "attempts, and texts it was too late for."};
static const struct metric_row degraded_row = {"reprise_embed_degraded", METRIC_GAUGE, "0 or 1",
                                               "What is not as it should be, by reason."};

static const struct metric_row seconds_row = {
    "reprise_embed_seconds", METRIC_HISTOGRAM, "seconds",
    "What it took, by part; queue: a text that somebody waits for, until its pack began; tokenise "
    "and compute: a pack, and lexical vectors are made by the first; request: a text, until a "
    "remote embedder's vector was here."};
static const struct metric_row pack_tokens_row = {"reprise_embed_pack_tokens", METRIC_HISTOGRAM,
                                                  "tokens", "Tokens of a pack."};
static const struct metric_row space_row = {
    "reprise_embed_space_info", METRIC_GAUGE, "1",
    "What vectors are made with, as labels; precision and isa are empty but for a local model."};

/* A pack has at most 8,192 tokens, or one text's. */
enum { PACK_TOKENS_OCTAVES = 14 };

static uint64_t value_of(const struct embedder_state *state, const struct figure *figure)
{
    const char *field = (const char *)state + figure->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    if (figure->width == NARROW)
        memcpy(&narrow, field, sizeof(narrow));
    else
        memcpy(&wide, field, sizeof(wide));
    return figure->width == NARROW ? narrow : wide;
}

static void write_figures(const struct figure *list, size_t count,
                          const struct embedder_state *state, const char *provider, FILE *out)
{
    const char *before = "";
    for (size_t i = 0; i < count; i++) {
        const struct figure *figure = &list[i];
        char labels[METRIC_LABELS_MAX];
        if ((figure->width == TOLD && !state->has_tokens) ||
            (figure->width == KNOWN && !state->has_unknown))
            continue;
        if (strcmp(before, figure->row.name) != 0)
            metric_write_head(&figure->row, out);
        before = figure->row.name;
        (void)snprintf(labels, sizeof(labels), "%s%s%s", provider, figure->label != NULL ? "," : "",
                       figure->label != NULL ? figure->label : "");
        metric_write_value(&figure->row, labels, value_of(state, figure), out);
    }
}

static void write_errors(const struct embedder_state *state, const char *provider, FILE *out)
{
    metric_write_head(&errors_row, out);
    for (size_t i = 0; i < state->errors_count; i++) {
        char labels[METRIC_LABELS_MAX];
        (void)snprintf(labels, sizeof(labels), "%s,reason=\"%s\"", provider,
                       state->errors[i].reason);
        metric_write_value(&errors_row, labels, state->errors[i].count, out);
    }
}

/* Every reason has its line, so that an alert sees a 0 and not a gap. */
static void write_degraded(const struct embedder_state *state, FILE *out)
{
    metric_write_head(&degraded_row, out);
    for (size_t i = 0; i < sizeof(degraded_words) / sizeof(degraded_words[0]); i++) {
        char labels[METRIC_LABELS_MAX];
        bool is_so = false;
        for (size_t n = 0; n < state->degraded_count; n++)
            is_so = is_so || strcmp(state->degraded[n], degraded_words[i]) == 0;
        (void)snprintf(labels, sizeof(labels), "reason=\"%s\"", degraded_words[i]);
        metric_write_value(&degraded_row, labels, is_so, out);
    }
}

static void write_seconds(const struct batch_figures *figures_of_batch, const char *provider,
                          FILE *out)
{
    static const char *const parts[BATCH_PARTS] = {"queue", "tokenise", "compute", "request"};
    metric_write_head(&seconds_row, out);
    for (int part = 0; part < BATCH_PARTS; part++) {
        char labels[METRIC_LABELS_MAX];
        if (figures_of_batch->seconds[part] == NULL)
            continue;
        (void)snprintf(labels, sizeof(labels), "%s,part=\"%s\"", provider, parts[part]);
        metric_write_histogram(&seconds_row, labels, figures_of_batch->seconds[part], out);
    }
    if (figures_of_batch->pack_tokens == NULL)
        return;
    metric_write_head(&pack_tokens_row, out);
    metric_write_histogram_of_numbers(&pack_tokens_row, provider, figures_of_batch->pack_tokens,
                                      PACK_TOKENS_OCTAVES, out);
}

/* The model's name may be anybody's. */
static void write_space(const struct embed_space *space, const struct embedder_state *state,
                        const char *provider, FILE *out)
{
    char hex[EMBED_SPACE_HEX + 1];
    embed_space_hex(space, hex);
    metric_write_head(&space_row, out);
    (void)fprintf(out, "%s{%s,model=\"", space_row.name, provider);
    metric_write_escaped(text_of(space->name), out);
    (void)fprintf(out, "\",precision=\"%s\",isa=\"%s\",space=\"%s\",dimension=\"%u\"} 1\n",
                  state->precision, state->isa, hex, space->dimension);
}

void embedder_metrics(const struct embedder *embedder, FILE *out)
{
    if (embedder == NULL)
        return;
    struct embedder_state state;
    char provider[METRIC_LABELS_MAX / 2];
    embedder_state(embedder, &state);
    (void)snprintf(provider, sizeof(provider), "provider=\"%s\"", state.provider);
    write_space(&embedder->space, &state, provider, out);
    write_figures(figures, FIGURES, &state, provider, out);
    if (embedder->batch != NULL)
        write_seconds(batch_figures(embedder->batch), provider, out);
    if (embedder->remote != NULL) {
        write_figures(remote_figures, REMOTE_FIGURES, &state, provider, out);
        write_errors(&state, provider, out);
    }
    write_degraded(&state, out);
}
