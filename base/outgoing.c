/*
 * outgoing.c - HTTP that goes out, by libcurl's multi interface on one thread.
 * Owns the thread "remote", a fixed table of transfers and libcurl's pool of connections. A turn of
 * the thread: take what was handed in, give free transfers to waiting requests, end what is late,
 * let libcurl work, run the guests, wait.
 *
 * TIME. Every deadline is ours, measured by the clock that was handed in: libcurl's own time limits
 * are off, so a test that turns the clock sees exactly what a slow server causes.
 * THREADS. Lists of what is handed in are under LOCK_RANK_OUTGOING; all else belongs to the thread.
 * NOT HERE. How one request is told to libcurl (outgoing_transfer.c), retries (who asks knows
 * whether twice is harmless), JSON, secrets in files.
 */
#include "base/outgoing.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/lock.h"
#include "base/outgoing_transfer.h"
#include "base/thread.h"

enum {
    TRANSFERS_MAX = 1024,
    IDLE_WAIT_MS = 60000, /* a wake ends any wait; this only bounds what libcurl may sleep */
};

/* A guest that wants to leave; lies on the stack of who waits for it. */
struct departure {
    struct outgoing_guest *guest;
    sem_t is_gone;
    struct departure *next;
};

struct outgoing {
    struct outgoing_settings settings;
    CURLM *multi;
    struct thread *thread;
    struct lock lock;
    struct outgoing_request *handed_first GUARDED, *handed_last GUARDED;
    struct outgoing_guest *arrivals GUARDED;
    struct departure *departures GUARDED;
    atomic_bool is_stopping;
    /* the thread's */
    struct outgoing_request *waiting_first, *waiting_last; /* for a free transfer */
    struct outgoing_guest *guests;
    struct transfer *transfers;
};

static void request_finish(struct outgoing_request *request, enum status status, const char *why)
{
    request->status = status;
    request->why = why;
    request->done(request);
}

static void transfer_end(struct outgoing *outgoing, struct transfer *transfer, enum status status,
                         const char *why)
{
    request_finish(transfer_abort(transfer, outgoing->multi), status, why);
}

static void take_handed_in(struct outgoing *outgoing)
{
    lock_acquire(&outgoing->lock);
    if (outgoing->handed_first != NULL) {
        if (outgoing->waiting_first == NULL)
            outgoing->waiting_first = outgoing->handed_first;
        else
            outgoing->waiting_last->next = outgoing->handed_first;
        outgoing->waiting_last = outgoing->handed_last;
        outgoing->handed_first = outgoing->handed_last = NULL;
    }
    struct outgoing_guest *arrived = outgoing->arrivals;
    outgoing->arrivals = NULL;
    lock_release(&outgoing->lock);
    while (arrived != NULL) {
        struct outgoing_guest *guest = arrived;
        arrived = guest->next;
        guest->next = outgoing->guests;
        outgoing->guests = guest;
    }
}

static void unlink_guest(struct outgoing *outgoing, const struct outgoing_guest *guest)
{
    struct outgoing_guest **place = &outgoing->guests;
    while (*place != guest) {
        assert(*place != NULL); /* attached, and not yet detached */
        place = &(*place)->next;
    }
    *place = guest->next;
}

static void let_leave(struct outgoing *outgoing)
{
    lock_acquire(&outgoing->lock);
    struct departure *departure = outgoing->departures;
    outgoing->departures = NULL;
    lock_release(&outgoing->lock);
    while (departure != NULL) {
        struct departure *next = departure->next; /* it is gone after the post */
        unlink_guest(outgoing, departure->guest);
        departure->guest->leave(departure->guest);
        (void)sem_post(&departure->is_gone);
        departure = next;
    }
}

static struct outgoing_request *take_waiting(struct outgoing *outgoing)
{
    struct outgoing_request *request = outgoing->waiting_first;
    assert(request != NULL);
    outgoing->waiting_first = request->next;
    if (outgoing->waiting_first == NULL)
        outgoing->waiting_last = NULL;
    return request;
}

static void start(struct outgoing *outgoing, struct transfer *transfer,
                  struct outgoing_request *request)
{
    if (!transfer_start(transfer, outgoing->multi, &outgoing->settings, request))
        request_finish(request, STATUS_NO_MEMORY, "no memory");
}

static void start_waiting(struct outgoing *outgoing)
{
    for (uint32_t i = 0; i < outgoing->settings.transfers_max; i++) {
        if (outgoing->waiting_first == NULL)
            return;
        if (outgoing->transfers[i].request == NULL)
            start(outgoing, &outgoing->transfers[i], take_waiting(outgoing));
    }
}

static bool is_late(const struct outgoing_request *request, uint64_t now_us)
{
    return request->deadline_us != 0 && request->deadline_us <= now_us;
}

/* Takes it out of the waiting list; false if it is not in there. */
static bool unlink_waiting(struct outgoing *outgoing, const struct outgoing_request *request)
{
    struct outgoing_request *before = NULL, *each = outgoing->waiting_first;
    while (each != NULL && each != request) {
        before = each;
        each = each->next;
    }
    if (each == NULL)
        return false;
    if (before == NULL)
        outgoing->waiting_first = each->next;
    else
        before->next = each->next;
    if (outgoing->waiting_last == each)
        outgoing->waiting_last = before;
    return true;
}

/* Those that never got a transfer are few: who submits bounds them. */
static void end_late(struct outgoing *outgoing, uint64_t now_us)
{
    struct outgoing_request *next = NULL;
    for (struct outgoing_request *each = outgoing->waiting_first; each != NULL; each = next) {
        next = each->next;
        if (!is_late(each, now_us))
            continue;
        (void)unlink_waiting(outgoing, each);
        request_finish(each, STATUS_DEADLINE, "no answer in time");
    }
    for (uint32_t i = 0; i < outgoing->settings.transfers_max; i++) {
        struct transfer *transfer = &outgoing->transfers[i];
        if (transfer->request != NULL && is_late(transfer->request, now_us))
            transfer_end(outgoing, transfer, STATUS_DEADLINE, "no answer in time");
    }
}

/* The transfer is free again before done is called, the reply lives until it has returned. */
static void complete(struct outgoing *outgoing, struct transfer *transfer, CURLcode code)
{
    char *reply = NULL;
    struct outgoing_request *request = transfer_complete(transfer, outgoing->multi, code, &reply);
    request->done(request);
    free(reply);
}

/* Lets libcurl work. True if a request ended, after which there may be more to do at once. */
static bool let_transfers_work(struct outgoing *outgoing)
{
    int running = 0, left = 0;
    CURLMcode worked = curl_multi_perform(outgoing->multi, &running);
    assert(worked == CURLM_OK || worked == CURLM_OUT_OF_MEMORY);
    bool has_ended = false;
    const CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(outgoing->multi, &left)) != NULL) {
        assert(message->msg == CURLMSG_DONE);
        CURLcode code = message->data.result; /* the message goes with its handle */
        complete(outgoing, transfer_of(message->easy_handle), code);
        has_ended = true;
    }
    return has_ended;
}

static uint64_t run_guests(struct outgoing *outgoing, uint64_t now_us)
{
    uint64_t due_us = UINT64_MAX;
    for (struct outgoing_guest *guest = outgoing->guests; guest != NULL; guest = guest->next) {
        uint64_t wanted_us = guest->run(guest, now_us);
        due_us = wanted_us < due_us ? wanted_us : due_us;
    }
    return due_us;
}

static uint64_t first_deadline(const struct outgoing *outgoing, uint64_t due_us)
{
    for (uint32_t i = 0; i < outgoing->settings.transfers_max; i++) {
        const struct outgoing_request *request = outgoing->transfers[i].request;
        if (request != NULL && request->deadline_us != 0 && request->deadline_us < due_us)
            due_us = request->deadline_us;
    }
    for (const struct outgoing_request *each = outgoing->waiting_first; each; each = each->next) {
        if (each->deadline_us != 0 && each->deadline_us < due_us)
            due_us = each->deadline_us;
    }
    return due_us;
}

static void wait_for_something(struct outgoing *outgoing, uint64_t due_us)
{
    uint64_t now_us = outgoing->settings.clock_us();
    uint64_t wait_ms = due_us <= now_us ? 0 : (due_us - now_us - 1) / 1000 + 1;
    if (wait_ms > IDLE_WAIT_MS)
        wait_ms = IDLE_WAIT_MS;
    CURLMcode polled = curl_multi_poll(outgoing->multi, NULL, 0, (int)wait_ms, NULL);
    assert(polled == CURLM_OK || polled == CURLM_OUT_OF_MEMORY);
}

static void cancel_all(struct outgoing *outgoing)
{
    take_handed_in(outgoing);
    while (outgoing->waiting_first != NULL)
        request_finish(take_waiting(outgoing), STATUS_CANCELLED, "shutting down");
    for (uint32_t i = 0; i < outgoing->settings.transfers_max; i++) {
        if (outgoing->transfers[i].request != NULL)
            transfer_end(outgoing, &outgoing->transfers[i], STATUS_CANCELLED, "shutting down");
    }
    assert(outgoing->guests == NULL);
}

/* On the thread, where signals are blocked: a good-bye to a peer that has left may raise SIGPIPE.
 */
static void close_connections(struct outgoing *outgoing)
{
    for (uint32_t i = 0; outgoing->transfers != NULL && i < outgoing->settings.transfers_max; i++) {
        transfer_deinit(&outgoing->transfers[i]);
    }
    (void)curl_multi_cleanup(outgoing->multi);
    outgoing->multi = NULL;
    free(outgoing->transfers);
    outgoing->transfers = NULL;
}

/* The lock is taken last, so that the wake which told of the end is over before the multi goes. */
static void run(void *argument)
{
    struct outgoing *outgoing = argument;
    while (!atomic_load(&outgoing->is_stopping)) {
        take_handed_in(outgoing);
        let_leave(outgoing);
        end_late(outgoing, outgoing->settings.clock_us());
        start_waiting(outgoing);
        bool has_ended = let_transfers_work(outgoing);
        uint64_t due_us = run_guests(outgoing, outgoing->settings.clock_us());
        wait_for_something(outgoing, has_ended ? 0 : first_deadline(outgoing, due_us));
    }
    cancel_all(outgoing);
    lock_acquire(&outgoing->lock);
    lock_release(&outgoing->lock);
    close_connections(outgoing);
}

/* ---- From outside ---- */

void outgoing_wake(struct outgoing *outgoing)
{
    CURLMcode woken = curl_multi_wakeup(outgoing->multi);
    assert(woken == CURLM_OK);
}

void outgoing_submit(struct outgoing *outgoing, struct outgoing_request *request)
{
    assert(request->url != NULL);
    assert(request->done != NULL);
    assert(request->reply_max > 0);
    assert(request->body.bytes != NULL);
    request->status = STATUS_INTERNAL;
    request->code = 0;
    request->retry_after_s = 0;
    request->reply = (struct text){NULL, 0};
    request->why = "";
    request->next = NULL;
    lock_acquire(&outgoing->lock);
    if (outgoing->handed_first == NULL)
        outgoing->handed_first = request;
    else
        outgoing->handed_last->next = request;
    outgoing->handed_last = request;
    lock_release(&outgoing->lock);
    outgoing_wake(outgoing);
}

void outgoing_cancel(struct outgoing *outgoing, struct outgoing_request *request)
{
    take_handed_in(outgoing);
    if (unlink_waiting(outgoing, request)) {
        request_finish(request, STATUS_CANCELLED, "cancelled");
        return;
    }
    uint32_t place = 0;
    while (outgoing->transfers[place].request != request) {
        place++;
        assert(place < outgoing->settings.transfers_max); /* else it is done already */
    }
    transfer_end(outgoing, &outgoing->transfers[place], STATUS_CANCELLED, "cancelled");
}

void outgoing_attach(struct outgoing *outgoing, struct outgoing_guest *guest)
{
    assert(guest->run != NULL);
    assert(guest->leave != NULL);
    lock_acquire(&outgoing->lock);
    guest->next = outgoing->arrivals;
    outgoing->arrivals = guest;
    lock_release(&outgoing->lock);
    outgoing_wake(outgoing);
}

void outgoing_detach(struct outgoing *outgoing, struct outgoing_guest *guest)
{
    struct departure departure = {.guest = guest};
    int error = sem_init(&departure.is_gone, 0, 0);
    assert(error == 0);
    lock_acquire(&outgoing->lock);
    departure.next = outgoing->departures;
    outgoing->departures = &departure;
    lock_release(&outgoing->lock);
    outgoing_wake(outgoing);
    while (sem_wait(&departure.is_gone) != 0)
        assert(errno == EINTR);
    (void)sem_destroy(&departure.is_gone);
}

static bool prepare(struct outgoing *outgoing)
{
    outgoing->transfers = calloc(outgoing->settings.transfers_max, sizeof(struct transfer));
    outgoing->multi = curl_multi_init();
    if (outgoing->transfers == NULL || outgoing->multi == NULL)
        return false;
    for (uint32_t i = 0; i < outgoing->settings.transfers_max; i++)
        transfer_init(&outgoing->transfers[i]);
    return curl_multi_setopt(outgoing->multi, CURLMOPT_MAXCONNECTS,
                             (long)outgoing->settings.transfers_max) == CURLM_OK;
}

UNSHARED enum status outgoing_create(const struct outgoing_settings *settings,
                                     struct outgoing **out_outgoing)
{
    assert(settings->transfers_max > 0);
    assert(settings->transfers_max <= TRANSFERS_MAX);
    assert(settings->clock_us != NULL);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return STATUS_UNAVAILABLE;
    struct outgoing *outgoing = calloc(1, sizeof(*outgoing));
    if (outgoing == NULL) {
        curl_global_cleanup();
        return STATUS_NO_MEMORY;
    }
    outgoing->settings = *settings;
    lock_init(&outgoing->lock, LOCK_RANK_OUTGOING);
    enum status status = STATUS_NO_MEMORY;
    if (!prepare(outgoing))
        goto destroy_outgoing;
    status = thread_create(THREAD_OTHER, "remote", run, outgoing, &outgoing->thread);
    if (status != STATUS_OK)
        goto destroy_outgoing;
    *out_outgoing = outgoing;
    return STATUS_OK;

destroy_outgoing:
    outgoing_destroy(&outgoing);
    return status;
}

/* The mirror of outgoing_create. Accepts one that is only half made. */
UNSHARED void outgoing_destroy(struct outgoing **outgoing)
{
    struct outgoing *doomed = *outgoing;
    if (doomed == NULL)
        return;
    *outgoing = NULL;
    lock_acquire(&doomed->lock);
    atomic_store(&doomed->is_stopping, true);
    if (doomed->thread != NULL)
        outgoing_wake(doomed);
    lock_release(&doomed->lock);
    thread_join(&doomed->thread);
    close_connections(doomed); /* nothing is left, unless the thread never started */
    lock_deinit(&doomed->lock);
    free(doomed);
    curl_global_cleanup();
}
