/*
 * custodian.c - the thread that keeps the data folder in order. In this order, whenever it is woken
 * and once a second:
 *
 *   1. spares, so that the journal does not have to write zeros first;
 *   2. what was asked for: snapshots, compaction;
 *   3. compaction of what is more than half dead; of a damaged segment a snapshot instead, since
 * the table may still hold what the disk has lost;
 *   4. compaction of everything once what was purged has waited for half of its deadline;
 *   5. with a full disk, every 5 s: compaction through the emergency spare, and if a new spare can
 *      be made then, a snapshot, which leads out. After any other failure of the disk only an
 *      operator's snapshot does: the device is suspect.
 *
 * Nobody waits for it but who has asked. What it writes is limited by compact.rate_max, and it
 * stops within one buffer.
 *
 * THREADS. Its own does all of this; any other hands in requests or wakes it. A wake is an eventfd
 * and no lock, so that it may come from anywhere.
 * NOT HERE. compact.c, snapshot.c, custodian_spares.c: the work. journal_custody.c: the journal's
 * side of it.
 */
#include "storage/custodian.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/custodian_inside.h"
#include "storage/snapshot_folder.h"

enum { TURN_MS = 1000, PROBE_US = 5 * 1000 * 1000, US_PER_S = 1000 * 1000, US_PER_MS = 1000 };

/* ---- waiting --------------------------------------------------------------------------------- */

/* Until woken, or so long. */
static void rest(struct custodian *custodian, uint64_t timeout_us)
{
    struct pollfd wakes = {.fd = custodian->wakes, .events = POLLIN};
    const uint64_t timeout_ms = (timeout_us + US_PER_MS - 1) / US_PER_MS;
    const int limit = timeout_ms < TURN_MS ? (int)timeout_ms : TURN_MS;
    if (poll(&wakes, 1, limit) <= 0)
        return; /* EINTR, at worst, is a turn too early */
    uint64_t count = 0;
    (void)!read(custodian->wakes, &count, sizeof(count));
}

static void post(struct custodian *custodian)
{
    const uint64_t one = 1;
    (void)!write(custodian->wakes, &one, sizeof(one)); /* full: it is awake anyway */
}

void custodian_wake(struct custodian *custodian)
{
    if (custodian != NULL && !atomic_exchange(&custodian->is_woken, true))
        post(custodian);
}

enum status custodian_pace(struct custodian *custodian, uint64_t size_bytes)
{
    assert(size_bytes > 0);
    const uint64_t rate = custodian->options.compact_bytes_per_s;
    while (!atomic_load(&custodian->is_stopping)) {
        const uint64_t now_us = custodian->journal->clock_us();
        if (rate == 0 || custodian->paced_until_us <= now_us) {
            if (rate > 0)
                custodian->paced_until_us = now_us + size_bytes * US_PER_S / rate;
            return STATUS_OK;
        }
        rest(custodian, custodian->paced_until_us - now_us);
    }
    return STATUS_CANCELLED;
}

enum status custodian_forget(struct custodian *custodian)
{
    const struct custodian_source *source = custodian->source;
    const bool is_waiting = atomic_load(&custodian->journal->purges.begun_us) != 0;
    return is_waiting && source->forget != NULL ? source->forget(source->context) : STATUS_OK;
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct request *take_request(struct custodian *custodian)
{
    lock_acquire(&custodian->lock);
    struct request *request = custodian->first;
    if (request != NULL)
        custodian->first = request->next;
    if (custodian->first == NULL)
        custodian->last = NULL;
    lock_release(&custodian->lock);
    return request;
}

static void hand_in(struct custodian *custodian, struct request *request)
{
    assert(request->next == NULL);
    lock_acquire(&custodian->lock);
    if (custodian->last == NULL)
        custodian->first = request;
    else
        custodian->last->next = request;
    custodian->last = request;
    lock_release(&custodian->lock);
    custodian_wake(custodian);
}

static void answer(struct request *request, enum status status, const struct snapshot_info *info)
{
    assert(request->is_snapshot == (request->snapshot_done != NULL));
    if (request->is_snapshot)
        request->snapshot_done(request->context, status, status == STATUS_OK ? info : NULL);
    else if (request->compact_done != NULL)
        request->compact_done(request->context, status);
    free(request);
}

/* "20261125-234500-123" */
static void name_by_time(int64_t now_ms, char out_name[SNAPSHOT_NAME_MAX + 1])
{
    assert(now_ms >= 0);
    const time_t seconds = (time_t)(now_ms / 1000);
    struct tm day;
    char second[SNAPSHOT_NAME_MAX + 1];
    if (gmtime_r(&seconds, &day) == NULL)
        memset(&day, 0, sizeof(day));
    if (strftime(second, sizeof(second), "%Y%m%d-%H%M%S", &day) == 0)
        second[0] = '\0';
    (void)snprintf(out_name, SNAPSHOT_NAME_MAX + 1, "%.20s-%03d", second, (int)(now_ms % 1000));
}

void journal_snapshot(struct journal *journal, struct text name, snapshot_done *done, void *context)
{
    assert(done != NULL);
    struct request *request = calloc(1, sizeof(*request));
    if (request == NULL || (name.length > 0 && !snapshot_name_is_valid(name))) {
        const enum status status = request == NULL ? STATUS_NO_MEMORY : STATUS_BAD_NAME;
        free(request);
        done(context, status, NULL);
        return;
    }
    request->is_snapshot = true;
    request->snapshot_done = done;
    request->context = context;
    if (name.length > 0)
        memcpy(request->name, name.bytes, name.length);
    else
        name_by_time(journal->clock_ms(), request->name);
    hand_in(journal->custodian, request);
}

void journal_compact(struct journal *journal, journal_done *done, void *context)
{
    struct request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        if (done != NULL)
            done(context, STATUS_NO_MEMORY);
        return;
    }
    request->compact_done = done;
    request->context = context;
    hand_in(journal->custodian, request);
}

enum status journal_snapshots(struct journal *journal, struct snapshot_info *out_infos,
                              uint32_t infos_max, uint32_t *out_count)
{
    assert(out_infos != NULL || infos_max == 0);
    return snapshot_folder_list(journal->options.path, out_infos, infos_max, out_count);
}

enum status journal_snapshot_remove(struct journal *journal, struct text name)
{
    char terminated[SNAPSHOT_NAME_MAX + 1] = "";
    if (!snapshot_name_is_valid(name))
        return STATUS_NOT_FOUND;
    memcpy(terminated, name.bytes, name.length);
    if (!snapshot_folder_exists(journal->options.path, terminated))
        return STATUS_NOT_FOUND;
    return snapshot_folder_remove(journal->options.path, terminated);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static bool is_stopping(const struct custodian *custodian)
{
    return atomic_load(&custodian->is_stopping);
}

/* With nobody to tell: the log is all there is. LOADING: it has begun before the store was open,
 * and comes back in a second. */
static void tell(const struct custodian *custodian, const char *what, enum status status)
{
    if (status == STATUS_OK || status == STATUS_NOT_FOUND || status == STATUS_LOADING ||
        is_stopping(custodian))
        return;
    log_write(LOG_WARNING, "storage", what, "status=%s", status_name(status));
}

static void keep_spares(struct custodian *custodian)
{
    if (journal_state(custodian->journal) == STORAGE_DURABLE)
        tell(custodian, "a spare segment could not be made", spares_keep(custodian));
}

/* Also what somebody asked for is better done from the table where a segment is damaged. */
static enum status compact_or_snapshot(struct custodian *custodian, enum compact_extent extent)
{
    enum status status = compact_run(custodian, extent);
    if (status == STATUS_CORRUPT) {
        log_write(LOG_WARNING, "storage", "a segment is damaged, a snapshot takes its place", NULL);
        status = snapshot_run(custodian, NULL, NULL);
    }
    return status;
}

static void serve(struct custodian *custodian, struct request *request)
{
    assert(!request->is_snapshot || request->name[0] != '\0');
    struct snapshot_info info = {.size_bytes = 0};
    enum status status = STATUS_UNAVAILABLE;
    if (!is_stopping(custodian) && request->is_snapshot)
        status = snapshot_run(custodian, request->name, &info);
    else if (!is_stopping(custodian))
        status = compact_or_snapshot(custodian, COMPACT_ALL);
    if (status == STATUS_CANCELLED)
        status = STATUS_UNAVAILABLE;
    if (status == STATUS_NOT_FOUND) /* there is nothing to compact */
        status = STATUS_OK;
    answer(request, status, &info);
}

static void serve_all(struct custodian *custodian)
{
    struct request *request = take_request(custodian);
    while (request != NULL) {
        serve(custodian, request);
        request = take_request(custodian);
    }
}

static void compact_if_worth(struct custodian *custodian)
{
    if (journal_state(custodian->journal) == STORAGE_DURABLE)
        tell(custodian, "compaction has failed", compact_or_snapshot(custodian, COMPACT_IF_WORTH));
}

static void keep_purge_deadline(struct custodian *custodian)
{
    const uint64_t now_us = custodian->journal->clock_us();
    const bool has_failed = custodian->purged_us != 0 && now_us - custodian->purged_us < PROBE_US;
    if (has_failed || !journal_is_purge_due(custodian->journal) ||
        journal_state(custodian->journal) != STORAGE_DURABLE)
        return;
    custodian->purged_us = now_us;
    tell(custodian, "compaction for a purge has failed",
         compact_or_snapshot(custodian, COMPACT_ALL));
}

static void probe_full_disk(struct custodian *custodian)
{
    assert(custodian->probed_us <= custodian->journal->clock_us());
    const uint64_t now_us = custodian->journal->clock_us();
    if (!journal_is_full(custodian->journal) || now_us - custodian->probed_us < PROBE_US)
        return;
    custodian->probed_us = now_us;
    const enum status freed = compact_run(custodian, COMPACT_FULL_DISK);
    enum status status = freed == STATUS_IO_FAILED ? freed : spares_keep(custodian);
    if (status == STATUS_OK) { /* a spare shows what that was good for */
        status = snapshot_run(custodian, NULL, NULL);
        tell(custodian, "the full disk is not in use again", status);
    }
    if (status == STATUS_IO_FAILED)
        journal_suspect(custodian->journal, "probing the full disk", custodian->io->error);
}

static void run(void *argument)
{
    struct custodian *custodian = argument;
    while (!is_stopping(custodian)) {
        keep_spares(custodian);
        serve_all(custodian);
        compact_if_worth(custodian);
        keep_purge_deadline(custodian);
        probe_full_disk(custodian);
        if (!is_stopping(custodian) && !atomic_exchange(&custodian->is_woken, false)) {
            rest(custodian, (uint64_t)TURN_MS * US_PER_MS);
            atomic_store(&custodian->is_woken, false);
        }
    }
    serve_all(custodian); /* they are told that it stops */
}

/* ---- life ------------------------------------------------------------------------------------ */

UNSHARED enum status custodian_start(struct journal *journal, struct io *io,
                                     const struct custodian_source *source,
                                     const struct journal_options *options,
                                     struct custodian **out_custodian)
{
    assert(journal != NULL);
    assert(io != NULL);
    assert(options->segment_bytes > 0);
    assert(source != NULL);
    struct custodian *custodian = calloc(1, sizeof(*custodian));
    if (custodian == NULL)
        return STATUS_NO_MEMORY;
    custodian->journal = journal;
    custodian->io = io;
    custodian->source = source;
    custodian->options = *options;
    lock_init(&custodian->lock, LOCK_RANK_JOURNAL);
    custodian->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    custodian->vector = calloc(RECORD_DIMENSION_MAX, sizeof(*custodian->vector));
    enum status status = custodian->vector == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    if (custodian->wakes < 0)
        status = STATUS_UNAVAILABLE;
    if (status == STATUS_OK)
        status = thread_create(THREAD_STORAGE, "custodian", run, custodian, &custodian->thread);
    if (status != STATUS_OK)
        goto stop_custodian;
    *out_custodian = custodian;
    return STATUS_OK;

stop_custodian:
    custodian_stop(&custodian);
    return status;
}

UNSHARED void custodian_stop(struct custodian **custodian)
{
    struct custodian *doomed = *custodian;
    if (doomed == NULL)
        return;
    *custodian = NULL;
    atomic_store(&doomed->is_stopping, true);
    if (doomed->wakes >= 0)
        post(doomed);
    thread_join(&doomed->thread);
    assert(doomed->first == NULL);
    free(doomed->vector);
    if (doomed->wakes >= 0)
        (void)close(doomed->wakes);
    lock_deinit(&doomed->lock);
    free(doomed);
}
