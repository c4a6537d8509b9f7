/*
 * Goal: the drain (listener.c, queue.c) does not take the server away while an arrival is in the
 * hands of an I/O thread that has not got to look at it. Method: the core's functions that matter
 * are wrapped here. An I/O thread that has received the first call is held until the draining
 * thread has asked its own queue many times over; the caller, HTTP/2 by hand, has long gone.
 */
#include "tests/support/unit.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <grpc/grpc.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/codec.h"
#include "server/grpc/listener.h"

/* ThreadSanitizer does not see into Debian's gRPC. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

/* The refusing asks 5 to 25 times, and from then on once a millisecond or more. */
enum { ASKED_BEFORE_RELEASE = 200 };

static atomic_bool armed;
static atomic_int asked, events_held;
static sem_t taken, released;
static _Thread_local bool draining;
static int held_at_destroy;

typedef grpc_event next_function(grpc_completion_queue *queue, gpr_timespec until, void *reserved);

grpc_event grpc_completion_queue_next(grpc_completion_queue *queue, gpr_timespec until,
                                      void *reserved)
{
    next_function *next = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "grpc_completion_queue_next");
    grpc_event event = next(queue, until, reserved);
    if (draining) {
        if (atomic_fetch_add(&asked, 1) + 1 == ASKED_BEFORE_RELEASE)
            (void)sem_post(&released);
    } else if (event.type == GRPC_OP_COMPLETE && atomic_exchange(&armed, false)) {
        atomic_fetch_add(&events_held, 1);
        (void)sem_post(&taken);
        while (sem_wait(&released) != 0)
            ;
        atomic_fetch_sub(&events_held, 1);
    }
    return event;
}

void grpc_server_destroy(grpc_server *server)
{
    void (*destroy)(grpc_server *) = NULL;
    *(void **)&destroy = dlsym(RTLD_NEXT, "grpc_server_destroy");
    held_at_destroy = atomic_load(&events_held);
    destroy(server);
}

/* ---- A caller ---- */

struct bytes {
    unsigned char data[1024];
    size_t length;
};

static void add(struct bytes *bytes, const void *data, size_t length)
{
    assert_true(bytes->length + length <= sizeof(bytes->data));
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void add_frame(struct bytes *bytes, int type, int flags, int stream, const void *data,
                      size_t length)
{
    const unsigned char head[9] = {0,
                                   (unsigned char)(length >> 8),
                                   (unsigned char)length,
                                   (unsigned char)type,
                                   (unsigned char)flags,
                                   0,
                                   0,
                                   0,
                                   (unsigned char)stream};
    add(bytes, head, sizeof(head));
    add(bytes, data, length);
}

/* HPACK: a literal without indexing, with a new name (RFC 7541, 6.2.2). */
static void add_header(struct bytes *bytes, const char *name, const char *value)
{
    const unsigned char lengths[2] = {(unsigned char)strlen(name), (unsigned char)strlen(value)};
    add(bytes, "", 1);
    add(bytes, &lengths[0], 1);
    add(bytes, name, lengths[0]);
    add(bytes, &lengths[1], 1);
    add(bytes, value, lengths[1]);
}

static int call_get(int port)
{
    struct bytes headers = {.length = 0}, all = {.length = 0};
    add_header(&headers, ":method", "POST");
    add_header(&headers, ":scheme", "http");
    add_header(&headers, ":path", "/reprise.v1.Cache/Get");
    add_header(&headers, ":authority", "t");
    add_header(&headers, "te", "trailers");
    add_header(&headers, "content-type", "application/grpc");
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    add(&all, preface, sizeof(preface) - 1);
    add_frame(&all, 4, 0, 0, "", 0);                        /* SETTINGS */
    add_frame(&all, 1, 4, 1, headers.data, headers.length); /* HEADERS, END_HEADERS */
    add_frame(&all, 0, 1, 1, "\0\0\0\0\0", 5);              /* DATA, END_STREAM: empty message */
    int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(caller, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(caller, all.data, all.length), all.length);
    return caller;
}

/* ---- */

static void the_server_stays_until_an_arrival_has_been_looked_at(void **state)
{
    (void)state;
    if (UNDER_TSAN)
        skip();
    static const struct codec_limits limits = {.batch_max = 256, .reply_max = 4 << 20};
    const struct option_table table = {listener_option_rows, listener_option_rows_count};
    struct options *options = NULL;
    struct listener *listener = NULL;
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(options_create(&table, 1, &options), STATUS_OK);
    assert_int_equal(sem_init(&taken, 0, 0), 0);
    assert_int_equal(sem_init(&released, 0, 0), 0);
    const struct listener_setup setup = {
        .address = "127.0.0.1:0", .limits = &limits, .options = options, .io_threads = 2};
    assert_int_equal(listener_create(&setup, &listener, &failure), STATUS_OK);
    assert_int_equal(listener_start(listener, &failure), STATUS_OK);
    listener_open(listener);
    atomic_store(&armed, true);
    int caller = call_get(listener_port(listener));
    while (sem_wait(&taken) != 0)
        ;
    (void)close(caller);
    held_at_destroy = -1;
    draining = true;
    listener_drain(listener, 0, 60 * 1000);
    draining = false;
    assert_true(atomic_load(&asked) >= ASKED_BEFORE_RELEASE);
    assert_int_equal(held_at_destroy, 0);
    listener_destroy(&listener);
    options_destroy(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_stays_until_an_arrival_has_been_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
