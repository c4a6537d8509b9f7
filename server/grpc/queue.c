/*
 * queue.c - slots and arenas of one completion queue: made in slabs, kept in free lists, posted to
 * the acceptors.
 *
 * A slot that has arrived is replaced at its acceptor before anybody looks at the call. When no
 * slot may be made any more the acceptor is owed one, and the next call that ends pays. An arena is
 * taken on arrival, not with the slot: what is posted is `struct call` alone.
 *
 * Every slot is in one of three places: the free list, `calls_posted`, `calls_out`. It goes from
 * one to the next under one lock, so that the drain never sees a moment in which it is nowhere: a
 * slot whose arrival has not been handled yet still posts its replacement to the server.
 *
 * A call is in one list at most, through next and previous: idle, reading or sending. In `sending`
 * its `rpc` stays valid while the lock is held, because queue_done takes it out under the lock.
 *
 * THREADS. The two I/O threads of the queue take and give; the keeper cancels slow callers; main
 * creates, drains and destroys. Owns slots, arenas and the completion queue.
 */
#include "server/grpc/queue.h"

#include <grpc/byte_buffer.h>
#include <stdlib.h>

#include "base/check.h"
#include "server/grpc/methods.h"

/*
 * Few on purpose. A slot is replaced before its call is looked at, so an acceptor without slots
 * holds calls in the core only until the events before them have been taken; limits are decided
 * here either way. And each posted slot costs: Debian's libgrpc is built with its checks on and
 * looks for every event's tag among all that are outstanding, one by one. Exact hit, CPU a call
 * against the echo server's, median of 9 rounds (2-core Zen 4, 4 connections x 64 streams): 2,048
 * slots a queue 1.34, 512: 1.22, 256: 1.19, 128: 1.16, 64: 1.17, 32: 1.21.
 */
const uint32_t queue_posted[SLOT_KINDS] = {
    [SLOT_GET] = 128,      [SLOT_SET] = 32,     [SLOT_BATCH_GET] = 32,
    [SLOT_BATCH_SET] = 32, [SLOT_GENERIC] = 32,
};

enum { CANCELLED_AT_ONCE = 64 };

struct call_slab {
    struct call_slab *next;
    struct call calls[QUEUE_SLAB_CALLS];
};

UNSHARED enum status queue_create(struct door *door, uint32_t calls_max, struct queue **out_queue)
{
    struct queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL)
        return STATUS_NO_MEMORY;
    queue->door = door;
    queue->calls_max = calls_max;
    lock_init(&queue->lock, LOCK_RANK_CALLS);
    queue->events = grpc_completion_queue_create_for_next(NULL);
    *out_queue = queue;
    return STATUS_OK;
}

void queue_set_calls_max(struct queue *queue, uint32_t calls_max)
{
    lock_acquire(&queue->lock);
    queue->calls_max = calls_max;
    lock_release(&queue->lock);
}

void queue_shutdown(struct queue *queue)
{
    grpc_completion_queue_shutdown(queue->events);
}

static void free_slabs(struct call_slab *slab)
{
    while (slab != NULL) {
        struct call_slab *next = slab->next;
        for (size_t i = 0; i < QUEUE_SLAB_CALLS; i++)
            call_deinit(&slab->calls[i]);
        free(slab);
        slab = next;
    }
}

/* The mirror of queue_create; queue_shutdown came before. */
UNSHARED void queue_destroy(struct queue **queue)
{
    struct queue *doomed = *queue;
    if (doomed == NULL)
        return;
    *queue = NULL;
    assert(doomed->calls_out == 0);
    assert(doomed->calls_posted == 0);
    assert(doomed->reading == NULL);
    assert(doomed->sending == NULL);
    grpc_completion_queue_destroy(doomed->events);
    free_slabs(doomed->slabs);
    for (uint32_t i = 0; i < doomed->arenas_count; i++)
        arena_destroy(&doomed->arenas[i]);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- Slots ---- */

static void grow(struct queue *queue) REQUIRES(queue->lock)
{
    if (queue->calls_count + QUEUE_SLAB_CALLS > queue->calls_max)
        return;
    struct call_slab *slab = calloc(1, sizeof(*slab));
    if (slab == NULL)
        return;
    slab->next = queue->slabs;
    queue->slabs = slab;
    queue->calls_count += QUEUE_SLAB_CALLS;
    for (size_t i = 0; i < QUEUE_SLAB_CALLS; i++) {
        call_init(&slab->calls[i], queue);
        slab->calls[i].next = queue->idle;
        queue->idle = &slab->calls[i];
    }
}

static struct call *pop(struct queue *queue) REQUIRES(queue->lock)
{
    if (queue->idle == NULL)
        grow(queue);
    struct call *call = queue->idle;
    if (call != NULL) {
        queue->idle = call->next;
        call->next = NULL;
    }
    return call;
}

static void push(struct queue *queue, struct call *call) REQUIRES(queue->lock)
{
    assert(call->queue == queue);
    assert(call->rpc == NULL);
    call->next = queue->idle;
    queue->idle = call;
}

/* For an acceptor: counted as posted from here on. */
static struct call *pop_to_post(struct queue *queue) REQUIRES(queue->lock)
{
    struct call *call = pop(queue);
    queue->calls_posted += call != NULL;
    return call;
}

static void count_unposted(struct queue *queue) REQUIRES(queue->lock)
{
    assert(queue->calls_posted > 0);
    queue->calls_posted--;
}

static void post(struct queue *queue, struct call *call, enum slot_kind kind)
{
    struct door *door = queue->door;
    call->kind = (uint8_t)kind;
    struct call_tag *tag = &call->tags[CALL_ARRIVED];
    grpc_call_error error;
    if (kind == SLOT_GENERIC) {
        error = grpc_server_request_call(door->server, &call->rpc, &call->details, &call->metadata,
                                         queue->events, queue->events, tag);
    } else {
        error = grpc_server_request_registered_call(
            door->server, door->registered[kind], &call->rpc, &call->details.deadline,
            &call->metadata, &call->message, queue->events, queue->events, tag);
    }
    assert(error == GRPC_CALL_OK);
}

bool queue_post_all(struct queue *queue)
{
    for (enum slot_kind kind = 0; kind < SLOT_KINDS; kind++) {
        for (uint32_t i = 0; i < queue_posted[kind]; i++) {
            lock_acquire(&queue->lock);
            struct call *call = pop_to_post(queue);
            lock_release(&queue->lock);
            if (call == NULL)
                return false;
            post(queue, call, kind);
        }
    }
    return true;
}

/* ---- Arenas ---- */

static struct arena *pop_arena(struct queue *queue) REQUIRES(queue->lock)
{
    return queue->arenas_count > 0 ? queue->arenas[--queue->arenas_count] : NULL;
}

static struct arena *new_arena(void)
{
    struct arena *arena = NULL;
    return arena_create(&arena) == STATUS_OK ? arena : NULL;
}

struct arena *queue_take_arena(struct queue *queue)
{
    lock_acquire(&queue->lock);
    struct arena *arena = pop_arena(queue);
    lock_release(&queue->lock);
    return arena != NULL ? arena : new_arena();
}

struct arena *queue_arrived(struct queue *queue, enum slot_kind kind, bool wants_arena)
{
    lock_acquire(&queue->lock);
    count_unposted(queue);
    queue->calls_out++;
    struct arena *arena = wants_arena ? pop_arena(queue) : NULL;
    struct call *spare = pop_to_post(queue);
    if (spare == NULL)
        queue->owed[kind]++;
    lock_release(&queue->lock);
    if (spare != NULL)
        post(queue, spare, kind);
    return arena != NULL || !wants_arena ? arena : new_arena();
}

/* What is NULL or has been kept needs no destroying. */
static struct arena *push_arena(struct queue *queue, struct arena *arena) REQUIRES(queue->lock)
{
    if (arena == NULL || queue->arenas_count == QUEUE_ARENAS_IDLE)
        return arena;
    queue->arenas[queue->arenas_count++] = arena;
    return NULL;
}

void queue_put_arena(struct queue *queue, struct arena *arena)
{
    arena_reset(arena);
    lock_acquire(&queue->lock);
    arena = push_arena(queue, arena);
    lock_release(&queue->lock);
    arena_destroy(&arena);
}

/* ---- The lists of calls that wait for their caller ---- */

static void link_call(struct call **list, struct call *call)
{
    call->waits_since_ms = 0;
    call->previous = NULL;
    call->next = *list;
    if (call->next != NULL)
        call->next->previous = call;
    *list = call;
}

static void unlink_call(struct call **list, struct call *call)
{
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        assert(*list == call);
        *list = call->next;
    }
    if (call->next != NULL)
        call->next->previous = call->previous;
    call->next = call->previous = NULL;
}

bool queue_reading_begin(struct queue *queue, struct call *call)
{
    lock_acquire(&queue->lock);
    bool ending =
        call->stream && !call->method->finishes && atomic_load(&queue->door->stage) == DOOR_ENDING;
    if (!ending)
        link_call(&queue->reading, call);
    lock_release(&queue->lock);
    return !ending;
}

void queue_reading_end(struct queue *queue, struct call *call)
{
    lock_acquire(&queue->lock);
    unlink_call(&queue->reading, call);
    lock_release(&queue->lock);
}

void queue_sending_begin(struct queue *queue, struct call *call, struct arena *arena)
{
    if (arena != NULL)
        arena_reset(arena);
    lock_acquire(&queue->lock);
    assert(!call->sending);
    call->sending = true;
    link_call(&queue->sending, call);
    arena = push_arena(queue, arena);
    lock_release(&queue->lock);
    arena_destroy(&arena);
}

static void end_sending(struct queue *queue, struct call *call) REQUIRES(queue->lock)
{
    assert(call->sending);
    call->sending = false;
    unlink_call(&queue->sending, call);
}

void queue_sending_end(struct queue *queue, struct call *call)
{
    lock_acquire(&queue->lock);
    end_sending(queue, call);
    lock_release(&queue->lock);
}

/* ---- The way back ---- */

void queue_put_away(struct queue *queue, struct call *call)
{
    lock_acquire(&queue->lock);
    count_unposted(queue);
    push(queue, call);
    lock_release(&queue->lock);
}

/* Leaves the slot as call_init made it, but for what the core may reuse and for its rpc, which the
 * keeper may be about to cancel. */
static void clean(struct call *call)
{
    if (call->message != NULL)
        grpc_byte_buffer_destroy(call->message);
    if (call->reply != NULL)
        grpc_byte_buffer_destroy(call->reply);
    call->message = call->reply = NULL;
    call->metadata.count = 0; /* its elements belonged to the call */
    if (call->kind == SLOT_GENERIC) {
        grpc_call_details_destroy(&call->details);
        grpc_call_details_init(&call->details);
    }
    struct door *door = call_door(call);
    if (call->inside)
        door_leave(door);
    if (call->stream)
        door_leave_stream(door);
    call->method = NULL;
    call->work = NULL;
    atomic_store(&call->watched, NULL);
    call->cancelled = 0;
    atomic_store(&call->closed, false);
    call->closing_expected = call->headers_sent = call->inside = call->stream = false;
}

static struct call *pop_for_debt(struct queue *queue, enum slot_kind *out_kind)
    REQUIRES(queue->lock)
{
    for (enum slot_kind kind = 0; kind < SLOT_KINDS; kind++) {
        if (queue->owed[kind] > 0) {
            queue->owed[kind]--;
            *out_kind = kind;
            return pop_to_post(queue);
        }
    }
    return NULL;
}

static void count_back(struct queue *queue) REQUIRES(queue->lock)
{
    assert(queue->calls_out > 0);
    queue->calls_out--;
}

void queue_done(struct queue *queue, struct call *call)
{
    if (call->arena != NULL)
        queue_put_arena(queue, call->arena);
    call->arena = NULL;
    clean(call);
    enum slot_kind kind = SLOT_GENERIC;
    lock_acquire(&queue->lock);
    grpc_call *rpc = call->rpc;
    end_sending(queue, call);
    call->rpc = NULL;
    push(queue, call);
    struct call *spare = pop_for_debt(queue, &kind);
    if (spare == NULL)
        count_back(queue);
    lock_release(&queue->lock);
    grpc_call_unref(rpc);
    if (spare != NULL) {
        post(queue, spare, kind);
        lock_acquire(&queue->lock);
        count_back(queue); /* last: whoever sees 0 may take the server away */
        lock_release(&queue->lock);
    }
}

uint32_t queue_slots_away(struct queue *queue)
{
    lock_acquire(&queue->lock);
    uint32_t away = queue->calls_posted + queue->calls_out;
    lock_release(&queue->lock);
    return away;
}

uint32_t queue_calls_out(struct queue *queue)
{
    lock_acquire(&queue->lock);
    uint32_t calls_out = queue->calls_out;
    lock_release(&queue->lock);
    return calls_out;
}

/* ---- Slow callers ---- */

struct overdue {
    grpc_call *rpcs[CANCELLED_AT_ONCE]; /* a reference of ours each */
    size_t count;
};

static void add_overdue(struct overdue *overdue, struct call *call)
{
    grpc_call_ref(call->rpc);
    overdue->rpcs[overdue->count++] = call->rpc;
}

static void cancel(const struct overdue *overdue, grpc_status_code code, const char *text)
{
    for (size_t i = 0; i < overdue->count; i++) {
        (void)grpc_call_cancel_with_status(overdue->rpcs[i], code, text, NULL);
        grpc_call_unref(overdue->rpcs[i]);
    }
}

enum side { SIDE_READING, SIDE_SENDING };

/* A stream may be silent for as long as its method allows; what it is sent, it has to take. */
static int64_t timeout_of(const struct door *door, const struct call *call, enum side side)
{
    if (side == SIDE_SENDING)
        return door->send_timeout_ms;
    if (!call->stream)
        return door->read_timeout_ms;
    return call->method->finishes ? door->stream_timeout_ms : INT64_MAX;
}

static void find_overdue(const struct door *door, struct call *list, enum side side, int64_t now_ms,
                         struct overdue *overdue)
{
    for (struct call *call = list; call != NULL && overdue->count < CANCELLED_AT_ONCE;
         call = call->next) {
        const int64_t timeout_ms = timeout_of(door, call, side);
        if (timeout_ms == INT64_MAX)
            continue;
        if (call->waits_since_ms == 0)
            call->waits_since_ms = now_ms;
        else if (now_ms - call->waits_since_ms >= timeout_ms) {
            call->waits_since_ms = now_ms; /* cancelled; not twice a tick later */
            add_overdue(overdue, call);
        }
    }
}

static void cancel_slow_readers(struct queue *queue, int64_t now_ms)
{
    struct overdue overdue = {.count = 0};
    lock_acquire(&queue->lock);
    find_overdue(queue->door, queue->reading, SIDE_READING, now_ms, &overdue);
    lock_release(&queue->lock);
    counters_add(queue->door->counters, DOOR_READ_TIMEOUTS, overdue.count);
    cancel(&overdue, GRPC_STATUS_DEADLINE_EXCEEDED,
           "no complete message came within server.read_timeout, or server.stream_timeout");
}

static void cancel_slow_takers(struct queue *queue, int64_t now_ms)
{
    struct overdue overdue = {.count = 0};
    lock_acquire(&queue->lock);
    find_overdue(queue->door, queue->sending, SIDE_SENDING, now_ms, &overdue);
    lock_release(&queue->lock);
    counters_add(queue->door->counters, DOOR_SEND_TIMEOUTS, overdue.count);
    cancel(&overdue, GRPC_STATUS_DEADLINE_EXCEEDED,
           "the reply was not taken within server.send_timeout");
}

void queue_cancel_slow(struct queue *queue, int64_t now_ms)
{
    cancel_slow_readers(queue, now_ms);
    cancel_slow_takers(queue, now_ms);
}

void queue_cancel_streams(struct queue *queue)
{
    struct overdue overdue;
    do {
        overdue.count = 0;
        lock_acquire(&queue->lock);
        for (struct call *call = queue->reading; call != NULL && overdue.count < CANCELLED_AT_ONCE;
             call = call->next) {
            if (call->stream && !call->method->finishes && call->waits_since_ms == 0) {
                call->waits_since_ms = 1; /* seen: the next round begins behind it */
                add_overdue(&overdue, call);
            }
        }
        lock_release(&queue->lock);
        cancel(&overdue, GRPC_STATUS_UNAVAILABLE, "shutting down");
    } while (overdue.count == CANCELLED_AT_ONCE);
}
