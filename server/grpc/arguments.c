/*
 * arguments.c - the option rows of the door, and the channel arguments made from them.
 *
 * Fixed on purpose: so_reuseport 0, else a second server on the port starts silently and takes half
 * of the connections; channelz off, since nobody reads it; the ping rules, so that a client may
 * ping every 10 s and no more often; no compression but identity, because the core unpacks a whole
 * message before it compares its size with server.message_max (256 KiB of gzip became 256 MiB of
 * memory): a compressed request is UNIMPLEMENTED before it is unpacked. bdp_probe and minimal_stack
 * stay as the core has them: minimal_stack saves 5 % of the instructions and drops deadline checks.
 * Connections live as long as their clients want unless an option says otherwise: age and idle time
 * bring a filter of the core into every call (3,200 instructions; an echo has 47,000), for the sake
 * of replicas that a door on loopback does not have.
 *
 * What is bounded: the buffers of all connections together, by the quota (a client that announces
 * 1 GiB and sends it holds the quota and no more; beyond it the core ends streams, and others are
 * served: measured with seven of them); the places of calls, by server.inflight_max, read_timeout
 * and send_timeout. What is not: one message, which the core of 1.51 compares with
 * server.message_max only when it is whole, so one caller alone can fill the quota; and the time an
 * upload of Get, Set or a batch takes, which the core reads before the door hears of the call.
 *
 * Owns nothing but the quota. Threads: main.
 */
#include "server/grpc/arguments.h"

#include <limits.h>
#include <string.h>

#include "base/check.h"
#include "base/machine.h"
#include "server/grpc/listener.h"

/* clang-format off */
const struct option_row listener_option_rows[] = {
    {"grpc.listen", OPTION_STRING, "127.0.0.1:7371", NULL, NULL, NULL, "",
     "Where the gRPC door listens, as HOST:PORT; port 0 picks a free one. Loopback only, until there are TLS and tokens."},
    {"grpc.streams_max", OPTION_UINT, "1024", "1", "65536", NULL, "calls",
     "Calls that one connection may have open at a time."},
    {"grpc.reflection", OPTION_FLAG, "true", NULL, NULL, NULL, "",
     "Answer server reflection, so that grpcurl and ghz need no proto files."},
    {"grpc.metadata_max", OPTION_SIZE, "16KiB", "1KiB", "1MiB", NULL, "bytes",
     "Headers of one call, all together."},
    {"grpc.keepalive_time", OPTION_DURATION, "30s", "1s", "24h", NULL, "",
     "A connection on which nothing arrived for so long is pinged."},
    {"grpc.keepalive_timeout", OPTION_DURATION, "10s", "1s", "10min", NULL, "",
     "A connection that does not answer its ping for so long is closed."},
    {"grpc.max_connection_age", OPTION_DURATION, "0s", "0s", "24h", NULL, "",
     "Clients are asked to connect anew after so long, which spreads load over replicas; 0: never. Costs 5 % of a hit."},
    {"grpc.max_connection_age_grace", OPTION_DURATION, "30s", "1s", "24h", NULL, "",
     "Calls on a connection that has reached its age may go on for so long."},
    {"grpc.max_connection_idle", OPTION_DURATION, "0s", "0s", "24h", NULL, "",
     "A connection without calls is closed after so long; 0: never. Costs 5 % of a hit."},
    {"grpc.handshake_timeout", OPTION_DURATION, "10s", "1s", "10min", NULL, "",
     "A connection that has not begun to speak HTTP/2 after so long is closed."},
    {"server.io_threads", OPTION_UINT, "0", "0", "64", NULL, "threads",
     "Threads that receive, look up and reply; 0: half of the cores, 2 to 16."},
    {"server.inflight_max", OPTION_UINT | OPTION_LIVE, "4096", "1", "65536", NULL, "calls",
     "Calls that may be between arrival and reply; beyond it they are answered OVERLOADED before they are unpacked."},
    {"server.streams_max", OPTION_UINT, "1024", "1", "65536", NULL, "calls",
     "Streams (GetStream, SetStream, Watch, reflection) that may be open; beyond it they are answered OVERLOADED."},
    {"server.message_max", OPTION_SIZE, "4MiB", "64KiB", "64MiB", NULL, "bytes",
     "One request message; the transport refuses a larger one as RESOURCE_EXHAUSTED, without details."},
    {"server.reply_max", OPTION_SIZE | OPTION_LIVE, "4MiB", "64KiB", "64MiB", NULL, "bytes",
     "One reply message; 4 MiB is what gRPC clients accept unless told otherwise."},
    {"server.read_timeout", OPTION_DURATION | OPTION_LIVE, "10s", "1s", "60s", NULL, "",
     "A call of Delete, Invalidate, Report, Stats or health whose message is not complete after so long is cancelled. Get, Set and the batches are let in with their whole message: an upload of theirs that stalls lasts until the caller's deadline or the end of the connection (grpc.keepalive_*, grpc.max_connection_age)."},
    {"server.send_timeout", OPTION_DURATION | OPTION_LIVE, "30s", "1s", "10min", NULL, "",
     "A call whose reply its caller has not taken after so long is cancelled."},
    {"server.stream_timeout", OPTION_DURATION | OPTION_LIVE, "5min", "1s", "24h", NULL, "",
     "A SetStream of which nothing has come for so long is cancelled, and nothing of it is kept."},
    {"server.drain_delay", OPTION_DURATION | OPTION_LIVE, "0s", "0s", "5min", NULL, "",
     "At shutdown: serving goes on for so long while health already says NOT_SERVING."},
    {"server.drain_timeout", OPTION_DURATION | OPTION_LIVE, "20s", "0s", "10min", NULL, "",
     "At shutdown: calls in flight may take so long to finish, then they are cancelled. Those that wait for an embedder go on without it 5 s before, after half of the time at the latest."},
    {"server.overload", OPTION_CHOICE | OPTION_LIVE, "degrade", NULL, NULL, "degrade|refuse", "",
     "A Get that finds the compute queue full becomes a miss with reason OVERLOADED (degrade) or an error (refuse). One over 32 KiB is an error always, since unpacking it is work for compute too."},
};
/* clang-format on */
const size_t listener_option_rows_count =
    sizeof(listener_option_rows) / sizeof(listener_option_rows[0]);

enum { PING_INTERVAL_MS = 10000, PING_STRIKES = 2 };

/* Of the machine's memory, and in messages. */
enum { QUOTA_SHARE_LEAST = 16, QUOTA_SHARE_MOST = 4, QUOTA_MESSAGES = 32 };

static void add(struct arguments *arguments, const char *key, uint64_t value)
{
    assert(arguments->count < ARGUMENTS_MAX);
    union { /* the core's struct has no const; it copies the name */
        const char *ours;
        char *theirs;
    } name = {.ours = key};
    grpc_arg *row = &arguments->rows[arguments->count++];
    row->type = GRPC_ARG_INTEGER;
    row->key = name.theirs;
    row->value.integer = value < INT_MAX ? (int)value : INT_MAX;
}

static void add_duration(struct arguments *arguments, const char *key,
                         const struct options *options, const char *option)
{
    add(arguments, key, options_us(options, option) / 1000);
}

/* 0 stands for never, which is INT_MAX to the core. */
static void add_age(struct arguments *arguments, const char *key, const struct options *options,
                    const char *option)
{
    uint64_t age_ms = options_us(options, option) / 1000;
    add(arguments, key, age_ms > 0 ? age_ms : INT_MAX);
}

/* Room for QUOTA_MESSAGES of the largest at a time, more on a large machine, and on a small one not
 * more than a quarter. */
static uint64_t quota_bytes(const struct options *options)
{
    uint64_t memory = machine_memory_bytes();
    uint64_t bytes = options_uint(options, "server.message_max") * QUOTA_MESSAGES;
    if (bytes < memory / QUOTA_SHARE_LEAST)
        bytes = memory / QUOTA_SHARE_LEAST;
    return bytes < memory / QUOTA_SHARE_MOST ? bytes : memory / QUOTA_SHARE_MOST;
}

/* Under memory pressure the core drops new connections, then ends streams. */
static void add_quota(struct arguments *arguments, const struct options *options)
{
    assert(arguments->count < ARGUMENTS_MAX);
    arguments->quota = grpc_resource_quota_create("reprise");
    grpc_resource_quota_resize(arguments->quota, quota_bytes(options));
    static char key[] = GRPC_ARG_RESOURCE_QUOTA;
    grpc_arg *row = &arguments->rows[arguments->count++];
    row->type = GRPC_ARG_POINTER;
    row->key = key;
    row->value.pointer.p = arguments->quota;
    row->value.pointer.vtable = grpc_resource_quota_arg_vtable();
}

void arguments_init(struct arguments *arguments, const struct options *options)
{
    *arguments = (struct arguments){.count = 0};
    add(arguments, GRPC_ARG_MAX_CONCURRENT_STREAMS, options_uint(options, "grpc.streams_max"));
    add(arguments, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
        options_uint(options, "server.message_max"));
    add(arguments, GRPC_ARG_MAX_METADATA_SIZE, options_uint(options, "grpc.metadata_max"));
    add_duration(arguments, GRPC_ARG_KEEPALIVE_TIME_MS, options, "grpc.keepalive_time");
    add_duration(arguments, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, options, "grpc.keepalive_timeout");
    add(arguments, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    add(arguments, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_INTERVAL_MS);
    add(arguments, GRPC_ARG_HTTP2_MAX_PING_STRIKES, PING_STRIKES);
    add_age(arguments, GRPC_ARG_MAX_CONNECTION_AGE_MS, options, "grpc.max_connection_age");
    add_duration(arguments, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, options,
                 "grpc.max_connection_age_grace");
    add_age(arguments, GRPC_ARG_MAX_CONNECTION_IDLE_MS, options, "grpc.max_connection_idle");
    add_duration(arguments, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, options,
                 "grpc.handshake_timeout");
    add(arguments, GRPC_ARG_ALLOW_REUSEPORT, 0);
    add(arguments, GRPC_ARG_ENABLE_CHANNELZ, 0);
    add(arguments, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    add_quota(arguments, options);
}

void arguments_deinit(struct arguments *arguments)
{
    if (arguments->quota != NULL)
        grpc_resource_quota_unref(arguments->quota);
    arguments->quota = NULL;
}
