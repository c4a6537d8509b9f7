/*
 * get_stream.c - GetStream: the walk is Get's (get.c); then the head, the text piece by piece, and
 * the finish, one message at a time: the next is begun when the one before has left. With a pace,
 * each piece has a moment of its own, counted from the head, so that what was late once is made up
 * for; between them the call is parked with the timers.
 *
 * The Get's references are held until the end: pieces over 4 KiB lie in the entry, and are not
 * copied. Owns nothing. Threads: the call's owner; get_stream_closed any of the queue.
 */
#include "base/check.h"
#include "base/clock.h"
#include "server/grpc/get.h"
#include "server/grpc/handlers.h"
#include "server/grpc/reply.h"
#include "server/grpc/timers.h"

enum { CHUNK_BYTES = 4096, BYTES_PER_TOKEN = 4, CHUNKS_PER_SECOND = 20 };

struct stream_work {
    struct get_work get; /* first, so that it is one */
    struct codec_pace pace;
    struct timer timer;
    bool is_begun; /* the head has been written */
    bool is_finished;
    struct cache_answer answer; /* borrowed from the entry that the Get holds */
    size_t sent_bytes;          /* of its text                                */
    uint64_t begun_us;
    char delta_head[CODEC_DELTA_HEAD];
};

static void fire(struct timer *timer)
{
    call_wake(timer->context);
}

static enum status read_get_stream(struct get_work *get, struct text message,
                                   const struct codec_limits *limits, struct failure *failure)
{
    struct stream_work *work = (struct stream_work *)get;
    get->waiter = (struct lease_waiter){.woken = NULL}; /* `closed` may ask whether they wait */
    work->timer = (struct timer){.fire = fire, .context = get->call, .gone = &get->call->closed};
    work->is_begun = work->is_finished = false;
    work->answer = (struct cache_answer){.opaque = false};
    work->sent_bytes = 0;
    return codec_read_get_stream(message, limits, get->call->arena, &get->request, &work->pace,
                                 failure);
}

/* ---- Ends ---- */

static void end(struct call *call, enum status status)
{
    struct stream_work *work = call->work;
    cache_get_release(&work->get.get);
    reply_status(call, status);
}

static void drop(struct call *call, enum call_fate fate)
{
    struct stream_work *work = call->work;
    cache_get_release(&work->get.get);
    call_drop(call, fate);
}

/* ---- Pieces ---- */

static size_t chunk_bytes(const struct codec_pace *pace)
{
    if (pace->chunk_bytes != 0)
        return pace->chunk_bytes;
    if (pace->tokens_per_second == 0)
        return CHUNK_BYTES;
    const uint64_t bytes = (uint64_t)pace->tokens_per_second * BYTES_PER_TOKEN / CHUNKS_PER_SECOND;
    if (bytes < CODEC_CHUNK_MIN)
        return CODEC_CHUNK_MIN;
    return bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;
}

/* Not in the middle of a character, which has at most 4 bytes: fewer than a chunk. */
static size_t next_length(const struct stream_work *work)
{
    const struct text text = work->answer.answer;
    const size_t left = text.length - work->sent_bytes;
    size_t length = chunk_bytes(&work->pace);
    if (length >= left)
        return left;
    while (((unsigned char)text.bytes[work->sent_bytes + length] & 0xC0) == 0x80 && length > 1)
        length--;
    return length;
}

static void write_chunk(struct call *call, struct stream_work *work)
{
    const size_t length = next_length(work);
    assert(length > 0);
    const struct text chunk = {work->answer.answer.bytes + work->sent_bytes, length};
    work->sent_bytes += length;
    const struct codec_reply reply = {
        .head = {work->delta_head, codec_delta_head(length, work->delta_head)},
        .tail = chunk,
        .tail_entry = work->get.get.reply.found.entry};
    reply_write_parts(call, &reply);
}

static void write_finish(struct call *call, struct stream_work *work)
{
    struct codec_reply reply;
    work->is_finished = true;
    if (codec_write_stream_finish(work->answer.info, call->arena, &reply) == STATUS_OK)
        reply_write_parts(call, &reply);
    else
        end(call, STATUS_NO_MEMORY);
}

/* ---- Pace ---- */

static uint64_t due_us(const struct stream_work *work)
{
    const uint64_t bytes_per_second = (uint64_t)work->pace.tokens_per_second * BYTES_PER_TOKEN;
    if (bytes_per_second == 0)
        return 0;
    return work->begun_us + (uint64_t)work->sent_bytes * 1000000 / bytes_per_second;
}

/* True: it is parked, and no more the caller's. */
static bool rest_until(struct call *call, struct stream_work *work, uint64_t moment_us)
{
    if (moment_us <= clock_monotonic_us())
        return false;
    work->timer.due_us = moment_us;
    call_park(call);
    if (timers_arm(call_door(call)->timers, &work->timer))
        return true;
    call_unpark(call);
    return false;
}

static void go_on(struct call *call, struct stream_work *work)
{
    if (work->sent_bytes < work->answer.answer.length) {
        if (!rest_until(call, work, due_us(work)))
            write_chunk(call, work);
    } else if (work->get.get.reply.tier != CACHE_TIER_NONE && !work->is_finished) {
        write_finish(call, work);
    } else {
        end(call, STATUS_OK);
    }
}

/* ---- The stream ---- */

static void send_head(struct call *call, struct cache_get *get)
{
    struct stream_work *work = call->work;
    struct codec_reply reply;
    struct failure failure = {.status = STATUS_OK};
    enum status status = codec_write_stream_head(get, clock_wall_ms(), call_door(call)->limits,
                                                 call->arena, &reply, &failure);
    if (status != STATUS_OK) {
        cache_get_release(get);
        reply_outcome(call, status, NULL, &failure);
        return;
    }
    if (get->reply.tier != CACHE_TIER_NONE) {
        cache_answer_read(get->reply.found.entry, &work->answer);
        if (work->answer.opaque) /* the head has it */
            work->answer.answer = (struct text){NULL, 0};
    }
    work->is_begun = true;
    work->begun_us = clock_monotonic_us();
    atomic_store(&call->watched, work);
    reply_write_parts(call, &reply);
}

void handle_get_stream(struct call *call)
{
    static const struct get_way way = {
        .work_bytes = sizeof(struct stream_work), .read = read_get_stream, .send = send_head};
    get_run(call, &way);
}

void get_stream_written(struct call *call, bool success)
{
    const enum call_fate fate = call_fate(call);
    if (!success)
        end(call, STATUS_CANCELLED);
    else if (fate != CALL_WANTED)
        drop(call, fate);
    else
        go_on(call, call->work);
}

void get_stream_woken(struct call *call)
{
    struct stream_work *work = call->work;
    if (!work->is_begun) {
        get_woken(call);
        return;
    }
    const enum call_fate fate = call_fate(call);
    if (fate == CALL_WANTED)
        write_chunk(call, work);
    else
        drop(call, fate);
}

void get_stream_closed(struct call *call)
{
    struct stream_work *work = atomic_load(&call->watched);
    if (work == NULL)
        return;
    if (timers_cancel(call_door(call)->timers, &work->timer))
        call_wake(call);
    else
        get_closed(call);
}
