/*
 * test_outgoing.c - Goal: every request that goes out ends exactly once, with a whole reply or with
 * the right status, whatever the server does; connections are kept; nobody is followed or trusted
 * who should not be. Method: a scripted server on loopback; the clock is turned by hand, so what is
 * late is late because the test said so. outgoing_transfer is exercised through it.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/outgoing.h"
#include "base/thread.h"
#include "tests/support/folder.h"
#include "tests/support/http_script.h"

enum { REQUESTS_MAX = 64, SECOND_US = 1000000 };

static _Atomic uint64_t now_us;

static uint64_t clock_by_hand(void)
{
    return atomic_load(&now_us);
}

struct post {
    struct outgoing_request request;
    char url[128];
    sem_t is_done;
    atomic_uint times_done;
    char reply[256];
};

struct world {
    struct outgoing *outgoing;
    struct http_script *script;
    pthread_mutex_t mutex; /* over told and body                 */
    struct http_told told; /* what is answered, but for the body */
    char body[256];        /* its body                           */
    char head[2048];       /* of the last request seen           */
    char path[256];
    size_t body_length_seen;
    sem_t seen;
    struct post posts[REQUESTS_MAX];
};

static void answer_as_told(void *context, const struct http_seen *seen, struct http_told *out_told)
{
    struct world *world = context;
    pthread_mutex_lock(&world->mutex);
    *out_told = world->told;
    out_told->body = strdup(world->body);
    pthread_mutex_unlock(&world->mutex);
    (void)snprintf(world->head, sizeof(world->head), "%s", seen->head);
    (void)snprintf(world->path, sizeof(world->path), "%s", seen->path);
    world->body_length_seen = seen->body_length;
    (void)sem_post(&world->seen);
}

static void tell(struct world *world, int code, enum http_manner manner, const char *headers)
{
    pthread_mutex_lock(&world->mutex);
    world->told = (struct http_told){.code = code, .manner = manner, .headers = headers};
    pthread_mutex_unlock(&world->mutex);
}

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        assert_int_equal(errno, EINTR);
}

static void post_done(struct outgoing_request *request)
{
    struct post *post = (struct post *)request; /* its first member */
    size_t length = request->reply.length;
    length = length < sizeof(post->reply) ? length : sizeof(post->reply) - 1;
    if (length > 0)
        memcpy(post->reply, request->reply.bytes, length);
    post->reply[length] = '\0';
    (void)atomic_fetch_add(&post->times_done, 1);
    (void)sem_post(&post->is_done);
}

static struct outgoing *outgoing_of(uint32_t transfers_max, const char *ca_file)
{
    struct outgoing_settings settings = {transfers_max, ca_file, clock_by_hand};
    struct outgoing *outgoing = NULL;
    assert_int_equal(outgoing_create(&settings, &outgoing), STATUS_OK);
    return outgoing;
}

static int create(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    if (world == NULL)
        return -1;
    atomic_store(&now_us, 1000 * (uint64_t)SECOND_US);
    pthread_mutex_init(&world->mutex, NULL);
    tell(world, 200, HTTP_WELL, NULL);
    (void)snprintf(world->body, sizeof(world->body), "a reply of 26 characters..");
    (void)sem_init(&world->seen, 0, 0);
    world->script = http_script_create(answer_as_told, world, NULL);
    world->outgoing = outgoing_of(4, NULL);
    *state = world;
    return 0;
}

static int destroy(void **state)
{
    struct world *world = *state;
    outgoing_destroy(&world->outgoing);
    http_script_destroy(&world->script);
    (void)sem_destroy(&world->seen);
    pthread_mutex_destroy(&world->mutex);
    free(world);
    return 0;
}

static struct post *prepare(struct world *world, unsigned number)
{
    struct post *post = &world->posts[number];
    *post = (struct post){.request = {.body = TEXT("{}"), .reply_max = 1000, .done = post_done}};
    (void)snprintf(post->url, sizeof(post->url), "http://127.0.0.1:%u/v1/x",
                   http_script_port(world->script));
    post->request.url = post->url;
    (void)sem_init(&post->is_done, 0, 0);
    return post;
}

static struct post *send_one(struct world *world)
{
    struct post *post = prepare(world, 0);
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    wait_for(&world->seen);
    return post;
}

static void a_reply_comes_whole_with_its_code(void **state)
{
    struct world *world = *state;
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Authorization: Bearer k"};
    tell(world, 418, HTTP_WELL, NULL);
    struct post *post = prepare(world, 0);
    post->request.headers = headers;
    post->request.headers_count = 2;
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    wait_for(&world->seen);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_int_equal(post->request.code, 418);
    assert_string_equal(post->reply, world->body);
    assert_string_equal(world->path, "/v1/x");
    assert_int_equal(world->body_length_seen, 2);
    assert_non_null(strstr(world->head, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(world->head, "\r\nAuthorization: Bearer k\r\n"));
    assert_null(strstr(world->head, "\r\nExpect"));
    assert_null(strstr(world->head, "\r\nAccept-Encoding"));
}

static void an_empty_reply_is_a_reply(void **state)
{
    struct world *world = *state;
    pthread_mutex_lock(&world->mutex);
    world->body[0] = '\0';
    pthread_mutex_unlock(&world->mutex);
    struct post *post = send_one(world);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_int_equal(post->request.reply.length, 0);
}

static void one_connection_serves_many_requests(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_one(world)->request.status, STATUS_OK);
    assert_int_equal(http_script_requests(world->script), 20);
    assert_int_equal(http_script_connections(world->script), 1);
}

static void a_kept_connection_that_has_closed_is_replaced_unseen(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_LAST, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(send_one(world)->request.status, STATUS_OK);
    assert_int_equal(http_script_connections(world->script), 5);
}

static void requests_beyond_the_transfers_wait(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_SILENT, NULL);
    for (unsigned i = 0; i < 10; i++)
        outgoing_submit(world->outgoing, &prepare(world, i)->request);
    for (int i = 0; i < 4; i++)
        wait_for(&world->seen);
    assert_int_equal(http_script_requests(world->script), 4);
    http_script_release(world->script);
    for (unsigned i = 0; i < 10; i++) {
        wait_for(&world->posts[i].is_done);
        assert_int_equal(world->posts[i].request.status, STATUS_OK);
    }
    assert_in_range(http_script_connections(world->script), 1, 4);
}

static void a_large_body_is_sent_without_asking_first(void **state)
{
    struct world *world = *state;
    size_t length = 3 << 20;
    char *bytes = malloc(length);
    assert_non_null(bytes);
    memset(bytes, 'x', length);
    struct post *post = prepare(world, 0);
    post->request.body = (struct text){bytes, length};
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    wait_for(&world->seen);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_int_equal(world->body_length_seen, length);
    assert_null(strstr(world->head, "\r\nExpect"));
    free(bytes);
}

static void nobody_there_is_unavailable(void **state)
{
    struct world *world = *state;
    struct post *post = prepare(world, 0);
    (void)snprintf(post->url, sizeof(post->url), "http://127.0.0.1:%u/", http_closed_port());
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    assert_int_equal(post->request.status, STATUS_UNAVAILABLE);
    assert_int_equal(post->request.code, 0);
    assert_true(strlen(post->request.why) > 0);
}

static void what_is_no_url_or_no_http_is_refused(void **state)
{
    struct world *world = *state;
    static const char *const urls[] = {"http://", "file:///etc/passwd", "ftp://127.0.0.1/x"};
    for (size_t i = 0; i < 3; i++) {
        struct post *post = prepare(world, 0);
        post->request.url = urls[i];
        outgoing_submit(world->outgoing, &post->request);
        wait_for(&post->is_done);
        assert_int_not_equal(post->request.status, STATUS_OK);
    }
}

static void a_broken_reply_is_no_reply(void **state)
{
    struct world *world = *state;
    static const enum http_manner manners[] = {HTTP_CUT, HTTP_HANG_UP, HTTP_NOT_HTTP};
    for (size_t i = 0; i < 3; i++) {
        tell(world, 200, manners[i], NULL);
        struct post *post = send_one(world);
        assert_int_equal(post->request.status, STATUS_IO_FAILED);
        assert_int_equal(post->request.reply.length, 0);
    }
    tell(world, 200, HTTP_WELL, NULL);
    assert_int_equal(send_one(world)->request.status, STATUS_OK);
}

static void a_length_that_says_too_little_cuts_that_reply_alone(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_SHORT, NULL);
    struct post *post = send_one(world);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_string_equal(post->reply, "a reply of 26");
    tell(world, 200, HTTP_WELL, NULL);
    /* The rest may still arrive on the kept connection: then that one breaks, and nothing is mixed.
     */
    post = send_one(world);
    if (post->request.status == STATUS_IO_FAILED)
        post = send_one(world);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_string_equal(post->reply, world->body);
}

static void a_reply_may_be_as_long_as_allowed_and_no_longer(void **state)
{
    struct world *world = *state;
    struct post *post = prepare(world, 0);
    post->request.reply_max = strlen(world->body);
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    assert_int_equal(post->request.status, STATUS_OK);
    post = prepare(world, 1);
    post->request.reply_max = strlen(world->body) - 1;
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    assert_int_equal(post->request.status, STATUS_REPLY_TOO_LARGE);
}

static void an_endless_reply_ends_at_its_bound(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_ENDLESS, NULL);
    struct post *post = prepare(world, 0);
    post->request.reply_max = 1 << 20;
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    assert_int_equal(post->request.status, STATUS_REPLY_TOO_LARGE);
}

static void a_slow_reply_comes_whole_if_its_time_is_not_over(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_STALL, NULL);
    struct post *post = prepare(world, 0);
    post->request.deadline_us = clock_by_hand() + 2 * SECOND_US;
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&world->seen);
    (void)atomic_fetch_add(&now_us, 2 * SECOND_US - 1);
    outgoing_wake(world->outgoing);
    http_script_release(world->script);
    wait_for(&post->is_done);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_string_equal(post->reply, world->body);
}

static void what_is_late_ends_on_the_microsecond(void **state)
{
    struct world *world = *state;
    static const enum http_manner manners[] = {HTTP_STALL, HTTP_SILENT};
    for (unsigned i = 0; i < 2; i++) {
        tell(world, 200, manners[i], NULL);
        struct post *post = prepare(world, i);
        post->request.deadline_us = clock_by_hand() + 2 * SECOND_US;
        outgoing_submit(world->outgoing, &post->request);
        wait_for(&world->seen);
        (void)atomic_fetch_add(&now_us, 2 * SECOND_US);
        outgoing_wake(world->outgoing);
        wait_for(&post->is_done);
        assert_int_equal(post->request.status, STATUS_DEADLINE);
    }
}

static void who_waits_for_a_transfer_can_be_late_too(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_SILENT, NULL);
    for (unsigned i = 0; i < 4; i++)
        outgoing_submit(world->outgoing, &prepare(world, i)->request);
    for (int i = 0; i < 4; i++)
        wait_for(&world->seen);
    for (unsigned i = 4; i < 7; i++) {
        struct post *post = prepare(world, i);
        post->request.deadline_us = i == 5 ? 0 : clock_by_hand() + SECOND_US;
        outgoing_submit(world->outgoing, &post->request);
    }
    (void)atomic_fetch_add(&now_us, SECOND_US);
    outgoing_wake(world->outgoing);
    wait_for(&world->posts[4].is_done);
    wait_for(&world->posts[6].is_done);
    assert_int_equal(world->posts[4].request.status, STATUS_DEADLINE);
    assert_int_equal(world->posts[6].request.status, STATUS_DEADLINE);
    http_script_release(world->script);
    wait_for(&world->posts[5].is_done);
    assert_int_equal(world->posts[5].request.status, STATUS_OK);
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
    struct world *world = *state;
    tell(world, 307, HTTP_WELL, "Location: /elsewhere\r\n");
    struct post *post = send_one(world);
    assert_int_equal(post->request.status, STATUS_OK);
    assert_int_equal(post->request.code, 307);
    assert_int_equal(http_script_requests(world->script), 1);
}

static void retry_after_is_told_and_bounded(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *headers;
        uint32_t seconds;
    } cases[] = {
        {NULL, 0},
        {"Retry-After: 7\r\n", 7},
        {"Retry-After: 99999999\r\n", 86400},
        {"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 0},
        {"Retry-After: soon\r\n", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tell(world, 429, HTTP_WELL, cases[i].headers);
        assert_int_equal(send_one(world)->request.retry_after_s, cases[i].seconds);
    }
}

static void a_proxy_of_the_environment_is_ignored(void **state)
{
    struct world *world = *state;
    char proxy[64];
    (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", http_closed_port());
    assert_int_equal(setenv("http_proxy", proxy, 1), 0);
    assert_int_equal(send_one(world)->request.status, STATUS_OK);
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static struct world *world_of_resubmission;
static atomic_int resubmissions_left;

static void post_done_and_again(struct outgoing_request *request)
{
    if (atomic_fetch_sub(&resubmissions_left, 1) > 0)
        outgoing_submit(world_of_resubmission->outgoing, request);
    else
        post_done(request);
}

static void done_may_submit_the_request_again(void **state)
{
    struct world *world = *state;
    world_of_resubmission = world;
    atomic_store(&resubmissions_left, 9);
    struct post *post = prepare(world, 0);
    post->request.done = post_done_and_again;
    outgoing_submit(world->outgoing, &post->request);
    wait_for(&post->is_done);
    assert_int_equal(http_script_requests(world->script), 10);
}

static void the_end_cancels_what_is_under_way_once(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_SILENT, NULL);
    for (unsigned i = 0; i < 10; i++)
        outgoing_submit(world->outgoing, &prepare(world, i)->request);
    for (int i = 0; i < 4; i++)
        wait_for(&world->seen);
    outgoing_destroy(&world->outgoing);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(atomic_load(&world->posts[i].times_done), 1);
        assert_int_equal(world->posts[i].request.status, STATUS_CANCELLED);
    }
}

/* ---- Guests ---- */

struct visitor {
    struct outgoing_guest guest; /* first member */
    struct outgoing *outgoing;
    uint64_t wants_us, called_at_us;
    sem_t was_called; /* at or after wants_us */
    struct outgoing_request *to_cancel[2];
    bool has_left;
};

static uint64_t visitor_run(struct outgoing_guest *guest, uint64_t at_us)
{
    struct visitor *visitor = (struct visitor *)guest;
    if (at_us < visitor->wants_us)
        return visitor->wants_us;
    if (visitor->called_at_us == 0) {
        visitor->called_at_us = at_us;
        (void)sem_post(&visitor->was_called);
    }
    return UINT64_MAX;
}

static void visitor_leave(struct outgoing_guest *guest)
{
    struct visitor *visitor = (struct visitor *)guest;
    for (int i = 0; i < 2; i++) {
        if (visitor->to_cancel[i] != NULL)
            outgoing_cancel(visitor->outgoing, visitor->to_cancel[i]);
    }
    visitor->has_left = true;
}

static struct visitor visitor_of(struct world *world)
{
    struct visitor visitor = {.guest = {.run = visitor_run, .leave = visitor_leave},
                              .outgoing = world->outgoing};
    return visitor;
}

static void a_guest_is_called_when_its_time_has_come(void **state)
{
    struct world *world = *state;
    struct visitor visitor = visitor_of(world);
    (void)sem_init(&visitor.was_called, 0, 0);
    visitor.wants_us = clock_by_hand() + 3600 * (uint64_t)SECOND_US;
    outgoing_attach(world->outgoing, &visitor.guest);
    (void)atomic_fetch_add(&now_us, 3600 * (uint64_t)SECOND_US);
    outgoing_wake(world->outgoing);
    wait_for(&visitor.was_called);
    assert_true(visitor.called_at_us >= visitor.wants_us);
    outgoing_detach(world->outgoing, &visitor.guest);
    assert_true(visitor.has_left);
}

static void a_guest_that_leaves_takes_its_requests_with_it(void **state)
{
    struct world *world = *state;
    tell(world, 200, HTTP_SILENT, NULL);
    for (unsigned i = 0; i < 6; i++)
        outgoing_submit(world->outgoing, &prepare(world, i)->request);
    for (int i = 0; i < 4; i++)
        wait_for(&world->seen);
    struct visitor first = visitor_of(world), other = visitor_of(world);
    first.to_cancel[0] = &world->posts[0].request; /* on the wire */
    first.to_cancel[1] = &world->posts[5].request; /* waiting     */
    first.wants_us = other.wants_us = UINT64_MAX;
    outgoing_attach(world->outgoing, &first.guest);
    outgoing_attach(world->outgoing, &other.guest);
    outgoing_detach(world->outgoing, &first.guest);
    assert_true(first.has_left);
    assert_false(other.has_left);
    assert_int_equal(world->posts[0].request.status, STATUS_CANCELLED);
    assert_int_equal(world->posts[5].request.status, STATUS_CANCELLED);
    outgoing_detach(world->outgoing, &other.guest);
    http_script_release(world->script);
    for (unsigned i = 1; i < 5; i++) {
        wait_for(&world->posts[i].is_done);
        assert_int_equal(world->posts[i].request.status, STATUS_OK);
    }
}

/* ---- TLS ---- */

static enum status status_over_tls(struct world *world, struct outgoing *outgoing,
                                   const struct http_script *script, const char *host)
{
    struct post *post = prepare(world, 0);
    (void)snprintf(post->url, sizeof(post->url), "https://%s:%u/", host, http_script_port(script));
    outgoing_submit(outgoing, &post->request);
    wait_for(&post->is_done);
    return post->request.status;
}

static void a_certificate_must_be_trusted_and_name_its_host(void **state)
{
    struct world *world = *state;
    char folder[64], path[96];
    folder_create(folder);
    (void)snprintf(path, sizeof(path), "%s/ca.pem", folder);
    struct http_script *secure = http_script_create(answer_as_told, world, path);
    struct outgoing *trusting = outgoing_of(1, path);
    assert_int_equal(status_over_tls(world, world->outgoing, secure, "127.0.0.1"),
                     STATUS_UNAVAILABLE);
    assert_int_equal(http_script_requests(secure), 0);
    assert_int_equal(status_over_tls(world, trusting, secure, "127.0.0.1"), STATUS_OK);
    /* The same server by a name that its certificate does not have: reached, and not spoken to. */
    assert_int_equal(status_over_tls(world, trusting, secure, "localhost"), STATUS_UNAVAILABLE);
    assert_int_equal(http_script_connections(secure), 3);
    assert_int_equal(http_script_requests(secure), 1);
    outgoing_destroy(&trusting);
    http_script_destroy(&secure);
    folder_remove(folder);
}

/* ---- Threads ---- */

static struct world *shared_world;

static void submit_eight(void *argument)
{
    unsigned first = *(const unsigned *)argument;
    for (unsigned i = first; i < first + 8; i++)
        outgoing_submit(shared_world->outgoing, &prepare(shared_world, i)->request);
    for (unsigned i = first; i < first + 8; i++) {
        while (sem_wait(&shared_world->posts[i].is_done) != 0)
            continue;
    }
}

static void many_threads_submit_at_once(void **state)
{
    shared_world = *state;
    struct thread *threads[8] = {NULL};
    unsigned firsts[8];
    for (unsigned i = 0; i < 8; i++) {
        firsts[i] = 8 * i;
        assert_int_equal(
            thread_create(THREAD_OTHER, "submit", submit_eight, &firsts[i], &threads[i]),
            STATUS_OK);
    }
    for (int i = 0; i < 8; i++)
        thread_join(&threads[i]);
    for (int i = 0; i < REQUESTS_MAX; i++) {
        assert_int_equal(atomic_load(&shared_world->posts[i].times_done), 1);
        assert_int_equal(shared_world->posts[i].request.status, STATUS_OK);
    }
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_reply_comes_whole_with_its_code),
        WITH_WORLD(an_empty_reply_is_a_reply),
        WITH_WORLD(one_connection_serves_many_requests),
        WITH_WORLD(a_kept_connection_that_has_closed_is_replaced_unseen),
        WITH_WORLD(requests_beyond_the_transfers_wait),
        WITH_WORLD(a_large_body_is_sent_without_asking_first),
        WITH_WORLD(nobody_there_is_unavailable),
        WITH_WORLD(what_is_no_url_or_no_http_is_refused),
        WITH_WORLD(a_broken_reply_is_no_reply),
        WITH_WORLD(a_length_that_says_too_little_cuts_that_reply_alone),
        WITH_WORLD(a_reply_may_be_as_long_as_allowed_and_no_longer),
        WITH_WORLD(an_endless_reply_ends_at_its_bound),
        WITH_WORLD(a_slow_reply_comes_whole_if_its_time_is_not_over),
        WITH_WORLD(what_is_late_ends_on_the_microsecond),
        WITH_WORLD(who_waits_for_a_transfer_can_be_late_too),
        WITH_WORLD(a_redirect_is_an_answer_and_not_followed),
        WITH_WORLD(retry_after_is_told_and_bounded),
        WITH_WORLD(a_proxy_of_the_environment_is_ignored),
        WITH_WORLD(done_may_submit_the_request_again),
        WITH_WORLD(the_end_cancels_what_is_under_way_once),
        WITH_WORLD(a_guest_is_called_when_its_time_has_come),
        WITH_WORLD(a_guest_that_leaves_takes_its_requests_with_it),
        WITH_WORLD(a_certificate_must_be_trusted_and_name_its_host),
        WITH_WORLD(many_threads_submit_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
