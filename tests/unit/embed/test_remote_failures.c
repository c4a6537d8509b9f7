/*
 * test_remote_failures.c - Goal: whatever a server does, each job ends exactly once, with the right
 * status and no later than its deadline; what may pass is tried again, what will not is not; a dead
 * server costs nothing and is found alive again. Exercises remote, remote_flight and breaker.
 * Method: a scripted server that behaves badly, and a clock turned by hand.
 */
#include "tests/unit/embed/remote_world.h"

#include "base/thread.h"

/* As OpenAI puts it. */
#define TOO_LONG "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\"}}"

/* ---- Trying again ---- */

static void what_may_pass_is_tried_again(void **state)
{
    struct world *world = *state;
    static const struct embed_manners manners[] = {
        {.code = 500, .code_times = 2}, {.code = 503, .code_times = 2},
        {.code = 429, .code_times = 2}, {.code = 424, .code_times = 2},
        {.code = 408, .code_times = 2},
    };
    assert_int_equal(open_remote(world), STATUS_OK);
    for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
        tell(world, manners[i]);
        struct task *task = submit(world, 0, "hello");
        assert_int_equal(await_turning(world, task), STATUS_OK);
        assert_vector_of(task, false);
        assert_int_equal(embed_script_requests(world->script), 1 + 3 * (i + 1));
        assert_int_equal(state_of(world).retries, 2 * (i + 1));
    }
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_SERVER], 8);
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_BUSY], 2);
    assert_true(state_of(world).is_up);
}

static void a_connection_that_breaks_is_tried_again(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_CUT});
    struct task *task = submit(world, 0, "hello");
    await_state(world, 0, 1);
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    assert_int_equal(await_turning(world, task), STATUS_OK);
    assert_vector_of(task, false);
    assert_true(state_of(world).errors[REMOTE_ERROR_BROKEN] > 0);
}

static void three_attempts_are_all(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500});
    assert_int_equal(await_turning(world, submit(world, 0, "hello")), STATUS_EMBEDDER_DOWN);
    assert_int_equal(embed_script_requests(world->script), 4);
    tell(world, (struct embed_manners){.code = 429});
    assert_int_equal(await_turning(world, submit(world, 0, "hello")), STATUS_OVERLOADED);
    assert_int_equal(embed_script_requests(world->script), 7);
}

static void what_will_not_pass_is_not_tried_again(void **state)
{
    struct world *world = *state;
    static const struct {
        struct embed_manners manners;
        enum status status;
        enum remote_error error;
    } cases[] = {
        {{.code = 401}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_REFUSED},
        {{.code = 404}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_REFUSED},
        {{.code = 302, .headers = "Location: /embed\r\n"},
         STATUS_EMBEDDER_DOWN,
         REMOTE_ERROR_REFUSED},
        {{.code = 400, .body = TOO_LONG}, STATUS_TEXT_TOO_LONG, REMOTE_ERROR_TEXT},
        {{.code = 400}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_REJECTED},
        {{.code = 400, .body = "{\"error\":{\"message\":\"no model\"},\"input\":\"length\"}"},
         STATUS_EMBEDDER_DOWN,
         REMOTE_ERROR_REJECTED},
        {{.code = 413}, STATUS_TEXT_TOO_LONG, REMOTE_ERROR_TEXT},
        {{.code = 422, .body = "the input length exceeds the context"},
         STATUS_TEXT_TOO_LONG,
         REMOTE_ERROR_TEXT},
        {{.code = 422}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_REJECTED},
        {{.body = "{\"data\":["}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_BAD_REPLY},
        {{.body = "{\"data\":[]}"}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_BAD_REPLY},
        {{.body = ""}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_BAD_REPLY},
        {{.unspeakable = "h"}, STATUS_BAD_VECTOR, REMOTE_ERROR_BAD_VECTOR},
        {{.dimension = 9}, STATUS_EMBEDDER_MISMATCH, REMOTE_ERROR_MISMATCH},
        {{.manner = HTTP_ENDLESS}, STATUS_EMBEDDER_DOWN, REMOTE_ERROR_BAD_REPLY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tell(world, (struct embed_manners){.manner = HTTP_WELL});
        assert_int_equal(open_remote(world), STATUS_OK);
        unsigned before = embed_script_requests(world->script);
        tell(world, cases[i].manners);
        assert_int_equal(await(submit(world, 0, "hello")), cases[i].status);
        assert_int_equal(embed_script_requests(world->script), before + 1);
        assert_int_equal(state_of(world).errors[cases[i].error], 1);
        assert_int_equal(state_of(world).last_error, cases[i].error);
        remote_destroy(&world->remote);
    }
}

/* What is left on the kept connection breaks the next request, which may be tried again. */
static void a_length_that_says_too_little_fails_one_request(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SHORT});
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_EMBEDDER_DOWN);
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_BAD_REPLY], 1);
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    struct task *task = submit(world, 0, "hello");
    assert_int_equal(await_turning(world, task), STATUS_OK);
    assert_vector_of(task, false);
}

static void no_attempt_is_made_that_would_be_too_late(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500});
    struct task *task = task_of(world, 0, "hello");
    task->job.deadline_us = clock_by_hand() + 49000; /* the earliest second attempt is in 50 ms */
    remote_submit(world->remote, &task->job);
    assert_int_equal(await(task), STATUS_EMBEDDER_DOWN);
    assert_int_equal(embed_script_requests(world->script), 2);
}

/* ---- When the server asks for patience ---- */

static void retry_after_is_respected_by_all(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world,
         (struct embed_manners){.code = 429, .code_times = 1, .headers = "Retry-After: 5\r\n"});
    struct task *first = submit(world, 0, "hello");
    await_state(world, 0, 1);
    struct task *second = submit(world, 1, "you");
    struct task *hopeless = task_of(world, 2, "no time");
    hopeless->job.deadline_us = clock_by_hand() + 5 * SECOND_US;
    remote_submit(world->remote, &hopeless->job);
    assert_int_equal(await(hopeless), STATUS_DEADLINE);
    turn(world, 5 * SECOND_US - 1);
    await_state(world, 0, 1);
    assert_int_equal(embed_script_requests(world->script), 2); /* the canary and the first */
    turn(world, 1);
    assert_int_equal(await(first), STATUS_OK);
    assert_int_equal(await(second), STATUS_OK);
    assert_true(state_of(world).is_up);
}

static void who_asks_for_too_much_patience_gets_none(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world,
         (struct embed_manners){.code = 429, .code_times = 1, .headers = "Retry-After: 3600\r\n"});
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_OVERLOADED);
    struct task *later = submit(world, 1, "you");
    turn(world, 30 * SECOND_US); /* and nothing is sent for half a minute */
    assert_int_equal(await(later), STATUS_OK);
    assert_int_equal(embed_script_requests(world->script), 3);
}

/* ---- The circuit ---- */

/* Five attempts that fail; the circuit is open afterwards. */
static void break_it(struct world *world)
{
    tell(world, (struct embed_manners){.code = 500});
    assert_int_equal(await_turning(world, submit(world, 0, "one")), STATUS_EMBEDDER_DOWN);
    assert_true(state_of(world).is_up);
    assert_int_equal(await_turning(world, submit(world, 0, "two")), STATUS_EMBEDDER_DOWN);
    assert_false(state_of(world).is_up);
    await_state(world, 0, 0);
}

static void five_failures_in_a_row_open_the_circuit_and_a_probe_closes_it(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    break_it(world);
    assert_int_equal(embed_script_requests(world->script), 6); /* the canary and five */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(await(submit(world, i, "at once")), STATUS_EMBEDDER_DOWN);
    assert_int_equal(embed_script_requests(world->script), 6);
    settle(world);
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_DOWN], 10);
    turn(world, SECOND_US);
    embed_script_await(world->script, 7); /* the probe: one, and not tried again */
    await_state(world, 0, 0);
    assert_false(state_of(world).is_up);
    turn(world, SECOND_US - 1);
    await_state(world, 0, 0);
    assert_int_equal(embed_script_requests(world->script), 7);
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    turn(world, 1);
    while (!state_of(world).is_up)
        continue;
    assert_int_equal(embed_script_requests(world->script), 8);
    struct task *task = submit(world, 0, "back");
    assert_int_equal(await(task), STATUS_OK);
    assert_vector_of(task, false);
    assert_int_equal(state_of(world).openings, 1);
}

static void who_rests_or_waits_when_it_opens_is_told_at_once(void **state)
{
    struct world *world = *state;
    world->settings.batch_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500});
    for (unsigned i = 0; i < 6; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text %u", i);
        (void)submit(world, i, text);
    }
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(await_turning(world, &world->tasks[i]), STATUS_EMBEDDER_DOWN);
    assert_false(state_of(world).is_up);
    assert_in_range(embed_script_requests(world->script), 6, 7); /* two are under way at a time */
    assert_int_equal(state_of(world).waiting, 0);
}

static void a_server_that_is_not_there_opens_it_too(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    embed_script_destroy(&world->script);
    assert_int_equal(await_turning(world, submit(world, 0, "one")), STATUS_EMBEDDER_DOWN);
    assert_int_equal(await_turning(world, submit(world, 0, "two")), STATUS_EMBEDDER_DOWN);
    assert_false(state_of(world).is_up);
    assert_int_equal(state_of(world).last_code, 0);
}

static void with_dimensions_the_start_needs_no_server(void **state)
{
    struct world *world = *state;
    world->settings.dimensions = DIMENSION;
    world->settings.retries_max = 0;
    tell(world, (struct embed_manners){.code = 503});
    assert_int_equal(open_remote(world), STATUS_OK);
    assert_int_equal(remote_dimension(world->remote), DIMENSION);
    assert_false(state_of(world).is_up);
    assert_int_equal(state_of(world).last_code, 503);
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_EMBEDDER_DOWN);
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    turn(world, SECOND_US);
    while (!state_of(world).is_up)
        continue;
    struct task *task = submit(world, 0, "hello");
    assert_int_equal(await(task), STATUS_OK);
    assert_vector_of(task, false);
    tell(world, (struct embed_manners){.has_drifted = true}); /* held against the first that came */
    turn(world, HOUR_US);
    while (!state_of(world).has_drifted)
        continue;
}

static void without_dimensions_the_start_needs_a_server(void **state)
{
    struct world *world = *state;
    world->settings.retries_max = 0;
    (void)snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%u", http_closed_port());
    world->settings.url = text_of(world->url);
    assert_int_equal(open_remote(world), STATUS_EMBEDDER_DOWN);
    assert_null(world->remote);
    assert_non_null(strstr(world->failure.message, "connect"));
    assert_non_null(strstr(world->failure.message, "embed.dimensions"));
}

static struct world *opening_world;
static sem_t is_opened;

static void open_on_a_thread(void *argument)
{
    *(enum status *)argument = open_remote(opening_world);
    (void)sem_post(&is_opened);
}

static struct thread *begin_to_open(struct world *world, enum status *out_status)
{
    struct thread *thread = NULL;
    opening_world = world;
    (void)sem_init(&is_opened, 0, 0);
    assert_int_equal(thread_create(THREAD_OTHER, "opener", open_on_a_thread, out_status, &thread),
                     STATUS_OK);
    return thread;
}

static void the_first_canary_may_take_longer(void **state)
{
    struct world *world = *state;
    enum status status = STATUS_INTERNAL;
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    struct thread *thread = begin_to_open(world, &status);
    embed_script_await(world->script, 1);
    turn(world, 30 * SECOND_US - 1);
    settle(world);
    http_script_release(embed_script_http(world->script));
    thread_join(&thread);
    assert_int_equal(status, STATUS_OK);
}

static void a_server_that_stumbles_at_start_is_asked_again(void **state)
{
    struct world *world = *state;
    enum status status = STATUS_INTERNAL;
    tell(world, (struct embed_manners){.code = 503, .code_times = 2});
    struct thread *thread = begin_to_open(world, &status);
    while (sem_trywait(&is_opened) != 0) {
        turn(world, 1000);
        settle(world);
    }
    thread_join(&thread);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(embed_script_requests(world->script), 3);
    assert_true(state_of(world).is_up);
}

/* ---- One text or all ---- */

static void await_canaries(struct world *world, uint64_t canaries)
{
    while (state_of(world).canaries < canaries)
        continue;
    await_state(world, 0, 0);
}

static void refuse_texts(struct world *world, unsigned count, enum status status)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(await(submit(world, 0, "long")), status);
}

/* Its canary is due at once, being a second old. */
static void open_tei(struct world *world)
{
    use_server(world, EMBED_TEI);
    assert_int_equal(open_remote(world), STATUS_OK);
    turn(world, SECOND_US);
}

static void a_server_that_refuses_everything_is_found_out(void **state)
{
    static const int codes[] = {400, 413, 422};
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        open_tei(world);
        tell(world, (struct embed_manners){.code = codes[i], .body = TOO_LONG});
        refuse_texts(world, 5, STATUS_TEXT_TOO_LONG);
        while (state_of(world).is_up)
            continue;
        assert_int_equal(embed_script_requests(world->script), 7); /* the sixth was the canary */
        assert_int_equal(await(submit(world, 0, "short")), STATUS_EMBEDDER_DOWN);
        assert_int_equal(state_of(world).last_error, REMOTE_ERROR_REFUSED);
        assert_int_equal(state_of(world).last_code, codes[i]);
        tell(world, (struct embed_manners){.manner = HTTP_WELL});
        turn(world, SECOND_US);
        while (!state_of(world).is_up)
            continue;
        assert_int_equal(await(submit(world, 0, "short")), STATUS_OK);
        remote_destroy(&world->remote);
    }
}

static void a_server_that_gives_nobody_a_vector_is_found_out(void **state)
{
    struct world *world = *state;
    open_tei(world);
    tell(world, (struct embed_manners){.unspeakable = ""});
    refuse_texts(world, 5, STATUS_BAD_VECTOR);
    while (state_of(world).is_up)
        continue;
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_BAD_VECTOR], 5);
}

static void a_server_that_refuses_long_texts_alone_is_asked_once_a_second(void **state)
{
    struct world *world = *state;
    open_tei(world);
    tell(world, (struct embed_manners){.refused = "long"});
    refuse_texts(world, 5, STATUS_TEXT_TOO_LONG);
    await_canaries(world, 2);
    assert_true(state_of(world).is_up);
    refuse_texts(world, 20, STATUS_TEXT_TOO_LONG);
    await_state(world, 0, 0);
    assert_int_equal(state_of(world).canaries, 2);
    turn(world, SECOND_US);
    await_canaries(world, 3);
    assert_true(state_of(world).is_up);
    assert_int_equal(state_of(world).openings, 0);
}

static void a_text_that_is_taken_ends_the_doubt(void **state)
{
    struct world *world = *state;
    open_tei(world);
    tell(world, (struct embed_manners){.refused = "long"});
    for (int i = 0; i < 3; i++) {
        refuse_texts(world, 4, STATUS_TEXT_TOO_LONG);
        assert_int_equal(await(submit(world, 1, "short")), STATUS_OK);
    }
    await_state(world, 0, 0);
    assert_int_equal(state_of(world).canaries, 1);
}

static void a_refusal_speaks_neither_for_the_embedder_nor_against_it(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500});
    assert_int_equal(await_turning(world, submit(world, 0, "one")), STATUS_EMBEDDER_DOWN);
    tell(world, (struct embed_manners){.code = 400, .body = TOO_LONG});
    assert_int_equal(await(submit(world, 0, "refused")), STATUS_TEXT_TOO_LONG);
    assert_true(state_of(world).is_up);
    tell(world, (struct embed_manners){.code = 500});
    (void)await_turning(world, submit(world, 0, "two"));
    assert_false(state_of(world).is_up); /* three and two failures, and nothing good between them */
}

static void another_dimension_is_drift_and_no_success(void **state)
{
    struct world *world = *state;
    open_tei(world);
    tell(world, (struct embed_manners){.dimension = 2 * DIMENSION});
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_EMBEDDER_MISMATCH);
    assert_true(state_of(world).has_drifted); /* at once, not within the hour */
    while (state_of(world).is_up)
        continue;
    assert_int_equal(embed_script_requests(world->script), 3); /* the canary has settled it */
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_EMBEDDER_DOWN);
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    turn(world, SECOND_US);
    while (!state_of(world).is_up || state_of(world).has_drifted)
        continue;
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_OK);
}

static void one_reply_of_another_dimension_is_forgiven(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK); /* its canary is not a second old */
    tell(world, (struct embed_manners){.dimension = 2 * DIMENSION});
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_EMBEDDER_MISMATCH);
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    assert_true(state_of(world).has_drifted);
    turn(world, SECOND_US);
    await_canaries(world, 2);
    assert_false(state_of(world).has_drifted);
    assert_true(state_of(world).is_up);
}

/* ---- Time ---- */

static void a_reply_that_takes_too_long_fails_and_is_not_tried_again(void **state)
{
    struct world *world = *state;
    static const enum http_manner manners[] = {HTTP_SILENT, HTTP_STALL};
    assert_int_equal(open_remote(world), STATUS_OK);
    for (unsigned i = 0; i < 2; i++) {
        tell(world, (struct embed_manners){.manner = manners[i]});
        struct task *task = submit(world, 0, "hello");
        embed_script_await(world->script, 2 + i);
        turn(world, 2 * SECOND_US - 1);
        await_state(world, 1, 0);
        turn(world, 1);
        assert_int_equal(await(task), STATUS_EMBEDDER_DOWN);
        assert_int_equal(state_of(world).errors[REMOTE_ERROR_TIMEOUT], i + 1);
    }
    assert_int_equal(embed_script_requests(world->script), 3);
}

static void a_deadline_that_passes_under_way_ends_the_job_and_not_the_request(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    struct task *hasty = task_of(world, 0, "hello");
    struct task *patient = task_of(world, 1, "hello"); /* the same text, in the same place */
    struct task *other = task_of(world, 2, "you");
    hasty->job.deadline_us = clock_by_hand() + SECOND_US;
    hasty->job.next = &patient->job;
    patient->job.next = &other->job;
    remote_submit(world->remote, &hasty->job);
    embed_script_await(world->script, 2);
    turn(world, SECOND_US);
    assert_int_equal(await(hasty), STATUS_DEADLINE);
    memset(hasty->text, 'x', sizeof(hasty->text)); /* the caller's again */
    memset(hasty->unit, 0, sizeof(hasty->unit));
    http_script_release(embed_script_http(world->script));
    assert_int_equal(await(patient), STATUS_OK);
    assert_int_equal(await(other), STATUS_OK);
    assert_vector_of(patient, false);
    assert_vector_of(other, false);
    assert_true(hasty->unit[0] == 0);
    assert_int_equal(atomic_load(&hasty->times_done), 1);
    settle(world);
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_LATE], 1);
    assert_true(state_of(world).is_up);
}

static void a_request_whose_jobs_are_all_late_still_tells_about_the_server(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500, .manner = HTTP_SILENT});
    struct task *task = task_of(world, 0, "hello");
    task->job.deadline_us = clock_by_hand() + SECOND_US;
    remote_submit(world->remote, &task->job);
    embed_script_await(world->script, 2);
    turn(world, SECOND_US);
    assert_int_equal(await(task), STATUS_DEADLINE);
    http_script_release(embed_script_http(world->script));
    await_state(world, 0, 0); /* not tried again: for whom? */
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_SERVER], 1);
    assert_int_equal(embed_script_requests(world->script), 2);
}

static void a_deadline_that_passes_in_the_queue_ends_the_job(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    struct task *first = submit(world, 0, "first");
    embed_script_await(world->script, 2);
    struct task *late = task_of(world, 1, "late"), *bulk = task_of(world, 2, "bulk");
    late->job.deadline_us = clock_by_hand() + SECOND_US;
    bulk->job.deadline_us = clock_by_hand() + SECOND_US;
    bulk->job.bulk = true;
    late->job.next = &bulk->job;
    remote_submit(world->remote, &late->job);
    struct task *patient = submit(world, 3, "patient");
    turn(world, SECOND_US);
    assert_int_equal(await(late), STATUS_DEADLINE);
    assert_int_equal(await(bulk), STATUS_DEADLINE);
    struct task *too_late = task_of(world, 4, "too late");
    too_late->job.deadline_us = clock_by_hand();
    remote_submit(world->remote, &too_late->job);
    assert_int_equal(await(too_late), STATUS_DEADLINE);
    http_script_release(embed_script_http(world->script));
    assert_int_equal(await(first), STATUS_OK);
    assert_int_equal(await(patient), STATUS_OK);
    assert_int_equal(embed_script_requests(world->script), 3);
    settle(world);
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_LATE], 3);
}

static void short_deadlines_of_callers_do_not_open_the_circuit(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    for (unsigned i = 0; i < 20; i++) {
        struct task *task = task_of(world, i, "hello");
        task->job.deadline_us = clock_by_hand() + 1000;
        remote_submit(world->remote, &task->job);
        await_state(world, i == 0 ? 1 : 2, 0);
        turn(world, 1000);
        assert_int_equal(await(task), STATUS_DEADLINE);
    }
    assert_true(state_of(world).is_up);
}

/* ---- Bounds, and the end ---- */

static void a_full_queue_refuses_at_once(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    world->settings.queue_max = 3;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    (void)submit(world, 0, "first");
    embed_script_await(world->script, 2);
    for (unsigned i = 1; i <= 5; i++)
        (void)submit(world, i, "more");
    assert_int_equal(await(&world->tasks[4]), STATUS_OVERLOADED);
    assert_int_equal(await(&world->tasks[5]), STATUS_OVERLOADED);
    assert_int_equal(state_of(world).waiting, 3);
    http_script_release(embed_script_http(world->script));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
    settle(world);
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_FULL], 2);
    assert_int_equal(state_of(world).waiting, 0);
}

static void the_end_comes_to_all_that_wait_fly_or_rest(void **state)
{
    struct world *world = *state;
    world->settings.batch_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500, .code_times = 1});
    (void)submit(world, 0, "rests");
    await_state(world, 0, 1);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    (void)submit(world, 1, "flies");
    embed_script_await(world->script, 3);
    for (unsigned i = 2; i < 10; i++)
        (void)submit(world, i, "waits");
    remote_destroy(&world->remote);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(atomic_load(&world->tasks[i].times_done), 1);
        assert_int_equal(world->tasks[i].status, STATUS_DRAINING);
    }
}

static void a_stop_does_not_wait_for_a_silent_server(void **state)
{
    struct world *world = *state;
    world->settings.batch_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.code = 500, .code_times = 1});
    (void)submit(world, 0, "rests");
    await_state(world, 0, 1);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    (void)submit(world, 1, "flies");
    embed_script_await(world->script, 3);
    for (unsigned i = 2; i < 10; i++)
        (void)submit(world, i, "waits");
    remote_stop(world->remote); /* no clock is turned */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(await(&world->tasks[i]), STATUS_DRAINING);
    assert_int_equal(await(submit(world, 10, "comes later")), STATUS_DRAINING);
    remote_stop(world->remote);
    turn(world, HOUR_US);
    await_state(world, 0, 0);
    assert_int_equal(embed_script_requests(world->script), 3); /* nor is a canary sent */
    assert_int_equal(state_of(world).waiting, 0);
    for (unsigned i = 0; i <= 10; i++)
        assert_int_equal(atomic_load(&world->tasks[i].times_done), 1);
}

static void the_end_may_come_while_a_canary_flies(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    turn(world, HOUR_US);
    embed_script_await(world->script, 2);
    remote_destroy(&world->remote);
    assert_null(world->remote);
}

/* ---- Threads ---- */

enum { THREADS = 8, PER_THREAD = TASKS_MAX / THREADS, OK_PER_THREAD = 150, PER_STUMBLE = 12 };

static struct world *shared_world;
static atomic_uint threads_done, jobs_ok;

/* Returns how many got their vector. */
static unsigned submit_round(unsigned first, unsigned round)
{
    struct embed_job *list = NULL;
    unsigned ok = 0;
    for (unsigned i = first; i < first + PER_THREAD; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text %u", (i * 7 + round) % 50);
        struct task *task = task_of(shared_world, i, text);
        task->job.bulk = i % 4 == 0;
        task->job.deadline_us = i % 5 == 0 ? clock_by_hand() + SECOND_US : 0;
        task->job.next = list;
        list = &task->job;
    }
    remote_submit(shared_world->remote, list);
    for (unsigned i = first; i < first + PER_THREAD; i++) {
        struct task *task = &shared_world->tasks[i];
        if (await(task) == STATUS_OK) {
            assert_vector_of(task, false);
            ok++;
        }
        assert_int_equal(atomic_load(&task->times_done), 1);
        (void)sem_destroy(&task->is_done);
    }
    return ok;
}

static void submit_rounds(void *argument)
{
    unsigned first = *(const unsigned *)argument;
    unsigned ok = 0;
    for (unsigned round = 0; ok < OK_PER_THREAD; round++)
        ok += submit_round(first, round);
    (void)atomic_fetch_add(&jobs_ok, ok);
    (void)atomic_fetch_add(&threads_done, 1);
}

static void many_threads_are_served_while_the_server_stumbles(void **state)
{
    shared_world = *state;
    struct thread *threads[THREADS] = {NULL};
    unsigned firsts[THREADS];
    static const struct embed_manners stumbles[] = {
        {.code = 500, .code_times = 3}, {.batch_max = 3},      {.manner = HTTP_CUT},
        {.refused = "text 1"},          {.shuffles = true},    {.code = 429, .code_times = 2},
        {.gives_base64 = true},         {.manner = HTTP_LAST},
    };
    shared_world->settings.flights_max = 4;
    shared_world->settings.queue_max = 64;
    assert_int_equal(open_remote(shared_world), STATUS_OK);
    atomic_store(&threads_done, 0);
    atomic_store(&jobs_ok, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        firsts[i] = i * PER_THREAD;
        assert_int_equal(
            thread_create(THREAD_OTHER, "caller", submit_rounds, &firsts[i], &threads[i]),
            STATUS_OK);
    }
    unsigned stumble = UINT32_MAX;
    while (atomic_load(&threads_done) < THREADS) {
        unsigned next = embed_script_requests(shared_world->script) / PER_STUMBLE;
        if (next != stumble)
            tell(shared_world, stumbles[next % 8]);
        stumble = next;
        settle(shared_world);
        if (state_of(shared_world).flying == 0)
            turn(shared_world, 50000);
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    assert_true(atomic_load(&jobs_ok) >= THREADS * OK_PER_THREAD);
    assert_true(state_of(shared_world).retries > 0);
    settle(shared_world);
    assert_int_equal(state_of(shared_world).jobs, atomic_load(&jobs_ok));
    assert_int_equal(state_of(shared_world).waiting, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(what_may_pass_is_tried_again),
        WITH_WORLD(a_connection_that_breaks_is_tried_again),
        WITH_WORLD(three_attempts_are_all),
        WITH_WORLD(what_will_not_pass_is_not_tried_again),
        WITH_WORLD(a_length_that_says_too_little_fails_one_request),
        WITH_WORLD(no_attempt_is_made_that_would_be_too_late),
        WITH_WORLD(retry_after_is_respected_by_all),
        WITH_WORLD(who_asks_for_too_much_patience_gets_none),
        WITH_WORLD(five_failures_in_a_row_open_the_circuit_and_a_probe_closes_it),
        WITH_WORLD(who_rests_or_waits_when_it_opens_is_told_at_once),
        WITH_WORLD(a_server_that_is_not_there_opens_it_too),
        WITH_WORLD(with_dimensions_the_start_needs_no_server),
        WITH_WORLD(without_dimensions_the_start_needs_a_server),
        WITH_WORLD(the_first_canary_may_take_longer),
        WITH_WORLD(a_server_that_stumbles_at_start_is_asked_again),
        WITH_WORLD(a_server_that_refuses_everything_is_found_out),
        WITH_WORLD(a_server_that_gives_nobody_a_vector_is_found_out),
        WITH_WORLD(a_server_that_refuses_long_texts_alone_is_asked_once_a_second),
        WITH_WORLD(a_text_that_is_taken_ends_the_doubt),
        WITH_WORLD(a_refusal_speaks_neither_for_the_embedder_nor_against_it),
        WITH_WORLD(another_dimension_is_drift_and_no_success),
        WITH_WORLD(one_reply_of_another_dimension_is_forgiven),
        WITH_WORLD(a_reply_that_takes_too_long_fails_and_is_not_tried_again),
        WITH_WORLD(a_deadline_that_passes_under_way_ends_the_job_and_not_the_request),
        WITH_WORLD(a_request_whose_jobs_are_all_late_still_tells_about_the_server),
        WITH_WORLD(a_deadline_that_passes_in_the_queue_ends_the_job),
        WITH_WORLD(short_deadlines_of_callers_do_not_open_the_circuit),
        WITH_WORLD(a_full_queue_refuses_at_once),
        WITH_WORLD(the_end_comes_to_all_that_wait_fly_or_rest),
        WITH_WORLD(a_stop_does_not_wait_for_a_silent_server),
        WITH_WORLD(the_end_may_come_while_a_canary_flies),
        WITH_WORLD(many_threads_are_served_while_the_server_stumbles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
