/*
 * remote.c - an embedder that is asked over HTTP: handing in, the figures, the life of the whole.
 * A guest of the thread "remote" (base/outgoing.h), on which everything else happens
 * (remote_turn.c).
 *
 * THREADS. Any may submit and read the tally. LOCK_RANK_REMOTE is held while lists are linked.
 * NOT HERE. What a reply means (remote_flight.c); keeping vectors for the next who asks.
 */
#include "embed/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "embed/remote_inside.h"
#include "embed/remote_reply.h"

enum { KEY_MAX = 4096, URL_SHOWN = 80 };

const char *remote_error_word(enum remote_error error)
{
    static const char *const words[] = {
#define REMOTE_ERROR_ROW(name, word, meaning) word,
        REMOTE_ERROR_TABLE(REMOTE_ERROR_ROW)
#undef REMOTE_ERROR_ROW
    };
    assert(error < REMOTE_ERROR_COUNT);
    return words[error];
}

/* Takes a place in the queue, if there is one. */
static bool take_place(struct remote *remote)
{
    uint32_t waiting = atomic_load(&remote->waiting);
    do {
        if (waiting >= remote->settings.queue_max)
            return false;
    } while (!atomic_compare_exchange_weak(&remote->waiting, &waiting, waiting + 1));
    return true;
}

void remote_submit(struct remote *remote, struct embed_job *jobs)
{
    struct embed_job *next = NULL;
    lock_acquire(&remote->lock);
    bool is_first = remote->inbox.first == NULL && remote->overflow.first == NULL;
    for (struct embed_job *job = jobs; job != NULL; job = next) {
        assert(job->done != NULL);
        assert(job->out_unit != NULL);
        next = job->next;
        job->beside_max = UINT32_MAX;
        job_list_append(take_place(remote) ? &remote->inbox : &remote->overflow, job);
    }
    lock_release(&remote->lock);
    if (is_first && jobs != NULL)
        outgoing_wake(remote->outgoing);
}

void remote_stop(struct remote *remote)
{
    atomic_store(&remote->stop, true);
    outgoing_wake(remote->outgoing);
}

uint32_t remote_dimension(const struct remote *remote)
{
    return atomic_load(&remote->dimension);
}

void remote_state(const struct remote *remote, struct remote_state *out_state)
{
    const struct remote_tally *tally = &remote->tally;
    *out_state = (struct remote_state){
        .is_up = atomic_load(&tally->is_up),
        .has_drifted = atomic_load(&tally->has_drifted),
        .has_bad_vectors = atomic_load(&tally->has_bad_vectors),
        .last_error = (enum remote_error)atomic_load(&tally->last_error),
        .last_code = atomic_load(&tally->last_code),
        .waiting = atomic_load(&remote->waiting),
        .flying = atomic_load(&tally->flying),
        .resting = atomic_load(&tally->resting),
        .batch_now = atomic_load(&tally->batch_now),
        .requests = atomic_load(&tally->requests),
        .retries = atomic_load(&tally->retries),
        .texts = atomic_load(&tally->texts),
        .jobs = atomic_load(&tally->jobs),
        .canaries = atomic_load(&tally->canaries),
        .drifts = atomic_load(&tally->drifts),
        .openings = atomic_load(&tally->openings),
        .tokens = atomic_load(&tally->tokens),
        .counted = atomic_load(&tally->counted),
        .uncounted = atomic_load(&tally->uncounted),
    };
    for (int i = 0; i < REMOTE_ERROR_COUNT; i++)
        out_state->errors[i] = atomic_load(&tally->errors[i]);
}

/* ---- Life ---- */

static struct text without_line_end(struct text text)
{
    while (text.length > 0 &&
           (text.bytes[text.length - 1] == '\n' || text.bytes[text.length - 1] == '\r'))
        text.length--;
    return text;
}

/* A key in a header line: visible ASCII, nothing that could begin another line. */
static bool is_key(struct text key)
{
    for (size_t i = 0; i < key.length; i++) {
        if (key.bytes[i] <= ' ' || key.bytes[i] >= 0x7f)
            return false;
    }
    return key.length <= KEY_MAX;
}

static enum status set_headers(struct remote *remote, struct text key, struct failure *failure)
{
    key = without_line_end(key);
    if (!is_key(key))
        return failure_set(failure, STATUS_BAD_OPTION, "embed.key_file",
                           "must hold one line of visible ASCII, at most %d bytes", KEY_MAX);
    remote->headers[remote->headers_count++] = "Content-Type: application/json";
    if (key.length == 0)
        return STATUS_OK;
    if (asprintf(&remote->authorization, "Authorization: Bearer %.*s", (int)key.length, key.bytes) <
        0) {
        remote->authorization = NULL;
        return STATUS_NO_MEMORY;
    }
    remote->headers[remote->headers_count++] = remote->authorization;
    return STATUS_OK;
}

static enum status set_model(struct remote *remote, struct text model, struct failure *failure)
{
    if (!text_is_clean(model.bytes, model.length) ||
        (model.length == 0 && remote->settings.shape != REMOTE_TEI))
        return failure_set(failure, STATUS_BAD_OPTION, "embed.model",
                           "must name the model that the server is to use");
    remote->model = strndup(model.length > 0 ? model.bytes : "", model.length);
    return remote->model != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static void flight_init(struct remote *remote, struct flight *flight)
{
    flight->magic = FLIGHT_MAGIC;
    flight->remote = remote;
}

static enum status make_flights(struct remote *remote)
{
    remote->flights = calloc(remote->settings.flights_max, sizeof(struct flight));
    remote->texts = calloc(remote->settings.batch_max, sizeof(struct text));
    if (remote->flights == NULL || remote->texts == NULL)
        return STATUS_NO_MEMORY;
    flight_init(remote, &remote->canary);
    remote->canary.is_canary = true;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < remote->settings.flights_max && status == STATUS_OK; i++) {
        flight_init(remote, &remote->flights[i]);
        status = pack_init(&remote->flights[i].pack, remote->settings.batch_max);
    }
    return status;
}

static enum status prepare(struct remote *remote, const struct remote_settings *settings,
                           struct failure *failure)
{
    enum status status = remote_wire_url(settings->shape, settings->url, remote->url, failure);
    if (status == STATUS_OK)
        status = set_model(remote, settings->model, failure);
    if (status == STATUS_OK)
        status = set_headers(remote, settings->key, failure);
    if (status == STATUS_OK)
        status = make_flights(remote);
    remote->settings.url = remote->settings.model = remote->settings.key = (struct text){NULL, 0};
    remote->deadline_us = UINT64_MAX;
    remote->chance = settings->chance_seed;
    remote->batch_now = settings->batch_max;
    remote->accepted_max = 1;
    atomic_store(&remote->dimension, settings->dimensions);
    atomic_store(&remote->tally.batch_now, settings->batch_max);
    atomic_store(&remote->tally.is_up, true);
    atomic_store(&remote->tally.last_error, REMOTE_ERROR_NONE);
    return status;
}

static const char *advice_for(int code)
{
    if (code == 401 || code == 403)
        return "; is the key in embed.key_file right?";
    if (code == 400 || code == 404 || code == 405 || code == 422)
        return "; are embed.url, embed.model and embed.dimensions right?";
    return "; with embed.dimensions set, the service starts without it";
}

/* What the first canary found, in one sentence. */
static enum status explain_start(const struct remote *remote, struct failure *failure)
{
    const struct remote_start *start = &remote->start;
    if (start->error == REMOTE_ERROR_MISMATCH)
        return failure_set(failure, STATUS_EMBEDDER_MISMATCH, "embed.dimensions",
                           "%.*s answers with vectors of %u numbers, not %u", URL_SHOWN,
                           remote->url, start->dimension, remote->settings.dimensions);
    if (start->error == REMOTE_ERROR_NONE || remote->settings.dimensions != 0)
        return STATUS_OK;
    if (start->error == REMOTE_ERROR_BAD_REPLY)
        return failure_set(failure, STATUS_EMBEDDER_DOWN, "embed.url",
                           "%.*s does not answer with a vector; is embed.provider right?",
                           URL_SHOWN, remote->url);
    if (start->code != 0)
        return failure_set(failure, STATUS_EMBEDDER_DOWN, "embed.url", "%.*s answers %d%s",
                           URL_SHOWN, remote->url, start->code, advice_for(start->code));
    return failure_set(failure, STATUS_EMBEDDER_DOWN, "embed.url", "%.*s: %s%s", URL_SHOWN,
                       remote->url, start->why, advice_for(0));
}

static enum status start(struct remote *remote, struct failure *failure)
{
    remote->guest = (struct outgoing_guest){.run = remote_run, .leave = remote_leave};
    remote->is_attached = true;
    outgoing_attach(remote->outgoing, &remote->guest);
    while (sem_wait(&remote->start.ended) != 0)
        assert(errno == EINTR);
    return explain_start(remote, failure);
}

static void check_settings(const struct remote_settings *settings)
{
    assert(settings->dimensions <= REMOTE_DIMENSION_MAX);
    assert(settings->timeout_ms > 0);
    assert(settings->start_timeout_ms > 0);
    assert(settings->retries_max <= 8);
    assert(settings->batch_max > 0);
    assert(settings->batch_max <= REMOTE_BATCH_MAX);
    assert(settings->queue_max > 0);
    assert(settings->flights_max > 0);
    assert(settings->flights_max <= REMOTE_FLIGHTS_MAX);
    assert(settings->clock_us != NULL);
}

UNSHARED enum status remote_create(const struct remote_settings *settings,
                                   struct outgoing *outgoing, struct remote **out_remote,
                                   struct failure *failure)
{
    check_settings(settings);
    struct remote *remote = calloc(1, sizeof(*remote));
    if (remote == NULL)
        return STATUS_NO_MEMORY;
    remote->settings = *settings;
    remote->outgoing = outgoing;
    lock_init(&remote->lock, LOCK_RANK_REMOTE);
    int error = sem_init(&remote->start.ended, 0, 0);
    assert(error == 0);
    enum status status = prepare(remote, settings, failure);
    if (status == STATUS_OK)
        status = start(remote, failure);
    if (status != STATUS_OK)
        goto destroy_remote;
    *out_remote = remote;
    return STATUS_OK;

destroy_remote:
    remote_destroy(&remote);
    return status;
}

/* The mirror of remote_create. Accepts one that is only half made. */
UNSHARED void remote_destroy(struct remote **remote)
{
    struct remote *doomed = *remote;
    if (doomed == NULL)
        return;
    *remote = NULL;
    if (doomed->is_attached)
        outgoing_detach(doomed->outgoing, &doomed->guest);
    for (uint32_t i = 0; doomed->flights != NULL && i < doomed->settings.flights_max; i++) {
        pack_deinit(&doomed->flights[i].pack);
        doomed->flights[i].magic = 0;
    }
    free(doomed->flights);
    free(doomed->texts);
    free(doomed->canary_vector);
    free(doomed->model);
    if (doomed->authorization != NULL)
        explicit_bzero(doomed->authorization, strlen(doomed->authorization));
    free(doomed->authorization);
    (void)sem_destroy(&doomed->start.ended);
    lock_deinit(&doomed->lock);
    free(doomed);
}
