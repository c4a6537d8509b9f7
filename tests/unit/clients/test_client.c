/*
 * Goal: calls over a real connection: replies, errors with details, deadlines, metadata, servers
 * that are not there, nonsense instead of replies, and many threads on one handle. Method: a small
 * server on the gRPC C core in this process, which answers by the name of the asked model. Rooms:
 * client, channel.
 */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/reprise.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "reprise/v1/cache.pb-c.h"
#include "tests/unit/clients/foreign.h"

static struct {
    grpc_server *core;
    grpc_completion_queue *queue;
    pthread_t thread;
    char endpoint[32];
    _Atomic unsigned calls;
} server;

/* One batch of one call; the server works on one call after the other. */
static void batch(grpc_call *call, const grpc_op *ops, size_t count)
{
    grpc_call_error error = grpc_call_start_batch(call, ops, count, call, NULL);
    assert_int_equal(error, GRPC_CALL_OK);
    grpc_event event =
        grpc_completion_queue_next(server.queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    assert_ptr_equal(event.tag, call);
}

static Reprise__V1__GetRequest *read_request(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    assert_true(grpc_byte_buffer_reader_init(&reader, buffer));
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    Reprise__V1__GetRequest *request = reprise__v1__get_request__unpack(
        NULL, GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));
    grpc_slice_unref(bytes);
    return request;
}

static grpc_slice pack_details(void)
{
    uint8_t inner[64], outer[256];
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.reason = "BAD_NAME";
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "type.googleapis.com/google.rpc.ErrorInfo";
    any.value.data = inner;
    any.value.len = google__rpc__error_info__pack(&info, inner);
    Google__Protobuf__Any *list[] = {&any};
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.message = "a name is too long";
    status.details = list;
    status.n_details = 1;
    return grpc_slice_from_copied_buffer((char *)outer, google__rpc__status__pack(&status, outer));
}

/* What the caller sent as x-request-id comes back as the answer. */
static grpc_slice pack_reply(const grpc_metadata_array *metadata)
{
    char content[64] = "no id";
    for (size_t i = 0; i < metadata->count; i++) {
        const grpc_metadata *row = &metadata->metadata[i];
        if (grpc_slice_str_cmp(row->key, "x-request-id") == 0)
            (void)snprintf(content, sizeof(content), "%.*s", (int)GRPC_SLICE_LENGTH(row->value),
                           (const char *)GRPC_SLICE_START_PTR(row->value));
    }
    Reprise__V1__GetResponse reply = REPRISE__V1__GET_RESPONSE__INIT;
    reply.hit = true;
    reply.content = content;
    grpc_slice slice = grpc_slice_malloc(reprise__v1__get_response__get_packed_size(&reply));
    (void)reprise__v1__get_response__pack(&reply, GRPC_SLICE_START_PTR(slice));
    return slice;
}

static void send_reply(grpc_call *call, grpc_slice bytes)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&bytes, 1);
    const grpc_op ops[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                           {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer},
                           {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                            .data.send_status_from_server.status = GRPC_STATUS_OK}};
    batch(call, ops, 3);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(bytes);
}

static void send_error(grpc_call *call)
{
    grpc_metadata trailer = {.key = grpc_slice_from_static_string("grpc-status-details-bin"),
                             .value = pack_details()};
    grpc_slice message = grpc_slice_from_static_string("a name is too long");
    const grpc_op ops[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                           {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                            .data.send_status_from_server = {.trailing_metadata_count = 1,
                                                             .trailing_metadata = &trailer,
                                                             .status = GRPC_STATUS_INVALID_ARGUMENT,
                                                             .status_details = &message}}};
    batch(call, ops, 2);
    grpc_slice_unref(trailer.value);
}

/* The call is left open until the caller's deadline has ended it. */
static void wait_for_close(grpc_call *call)
{
    int cancelled = 0;
    const grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                        .data.recv_close_on_server.cancelled = &cancelled};
    batch(call, &op, 1);
    assert_int_equal(cancelled, 1);
}

static void answer(grpc_call *call, const grpc_metadata_array *metadata)
{
    grpc_byte_buffer *received = NULL;
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &received};
    batch(call, &op, 1);
    if (received == NULL)
        return; /* the caller has gone before its message came */
    Reprise__V1__GetRequest *request = read_request(received);
    assert_non_null(request);
    const char *model = request->identity->model;
    if (strcmp(model, "refused") == 0)
        send_error(call);
    else if (strcmp(model, "never") == 0)
        wait_for_close(call);
    else if (strcmp(model, "nonsense") == 0)
        send_reply(call, grpc_slice_from_static_string("\x0A\xFF\xFF\xFF\xFF\x0F"));
    else
        send_reply(call, pack_reply(metadata));
    reprise__v1__get_request__free_unpacked(request, NULL);
    grpc_byte_buffer_destroy(received);
}

static void *serve(void *argument)
{
    (void)argument;
    for (;;) {
        grpc_call *call = NULL;
        grpc_call_details details;
        grpc_metadata_array metadata;
        grpc_call_details_init(&details);
        grpc_metadata_array_init(&metadata);
        grpc_call_error error = grpc_server_request_call(server.core, &call, &details, &metadata,
                                                         server.queue, server.queue, &server);
        assert_int_equal(error, GRPC_CALL_OK);
        grpc_event event =
            grpc_completion_queue_next(server.queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        bool goes_on = event.success != 0;
        if (goes_on) {
            atomic_fetch_add(&server.calls, 1);
            answer(call, &metadata);
            grpc_call_unref(call);
        }
        grpc_call_details_destroy(&details);
        grpc_metadata_array_destroy(&metadata);
        if (!goes_on)
            return NULL;
    }
}

static int start_server(void **state)
{
    (void)state;
    if (under_tsan())
        return 0;
    grpc_init();
    server.queue = grpc_completion_queue_create_for_next(NULL);
    server.core = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server.core, server.queue, NULL);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server.core, "127.0.0.1:0", credentials);
    grpc_server_credentials_release(credentials);
    grpc_server_start(server.core);
    (void)snprintf(server.endpoint, sizeof(server.endpoint), "127.0.0.1:%d", port);
    return port > 0 ? pthread_create(&server.thread, NULL, serve, NULL) : -1;
}

static int stop_server(void **state)
{
    (void)state;
    if (under_tsan())
        return 0;
    grpc_completion_queue *last = grpc_completion_queue_create_for_pluck(NULL);
    grpc_server_shutdown_and_notify(server.core, last, NULL);
    grpc_server_cancel_all_calls(server.core);
    (void)grpc_completion_queue_pluck(last, NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    (void)pthread_join(server.thread, NULL);
    grpc_server_destroy(server.core);
    grpc_completion_queue_destroy(last);
    grpc_completion_queue_shutdown(server.queue);
    while (
        grpc_completion_queue_next(server.queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
        GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(server.queue);
    grpc_shutdown();
    return 0;
}

static struct reprise_client *client_of(const char *endpoint)
{
    const struct reprise_client_options options = {
        .endpoint = endpoint, .read_deadline_ms = 10000, .write_deadline_ms = 10000};
    struct reprise_client *client = reprise_client_create(&options);
    assert_non_null(client);
    return client;
}

static struct reprise_result *get(struct reprise_client *client, const char *model,
                                  const struct reprise_call *call)
{
    const struct reprise_get_request request = {.identity = {.model = model, .prompt = "hi"}};
    return reprise_get(client, &request, call);
}

static void a_reply_comes_back_and_metadata_goes_out(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = client_of(server.endpoint);
    assert_true(reprise_client_connect(client, 10000));
    const struct reprise_pair metadata[] = {{"x-request-id", "r-42"}};
    const struct reprise_call call = {.metadata = metadata, .metadata_count = 1};
    struct reprise_result *result = get(client, "m", &call);
    assert_int_equal(result->code, REPRISE_OK);
    assert_true(result->get->hit);
    assert_null(result->set);
    reprise_client_destroy(&client); /* a result outlives its client */
    assert_string_equal(result->get->content, "r-42");
    reprise_result_free(&result);
    assert_null(result);
    assert_null(client);
}

static void a_refusal_brings_its_reason(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = client_of(server.endpoint);
    struct reprise_result *result = get(client, "refused", NULL);
    assert_int_equal(result->code, REPRISE_INVALID_ARGUMENT);
    assert_int_equal(result->error.code, REPRISE_INVALID_ARGUMENT);
    assert_string_equal(result->error.reason, "BAD_NAME");
    assert_string_equal(result->error.message, "a name is too long");
    assert_string_equal(result->error.field, "");
    assert_int_equal(result->error.retry_after_ms, -1);
    assert_null(result->get);
    assert_int_equal(reprise_client_failures_count(client), 1);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
}

static void a_deadline_ends_a_call_that_nobody_answers(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = client_of(server.endpoint);
    const struct reprise_call call = {.deadline_ms = 100};
    struct reprise_result *result = get(client, "never", &call);
    assert_int_equal(result->code, REPRISE_DEADLINE_EXCEEDED);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
}

static void nonsense_is_an_error_and_no_miss(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = client_of(server.endpoint);
    struct reprise_result *result = get(client, "nonsense", NULL);
    assert_int_equal(result->code, REPRISE_INTERNAL);
    assert_string_equal(result->error.reason, "BAD_MESSAGE");
    assert_null(result->get);
    reprise_result_free(&result);
    reprise_client_destroy(&client);
}

static void illegal_metadata_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    static const struct reprise_pair bad[] = {
        {"Upper", "x"}, {"a b", "x"}, {"key-bin", "x"}, {":path", "x"}, {"grpc-timeout", "1S"},
        {"ok", "a\nb"}, {NULL, "x"},  {"ok", NULL},     {"", "x"}};
    struct reprise_client *client = client_of(server.endpoint);
    unsigned before = atomic_load(&server.calls);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct reprise_call call = {.metadata = &bad[i], .metadata_count = 1};
        struct reprise_result *result = get(client, "m", &call);
        assert_int_equal(result->code, REPRISE_INVALID_ARGUMENT);
        assert_string_equal(result->error.field, "metadata");
        reprise_result_free(&result);
    }
    assert_int_equal(atomic_load(&server.calls), before);
    reprise_client_destroy(&client);
}

static void without_a_server_calls_fail_at_once(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = client_of("127.0.0.1:1");
    assert_false(reprise_client_connect(client, 50));
    struct reprise_result *result = get(client, "m", NULL);
    assert_int_equal(result->code, REPRISE_UNAVAILABLE);
    assert_string_equal(result->error.reason, "");
    assert_true(result->error.message[0] != '\0');
    reprise_result_free(&result);
    reprise_client_destroy(&client);
}

static void nothing_is_freed_twice(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = NULL;
    struct reprise_result *result = NULL;
    reprise_client_destroy(&client);
    reprise_result_free(&result);
}

enum { THREADS = 16, CALLS_EACH = 25 };

static void *call_often(void *argument)
{
    char id[32];
    for (int i = 0; i < CALLS_EACH; i++) {
        (void)snprintf(id, sizeof(id), "%p-%d", (void *)&id, i);
        const struct reprise_pair metadata[] = {{"x-request-id", id}};
        const struct reprise_call call = {.metadata = metadata, .metadata_count = 1};
        struct reprise_result *result = get(argument, i % 5 == 0 ? "refused" : "m", &call);
        bool right = i % 5 == 0
                         ? result->code == REPRISE_INVALID_ARGUMENT
                         : result->code == REPRISE_OK && strcmp(result->get->content, id) == 0;
        reprise_result_free(&result);
        if (!right)
            return argument;
    }
    return NULL;
}

static void many_threads_share_one_handle(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct reprise_client *client = client_of(server.endpoint);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, client), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(reprise_client_failures_count(client), THREADS * CALLS_EACH / 5);
    reprise_client_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_comes_back_and_metadata_goes_out),
        cmocka_unit_test(a_refusal_brings_its_reason),
        cmocka_unit_test(a_deadline_ends_a_call_that_nobody_answers),
        cmocka_unit_test(nonsense_is_an_error_and_no_miss),
        cmocka_unit_test(illegal_metadata_is_refused_before_it_is_sent),
        cmocka_unit_test(without_a_server_calls_fail_at_once),
        cmocka_unit_test(nothing_is_freed_twice),
        cmocka_unit_test(many_threads_share_one_handle),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
