/*
 * embedder.c - the verbs of every embedder, whatever it is made of.
 *
 * A job goes to the batch room, which has the compute threads, or to the remote embedder; there its
 * `done` is ours for that long, and when the answer is here the job goes through the batch room all
 * the same: so that the vector is remembered, and so that the caller's `done`, which may search,
 * runs on a compute thread and not on the one that all outgoing requests wait for.
 *
 * THREADS. Any; what open has written never changes.
 * NOT HERE. Options and the choice of a provider (embedder_open.c); what is counted
 * (embedder_state.c).
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
