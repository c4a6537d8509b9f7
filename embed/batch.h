/*
 * batch.h - texts that wait for a compute thread, and the packs in which they are embedded. It
 * knows tokens as numbers only; what a vector is made with is the engine's.
 * Threads: any may submit, finish and stop; none of them waits. `done` with OK is called on a
 * compute thread. A refusal may be told on any thread that submits, finishes, stops or destroys,
 * before it returns: the caller's own job, or, when the pool takes no pump, whatever others have
 * waiting.
 */
#pragma once
#include "base/pool.h"
#include "embed/batch_figures.h"
#include "embed/job.h"

enum { BATCH_BULK_TOKENS = 128 }; /* of a pack of bulk work */

/* What a text is to its engine. */
struct batch_added {
    uint32_t tokens;
    uint32_t unknown; /* of these, those that stand for what the engine does not know */
};

/* How vectors are made. Each pump has one pack; a pack is one thread's at a time. */
struct batch_engine {
    void *context;
    uint32_t dimension;
    uint32_t tokens_max; /* of one text, for estimates */
    enum status (*pack_create)(void *context, void **out_pack);
    void (*pack_destroy)(void *pack);
    /* Adds a text. LIMIT_EXCEEDED: it has more than room tokens, try it in an empty pack. Anything
     * else is the text's own failure. Nothing is added then. out_added is zero before; what is not
     * known stays so, and with a failure tokens do. */
    enum status (*add)(void *pack, struct text text, uint32_t room, struct batch_added *out_added);
    /* One vector for each text added, in their order. The pack is empty afterwards. */
    enum status (*run)(void *pack, float *out_units);
};

struct batch_setup {
    const struct batch_engine
        *engine; /* copied; without pack_create only batch_finish brings work */
    struct pool *pool;
    uint64_t (*clock_us)(void);
    uint32_t pumps_max;             /* compute threads that may embed at the same time */
    uint32_t tokens_max, texts_max; /* of one pack; a text longer than that goes alone */
    uint32_t queue_max;             /* texts that may wait, interactive and bulk each  */
    uint32_t recent_max;            /* texts whose vectors are remembered              */
    uint64_t seed;
};

struct batch_state {
    uint32_t waiting;
    uint64_t texts;              /* that got a vector, however                      */
    uint64_t twins, recent_hits; /* of these: a pack held it twice; it was known    */
    uint64_t tokens, packs;      /* that went through the engine                    */
    uint64_t unknown;            /* tokens, also of texts without a vector          */
    uint64_t too_long, wordless; /* texts without a vector: see enum status of done */
    uint64_t overloaded, late;   /* refused: no room in a queue; it cannot be in time */
    uint64_t failed;             /* anything else                                   */
};

struct batch;

enum status batch_create(const struct batch_setup *setup, struct batch **out_batch);
/* What still waits is done with DRAINING; then the pumps are waited for. Nobody may submit any
 * more. The pool may be gone already. NULL is fine. */
void batch_destroy(struct batch **batch);

/* What waits to be embedded is done with DRAINING before this returns, and so is what is submitted
 * from now on, unless its vector is remembered. Packs under way end as they would. */
void batch_stop(struct batch *batch);

/*
 * Statuses of done: OK; NOT_FOUND, TEXT_TOO_LONG: the engine's word; OVERLOADED: queue_max wait, or
 * the pool is full; DEADLINE: it cannot be in time; DRAINING; NO_MEMORY and other failures of the
 * engine.
 */
void batch_submit(struct batch *batch, struct embed_job *job);

/* If the text's vector is remembered, done comes from a compute thread and true is returned; else
 * the job's time begins, see batch_finish. */
bool batch_recall(struct batch *batch, struct embed_job *job);
/* A text that was embedded elsewhere after batch_recall, or failed there: done comes from a compute
 * thread. */
void batch_finish(struct batch *batch, struct embed_job *job, enum status status);

void batch_state(struct batch *batch, struct batch_state *out_state);
/* The histograms, for who writes them; they live as long as the batch. */
const struct batch_figures *batch_figures(const struct batch *batch);
