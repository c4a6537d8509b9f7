/*
 * codec_watch.c - WatchStats and Monitor, both ways. Owns nothing. Threads: any; all of it works in
 * the caller's arena.
 */
#include "server/codec_internal.h"

#include "cache/monitor.h"

/* Field numbers of proto/reprise/v1/admin.proto. */
enum {
    WATCH_STATS = 1,
    MONITOR_DECISIONS = 1,
    MONITOR_DROPPED = 2,
    DECISION_AT_UNIX_MS = 1,
    DECISION_RESULT = 2,
    DECISION_NAMESPACE = 3,
    DECISION_MODEL = 4,
    DECISION_TIER = 5,
    DECISION_MISS_REASON = 6,
    DECISION_SKIP = 7,
    DECISION_SIMILARITY = 8,
    DECISION_THRESHOLD = 9,
    DECISION_GUARDS = 10,
    DECISION_LATENCY_US = 11,
    DECISION_PROMPT = 12,
};

enum {
    INTERVAL_MS = 1000,
    INTERVAL_MS_MIN = 100,
    INTERVAL_MS_MAX = 3600 * 1000,
    RATE = 100,
    DECISION_BYTES = 96, /* about one, without its prompt */
    GUARDS = 5,          /* bits of enum guard; numbers of the proto's are one higher */
};

static enum status check_namespace(struct text name, struct failure *failure)
{
    if (name.length == 0 || key_is_namespace(name))
        return STATUS_OK;
    return failure_set(failure, STATUS_BAD_NAME, "namespace",
                       "1 to 64 of the characters A-Z a-z 0-9 . _ -");
}

/* ---- WatchStats ------------------------------------------------------------- */

enum status codec_read_watch_stats(struct text bytes, const struct codec_limits *limits,
                                   struct arena *arena, struct text *out_namespace,
                                   uint32_t *out_interval_ms, struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_WATCH_STATS, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__WatchStatsRequest *message =
        (const Reprise__V1__WatchStatsRequest *)unpacked;
    const uint32_t interval_ms = message->interval_ms != 0 ? message->interval_ms : INTERVAL_MS;
    if (interval_ms < INTERVAL_MS_MIN || interval_ms > INTERVAL_MS_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "interval_ms", "%d to %d",
                           INTERVAL_MS_MIN, INTERVAL_MS_MAX);
    status = check_namespace(text_of(message->namespace_), failure);
    if (status != STATUS_OK)
        return status;
    *out_namespace = text_of(message->namespace_);
    *out_interval_ms = interval_ms;
    return STATUS_OK;
}

enum status codec_write_watch_stats(const struct cache_stats *stats,
                                    const struct codec_limits *limits, struct arena *arena,
                                    struct codec_reply *out, struct failure *failure)
{
    struct codec_reply packed;
    const enum status status = codec_write_stats(stats, limits, arena, &packed, failure);
    if (status != STATUS_OK)
        return status;
    struct wire wire;
    wire_init(&wire, arena, wire_size(packed.head.length));
    wire_text(&wire, WATCH_STATS, packed.head);
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}

/* ---- Monitor ---------------------------------------------------------------- */

static enum status read_results(const Reprise__V1__MonitorRequest *message, unsigned *out_results,
                                struct failure *failure)
{
    *out_results = 0;
    for (size_t i = 0; i < message->n_results; i++) {
        const int result = (int)message->results[i];
        if (result < MONITOR_HIT || result >= MONITOR_RESULTS)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, "results",
                               "%d is not a DecisionResult", result);
        *out_results |= 1u << result;
    }
    return STATUS_OK;
}

enum status codec_read_monitor(struct text bytes, const struct codec_limits *limits,
                               struct arena *arena, struct monitor_filter *out,
                               struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_MONITOR, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__MonitorRequest *message = (const Reprise__V1__MonitorRequest *)unpacked;
    struct monitor_filter filter = {
        .namespace_ = text_of(message->namespace_),
        .rate = message->rate_max != 0 ? message->rate_max : RATE,
    };
    if (filter.rate > MONITOR_RATE_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "rate_max", "1 to %d a second",
                           MONITOR_RATE_MAX);
    status = check_namespace(filter.namespace_, failure);
    if (status == STATUS_OK)
        status = read_results(message, &filter.results, failure);
    if (status == STATUS_OK)
        *out = filter;
    return status;
}

static void put_guards(struct wire *wire, unsigned guards)
{
    for (unsigned bit = 0; bit < GUARDS; bit++) {
        if ((guards & 1u << bit) != 0)
            wire_uint(wire, DECISION_GUARDS, bit + 1);
    }
}

static void put_decision(struct wire *wire, const struct monitor_decision *decision)
{
    const struct wire_inner inner = wire_begin(wire, MONITOR_DECISIONS, DECISION_BYTES);
    wire_uint(wire, DECISION_AT_UNIX_MS, (uint64_t)decision->at_unix_ms);
    wire_uint(wire, DECISION_RESULT, (uint64_t)decision->result);
    wire_text(wire, DECISION_NAMESPACE,
              (struct text){decision->namespace_, decision->namespace_length});
    wire_text(wire, DECISION_MODEL, (struct text){decision->model, decision->model_length});
    wire_uint(wire, DECISION_TIER, (uint64_t)decision->tier);
    wire_uint(wire, DECISION_MISS_REASON, (uint64_t)decision->miss_reason);
    wire_uint(wire, DECISION_SKIP, (uint64_t)decision->skip);
    wire_float(wire, DECISION_SIMILARITY, decision->similarity);
    wire_float(wire, DECISION_THRESHOLD, decision->threshold);
    put_guards(wire, decision->guards);
    wire_uint(wire, DECISION_LATENCY_US, decision->latency_us);
    wire_text(wire, DECISION_PROMPT, (struct text){decision->prompt, decision->prompt_length});
    wire_end(wire, inner);
}

/* What does not fit into a reply counts as dropped. */
enum status codec_write_monitor(const struct monitor_decision *decisions, size_t count,
                                uint64_t dropped, const struct codec_limits *limits,
                                struct arena *arena, struct codec_reply *out,
                                struct failure *failure)
{
    const size_t most = sizeof(decisions[0]) + DECISION_BYTES;
    struct wire wire;
    wire_init(&wire, arena, count * DECISION_BYTES + DECISION_BYTES);
    size_t written = 0;
    while (written < count && wire.length + most <= limits->reply_max)
        put_decision(&wire, &decisions[written++]);
    dropped += count - written;
    wire_uint(&wire, MONITOR_DROPPED, dropped);
    if (wire.length == 0)
        wire_raw(&wire, TEXT("\x10\x00")); /* dropped = 0, written out: a message of no bytes is no
                                              message here */
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head) == STATUS_OK ? STATUS_OK : codec_spent(failure);
}
