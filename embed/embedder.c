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

enum status embedder_create(const char *provider, struct embedder **out_embedder)
{
    assert(provider != NULL);
    assert(out_embedder != NULL);
    if (strcmp(provider, "none") == 0) {
        *out_embedder = NULL;
        return STATUS_OK;
    }
    if (strcmp(provider, "lexical") != 0 && strcmp(provider, "auto") != 0)
        return STATUS_BAD_OPTION;
    struct embedder *embedder = calloc(1, sizeof(*embedder));
    if (embedder == NULL)
        return STATUS_NO_MEMORY;
    embedder->provider = "lexical";
    embedder_lexical_space(&embedder->space);
    *out_embedder = embedder;
    return STATUS_OK;
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

static void add_remote(const struct remote *remote, struct embedder_state *state)
{
    struct remote_state about;
    remote_state(remote, &about);
    state->waiting += about.waiting;
    if (!about.is_up)
        state->degraded = "embedder_down";
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
    state->failed = about.failed;
}

void embedder_state(const struct embedder *embedder, struct embedder_state *out_state)
{
    struct embedder_state state = {
        .provider = embedder->provider,
        .precision = embedder->local != NULL ? local_precision(embedder->local) : "",
        .isa = embedder->local != NULL ? local_isa(embedder->local) : "",
        .degraded = embedder->lacks_weights ? "no_weights" : NULL,
    };
    if (embedder->batch != NULL)
        add_batch(embedder->batch, &state);
    if (embedder->remote != NULL)
        add_remote(embedder->remote, &state);
    *out_state = state;
}
