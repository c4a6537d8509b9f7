/*
 * remote_flight.c - one request to a remote embedder: sent, judged, tried again, cut in halves.
 *
 * WHAT AN ANSWER MEANS. A connection that fails or breaks, 429, 408, 424 and 5xx may pass: at most
 * retries_max further attempts, 100 ms and then 200 ms later on the average, each between half and
 * one and a half of that, never before Retry-After and only for jobs whose deadline lies behind it.
 * No reply in time is not tried again: the time is gone. 400, 413 and 422 are about the texts: the
 * pack is cut in halves until each refused text stands alone. Only 413, or a 400 or 422 that says
 * so, is about its length; any other is the embedder's failure with this text. All else is about
 * the embedder.
 *
 * HOW MANY TEXTS. A refused pack may have been too many or may hold one bad text. Too many is
 * remembered (batch_now) only while no pack of that size has ever come home; and when a text out of
 * a cut pack is refused alone, it was that text, so batch_now may grow again.
 *
 * ONE TEXT OR ALL. 400 and its like do not say whether they are about this text or about all
 * (another model, a path, a limit of the account); nor does a vector of nulls. So when REFUSALS_MAX
 * texts have been refused, each alone, with none taken between them, the canary is sent at once:
 * our own text that was good before. If it is taken, it was the texts; if not, the circuit opens,
 * and callers hear EMBEDDER_DOWN and no longer TEXT_TOO_LONG. A reply of another dimension is doubt
 * enough by itself: drift is noted and the canary sent. A vector that cannot be used is noted too,
 * until a canary can.
 *
 * base64. A server that refuses `encoding_format` is asked for floats, which is remembered once it
 * works. After base64 has worked a refusal is not about it, unless the canary says so.
 *
 * THE CIRCUIT counts attempts: failures of the embedder and replies of another dimension against
 * it, vectors for it; refused texts and 429 are neither. Threads: "remote". NOT HERE. The queue
 * (remote_turn.c); JSON (remote_wire.c, remote_reply.c).
 */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "embed/remote_inside.h"
#include "embed/remote_reply.h"

static const uint64_t REST_FIRST_US = 100000;
static const uint64_t CANARY_EVERY_US = 3600 * 1000000ULL, CANARY_AGAIN_US = 60 * 1000000ULL;
/* Below this the weights are others: rounding alone, on whatever hardware, stays far above. */
static const double CANARY_COSINE_MIN = 0.999;
enum { REFUSALS_MAX = 5 };
static const struct text CANARY_TEXT = {"The quick brown fox jumps over the lazy dog.", 44};

/* ---- Sending ---- */

static size_t gather_texts(struct flight *flight)
{
    struct text *texts = flight->remote->texts;
    if (flight->is_canary) {
        texts[0] = CANARY_TEXT;
        return 1;
    }
    for (size_t i = 0; i < flight->pack.count; i++) {
        assert(flight->pack.texts[i].jobs.first != NULL);
        texts[i] = flight->pack.texts[i].jobs.first->text;
    }
    return flight->pack.count;
}

static bool is_starting(const struct flight *flight)
{
    return flight->is_canary && !flight->remote->start.is_over;
}

static uint64_t timeout_us(const struct flight *flight)
{
    const struct remote_settings *settings = &flight->remote->settings;
    return 1000 *
           (uint64_t)(is_starting(flight) ? settings->start_timeout_ms : settings->timeout_ms);
}

static void flight_done(struct outgoing_request *request);
static void flight_failed(struct flight *flight, enum remote_error error);

static void flight_send(struct flight *flight)
{
    struct remote *remote = flight->remote;
    struct remote_form form = {
        .shape = remote->settings.shape,
        .model = remote->model,
        .dimensions = remote->settings.dimensions,
        .asks_floats = flight->asks_floats,
    };
    size_t count = gather_texts(flight);
    flight->attempts++;
    if (remote_wire_write(&form, remote->texts, count, &flight->body) != STATUS_OK) {
        remote_body_clear(&flight->body);
        flight_failed(flight, REMOTE_ERROR_MEMORY);
        return;
    }
    flight->request = (struct outgoing_request){
        .url = remote->url,
        .headers = remote->headers,
        .headers_count = remote->headers_count,
        .body = {flight->body.bytes, flight->body.length},
        .reply_max = remote_reply_max(count, atomic_load(&remote->dimension)),
        .deadline_us = remote->settings.clock_us() + timeout_us(flight),
        .done = flight_done,
    };
    flight->state = FLIGHT_SENT;
    (void)atomic_fetch_add(&remote->tally.requests, 1);
    outgoing_submit(remote->outgoing, &flight->request);
}

void flight_begin(struct flight *flight)
{
    assert(flight->magic == FLIGHT_MAGIC);
    assert(flight->state == FLIGHT_FREE);
    assert(flight->is_canary == (flight->pack.count == 0));
    flight->attempts = 0;
    flight->asks_floats = flight->remote->asks_floats;
    flight_send(flight);
}

void flight_resume(struct flight *flight)
{
    assert(flight->state == FLIGHT_RESTING);
    flight->state = FLIGHT_FREE;
    pack_compact(&flight->pack);
    if (!flight->is_canary && flight->pack.count == 0)
        return;
    (void)atomic_fetch_add(&flight->remote->tally.retries, 1);
    flight_send(flight);
}

void flight_end(struct flight *flight, enum status status)
{
    struct job_list jobs = {NULL, NULL};
    pack_empty(&flight->pack, &jobs);
    flight->state = FLIGHT_FREE;
    (void)job_list_finish(&jobs, status);
}

/* ---- Judging ---- */

static enum remote_error error_of_code(int code, struct text reply)
{
    if (code >= 200 && code <= 299)
        return REMOTE_ERROR_NONE;
    if (code == 413)
        return REMOTE_ERROR_TEXT;
    if (code == 400 || code == 422)
        return remote_reply_blames_length(reply) ? REMOTE_ERROR_TEXT : REMOTE_ERROR_REJECTED;
    if (code == 429)
        return REMOTE_ERROR_BUSY;
    if (code >= 500 || code == 408 || code == 424)
        return REMOTE_ERROR_SERVER;
    return REMOTE_ERROR_REFUSED;
}

static enum remote_error error_of_request(const struct outgoing_request *request)
{
    if (request->status == STATUS_OK)
        return error_of_code(request->code, request->reply);
    if (request->status == STATUS_DEADLINE)
        return REMOTE_ERROR_TIMEOUT;
    if (request->status == STATUS_IO_FAILED)
        return REMOTE_ERROR_BROKEN;
    if (request->status == STATUS_REPLY_TOO_LARGE)
        return REMOTE_ERROR_BAD_REPLY;
    if (request->status == STATUS_NO_MEMORY)
        return REMOTE_ERROR_MEMORY;
    return REMOTE_ERROR_CONNECT;
}

static enum remote_error error_of_reading(enum status status)
{
    if (status == STATUS_OK)
        return REMOTE_ERROR_NONE;
    if (status == STATUS_EMBEDDER_MISMATCH)
        return REMOTE_ERROR_MISMATCH;
    if (status == STATUS_BAD_VECTOR)
        return REMOTE_ERROR_BAD_VECTOR;
    return status == STATUS_NO_MEMORY ? REMOTE_ERROR_MEMORY : REMOTE_ERROR_BAD_REPLY;
}

/* What its jobs are told. */
static enum status status_of(enum remote_error error)
{
    switch (error) {
    case REMOTE_ERROR_BUSY:
        return STATUS_OVERLOADED;
    case REMOTE_ERROR_MISMATCH:
        return STATUS_EMBEDDER_MISMATCH;
    case REMOTE_ERROR_TEXT:
        return STATUS_TEXT_TOO_LONG;
    case REMOTE_ERROR_BAD_VECTOR:
        return STATUS_BAD_VECTOR;
    case REMOTE_ERROR_MEMORY:
        return STATUS_NO_MEMORY;
    case REMOTE_ERROR_CONNECT:
    case REMOTE_ERROR_TIMEOUT:
    case REMOTE_ERROR_BROKEN:
    case REMOTE_ERROR_SERVER:
    case REMOTE_ERROR_REFUSED:
    case REMOTE_ERROR_REJECTED:
    case REMOTE_ERROR_BAD_REPLY:
    case REMOTE_ERROR_LATE:
    case REMOTE_ERROR_FULL:
    case REMOTE_ERROR_DOWN:
    case REMOTE_ERROR_COUNT:
        break;
    }
    return STATUS_EMBEDDER_DOWN;
}

static bool may_pass(enum remote_error error)
{
    return error == REMOTE_ERROR_CONNECT || error == REMOTE_ERROR_BROKEN ||
           error == REMOTE_ERROR_SERVER || error == REMOTE_ERROR_BUSY;
}

static void open_circuit(struct remote *remote, enum remote_error error, int code)
{
    atomic_store(&remote->tally.is_up, false);
    (void)atomic_fetch_add(&remote->tally.openings, 1);
    log_write(LOG_WARNING, "embed", "embedder down", "url=%s reason=%s code=%d", remote->url,
              remote_error_word(error), code);
}

static void close_circuit(struct remote *remote)
{
    atomic_store(&remote->tally.is_up, true);
    log_write(LOG_INFO, "embed", "embedder up", "url=%s", remote->url);
}

/* The canary is due now, or a second after the last one; what it finds is believed at once. */
static void doubt(struct remote *remote, uint64_t now_us)
{
    const uint64_t soonest_us = remote->canary_over_us + BREAKER_PROBE_US;
    const uint64_t due_us = soonest_us > now_us ? soonest_us : now_us;
    remote->is_doubted = true;
    if (due_us < remote->canary_at_us)
        remote->canary_at_us = due_us;
}

static void note_success(struct remote *remote)
{
    remote->refusals = 0;
    if (breaker_succeed(&remote->breaker))
        close_circuit(remote);
}

static void note_failure(struct remote *remote, const struct flight *flight,
                         enum remote_error error, uint64_t now_us)
{
    if (error == REMOTE_ERROR_BUSY || error == REMOTE_ERROR_MEMORY)
        return; /* not about the embedder's health */
    bool has_opened = breaker_fail(&remote->breaker, now_us);
    if (flight->is_canary && remote->is_doubted && !remote->breaker.is_open) {
        breaker_trip(&remote->breaker, now_us);
        has_opened = true;
    }
    if (has_opened)
        open_circuit(remote, error, flight->request.code);
}

/* Refused for what was sent. */
static bool is_refusal(enum remote_error error)
{
    return error == REMOTE_ERROR_TEXT || error == REMOTE_ERROR_REJECTED;
}

/* Whether the failure is one that a single text may be the cause of. */
static bool is_about_texts(enum remote_error error)
{
    return is_refusal(error) || error == REMOTE_ERROR_BAD_VECTOR;
}

static void note_refusal(struct remote *remote, const struct flight *flight, uint64_t now_us)
{
    assert(!flight->is_canary);
    if (flight->pack.count != 1 || ++remote->refusals < REFUSALS_MAX)
        return;
    remote->refusals = 0;
    doubt(remote, now_us);
}

static void mark_drifted(struct remote *remote, double similarity)
{
    if (!atomic_exchange(&remote->tally.has_drifted, true))
        log_write(LOG_WARNING, "embed", "the embedder's vectors have changed",
                  "url=%s similarity=%.4f", remote->url, similarity);
}

/* Until a canary is right; one is due in a second. */
static void mark_bad(struct remote *remote, uint64_t now_us)
{
    if (now_us + BREAKER_PROBE_US < remote->canary_at_us)
        remote->canary_at_us = now_us + BREAKER_PROBE_US;
    if (!atomic_exchange(&remote->tally.has_bad_vectors, true))
        log_write(LOG_WARNING, "embed", "the embedder's vectors cannot be used", "url=%s",
                  remote->url);
}

static void good_again(struct remote *remote)
{
    if (atomic_exchange(&remote->tally.has_bad_vectors, false))
        log_write(LOG_INFO, "embed", "the embedder's vectors can be used again", "url=%s",
                  remote->url);
}

/* Counts the attempt, for and against the embedder. */
static void note(struct flight *flight, enum remote_error error, uint64_t now_us)
{
    struct remote *remote = flight->remote;
    if (error == REMOTE_ERROR_NONE) {
        note_success(remote);
        return;
    }
    if (is_about_texts(error))
        note_refusal(remote, flight, now_us);
    else
        note_failure(remote, flight, error, now_us);
    if (error == REMOTE_ERROR_MISMATCH || error == REMOTE_ERROR_BAD_VECTOR)
        mark_bad(remote, now_us);
    if (error == REMOTE_ERROR_MISMATCH && !flight->is_canary) {
        mark_drifted(remote, 0);
        doubt(remote, now_us);
    }
    (void)atomic_fetch_add(&remote->tally.errors[error], 1);
    atomic_store(&remote->tally.last_error, (int)error);
    atomic_store(&remote->tally.last_code, flight->request.code);
}

/* ---- The reply ---- */

static void deliver(struct flight *flight, const float *vectors, uint32_t dimension)
{
    struct remote *remote = flight->remote;
    struct pack *pack = &flight->pack;
    (void)atomic_fetch_add(&remote->tally.texts, pack->count);
    for (size_t i = 0; i < pack->count; i++) {
        struct embed_job *job = NULL;
        while ((job = job_list_take(&pack->texts[i].jobs)) != NULL) {
            memcpy(job->out_unit, vectors + i * dimension, dimension * sizeof(float));
            (void)atomic_fetch_add(&remote->tally.jobs, 1);
            job->done(job, STATUS_OK);
        }
    }
    if (pack->count > remote->accepted_max)
        remote->accepted_max = (uint32_t)pack->count;
    pack->count = 0;
}

static double cosine(const float *a, const float *b, uint32_t dimension)
{
    double sum = 0;
    for (uint32_t i = 0; i < dimension; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void drifted(struct remote *remote, double similarity)
{
    (void)atomic_fetch_add(&remote->tally.drifts, 1);
    mark_drifted(remote, similarity);
}

static void same_again(struct remote *remote)
{
    if (atomic_exchange(&remote->tally.has_drifted, false))
        log_write(LOG_INFO, "embed", "the embedder's vectors are the first ones again", "url=%s",
                  remote->url);
}

/* The first vector is kept (true); later ones are held against it. */
static bool judge_canary(struct remote *remote, float *vector, uint32_t dimension)
{
    (void)atomic_fetch_add(&remote->tally.canaries, 1);
    if (remote->canary_vector == NULL) {
        remote->canary_vector = vector;
        same_again(remote); /* of the right dimension, which is all that can be asked of it */
        return true;
    }
    double similarity = cosine(remote->canary_vector, vector, dimension);
    if (similarity < CANARY_COSINE_MIN)
        drifted(remote, similarity);
    else
        same_again(remote);
    return false;
}

static enum remote_error take_canary(struct remote *remote, float *vector, uint32_t dimension)
{
    remote->start.dimension = dimension;
    if (atomic_load(&remote->dimension) == 0)
        atomic_store(&remote->dimension, dimension);
    bool is_kept = false, fits = atomic_load(&remote->dimension) == dimension;
    if (fits) {
        is_kept = judge_canary(remote, vector, dimension);
        good_again(remote);
    } else if (remote->start.is_over)
        drifted(remote, 0);
    if (!is_kept)
        free(vector);
    return fits ? REMOTE_ERROR_NONE : REMOTE_ERROR_MISMATCH;
}

/* Before anybody is told of a vector: who asks afterwards what it has cost finds it counted. What
 * cannot be used is paid for as well. */
static void count_tokens(struct remote *remote, const struct remote_reply *reply)
{
    struct remote_tally *tally = &remote->tally;
    if (reply->has_tokens) {
        (void)atomic_fetch_add(&tally->tokens, reply->tokens);
        (void)atomic_fetch_add(&tally->counted, 1);
    } else if (reply->vectors != NULL)
        (void)atomic_fetch_add(&tally->uncounted, 1);
}

/* A canary of any dimension is read: that it is another one is what it is there to find out. */
static enum remote_error take_reply(struct flight *flight)
{
    struct remote *remote = flight->remote;
    size_t count = flight->is_canary ? 1 : flight->pack.count;
    uint32_t expected = flight->is_canary ? 0 : atomic_load(&remote->dimension);
    struct remote_reply reply;
    enum status status =
        remote_reply_read(remote->settings.shape, flight->request.reply, count, expected, &reply);
    count_tokens(remote, &reply);
    if (status != STATUS_OK)
        return error_of_reading(status);
    remote->asks_floats = flight->asks_floats;
    remote->is_encoding_proven = true;
    if (flight->is_canary)
        return take_canary(remote, reply.vectors, reply.dimension);
    deliver(flight, reply.vectors, reply.dimension);
    free(reply.vectors);
    return REMOTE_ERROR_NONE;
}

/* ---- What follows ---- */

static bool can_try_floats(const struct flight *flight)
{
    const struct remote *remote = flight->remote;
    return remote->settings.shape == REMOTE_OPENAI && !flight->asks_floats &&
           (flight->is_canary || !remote->is_encoding_proven);
}

/* splitmix64 (Vigna): good enough to keep replicas from coming back in step. */
static uint64_t chance_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* False if nobody is left whose deadline allows for another attempt. */
static bool flight_rest(struct flight *flight, enum remote_error error, uint64_t now_us)
{
    struct remote *remote = flight->remote;
    uint64_t delay_us = REST_FIRST_US << (flight->attempts - 1);
    delay_us = delay_us / 2 + chance_next(&remote->chance) % delay_us;
    uint64_t asked_us = 1000000 * (uint64_t)flight->request.retry_after_s;
    if (asked_us > REMOTE_REST_MAX_US)
        return false;
    flight->due_us = now_us + (asked_us > delay_us ? asked_us : delay_us);
    struct job_list late = {NULL, NULL};
    uint64_t first_us = UINT64_MAX;
    (void)pack_expire(&flight->pack, flight->due_us, &late, &first_us);
    pack_compact(&flight->pack);
    (void)job_list_finish(&late, status_of(error));
    if (!flight->is_canary && flight->pack.count == 0)
        return false;
    flight->state = FLIGHT_RESTING;
    return true;
}

static void learn_batch(struct remote *remote, uint32_t batch)
{
    remote->batch_now = batch;
    atomic_store(&remote->tally.batch_now, batch);
    log_write(LOG_INFO, "embed", "texts in a request", "url=%s texts=%u", remote->url, batch);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Its jobs wait again, each beside half as many others. */
static void flight_halve(struct flight *flight, enum remote_error error)
{
    struct remote *remote = flight->remote;
    uint32_t count = (uint32_t)flight->pack.count, half = (count + 1) / 2;
    assert(count > 1);
    uint32_t learned = larger(half, remote->accepted_max);
    if (is_refusal(error) && count > remote->accepted_max && learned < remote->batch_now)
        learn_batch(remote, learned);
    struct job_list jobs = {NULL, NULL};
    pack_empty(&flight->pack, &jobs);
    for (struct embed_job *job = jobs.first; job != NULL; job = job->next)
        job->beside_max = half;
    flight->state = FLIGHT_FREE;
    remote_put_back(remote, &jobs, flight->is_bulk);
}

/* It stood alone because its pack was cut: so the pack was not too large. */
static void forgive_batch(struct flight *flight)
{
    struct remote *remote = flight->remote;
    assert(flight->pack.count == 1);
    const struct embed_job *job = flight->pack.texts[0].jobs.first;
    uint32_t batch_max = remote->settings.batch_max;
    if (job != NULL && job->beside_max == 1 && remote->batch_now < batch_max)
        learn_batch(remote, remote->batch_now < batch_max / 2 ? 2 * remote->batch_now : batch_max);
}

static void canary_over(struct flight *flight, enum remote_error error, uint64_t now_us)
{
    struct remote *remote = flight->remote;
    flight->state = FLIGHT_FREE;
    remote->is_doubted = false;
    remote->canary_over_us = now_us;
    remote->canary_at_us =
        now_us + (error == REMOTE_ERROR_NONE ? CANARY_EVERY_US : CANARY_AGAIN_US);
    if (remote->start.is_over)
        return;
    remote->start.is_over = true;
    remote->start.error = error;
    remote->start.code = flight->request.code;
    remote->start.why = flight->request.why != NULL ? flight->request.why : "no memory";
    if (error != REMOTE_ERROR_NONE && error != REMOTE_ERROR_MISMATCH && !remote->breaker.is_open) {
        breaker_trip(&remote->breaker, now_us);
        open_circuit(remote, error, flight->request.code);
    }
    (void)sem_post(&remote->start.ended);
}

/* No further attempt. */
static void flight_failed(struct flight *flight, enum remote_error error)
{
    if (flight->is_canary)
        canary_over(flight, error, flight->remote->settings.clock_us());
    else
        flight_end(flight, status_of(error));
}

static void settle_failure(struct flight *flight, enum remote_error error, uint64_t now_us)
{
    struct remote *remote = flight->remote;
    if (is_about_texts(error) && flight->pack.count > 1) {
        flight_halve(flight, error);
        return;
    }
    if (is_refusal(error))
        forgive_batch(flight);
    bool has_attempts = flight->attempts <= remote->settings.retries_max;
    bool is_probe = flight->is_canary && remote->start.is_over; /* the next one comes by itself */
    if (may_pass(error) && has_attempts && !is_probe && flight_rest(flight, error, now_us))
        return;
    flight_failed(flight, error);
}

/* A canary has no text to blame but ours. */
static enum remote_error judge(struct flight *flight, uint64_t now_us)
{
    enum remote_error error = error_of_request(&flight->request);
    if (error == REMOTE_ERROR_NONE)
        error = take_reply(flight);
    if (!flight->is_canary)
        return error;
    if (is_refusal(error))
        return can_try_floats(flight) ? error : REMOTE_ERROR_REFUSED;
    if (error != REMOTE_ERROR_BAD_VECTOR)
        return error;
    mark_bad(flight->remote, now_us);
    return REMOTE_ERROR_BAD_REPLY;
}

static void flight_done(struct outgoing_request *request)
{
    struct flight *flight = (struct flight *)request;
    struct remote *remote = flight->remote;
    assert(flight->magic == FLIGHT_MAGIC);
    assert(flight->state == FLIGHT_SENT);
    uint64_t now_us = remote->settings.clock_us();
    remote_body_clear(&flight->body);
    if (request->status == STATUS_CANCELLED) {
        flight_end(flight, STATUS_DRAINING);
        return;
    }
    enum remote_error error = judge(flight, now_us);
    if (request->retry_after_s > 0 && may_pass(error))
        remote_keep_quiet(remote, now_us + 1000000 * (uint64_t)request->retry_after_s);
    if (is_refusal(error) && can_try_floats(flight)) {
        pack_compact(&flight->pack);
        flight->asks_floats = true;
        flight->attempts--; /* the same attempt, put in other words */
        flight->state = FLIGHT_RESTING;
        flight->due_us = now_us;
        return;
    }
    note(flight, error, now_us);
    if (error != REMOTE_ERROR_NONE)
        settle_failure(flight, error, now_us);
    else if (flight->is_canary)
        canary_over(flight, error, now_us);
    else
        flight->state = FLIGHT_FREE;
}
