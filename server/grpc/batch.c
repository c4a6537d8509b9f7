/*
 * batch.c - BatchGet and BatchSet: up to limits.batch items in one message, each with its own
 * outcome. BatchGet looks all its items up in the exact tier at once; what missed goes to the
 * embedder together, or to compute as one job where vectors are there already, and one reply leaves
 * when all are there. Owns nothing: everything lies in the call's arena. Threads: I/O, then
 * compute.
 */
#include "base/check.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "server/codec.h"
#include "server/grpc/acks.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/vectors.h"

enum item_state { ITEM_FAILED, ITEM_DONE, ITEM_OPEN, ITEM_EMBEDDED };

struct batch_get {
    struct codec_get_item *items;
    struct cache_get *gets;
    struct codec_get_result *results;
    uint8_t *states;         /* enum item_state                       */
    struct vectors *vectors; /* one an item; only those of EMBEDDED are used */
    size_t count, open_count, embedded_count;
    uint64_t last_us; /* items that are still open then become misses, so that the others arrive */
};

static uint32_t server_us(const struct call *call)
{
    return (uint32_t)(clock_monotonic_us() - call->arrived_us);
}

/* ---- BatchGet ---- */

static enum status read_gets(struct call *call, struct batch_get **out_batch,
                             struct failure *failure)
{
    struct text message;
    struct batch_get *batch = arena_calloc(call->arena, 1, sizeof(*batch));
    enum status status = batch != NULL ? call_message(call, &message) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        status = codec_read_batch_get(message, call_door(call)->limits, call->arena, &batch->items,
                                      &batch->count, failure);
    }
    if (status != STATUS_OK)
        return status;
    batch->gets = arena_alloc(call->arena, batch->count * sizeof(*batch->gets)); /* begin fills */
    batch->results = arena_calloc(call->arena, batch->count, sizeof(*batch->results));
    batch->states = arena_calloc(call->arena, batch->count, sizeof(*batch->states));
    if (batch->gets == NULL || batch->results == NULL || batch->states == NULL)
        return STATUS_NO_MEMORY;
    *out_batch = batch;
    return STATUS_OK;
}

static void item_done(struct batch_get *batch, size_t i)
{
    batch->states[i] = ITEM_DONE;
    batch->results[i].get = &batch->gets[i];
}

static void item_failed(struct batch_get *batch, size_t i, enum status status)
{
    struct failure *failure = &batch->items[i].failure;
    if (failure->status == STATUS_OK)
        (void)failure_set(failure, status, "", "%s", status_text(status));
    batch->states[i] = ITEM_FAILED;
    batch->results[i].failure = failure;
}

/* An item's time counts from the batch's arrival: it cannot be answered before the others. Only its
 * own steps, if it wants to see them, are worth a look at the clock. */
static uint64_t started_us(const struct call *call, const struct codec_get_item *item)
{
    const bool is_timed = (item->request.include & CACHE_INCLUDE_TIMING) != 0;
    return is_timed ? clock_monotonic_us() : call->arrived_us;
}

static void begin_item(struct call *call, struct batch_get *batch, size_t i, int64_t now_ms)
{
    struct codec_get_item *item = &batch->items[i];
    if (item->failure.status != STATUS_OK) {
        item_failed(batch, i, item->failure.status);
        return;
    }
    item->request.identity.tenant = door_tenant;
    enum cache_step step;
    enum status status =
        cache_get_begin(call_door(call)->cache, &item->request, call->arena, now_ms,
                        started_us(call, item), &batch->gets[i], &step, &item->failure);
    if (status != STATUS_OK) {
        item_failed(batch, i, status);
    } else if (step == CACHE_DONE) {
        item_done(batch, i);
    } else if (step == CACHE_NEEDS_VECTOR) {
        batch->states[i] = ITEM_EMBEDDED;
        batch->embedded_count++;
    } else {
        batch->states[i] = ITEM_OPEN;
        batch->open_count++;
    }
}

/* False: the call has been answered. */
static bool begin_gets(struct call *call)
{
    struct failure failure = {.status = STATUS_OK};
    struct batch_get *batch = NULL;
    enum status status = read_gets(call, &batch, &failure);
    if (status != STATUS_OK) {
        reply_outcome(call, status, NULL, &failure);
        return false;
    }
    call->work = batch;
    batch->last_us = call_last_us(call);
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < batch->count; i++)
        begin_item(call, batch, i, now_ms);
    return true;
}

static void release_gets(struct batch_get *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->states[i] != ITEM_FAILED)
            cache_get_release(&batch->gets[i]);
    }
}

static void answer_gets(struct call *call)
{
    struct batch_get *batch = call->work;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status =
        codec_write_batch_get(batch->results, batch->count, server_us(call), clock_wall_ms(),
                              call_door(call)->limits, call->arena, &reply);
    release_gets(batch);
    reply_outcome(call, status, &reply, &failure);
}

static enum status finish_get(struct call *call, struct batch_get *batch, size_t i)
{
    struct cache *cache = call_door(call)->cache;
    struct failure *failure = &batch->items[i].failure;
    if (batch->states[i] == ITEM_OPEN)
        return cache_get_finish(cache, &batch->gets[i], clock_wall_ms(), clock_monotonic_us(),
                                failure);
    const struct vector_wait *wait = &batch->vectors->waits[i];
    return cache_get_finish_embedded(cache, &batch->gets[i], wait->status, clock_wall_ms(),
                                     wait->done_us, failure);
}

static void finish_item(struct call *call, struct batch_get *batch, size_t i)
{
    enum status status = finish_get(call, batch, i);
    if (status == STATUS_OK) {
        item_done(batch, i);
        return;
    }
    cache_get_release(&batch->gets[i]);
    item_failed(batch, i, status);
}

/* What is not searched for. */
static void give_up_item(struct call *call, struct batch_get *batch, size_t i, bool as_miss)
{
    if (as_miss) {
        cache_get_overloaded(call_door(call)->cache, &batch->gets[i]);
        item_done(batch, i);
    } else {
        cache_get_release(&batch->gets[i]);
        item_failed(batch, i, STATUS_OVERLOADED);
    }
}

/* How the embedder ended with an item; OK: it has a vector, or was not there. */
static enum status embedded_status(const struct batch_get *batch, size_t i)
{
    return batch->states[i] == ITEM_EMBEDDED ? batch->vectors->waits[i].status : STATUS_OK;
}

/* An item without a vector is not searched for, so that it costs no time and needs no thread. */
static void finish_without_vector(struct call *call, struct batch_get *batch, size_t i)
{
    if (cache_is_overloaded(embedded_status(batch, i)))
        give_up_item(call, batch, i, call_door(call)->degrade);
    else
        finish_item(call, batch, i);
}

/* Once a call, for whatever number of its items. */
static void count_shed_as(struct call *call, enum status status, enum door_counter counter)
{
    const struct batch_get *batch = call->work;
    for (size_t i = 0; i < batch->count; i++) {
        if (embedded_status(batch, i) == status) {
            counters_add(call_door(call)->counters, counter, 1);
            return;
        }
    }
}

static bool is_unfinished(const struct batch_get *batch, size_t i)
{
    return batch->states[i] == ITEM_OPEN || batch->states[i] == ITEM_EMBEDDED;
}

static bool has_time(const struct batch_get *batch)
{
    return batch->last_us == 0 || clock_monotonic_us() < batch->last_us;
}

static void finish_gets(struct call *call)
{
    struct batch_get *batch = call->work;
    count_shed_as(call, STATUS_OVERLOADED, DOOR_SHED_QUEUE);
    count_shed_as(call, STATUS_DEADLINE, DOOR_SHED_LATE);
    for (size_t i = 0; i < batch->count; i++) {
        if (!is_unfinished(batch, i))
            continue;
        if (atomic_load(&call->closed)) {
            release_gets(batch);
            call_drop(call, call_remaining_ms(call) == 0 ? CALL_TOO_LATE : CALL_GONE);
            return;
        }
        if (embedded_status(batch, i) != STATUS_OK)
            finish_without_vector(call, batch, i);
        else if (has_time(batch))
            finish_item(call, batch, i);
        else
            give_up_item(call, batch, i, true);
    }
    answer_gets(call);
}

static void finish_gets_on_compute(struct pool_job *job)
{
    finish_gets(call_of_job(job));
}

/* ---- BatchGet, where it cannot or need not go to compute ---- */

static void answer_gets_without_compute(struct call *call)
{
    struct batch_get *batch = call->work;
    struct door *door = call_door(call);
    counters_add(door->counters, DOOR_SHED_QUEUE, 1);
    for (size_t i = 0; i < batch->count; i++) {
        if (embedded_status(batch, i) != STATUS_OK)
            finish_without_vector(call, batch, i);
        else if (is_unfinished(batch, i))
            give_up_item(call, batch, i, door->degrade);
    }
    answer_gets(call);
}

/* The last thing that is done here, but for what the embedder has refused by then. */
static void embed_gets(struct call *call)
{
    struct batch_get *batch = call->work;
    batch->vectors = vectors_create(call, batch->count, false, finish_gets_on_compute,
                                    answer_gets_without_compute);
    if (batch->vectors == NULL) {
        release_gets(batch);
        reply_status(call, STATUS_NO_MEMORY);
        return;
    }
    vectors_begin(batch->vectors);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->states[i] == ITEM_EMBEDDED)
            cache_get_embed(call_door(call)->cache, &batch->gets[i],
                            vectors_next(batch->vectors, i));
    }
    vectors_end(batch->vectors);
}

static void all_gets_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    if (!begin_gets(call))
        return;
    const struct batch_get *batch = call->work;
    if (batch->embedded_count > 0)
        embed_gets(call);
    else
        finish_gets(call);
}

void handle_batch_get(struct call *call)
{
    if (call_message_length(call) > HANDLER_INLINE_BYTES) {
        call_hand_off_or_refuse(call, all_gets_on_compute);
        return;
    }
    if (!begin_gets(call))
        return;
    const struct batch_get *batch = call->work;
    if (batch->embedded_count > 0)
        embed_gets(call);
    else if (batch->open_count == 0)
        answer_gets(call);
    else if (call_hand_off(call, finish_gets_on_compute) != STATUS_OK)
        answer_gets_without_compute(call);
}

/* ---- BatchSet ---- */

struct batch_set {
    struct codec_set_item *items;
    struct cache_set *sets; /* begun where the item's failure is OK */
    struct codec_set_result *results;
    struct vectors *vectors; /* one an item; NULL: nobody needs one */
    struct acks *acks;       /* one an item; NULL: nobody waits for the disk */
    size_t count, embedded_count, waiting_count;
};

static enum status read_sets(struct call *call, struct batch_set **out_batch,
                             struct failure *failure)
{
    struct text message;
    struct batch_set *batch = arena_calloc(call->arena, 1, sizeof(*batch));
    enum status status = batch != NULL ? call_message(call, &message) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        status = codec_read_batch_set(message, call_door(call)->limits, call->arena, &batch->items,
                                      &batch->count, failure);
    }
    if (status != STATUS_OK)
        return status;
    batch->sets = arena_calloc(call->arena, batch->count, sizeof(*batch->sets));
    batch->results = arena_calloc(call->arena, batch->count, sizeof(*batch->results));
    if (batch->sets == NULL || batch->results == NULL)
        return STATUS_NO_MEMORY;
    *out_batch = batch;
    return STATUS_OK;
}

static void end_set(struct batch_set *batch, size_t i, enum status status)
{
    struct failure *failure = &batch->items[i].failure;
    if (status == STATUS_OK) {
        batch->results[i].reply = &batch->sets[i].reply;
        return;
    }
    if (failure->status == STATUS_OK)
        (void)failure_set(failure, status, "", "%s", status_text(status));
    batch->results[i].failure = failure;
}

static void begin_set(struct call *call, struct batch_set *batch, size_t i, int64_t now_ms)
{
    struct codec_set_item *item = &batch->items[i];
    item->request.identity.tenant = door_tenant;
    enum status status = item->failure.status;
    if (status == STATUS_OK) {
        status = cache_set_begin(call_door(call)->cache, &item->request, call->arena, now_ms,
                                 &batch->sets[i], &item->failure);
    }
    if (status != STATUS_OK) {
        end_set(batch, i, status);
        return;
    }
    const struct cache_set *set = &batch->sets[i];
    batch->embedded_count += set->step == CACHE_NEEDS_VECTOR;
    batch->waiting_count += set->step != CACHE_DONE && set->ack > ACK_MEMORY;
}

static void finish_set(struct call *call, struct batch_set *batch, size_t i)
{
    struct cache_set *set = &batch->sets[i];
    if (batch->results[i].failure != NULL)
        return;
    enum status status = STATUS_OK;
    if (set->step != CACHE_DONE) {
        const bool embedded = set->step == CACHE_NEEDS_VECTOR;
        struct cache_waiter waiter = {acks_expect, acks_done, NULL};
        if (set->ack > ACK_MEMORY)
            waiter.context = &batch->acks->items[i];
        status = cache_set_finish(
            call_door(call)->cache, set, embedded ? batch->vectors->waits[i].status : STATUS_OK,
            clock_wall_ms(), waiter.context != NULL ? &waiter : NULL, &batch->items[i].failure);
    }
    end_set(batch, i, status);
}

/* In the order of the items: of two with one key the later stays. What is stored stays; the rest of
 * a caller who left is not stored, and who it was for is told when the call goes on. */
static void finish_sets(struct call *call)
{
    struct batch_set *batch = call->work;
    for (size_t i = 0; i < batch->count && call_fate(call) == CALL_WANTED; i++)
        finish_set(call, batch, i);
}

static void answer_sets(struct call *call)
{
    struct batch_set *batch = call->work;
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status =
        codec_write_batch_set(batch->results, batch->count, server_us(call), call->arena, &reply);
    reply_outcome(call, status, &reply, &failure);
}

static void finish_sets_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    const struct batch_set *batch = call->work;
    if (batch->acks == NULL) {
        finish_sets(call);
        answer_sets(call);
        return;
    }
    struct acks *acks = batch->acks;
    acks_begin(acks);
    finish_sets(call);
    acks_end(acks);
}

static void settle_acks(struct batch_set *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->results[i].failure == NULL)
            end_set(batch, i, ack_outcome(&batch->acks->items[i], &batch->items[i].failure));
    }
}

void batch_set_woken(struct call *call)
{
    settle_acks(call->work);
    answer_sets(call);
}

static void refuse_sets(struct call *call)
{
    counters_add(call_door(call)->counters, DOOR_SHED_QUEUE, 1);
    reply_overloaded(call);
}

static enum status begin_sets(struct call *call, struct failure *failure)
{
    struct batch_set *batch = NULL;
    enum status status = read_sets(call, &batch, failure);
    if (status != STATUS_OK)
        return status;
    call->work = batch;
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < batch->count; i++)
        begin_set(call, batch, i, now_ms);
    if (batch->embedded_count > 0)
        batch->vectors =
            vectors_create(call, batch->count, true, finish_sets_on_compute, refuse_sets);
    if (batch->waiting_count > 0)
        batch->acks = acks_create(call, batch->count);
    const bool has_room = (batch->embedded_count == 0 || batch->vectors != NULL) &&
                          (batch->waiting_count == 0 || batch->acks != NULL);
    return has_room ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Nobody waits for one of them in particular: others' texts go first. */
static void embed_sets(struct call *call)
{
    struct batch_set *batch = call->work;
    vectors_begin(batch->vectors);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->results[i].failure == NULL && batch->sets[i].step == CACHE_NEEDS_VECTOR)
            cache_set_embed(call_door(call)->cache, &batch->sets[i],
                            vectors_next(batch->vectors, i));
    }
    vectors_end(batch->vectors);
}

static void sets_on_compute(struct pool_job *job)
{
    struct call *call = call_of_job(job);
    enum call_fate fate = call_fate(call);
    if (fate != CALL_WANTED) {
        call_drop(call, fate);
        return;
    }
    struct failure failure = {.status = STATUS_OK};
    enum status status = begin_sets(call, &failure);
    const struct batch_set *batch = call->work;
    if (status != STATUS_OK)
        reply_outcome(call, status, NULL, &failure);
    else if (batch->embedded_count > 0)
        embed_sets(call);
    else
        finish_sets_on_compute(job);
}

void handle_batch_set(struct call *call)
{
    call_hand_off_or_refuse(call, sets_on_compute);
}
