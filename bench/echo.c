/*
 * echo.c - the anchor that Get is measured against: the least that a server on the gRPC C core with
 * protobuf-c does.
 *
 *   bench_echo --port N --answer-bytes N
 *
 * One registered method, /reprise.bench.Echo/Echo, whose message comes with the call; the request
 * (reprise.v1.GetRequest) is unpacked into the slot's arena, and a fixed GetResponse is packed: a
 * hit with an entry and a content of --answer-bytes bytes, so that both servers carry the same
 * bytes. One closing batch ends the call: two events a call. One queue, one thread, 256 slots: the
 * fastest of the shapes that were tried. It has none of a server's duties: no
 * limits, no deadlines, no errors, no drain.
 *
 * Prints `listening on 127.0.0.1:PORT`; SIGTERM and SIGINT end it.
 */
#include <getopt.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "reprise/v1/cache.pb-c.h"

enum { SLOTS = 256, ARENA_BYTES = 8192, ANSWER_BYTES_MAX = 1 << 20 };
enum slot_state { POSTED, SENDING };

struct slot {
    enum slot_state state;
    grpc_call *call;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *request, *reply;
    int cancelled;
    size_t used;
    _Alignas(16) uint8_t arena[ARENA_BYTES];
};

struct echo {
    grpc_server *server;
    grpc_completion_queue *queue;
    void *method;
    Reprise__V1__GetResponse answer;
    struct slot slots[SLOTS];
};

/* ---- Messages ---- */

static void *arena_take(void *slot_pointer, size_t size)
{
    struct slot *slot = slot_pointer;
    size = (size + 15) & ~(size_t)15;
    assert(size <= ARENA_BYTES - slot->used); /* the bench sends small requests */
    void *taken = slot->arena + slot->used;
    slot->used += size;
    return taken;
}

static void arena_keep(void *slot, void *taken)
{
    (void)slot;
    (void)taken;
}

static void unpack(struct slot *slot)
{
    grpc_byte_buffer_reader reader;
    int readable = grpc_byte_buffer_reader_init(&reader, slot->request);
    assert(readable);
    grpc_slice whole = grpc_empty_slice(), *first = NULL, *second = NULL;
    bool borrowed = grpc_byte_buffer_reader_peek(&reader, &first) &&
                    !grpc_byte_buffer_reader_peek(&reader, &second);
    grpc_byte_buffer_reader_destroy(&reader);
    if (!borrowed) {
        readable = grpc_byte_buffer_reader_init(&reader, slot->request);
        assert(readable);
        whole = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        first = &whole;
    }
    ProtobufCAllocator allocator = {arena_take, arena_keep, slot};
    slot->used = 0;
    Reprise__V1__GetRequest *request = reprise__v1__get_request__unpack(
        &allocator, GRPC_SLICE_LENGTH(*first), GRPC_SLICE_START_PTR(*first));
    assert(request != NULL);
    assert(request->identity != NULL);
    grpc_slice_unref(whole);
}

static void pack(const struct echo *echo, struct slot *slot)
{
    grpc_slice slice = grpc_slice_malloc(reprise__v1__get_response__get_packed_size(&echo->answer));
    (void)reprise__v1__get_response__pack(&echo->answer, GRPC_SLICE_START_PTR(slice));
    slot->reply = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
}

/* ---- Calls ---- */

static void post(struct echo *echo, struct slot *slot)
{
    slot->state = POSTED;
    grpc_call_error error = grpc_server_request_registered_call(
        echo->server, echo->method, &slot->call, &slot->deadline, &slot->metadata, &slot->request,
        echo->queue, echo->queue, slot);
    assert(error == GRPC_CALL_OK);
}

static void answer(struct echo *echo, struct slot *slot)
{
    unpack(slot);
    pack(echo, slot);
    grpc_op ops[4];
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = slot->reply;
    ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[3].data.recv_close_on_server.cancelled = &slot->cancelled;
    slot->state = SENDING;
    grpc_call_error error = grpc_call_start_batch(slot->call, ops, 4, slot, NULL);
    assert(error == GRPC_CALL_OK);
}

static void finish(struct slot *slot)
{
    grpc_call_unref(slot->call);
    grpc_byte_buffer_destroy(slot->request);
    grpc_byte_buffer_destroy(slot->reply);
    slot->metadata.count = 0;
}

/* The queue's only thread. The event without a slot is the server's shutdown. */
static void *serve(void *argument)
{
    struct echo *echo = argument;
    bool stopping = false;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(echo->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        struct slot *slot = event.tag;
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (slot == NULL) {
            stopping = true;
            grpc_completion_queue_shutdown(echo->queue);
        } else if (slot->state == SENDING) {
            finish(slot);
            if (!stopping)
                post(echo, slot);
        } else if (event.success != 0) {
            answer(echo, slot);
        }
    }
}

/* ---- The process ---- */

/* What the real server answers to an exact hit. */
static void make_answer(Reprise__V1__GetResponse *answer_message, size_t content_bytes)
{
    static char entry_id[] = "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a";
    static Reprise__V1__EntryInfo entry = REPRISE__V1__ENTRY_INFO__INIT;
    entry.entry_id = entry_id;
    entry.created_unix_ms = 1764072000000;
    entry.age_ms = 20000;
    entry.ttl_remaining_ms = 86380000;
    entry.hit_count = 10000;
    char *content = calloc(1, content_bytes + 1);
    assert(content != NULL);
    memset(content, 'a', content_bytes);
    *answer_message = (Reprise__V1__GetResponse)REPRISE__V1__GET_RESPONSE__INIT;
    answer_message->hit = 1;
    answer_message->tier = REPRISE__V1__TIER__TIER_EXACT;
    answer_message->similarity = 1;
    answer_message->entry = &entry;
    answer_message->content = content;
}

static int open_port(struct echo *echo, unsigned long port)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%lu", port);
    echo->server = grpc_server_create(NULL, NULL);
    echo->method = grpc_server_register_method(echo->server, "/reprise.bench.Echo/Echo", NULL,
                                               GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    echo->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(echo->server, echo->queue, NULL);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int bound = grpc_server_add_http2_port(echo->server, address, credentials);
    grpc_server_credentials_release(credentials);
    return bound;
}

static void run(struct echo *echo, const sigset_t *signals)
{
    grpc_server_start(echo->server);
    for (size_t i = 0; i < SLOTS; i++) {
        grpc_metadata_array_init(&echo->slots[i].metadata);
        post(echo, &echo->slots[i]);
    }
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, serve, echo);
    assert(failed == 0);
    int signal_number = 0;
    (void)sigwait(signals, &signal_number);
    grpc_server_shutdown_and_notify(echo->server, echo->queue, NULL);
    grpc_server_cancel_all_calls(echo->server);
    (void)pthread_join(thread, NULL);
    grpc_server_destroy(echo->server);
    grpc_completion_queue_destroy(echo->queue);
}

static bool read_flags(int argc, char **argv, unsigned long *out_port, unsigned long *out_bytes)
{
    static const struct option flags[] = {{"port", required_argument, NULL, 'p'},
                                          {"answer-bytes", required_argument, NULL, 'a'},
                                          {NULL, 0, NULL, 0}};
    int flag = 0;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == 'p')
            *out_port = strtoul(optarg, NULL, 10);
        else if (flag == 'a')
            *out_bytes = strtoul(optarg, NULL, 10);
        else
            return false;
    }
    return optind == argc && *out_port <= 65535 && *out_bytes <= ANSWER_BYTES_MAX;
}

int main(int argc, char **argv)
{
    unsigned long port = 0, answer_bytes = 64;
    if (!read_flags(argc, argv, &port, &answer_bytes)) {
        (void)fputs("usage: bench_echo [--port N] [--answer-bytes N]\n", stderr);
        return 2;
    }
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    static struct echo echo;
    make_answer(&echo.answer, answer_bytes);
    grpc_init();
    int bound = open_port(&echo, port);
    if (bound == 0) {
        (void)fprintf(stderr, "bench_echo: cannot listen on port %lu\n", port);
        return 1;
    }
    (void)printf("listening on 127.0.0.1:%d\n", bound);
    (void)fflush(stdout);
    run(&echo, &signals);
    grpc_shutdown();
    free(echo.answer.content);
    return 0;
}
