/*
 * batch.c - three lanes of waiting jobs and the pumps that empty them.
 *
 *   ready        has its vector, or its failure, already: only `done` is to be called
 *   interactive  somebody waits for it
 *   bulk         nobody does: in packs of 128 tokens, when no interactive text waits, and once
 * after every tokens_max tokens of those, so that it never stands still
 *
 * A PUMP is a job for the pool. It calls the ready ones, takes a pack, embeds it, calls those, and
 * goes back into the pool's queue while anything waits, so that searches of other calls get their
 * turn. There is at most one pump in the queue and at most pumps_max in all. It waits for no
 * company: a token costs the same alone and among others (58 us against 62 in a batch of 32).
 *
 * WHY NO JOB IS FORGOTTEN. A job is pushed and a pump claimed under one lock. A pump rests only
 * under that lock and when nothing waits. If the pool refuses a pump and no other is on its way,
 * all that wait are refused; a running pump that the pool refuses goes on without it.
 *
 * IN TIME OR NOT. Tokens are estimated from bytes (a quarter, and two), and so is the time a token
 * takes: from finished packs in the same estimated tokens, so that a wrong guess cancels out. A
 * text is refused with DEADLINE when what is ahead of it, shared among the pumps, and itself would
 * end after its deadline; OVERLOADED is for queues without room. An empty queue refuses nobody: so
 * a wrong measure heals by the next pack.
 *
 * THREADS. Any. EMBED_BATCH guards lanes, pumps, measure and the recent vectors; under it nothing
 * is called but recent.c. `done` is called with no lock held, and the job is not touched after it.
 *
 * NOT HERE. Tokens and vectors (the engine). Lookups of recent texts do not wait for a compute
 * thread, but their `done` does: it may search, which an I/O thread must not.
 */
#include "embed/batch.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/lock.h"
#include "base/thread.h"
#include "embed/recent.h"

enum {
    BYTES_A_TOKEN = 4,  /* of English, about */
    READY_MAX = 32,     /* jobs called between two packs */
    MEASURE_WEIGHT = 8, /* how slowly the measure follows */
};

enum lane { LANE_READY, LANE_INTERACTIVE, LANE_BULK, LANES_COUNT };

struct queue {
    struct embed_job *first, *last; /* last is undefined while first is NULL    */
    uint32_t count;
    uint64_t tokens; /* estimated; of those that wait and those in a pack */
};

struct member { /* of a pack */
    struct embed_job *job;
    uint32_t slot; /* its vector; twins share one */
    struct digest digest;
};

struct pump {
    struct pool_job job;
    struct batch *batch;
    struct pump *next; /* among the resting */
    void *pack;
    float *units;           /* [texts_max][dimension] */
    struct member *members; /* [texts_max]            */
    uint32_t members_count, slots_count;
    uint64_t started_us;       /* to take texts          */
    uint32_t tokens;           /* in the pack            */
    uint64_t tokens_estimated; /* of its members         */
};

struct batch {
    struct batch_engine engine; /* this and what follows never change after create */
    struct pool *pool;
    uint64_t (*clock_us)(void);
    uint32_t pumps_max, tokens_max, texts_max, queue_max, recent_max;
    struct pump *pumps; /* [pumps_max] */
    struct batch_figures figures;

    struct lock lock;
    pthread_cond_t rested; /* with lock: a pump rests while is_closing */
    struct queue lanes[LANES_COUNT] GUARDED;
    struct pump *resting GUARDED;
    uint32_t pumps_queued GUARDED; /* claimed, not yet running */
    uint32_t pumps_running GUARDED;
    uint64_t tokens_since_bulk GUARDED;
    double us_a_token GUARDED; /* 0: not measured yet */
    struct recent *recent GUARDED;
    bool is_closing GUARDED;
    bool is_stopped GUARDED; /* nothing new is embedded */
};

/* ---- create and destroy ---------------------------------------------------------------------- */

static void pump_run(struct pool_job *job);

static enum status pump_init(struct batch *batch, struct pump *pump)
{
    pump->job.run = pump_run;
    pump->batch = batch;
    if (batch->engine.pack_create == NULL)
        return STATUS_OK;
    pump->units = calloc(batch->texts_max, batch->engine.dimension * sizeof(*pump->units));
    pump->members = calloc(batch->texts_max, sizeof(*pump->members));
    if (pump->units == NULL || pump->members == NULL)
        return STATUS_NO_MEMORY;
    return batch->engine.pack_create(batch->engine.context, &pump->pack);
}

static void pump_deinit(struct batch *batch, struct pump *pump)
{
    assert(pump->members_count == 0);
    if (pump->pack != NULL)
        batch->engine.pack_destroy(pump->pack);
    free(pump->members);
    free(pump->units);
}

UNSHARED static enum status create_pumps(struct batch *batch)
{
    batch->pumps = calloc(batch->pumps_max, sizeof(*batch->pumps));
    if (batch->pumps == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < batch->pumps_max && status == STATUS_OK; i++) {
        status = pump_init(batch, &batch->pumps[i]);
        batch->pumps[i].next = batch->resting;
        batch->resting = &batch->pumps[i];
    }
    return status;
}

UNSHARED enum status batch_create(const struct batch_setup *setup, struct batch **out_batch)
{
    assert(setup->pool != NULL);
    assert(setup->clock_us != NULL);
    assert(setup->engine->dimension > 0);
    assert(setup->pumps_max > 0 && setup->pumps_max <= THREAD_REGISTERED_MAX);
    assert(setup->texts_max > 0);
    assert(setup->queue_max > 0);
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL)
        return STATUS_NO_MEMORY;
    batch->engine = *setup->engine;
    batch->pool = setup->pool;
    batch->clock_us = setup->clock_us;
    batch->pumps_max = setup->pumps_max;
    batch->tokens_max = setup->tokens_max;
    batch->texts_max = setup->texts_max;
    batch->queue_max = setup->queue_max;
    batch->recent_max = setup->recent_max;
    lock_init(&batch->lock, LOCK_RANK_EMBED_BATCH);
    int error = pthread_cond_init(&batch->rested, NULL);
    assert(error == 0);
    enum status status = batch_figures_init(&batch->figures, batch->engine.pack_create != NULL);
    if (status == STATUS_OK)
        status =
            recent_create(setup->recent_max, batch->engine.dimension, setup->seed, &batch->recent);
    if (status == STATUS_OK)
        status = create_pumps(batch);
    if (status != STATUS_OK)
        goto destroy_batch;
    *out_batch = batch;
    return STATUS_OK;

destroy_batch:
    batch_destroy(&batch);
    return status;
}

static struct embed_job *steal_all(struct batch *batch) REQUIRES(batch->lock);
static void refuse_all(struct batch *batch, struct embed_job *jobs, enum status status);

static void stop_pumps(struct batch *batch)
{
    lock_acquire(&batch->lock);
    batch->is_closing = true;
    struct embed_job *left = steal_all(batch);
    lock_release(&batch->lock);
    refuse_all(batch, left, STATUS_DRAINING);
    lock_acquire(&batch->lock);
    while (batch->pumps_queued + batch->pumps_running > 0) {
        int error = pthread_cond_wait(&batch->rested, &batch->lock.mutex);
        assert(error == 0);
    }
    lock_release(&batch->lock);
}

UNSHARED void batch_destroy(struct batch **batch)
{
    struct batch *doomed = *batch;
    if (doomed == NULL)
        return;
    *batch = NULL;
    stop_pumps(doomed);
    for (uint32_t i = 0; doomed->pumps != NULL && i < doomed->pumps_max; i++)
        pump_deinit(doomed, &doomed->pumps[i]);
    free(doomed->pumps);
    recent_destroy(&doomed->recent);
    batch_figures_deinit(&doomed->figures);
    int error = pthread_cond_destroy(&doomed->rested);
    assert(error == 0);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static enum lane lane_of(const struct embed_job *job)
{
    return job->bulk ? LANE_BULK : LANE_INTERACTIVE;
}

static void push(struct batch *batch, enum lane lane, struct embed_job *job) REQUIRES(batch->lock)
{
    struct queue *queue = &batch->lanes[lane];
    job->next = NULL;
    if (queue->first == NULL)
        queue->first = job;
    else
        queue->last->next = job;
    queue->last = job;
    queue->count++;
}

static struct embed_job *pop(struct batch *batch, enum lane lane) REQUIRES(batch->lock)
{
    struct queue *queue = &batch->lanes[lane];
    struct embed_job *job = queue->first;
    if (job == NULL)
        return NULL;
    assert(queue->count > 0);
    queue->first = job->next;
    queue->count--;
    return job;
}

static struct embed_job *take(struct batch *batch, enum lane lane)
{
    lock_acquire(&batch->lock);
    struct embed_job *job = pop(batch, lane);
    lock_release(&batch->lock);
    return job;
}

static void put_back(struct batch *batch, enum lane lane, struct embed_job *job)
{
    lock_acquire(&batch->lock);
    struct queue *queue = &batch->lanes[lane];
    if (queue->first == NULL)
        queue->last = job;
    job->next = queue->first;
    queue->first = job;
    queue->count++;
    lock_release(&batch->lock);
}

static uint32_t waiting_count(const struct batch *batch) REQUIRES(batch->lock)
{
    uint32_t count = 0;
    for (int lane = 0; lane < LANES_COUNT; lane++)
        count += batch->lanes[lane].count;
    return count;
}

/* From this lane on: from LANE_INTERACTIVE, those that have neither vector nor failure yet. */
static struct embed_job *steal_from(struct batch *batch, enum lane first) REQUIRES(batch->lock)
{
    struct embed_job *jobs = NULL, *job;
    for (int lane = (int)first; lane < LANES_COUNT; lane++) {
        while ((job = pop(batch, (enum lane)lane)) != NULL) {
            batch->lanes[lane_of(job)].tokens -= job->tokens;
            job->next = jobs;
            jobs = job;
        }
    }
    return jobs;
}

static struct embed_job *steal_all(struct batch *batch) REQUIRES(batch->lock)
{
    struct embed_job *jobs = steal_from(batch, LANE_READY);
    assert(waiting_count(batch) == 0);
    return jobs;
}

/* ---- the end of a job ------------------------------------------------------------------------ */

static void call_done(struct batch *batch, struct embed_job *job, enum status status)
{
    assert_slow(lock_none_held());
    batch_figures_outcome(&batch->figures, status);
    job->done(job, status);
}

static void refuse_all(struct batch *batch, struct embed_job *jobs, enum status status)
{
    while (jobs != NULL) {
        struct embed_job *job = jobs;
        jobs = job->next;
        call_done(batch, job, status);
    }
}

/* One that was taken and needs no pack. */
static void settle(struct batch *batch, struct embed_job *job, enum status status)
{
    lock_acquire(&batch->lock);
    batch->lanes[lane_of(job)].tokens -= job->tokens;
    lock_release(&batch->lock);
    call_done(batch, job, status);
}

/* ---- pumps and the pool ---------------------------------------------------------------------- */

/* A resting pump, if there is something to do and none is in the pool's queue. */
static struct pump *claim(struct batch *batch) REQUIRES(batch->lock)
{
    if (waiting_count(batch) == 0 || batch->pumps_queued > 0 || batch->resting == NULL)
        return NULL;
    struct pump *pump = batch->resting;
    batch->resting = pump->next;
    batch->pumps_queued++;
    return pump;
}

static void rest(struct batch *batch, struct pump *pump) REQUIRES(batch->lock)
{
    pump->next = batch->resting;
    batch->resting = pump;
    if (batch->is_closing) {
        int error = pthread_cond_signal(&batch->rested);
        assert(error == 0);
    }
}

/* NULL is fine. What nobody else will come for is refused if the pool does not take the pump. */
static void send(struct batch *batch, struct pump *pump)
{
    if (pump == NULL || pool_submit(batch->pool, &pump->job) == STATUS_OK)
        return;
    struct embed_job *left = NULL;
    lock_acquire(&batch->lock);
    assert(batch->pumps_queued > 0);
    batch->pumps_queued--;
    if (batch->pumps_queued + batch->pumps_running == 0)
        left = steal_all(batch);
    rest(batch, pump);
    lock_release(&batch->lock);
    refuse_all(batch, left, STATUS_OVERLOADED);
}

static void submit_to(struct batch *batch, enum lane lane, struct embed_job *job)
{
    lock_acquire(&batch->lock);
    assert(!batch->is_closing);
    push(batch, lane, job);
    struct pump *pump = claim(batch);
    lock_release(&batch->lock);
    send(batch, pump);
}

void batch_stop(struct batch *batch)
{
    lock_acquire(&batch->lock);
    batch->is_stopped = true;
    struct embed_job *left = steal_from(batch, LANE_INTERACTIVE);
    lock_release(&batch->lock);
    refuse_all(batch, left, STATUS_DRAINING);
}

/* ---- what callers ask ------------------------------------------------------------------------ */

static uint32_t estimate(const struct batch *batch, struct text text)
{
    const size_t tokens = text.length / BYTES_A_TOKEN + 2;
    return tokens < batch->engine.tokens_max ? (uint32_t)tokens : batch->engine.tokens_max;
}

static bool is_hopeless(const struct batch *batch, const struct embed_job *job)
    REQUIRES(batch->lock)
{
    uint64_t ahead = batch->lanes[LANE_INTERACTIVE].tokens;
    if (job->bulk)
        ahead += batch->lanes[LANE_BULK].tokens;
    if (job->deadline_us == 0 || ahead == 0)
        return false;
    const double tokens = (double)ahead / batch->pumps_max + job->tokens;
    return (double)job->asked_us + tokens * batch->us_a_token > (double)job->deadline_us;
}

static enum status admit(const struct batch *batch, enum lane lane, const struct embed_job *job)
    REQUIRES(batch->lock)
{
    if (batch->is_stopped)
        return STATUS_DRAINING;
    if (batch->lanes[lane].count >= batch->queue_max)
        return STATUS_OVERLOADED;
    return is_hopeless(batch, job) ? STATUS_DEADLINE : STATUS_OK;
}

void batch_submit(struct batch *batch, struct embed_job *job)
{
    assert(batch->engine.pack_create != NULL);
    assert(job->done != NULL);
    if (batch_recall(batch, job))
        return;
    const enum lane lane = lane_of(job);
    struct pump *pump = NULL;
    job->tokens = estimate(batch, job->text);
    lock_acquire(&batch->lock);
    assert(!batch->is_closing);
    const enum status status = admit(batch, lane, job);
    if (status == STATUS_OK) {
        batch->lanes[lane].tokens += job->tokens;
        push(batch, lane, job);
        pump = claim(batch);
    }
    lock_release(&batch->lock);
    if (status != STATUS_OK)
        call_done(batch, job, status);
    else
        send(batch, pump);
}

static bool find_recent(struct batch *batch, const struct digest *digest, float *out_unit)
{
    if (batch->recent_max == 0)
        return false;
    lock_acquire(&batch->lock);
    const bool found = recent_find(batch->recent, digest, out_unit);
    lock_release(&batch->lock);
    if (found)
        batch_figures_add(&batch->figures, BATCH_RECENT_HITS, 1);
    return found;
}

bool batch_recall(struct batch *batch, struct embed_job *job)
{
    assert(job->out_unit != NULL);
    job->asked_us = batch->clock_us();
    if (batch->recent_max == 0)
        return false;
    const struct digest digest = digest_sha256(job->text.bytes, job->text.length);
    if (!find_recent(batch, &digest, job->out_unit))
        return false;
    job->tokens = 0;
    job->status = STATUS_OK;
    submit_to(batch, LANE_READY, job);
    return true;
}

static void remember(struct batch *batch, const struct digest *digest, const float *unit)
{
    if (batch->recent_max == 0)
        return;
    lock_acquire(&batch->lock);
    recent_insert(batch->recent, digest, unit);
    lock_release(&batch->lock);
}

void batch_finish(struct batch *batch, struct embed_job *job, enum status status)
{
    assert(job->done != NULL);
    if (status == STATUS_OK)
        batch_figures_took(&batch->figures, BATCH_REQUEST, job->asked_us, batch->clock_us());
    if (status == STATUS_OK && batch->recent_max > 0) {
        const struct digest digest = digest_sha256(job->text.bytes, job->text.length);
        remember(batch, &digest, job->out_unit);
    }
    job->tokens = 0;
    job->status = status;
    submit_to(batch, LANE_READY, job);
}

void batch_state(struct batch *batch, struct batch_state *out_state)
{
    const struct batch_figures *figures = &batch->figures;
    lock_acquire(&batch->lock);
    const uint32_t waiting = waiting_count(batch);
    lock_release(&batch->lock);
    *out_state = (struct batch_state){
        .waiting = waiting,
        .texts = batch_figures_read(figures, BATCH_TEXTS),
        .tokens = batch_figures_read(figures, BATCH_TOKENS),
        .packs = batch_figures_read(figures, BATCH_PACKS),
        .unknown = batch_figures_read(figures, BATCH_UNKNOWN),
        .twins = batch_figures_read(figures, BATCH_TWINS),
        .recent_hits = batch_figures_read(figures, BATCH_RECENT_HITS),
        .too_long = batch_figures_read(figures, BATCH_TOO_LONG),
        .wordless = batch_figures_read(figures, BATCH_WORDLESS),
        .overloaded = batch_figures_read(figures, BATCH_OVERLOADED),
        .late = batch_figures_read(figures, BATCH_LATE),
        .failed = batch_figures_read(figures, BATCH_FAILED),
    };
}

const struct batch_figures *batch_figures(const struct batch *batch)
{
    return &batch->figures;
}

/* ---- packs, on a compute thread -------------------------------------------------------------- */

static void call_ready(struct batch *batch)
{
    struct embed_job *job;
    for (int i = 0; i < READY_MAX && (job = take(batch, LANE_READY)) != NULL; i++)
        call_done(batch, job, job->status);
}

/* Whose turn it is; LANE_READY: nobody waits. */
static enum lane choose_lane(struct batch *batch)
{
    enum lane lane = LANE_READY;
    lock_acquire(&batch->lock);
    const bool interactive = batch->lanes[LANE_INTERACTIVE].count > 0;
    const bool bulk = batch->lanes[LANE_BULK].count > 0;
    if (bulk && (!interactive || batch->tokens_since_bulk >= batch->tokens_max)) {
        lane = LANE_BULK;
        batch->tokens_since_bulk = 0;
    } else if (interactive) {
        lane = LANE_INTERACTIVE;
    }
    lock_release(&batch->lock);
    return lane;
}

static const struct member *find_twin(const struct pump *pump, const struct digest *digest)
{
    for (uint32_t i = 0; i < pump->members_count; i++)
        if (digest_equal(&pump->members[i].digest, digest))
            return &pump->members[i];
    return NULL;
}

static void join(struct pump *pump, struct embed_job *job, const struct digest *digest,
                 uint32_t slot)
{
    assert(pump->members_count < pump->batch->texts_max);
    pump->members[pump->members_count++] =
        (struct member){.job = job, .slot = slot, .digest = *digest};
    pump->tokens_estimated += job->tokens;
    if (!job->bulk)
        batch_figures_took(&pump->batch->figures, BATCH_QUEUE, job->asked_us, pump->started_us);
}

/* Into the pack, or to its end at once. False: it does not fit. */
static bool add_job(struct pump *pump, struct embed_job *job, uint32_t tokens_max)
{
    struct batch *batch = pump->batch;
    const struct digest digest = digest_sha256(job->text.bytes, job->text.length);
    const struct member *twin = find_twin(pump, &digest);
    if (twin != NULL) {
        batch_figures_add(&batch->figures, BATCH_TWINS, 1);
        join(pump, job, &digest, twin->slot);
        return true;
    }
    if (find_recent(batch, &digest, job->out_unit)) { /* embedded while it waited */
        settle(batch, job, STATUS_OK);
        return true;
    }
    const bool is_empty = pump->slots_count == 0;
    const uint32_t room = tokens_max > pump->tokens ? tokens_max - pump->tokens : 0;
    struct batch_added added = {.tokens = 0};
    enum status status =
        batch->engine.add(pump->pack, job->text, is_empty ? UINT32_MAX : room, &added);
    if (status == STATUS_LIMIT_EXCEEDED && !is_empty)
        return false; /* it is added anew */
    batch_figures_add(&batch->figures, BATCH_UNKNOWN, added.unknown);
    if (status != STATUS_OK) {
        settle(batch, job, status);
        return true;
    }
    pump->tokens += added.tokens;
    join(pump, job, &digest, pump->slots_count++);
    return true;
}

static void fill_pack(struct pump *pump, enum lane lane)
{
    struct batch *batch = pump->batch;
    const bool small = lane == LANE_BULK && batch->tokens_max > BATCH_BULK_TOKENS;
    const uint32_t tokens_max = small ? BATCH_BULK_TOKENS : batch->tokens_max;
    struct embed_job *job;
    while (pump->members_count < batch->texts_max && pump->tokens < tokens_max &&
           (job = take(batch, lane)) != NULL) {
        if (job->deadline_us != 0 && job->deadline_us < batch->clock_us()) {
            settle(batch, job, STATUS_DEADLINE);
        } else if (!add_job(pump, job, tokens_max)) {
            put_back(batch, lane, job);
            return;
        }
    }
}

/* Tokens are released and the measure is taken before anybody is called. */
static void release_pack(struct pump *pump, enum lane lane, uint64_t took_us)
{
    struct batch *batch = pump->batch;
    assert(pump->tokens_estimated > 0);
    const double measured = (double)took_us / (double)pump->tokens_estimated;
    lock_acquire(&batch->lock);
    assert(batch->lanes[lane].tokens >= pump->tokens_estimated);
    batch->lanes[lane].tokens -= pump->tokens_estimated;
    if (lane == LANE_INTERACTIVE)
        batch->tokens_since_bulk += pump->tokens;
    if (batch->us_a_token > 0)
        batch->us_a_token += (measured - batch->us_a_token) / MEASURE_WEIGHT;
    else
        batch->us_a_token = measured;
    lock_release(&batch->lock);
    batch_figures_pack(&batch->figures, pump->tokens);
}

static void hand_out(struct pump *pump, enum status status)
{
    struct batch *batch = pump->batch;
    const size_t dimension = batch->engine.dimension;
    for (uint32_t i = 0; i < pump->members_count && status == STATUS_OK; i++) {
        const struct member *member = &pump->members[i];
        const float *unit = pump->units + member->slot * dimension;
        memcpy(member->job->out_unit, unit, dimension * sizeof(*unit));
        remember(batch, &member->digest, unit);
    }
    const uint32_t count = pump->members_count;
    pump->members_count = pump->slots_count = pump->tokens = 0;
    pump->tokens_estimated = 0;
    for (uint32_t i = 0; i < count; i++)
        call_done(batch, pump->members[i].job, status);
}

static void embed_pack(struct pump *pump)
{
    struct batch *batch = pump->batch;
    const enum lane lane = choose_lane(batch);
    if (lane == LANE_READY)
        return;
    assert(pump->members_count == 0);
    pump->started_us = batch->clock_us();
    fill_pack(pump, lane);
    lock_acquire(&batch->lock);
    struct pump *other = claim(batch); /* for what did not fit */
    lock_release(&batch->lock);
    send(batch, other);
    if (pump->members_count == 0)
        return;
    const uint64_t filled_us = batch->clock_us();
    const enum status status = batch->engine.run(pump->pack, pump->units);
    const uint64_t ended_us = batch->clock_us();
    batch_figures_took(&batch->figures, BATCH_TOKENISE, pump->started_us, filled_us);
    batch_figures_took(&batch->figures, BATCH_COMPUTE, filled_us, ended_us);
    release_pack(pump, lane, ended_us - pump->started_us);
    hand_out(pump, status);
}

/* Back into the pool's queue, or to rest. True: neither; the pool is full, and there is more to
 * do. */
static bool leave(struct pump *pump)
{
    struct batch *batch = pump->batch;
    lock_acquire(&batch->lock);
    assert(batch->pumps_running > 0);
    batch->pumps_running--;
    const bool is_over = waiting_count(batch) == 0 || batch->pumps_queued > 0;
    if (is_over)
        rest(batch, pump);
    else
        batch->pumps_queued++;
    lock_release(&batch->lock);
    return !is_over && pool_submit(batch->pool, &pump->job) != STATUS_OK;
}

static void pump_run(struct pool_job *job)
{
    struct pump *pump = (struct pump *)job; /* its first member */
    struct batch *batch = pump->batch;
    do {
        lock_acquire(&batch->lock);
        assert(batch->pumps_queued > 0);
        batch->pumps_queued--;
        batch->pumps_running++;
        lock_release(&batch->lock);
        call_ready(batch);
        embed_pack(pump);
    } while (leave(pump));
}
