/*
 * embedder.c - the verbs of every embedder, whatever it is made of.
 *
 * A job goes to the batch room, which has the compute threads, or to the remote embedder; there its
 * `done` is ours for that long, and when the answer is here the job goes through the batch room all
 * the same: so that the vector is remembered, and so that the caller's `done`, which may search,
 * runs on a compute thread and not on the one that all outgoing requests wait for.
 *
 * THREADS. Any; what open has written never changes.
 * NOT HERE. Options and the choice of a provider (embedder_open.c).
 */
#include "embed/embedder.h"

#include <stdlib.h>

#include "base/check.h"
#include "embed/embedder_inside.h"
#include "embed/lexical.h"

/* Its parts: provider, model, version, dimension, arithmetic. */
void embedder_lexical_space(struct embed_space *out_space)
{
    struct space_name name;
    space_begin(&name);
    space_add_text(&name, TEXT("lexical"));
    space_add_text(&name, TEXT("lexical"));
    space_add_text(&name, TEXT(LEXICAL_VERSION));
    space_add_number(&name, LEXICAL_DIMENSION);
    space_add_number(&name, LEXICAL_ARITHMETIC);
    *out_space = (struct embed_space){
        .id = space_end(&name),
        .name = "lexical",
        .version = LEXICAL_VERSION,
        .dimension = LEXICAL_DIMENSION,
        .threshold_default = LEXICAL_THRESHOLD_DEFAULT,
        .min_similarity = LEXICAL_MIN_SIMILARITY,
    };
}

/* Who still brings work goes first. */
void embedder_destroy(struct embedder **embedder)
{
    assert(embedder != NULL);
    struct embedder *doomed = *embedder;
    if (doomed == NULL)
        return;
    *embedder = NULL;
    remote_destroy(&doomed->remote);
    outgoing_destroy(&doomed->outgoing);
    batch_destroy(&doomed->batch);
    local_destroy(&doomed->local);
    free(doomed);
}

void embedder_stop(struct embedder *embedder)
{
    if (embedder->remote != NULL)
        remote_stop(embedder->remote);
    if (embedder->batch != NULL)
        batch_stop(embedder->batch);
}

const struct embed_space *embedder_space(const struct embedder *embedder)
{
    assert(embedder != NULL);
    return &embedder->space;
}

/* On the thread "remote". */
static void remote_done(struct embed_job *job, enum status status)
{
    struct embedder *embedder = job->embedder;
    assert(embedder != NULL);
    job->done = job->caller_done;
    job->embedder = NULL;
    batch_finish(embedder->batch, job, status);
}

void embedder_submit(struct embedder *embedder, struct embed_job *job)
{
    assert(embedder->batch != NULL);
    assert(job->done != NULL);
    assert(job->out_unit != NULL);
    if (embedder->remote == NULL) {
        batch_submit(embedder->batch, job);
        return;
    }
    if (batch_recall(embedder->batch, job))
        return;
    job->embedder = embedder;
    job->caller_done = job->done;
    job->done = remote_done;
    job->next = NULL;
    remote_submit(embedder->remote, job);
}

enum status embedder_embed(const struct embedder *embedder, struct text text, struct arena *arena,
                           float *out_unit)
{
    assert(embedder != NULL);
    assert(out_unit != NULL);
    if (embedder->remote != NULL)
        return STATUS_UNIMPLEMENTED;
    if (embedder->local != NULL)
        return local_embed(embedder->local, text, out_unit);
    return lexical_embed(text, arena, out_unit);
}

enum status embedder_tokens(const struct embedder *embedder, struct text text, struct arena *arena,
                            struct embedder_tokens *out_tokens)
{
    *out_tokens = (struct embedder_tokens){.count = 0};
    if (embedder->remote != NULL)
        return STATUS_UNIMPLEMENTED;
    if (embedder->local != NULL)
        return local_tokens(embedder->local, text, arena, out_tokens);
    struct text *words = NULL;
    const enum status status = lexical_words(text, arena, &words, &out_tokens->count);
    out_tokens->pieces = words;
    return status;
}

/* ---- state and metrics ----------------------------------------------------------------------- */

static void degrade(struct embedder_state *state, const char *word)
{
    assert(state->degraded_count < EMBEDDER_DEGRADED_MAX);
    state->degraded[state->degraded_count++] = word;
}

static void add_remote(const struct remote *remote, struct embedder_state *state)
{
    struct remote_state about;
    remote_state(remote, &about);
    state->waiting += about.waiting;
    if (!about.is_up)
        degrade(state, "embedder_down");
    if (about.has_drifted)
        degrade(state, "embedder_changed");
}

static void add_batch(struct batch *batch, struct embedder_state *state)
{
    struct batch_state about;
    batch_state(batch, &about);
    state->waiting = about.waiting;
    state->texts = about.texts;
    state->tokens = about.tokens;
    state->packs = about.packs;
    state->recent_hits = about.recent_hits;
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
    };
    if (embedder->lacks_weights)
        degrade(&state, "no_weights");
    if (embedder->batch != NULL)
        add_batch(embedder->batch, &state);
    if (embedder->remote != NULL)
        add_remote(embedder->remote, &state);
    *out_state = state;
}

/* clang-format off */
enum metric { METRIC_TEXTS, METRIC_WITHOUT, METRIC_TOKENS, METRIC_RECENT_HITS, METRIC_WAITING, METRIC_DEGRADED };
const struct metric_row embed_metric_rows[] = {
    [METRIC_TEXTS] = {"reprise_embed_texts_total", METRIC_COUNTER, "texts", "Texts that got a vector."},
    [METRIC_WITHOUT] = {"reprise_embed_without_vector_total", METRIC_COUNTER, "texts",
     "Texts that got none, by reason; late: it could not be in time; overloaded: no room in a queue."},
    [METRIC_TOKENS] = {"reprise_embed_tokens_total", METRIC_COUNTER, "tokens", "Tokens that went through the encoder."},
    [METRIC_RECENT_HITS] = {"reprise_embed_recent_hits_total", METRIC_COUNTER, "texts", "Texts whose vector was still known."},
    [METRIC_WAITING] = {"reprise_embed_queue", METRIC_GAUGE, "texts", "Texts that wait for their vector."},
    [METRIC_DEGRADED] = {"reprise_embed_degraded", METRIC_GAUGE, "0 or 1", "What is not as it should be, by reason."},
};
/* clang-format on */
const size_t embed_metric_rows_count = sizeof(embed_metric_rows) / sizeof(embed_metric_rows[0]);

static void write_one(FILE *out, enum metric which, const char *labels, uint64_t value)
{
    metric_write_head(&embed_metric_rows[which], out);
    metric_write_value(&embed_metric_rows[which], labels, value, out);
}

static void write_reasons(FILE *out, const struct embedder_state *state, const char *provider)
{
    const struct {
        const char *reason;
        uint64_t count;
    } rows[] = {{"too_long", state->too_long},
                {"wordless", state->wordless},
                {"overloaded", state->overloaded},
                {"late", state->late},
                {"failed", state->failed}};
    metric_write_head(&embed_metric_rows[METRIC_WITHOUT], out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char labels[METRIC_LABELS_MAX];
        (void)snprintf(labels, sizeof(labels), "%s,reason=\"%s\"", provider, rows[i].reason);
        metric_write_value(&embed_metric_rows[METRIC_WITHOUT], labels, rows[i].count, out);
    }
}

/* Every reason has its line, so that an alert sees a 0 and not a gap. */
static void write_degraded(FILE *out, const struct embedder_state *state)
{
    static const char *const reasons[] = {"no_weights", "embedder_down", "embedder_changed"};
    metric_write_head(&embed_metric_rows[METRIC_DEGRADED], out);
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        char labels[METRIC_LABELS_MAX];
        bool is_so = false;
        for (size_t n = 0; n < state->degraded_count; n++)
            is_so = is_so || strcmp(state->degraded[n], reasons[i]) == 0;
        (void)snprintf(labels, sizeof(labels), "reason=\"%s\"", reasons[i]);
        metric_write_value(&embed_metric_rows[METRIC_DEGRADED], labels, is_so, out);
    }
}

void embedder_metrics(const struct embedder *embedder, FILE *out)
{
    if (embedder == NULL)
        return;
    struct embedder_state state;
    char provider[METRIC_LABELS_MAX / 2];
    embedder_state(embedder, &state);
    (void)snprintf(provider, sizeof(provider), "provider=\"%s\"", state.provider);
    write_one(out, METRIC_TEXTS, provider, state.texts);
    write_reasons(out, &state, provider);
    write_one(out, METRIC_TOKENS, provider, state.tokens);
    write_one(out, METRIC_RECENT_HITS, provider, state.recent_hits);
    write_one(out, METRIC_WAITING, provider, state.waiting);
    write_degraded(out, &state);
}
