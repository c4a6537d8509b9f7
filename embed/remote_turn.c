/*
 * remote_turn.c - what a remote embedder does at each turn of the thread "remote": who waits, what
 * is sent when. A job goes from the inbox to one of two queues and from there, as soon as a flight
 * is free, with all that wait beside it into one request. It never waits for company. A job whose
 * deadline passes is done at once; its request goes on without it, and how that ends still tells
 * about the server. Threads: "remote". NOT HERE. Handing in (remote.c); what a reply means
 * (remote_flight.c).
 */
#include "base/check.h"
#include "embed/remote_inside.h"

enum { QUEUE_INTERACTIVE, QUEUE_BULK, QUEUES_COUNT };

static void finish(struct remote *remote, struct job_list *jobs, enum status status,
                   enum remote_error error)
{
    uint32_t count = job_list_finish(jobs, status);
    (void)atomic_fetch_add(&remote->tally.errors[error], count);
}

static void leave_queue(struct remote *remote, uint32_t count)
{
    uint32_t before = atomic_fetch_sub(&remote->waiting, count);
    assert(before >= count);
}

static void finish_queues(struct remote *remote, enum status status, enum remote_error error)
{
    for (int i = 0; i < QUEUES_COUNT; i++) {
        uint32_t count = job_list_finish(&remote->queues[i], status);
        leave_queue(remote, count);
        (void)atomic_fetch_add(&remote->tally.errors[error], count);
    }
}

void remote_put_back(struct remote *remote, struct job_list *jobs, bool is_bulk)
{
    for (const struct embed_job *job = jobs->first; job != NULL; job = job->next)
        (void)atomic_fetch_add(&remote->waiting, 1);
    job_list_put_in_front(&remote->queues[is_bulk ? QUEUE_BULK : QUEUE_INTERACTIVE], jobs);
}

void remote_keep_quiet(struct remote *remote, uint64_t until_us)
{
    uint64_t latest_us = remote->settings.clock_us() + REMOTE_REST_MAX_US;
    until_us = until_us < latest_us ? until_us : latest_us;
    if (until_us <= remote->quiet_until_us)
        return;
    remote->quiet_until_us = until_us;
    struct job_list hopeless = {NULL, NULL};
    uint64_t first_us = UINT64_MAX;
    for (int i = 0; i < QUEUES_COUNT; i++)
        leave_queue(remote, job_list_expire(&remote->queues[i], until_us, &hopeless, &first_us));
    finish(remote, &hopeless, STATUS_DEADLINE, REMOTE_ERROR_LATE);
}

static void take_in(struct remote *remote, struct embed_job *job, uint64_t now_us)
{
    struct job_list late = {NULL, NULL};
    const uint64_t soonest_us = now_us > remote->quiet_until_us ? now_us : remote->quiet_until_us;
    if (job->deadline_us == 0 || job->deadline_us > soonest_us) {
        if (job->deadline_us != 0 && job->deadline_us < remote->deadline_us)
            remote->deadline_us = job->deadline_us;
        job_list_append(&remote->queues[job->bulk ? QUEUE_BULK : QUEUE_INTERACTIVE], job);
        return;
    }
    leave_queue(remote, 1);
    job_list_append(&late, job);
    finish(remote, &late, STATUS_DEADLINE, REMOTE_ERROR_LATE);
}

static void take_inbox(struct remote *remote, uint64_t now_us)
{
    lock_acquire(&remote->lock);
    struct job_list inbox = remote->inbox, overflow = remote->overflow;
    remote->inbox = remote->overflow = (struct job_list){NULL, NULL};
    lock_release(&remote->lock);
    finish(remote, &overflow, STATUS_OVERLOADED, REMOTE_ERROR_FULL);
    struct embed_job *job = NULL;
    while ((job = job_list_take(&inbox)) != NULL)
        take_in(remote, job, now_us);
}

static void end_late(struct remote *remote, uint64_t now_us)
{
    if (now_us < remote->deadline_us)
        return;
    struct job_list late = {NULL, NULL};
    uint64_t first_us = UINT64_MAX;
    for (int i = 0; i < QUEUES_COUNT; i++)
        leave_queue(remote, job_list_expire(&remote->queues[i], now_us, &late, &first_us));
    for (uint32_t i = 0; i < remote->settings.flights_max; i++)
        (void)pack_expire(&remote->flights[i].pack, now_us, &late, &first_us);
    remote->deadline_us = first_us;
    finish(remote, &late, STATUS_DEADLINE, REMOTE_ERROR_LATE);
}

/* Everything under way comes back cancelled, and everybody who waits is told. */
static void give_all_up(struct remote *remote)
{
    for (uint32_t i = 0; i < remote->settings.flights_max; i++) {
        struct flight *flight = &remote->flights[i];
        if (flight->state == FLIGHT_SENT)
            outgoing_cancel(remote->outgoing, &flight->request);
        else
            flight_end(flight, STATUS_DRAINING);
        assert(flight->state == FLIGHT_FREE);
    }
    if (remote->canary.state == FLIGHT_SENT)
        outgoing_cancel(remote->outgoing, &remote->canary.request);
    remote->canary.state = FLIGHT_FREE;
    for (int i = 0; i < QUEUES_COUNT; i++)
        leave_queue(remote, job_list_finish(&remote->queues[i], STATUS_DRAINING));
}

/* ---- The turn ---- */

static void send_canary(struct remote *remote, uint64_t now_us)
{
    if (remote->canary.state != FLIGHT_FREE || now_us < remote->quiet_until_us)
        return;
    bool is_probe = breaker_take_probe(&remote->breaker, now_us);
    if (is_probe || now_us >= remote->canary_at_us)
        flight_begin(&remote->canary);
}

static void resume(struct remote *remote, struct flight *flight, uint64_t now_us)
{
    if (flight->state != FLIGHT_RESTING || flight->due_us > now_us)
        return;
    if (now_us < remote->quiet_until_us)
        flight->due_us = remote->quiet_until_us;
    else
        flight_resume(flight);
}

static void resume_all(struct remote *remote, uint64_t now_us)
{
    resume(remote, &remote->canary, now_us);
    for (uint32_t i = 0; i < remote->settings.flights_max; i++)
        resume(remote, &remote->flights[i], now_us);
}

/* Open: nobody waits for what will not come. */
static void fail_all(struct remote *remote)
{
    finish_queues(remote, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_DOWN);
    for (uint32_t i = 0; i < remote->settings.flights_max; i++) {
        if (remote->flights[i].state == FLIGHT_RESTING)
            flight_end(&remote->flights[i], STATUS_EMBEDDER_DOWN);
    }
}

static bool may_send_bulk(const struct remote *remote)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < remote->settings.flights_max; i++)
        busy += remote->flights[i].state != FLIGHT_FREE && remote->flights[i].is_bulk;
    return busy < (remote->settings.flights_max + 1) / 2;
}

/* False if nothing is to be sent. */
static bool send_next(struct remote *remote, struct flight *flight)
{
    flight->is_bulk = remote->queues[QUEUE_INTERACTIVE].first == NULL;
    struct job_list *queue = &remote->queues[flight->is_bulk ? QUEUE_BULK : QUEUE_INTERACTIVE];
    if (queue->first == NULL || (flight->is_bulk && !may_send_bulk(remote)))
        return false;
    leave_queue(remote, pack_fill(&flight->pack, queue, remote->batch_now));
    flight_begin(flight);
    return true;
}

/* A flight that could not even begin is free at once, and its jobs are done. */
static void dispatch(struct remote *remote)
{
    bool is_more = true;
    for (uint32_t i = 0; i < remote->settings.flights_max && is_more; i++) {
        while (remote->flights[i].state == FLIGHT_FREE && is_more)
            is_more = send_next(remote, &remote->flights[i]);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t due_us(const struct remote *remote, uint64_t now_us)
{
    uint64_t due = remote->deadline_us;
    uint64_t quiet = remote->quiet_until_us;
    if (remote->canary.state == FLIGHT_FREE) {
        uint64_t canary = earlier(remote->canary_at_us, breaker_due_us(&remote->breaker));
        due = earlier(due, canary > quiet ? canary : quiet);
    }
    bool has_waiting = remote->queues[0].first != NULL || remote->queues[1].first != NULL;
    if (has_waiting && quiet > now_us)
        due = earlier(due, quiet);
    for (uint32_t i = 0; i < remote->settings.flights_max; i++) {
        if (remote->flights[i].state == FLIGHT_RESTING)
            due = earlier(due, remote->flights[i].due_us);
    }
    return remote->canary.state == FLIGHT_RESTING ? earlier(due, remote->canary.due_us) : due;
}

static void publish(struct remote *remote)
{
    uint32_t flying = remote->canary.state == FLIGHT_SENT;
    uint32_t resting = remote->canary.state == FLIGHT_RESTING;
    for (uint32_t i = 0; i < remote->settings.flights_max; i++) {
        flying += remote->flights[i].state == FLIGHT_SENT;
        resting += remote->flights[i].state == FLIGHT_RESTING;
    }
    atomic_store(&remote->tally.resting, resting);
    atomic_store(&remote->tally.flying, flying);
}

uint64_t remote_run(struct outgoing_guest *guest, uint64_t now_us)
{
    struct remote *remote = (struct remote *)guest;
    take_inbox(remote, now_us);
    if (atomic_load(&remote->stop)) {
        give_all_up(remote);
        publish(remote);
        return UINT64_MAX;
    }
    end_late(remote, now_us);
    send_canary(remote, now_us);
    if (remote->breaker.is_open)
        fail_all(remote);
    resume_all(remote, now_us);
    if (now_us >= remote->quiet_until_us)
        dispatch(remote);
    publish(remote);
    return due_us(remote, now_us);
}

void remote_leave(struct outgoing_guest *guest)
{
    struct remote *remote = (struct remote *)guest;
    take_inbox(remote, 0);
    give_all_up(remote);
    assert(atomic_load(&remote->waiting) == 0);
}
