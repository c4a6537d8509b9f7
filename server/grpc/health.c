/*
 * health.c - Check and Watch of the gRPC health checking protocol (doc/health-checking.md of the
 * gRPC project).
 *
 * A watcher is told the state at once, and each change after that. While a message is on its way
 * the next waits, and only the newest is sent: `told` is compared with the state when the message
 * has left. Whoever sets `busy` owns the sending side of the call; with neither `busy` nor `ended`
 * set nobody does. Batches start after the lock has been released.
 *
 * THREADS. I/O threads (watch, written, closed), main (changes, the end); lock WATCHERS guards list
 * and watchers.
 */
#include "server/grpc/health.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/lock.h"
#include "server/codec.h"
#include "server/grpc/reply.h"
#include "server/grpc/symbols.h"

enum serving {
    HEALTH_UNKNOWN,
    HEALTH_SERVING,
    HEALTH_NOT_SERVING,
    HEALTH_SERVICE_UNKNOWN,
    HEALTH_STATES
};
enum service { SERVICE_NONE, SERVICE_READINESS, SERVICE_LIVENESS };

struct watcher { /* in its call's arena */
    struct call *call;
    struct watcher *next, *previous, *due_next;
    enum service service;
    enum serving told;
    bool busy;  /* a message is on its way, or about to be */
    bool gone;  /* the caller is                           */
    bool ended; /* out of the list; the closing batch is on its way */
};

struct health {
    const struct symbols *symbols;
    struct arena *arena;
    struct text packed[HEALTH_STATES]; /* the four messages there are; constant after create */
    struct lock lock;
    bool serving GUARDED;
    bool ending GUARDED;
    struct watcher *watchers GUARDED;
};

static enum status pack_states(struct health *health)
{
    for (int state = 0; state < HEALTH_STATES; state++) {
        struct codec_reply reply;
        enum status status = codec_write_health(state, health->arena, &reply);
        if (status != STATUS_OK)
            return status;
        health->packed[state] = reply.head;
    }
    return STATUS_OK;
}

UNSHARED enum status health_create(const struct symbols *symbols, struct health **out_health)
{
    struct health *health = calloc(1, sizeof(*health));
    if (health == NULL)
        return STATUS_NO_MEMORY;
    health->symbols = symbols;
    lock_init(&health->lock, LOCK_RANK_WATCHERS);
    enum status status = arena_create(&health->arena);
    if (status == STATUS_OK)
        status = pack_states(health);
    if (status != STATUS_OK)
        health_destroy(&health);
    else
        *out_health = health;
    return status;
}

/* The mirror of health_create. Accepts a half-made one. */
UNSHARED void health_destroy(struct health **health)
{
    struct health *doomed = *health;
    if (doomed == NULL)
        return;
    *health = NULL;
    assert(doomed->watchers == NULL);
    arena_destroy(&doomed->arena);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- States ---- */

static enum service service_of(const struct health *health, struct text name)
{
    if (name.length == 0 || text_equal(name, TEXT("readiness")))
        return SERVICE_READINESS;
    if (text_equal(name, TEXT("liveness")))
        return SERVICE_LIVENESS;
    size_t count = 0;
    const struct text *services = symbols_services(health->symbols, &count);
    for (size_t i = 0; i < count; i++) {
        if (text_equal(name, services[i]))
            return SERVICE_READINESS;
    }
    return SERVICE_NONE;
}

static enum serving state_of(const struct health *health, enum service service)
    REQUIRES(health->lock)
{
    switch (service) {
    case SERVICE_NONE:
        return HEALTH_SERVICE_UNKNOWN;
    case SERVICE_LIVENESS:
        return HEALTH_SERVING;
    case SERVICE_READINESS:
        return health->serving ? HEALTH_SERVING : HEALTH_NOT_SERVING;
    }
    return HEALTH_UNKNOWN;
}

static enum status read_service(struct call *call, struct health *health, enum service *out_service,
                                struct failure *failure)
{
    struct text message, name;
    enum status status = call_short_message(call, &message, failure);
    if (status == STATUS_OK) {
        status = codec_read_health(message, call_door(call)->limits, call->arena, &name, failure);
    }
    if (status != STATUS_OK)
        return status;
    *out_service = service_of(health, name);
    return STATUS_OK;
}

/* ---- Check ---- */

void health_check(struct call *call)
{
    struct health *health = call_door(call)->health;
    struct failure failure = {.status = STATUS_OK};
    enum service service = SERVICE_NONE;
    enum status status = read_service(call, health, &service, &failure);
    if (status == STATUS_OK && service == SERVICE_NONE)
        status = failure_set(&failure, STATUS_NOT_FOUND, "service", "no service of this name");
    lock_acquire(&health->lock);
    enum serving state = state_of(health, service);
    lock_release(&health->lock);
    reply_outcome(call, status, &(struct codec_reply){.head = health->packed[state]}, &failure);
}

/* ---- Watch ---- */

static void unlink_watcher(struct health *health, struct watcher *watcher) REQUIRES(health->lock)
{
    assert(!watcher->ended);
    watcher->ended = true;
    if (watcher->previous != NULL) {
        watcher->previous->next = watcher->next;
    } else {
        assert(health->watchers == watcher);
        health->watchers = watcher->next;
    }
    if (watcher->next != NULL)
        watcher->next->previous = watcher->previous;
}

enum next_step { STEP_NONE, STEP_WRITE, STEP_CLOSE };

/* What the sending side does next, if it is free; claims it. */
static enum next_step claim(struct health *health, struct watcher *watcher) REQUIRES(health->lock)
{
    if (watcher->busy || watcher->ended)
        return STEP_NONE;
    if (watcher->gone || health->ending) {
        unlink_watcher(health, watcher);
        return STEP_CLOSE;
    }
    enum serving state = state_of(health, watcher->service);
    if (state == watcher->told)
        return STEP_NONE;
    watcher->told = state;
    watcher->busy = true;
    return STEP_WRITE;
}

/* After the release. The watcher may be gone when this returns. */
static void act(struct health *health, struct watcher *watcher, enum next_step step)
{
    if (step == STEP_WRITE)
        reply_write(watcher->call, health->packed[watcher->told]);
    else if (step == STEP_CLOSE)
        reply_close(watcher->call, GRPC_STATUS_CANCELLED, "shutting down");
}

void health_watch(struct call *call)
{
    struct health *health = call_door(call)->health;
    struct failure failure = {.status = STATUS_OK};
    enum service service = SERVICE_NONE;
    struct watcher *watcher = arena_calloc(call->arena, 1, sizeof(*watcher));
    enum status status =
        watcher != NULL ? read_service(call, health, &service, &failure) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        reply_outcome(call, status, NULL, &failure);
        return;
    }
    *watcher = (struct watcher){.call = call, .service = service, .told = HEALTH_UNKNOWN};
    lock_acquire(&health->lock);
    watcher->gone = atomic_load(&call->closed);
    watcher->next = health->watchers;
    if (watcher->next != NULL)
        watcher->next->previous = watcher;
    health->watchers = watcher;
    call->work = watcher; /* health_closed finds it from here on */
    enum next_step step = claim(health, watcher);
    lock_release(&health->lock);
    act(health, watcher, step);
}

void health_written(struct call *call, bool success)
{
    struct health *health = call_door(call)->health;
    struct watcher *watcher = call->work;
    lock_acquire(&health->lock);
    watcher->busy = false;
    watcher->gone = watcher->gone || !success;
    enum next_step step = claim(health, watcher);
    lock_release(&health->lock);
    act(health, watcher, step);
}

void health_closed(struct call *call)
{
    struct health *health = call_door(call)->health;
    enum next_step step = STEP_NONE;
    lock_acquire(&health->lock);
    struct watcher *watcher = call->work;
    if (watcher != NULL) {
        watcher->gone = true;
        step = claim(health, watcher);
    }
    lock_release(&health->lock);
    act(health, watcher, step);
}

/* ---- Changes ---- */

struct due {
    struct watcher *writes, *closings;
};

/* Claims every watcher that has something to do. A claimed one stays alive until its batch has
 * started. */
static struct due claim_all(struct health *health) REQUIRES(health->lock)
{
    struct due due = {NULL, NULL};
    struct watcher *next = NULL;
    for (struct watcher *watcher = health->watchers; watcher != NULL; watcher = next) {
        next = watcher->next;
        enum next_step step = claim(health, watcher);
        if (step == STEP_NONE)
            continue;
        struct watcher **list = step == STEP_WRITE ? &due.writes : &due.closings;
        watcher->due_next = *list;
        *list = watcher;
    }
    return due;
}

static void act_all(struct health *health, struct watcher *first, enum next_step step)
{
    while (first != NULL) {
        struct watcher *next = first->due_next;
        act(health, first, step);
        first = next;
    }
}

void health_set_serving(struct health *health, bool serving)
{
    lock_acquire(&health->lock);
    health->serving = serving;
    struct due due = claim_all(health);
    lock_release(&health->lock);
    act_all(health, due.writes, STEP_WRITE);
    act_all(health, due.closings, STEP_CLOSE);
}

void health_end_watches(struct health *health)
{
    lock_acquire(&health->lock);
    health->ending = true;
    struct due due = claim_all(health);
    lock_release(&health->lock);
    act_all(health, due.writes, STEP_WRITE);
    act_all(health, due.closings, STEP_CLOSE);
}
