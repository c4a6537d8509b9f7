/*
 * test_remote.c - Goal: texts become the vectors of their server, in few requests, whatever its
 * shape; what is learned about it is remembered; weights that change are noticed. How it bears
 * failures is in test_remote_failures.c. Exercises remote, remote_turn and remote_flight. Method: a
 * scripted server on loopback and a clock turned by hand.
 */
#include "tests/unit/embed/remote_world.h"

/* ---- Shapes ---- */

static void a_text_becomes_its_vector(struct world *world, enum embed_script_shape shape,
                                      const char *path)
{
    char head[64];
    use_server(world, shape);
    assert_int_equal(open_remote(world), STATUS_OK);
    assert_int_equal(remote_dimension(world->remote), DIMENSION);
    struct task *task = submit(world, 0, "hello \"you\" \\ é");
    assert_int_equal(await(task), STATUS_OK);
    assert_vector_of(task, false);
    (void)snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\n", path);
    assert_ptr_equal(strstr(embed_script_head(world->script, 1), head),
                     embed_script_head(world->script, 1));
    assert_non_null(
        strstr(embed_script_head(world->script, 1), "\r\nContent-Type: application/json\r\n"));
    assert_null(strstr(embed_script_head(world->script, 1), "\r\nAuthorization"));
}

static void openai_is_spoken(void **state)
{
    struct world *world = *state;
    a_text_becomes_its_vector(world, EMBED_OPENAI, "/v1/embeddings");
    assert_non_null(strstr(embed_script_body(world->script, 1), "\"encoding_format\":\"base64\""));
    assert_null(strstr(embed_script_body(world->script, 1), "dimensions"));
}

static void tei_is_spoken(void **state)
{
    struct world *world = *state;
    world->settings.model = (struct text){NULL, 0};
    a_text_becomes_its_vector(world, EMBED_TEI, "/embed");
    assert_non_null(strstr(embed_script_body(world->script, 1), "\"truncate\":false"));
}

static void ollama_is_spoken(void **state)
{
    struct world *world = *state;
    a_text_becomes_its_vector(world, EMBED_OLLAMA, "/api/embed");
    assert_non_null(strstr(embed_script_body(world->script, 1), "\"keep_alive\""));
}

/* The canary of the start is one of them. */
static void tokens_are_counted_where_they_are_told(void **state)
{
    struct world *world = *state;
    tell(world, (struct embed_manners){.tokens = 7});
    assert_int_equal(open_remote(world), STATUS_OK);
    assert_int_equal(state_of(world).tokens, 7);
    assert_int_equal(await(submit(world, 0, "hello")), STATUS_OK);
    assert_int_equal(state_of(world).tokens, 14);
    tell(world, (struct embed_manners){.tokens = 7, .unspeakable = "bad"});
    assert_int_equal(await(submit(world, 1, "bad to say")), STATUS_BAD_VECTOR);
    assert_int_equal(state_of(world).tokens, 21); /* paid for, although of no use */
    assert_int_equal(state_of(world).counted, 3);
    assert_int_equal(state_of(world).uncounted, 0);
    tell(world, (struct embed_manners){.tokens = 0});
    assert_int_equal(await(submit(world, 2, "hello again")), STATUS_OK);
    assert_int_equal(state_of(world).tokens, 21);
    assert_int_equal(state_of(world).uncounted, 1);
}

static void base64_is_read(void **state)
{
    struct world *world = *state;
    tell(world, (struct embed_manners){.gives_base64 = true});
    assert_int_equal(open_remote(world), STATUS_OK);
    struct task *task = submit(world, 0, "hello");
    assert_int_equal(await(task), STATUS_OK);
    assert_vector_of(task, false);
}

static void a_refused_encoding_is_not_asked_for_again(void **state)
{
    struct world *world = *state;
    tell(world, (struct embed_manners){.refuses_base64 = true});
    assert_int_equal(open_remote(world), STATUS_OK);
    assert_int_equal(embed_script_requests(world->script), 2);
    struct task *task = submit(world, 0, "hello");
    assert_int_equal(await(task), STATUS_OK);
    assert_vector_of(task, false);
    assert_int_equal(embed_script_requests(world->script), 3);
    assert_null(strstr(embed_script_body(world->script, 2), "encoding_format"));
    assert_int_equal(state_of(world).errors[REMOTE_ERROR_TEXT], 0);
}

static void the_key_goes_into_one_header_alone(void **state)
{
    struct world *world = *state;
    world->settings.key = TEXT("sk-secret\n");
    assert_int_equal(open_remote(world), STATUS_OK);
    const char *head = embed_script_head(world->script, 0);
    const char *found = strstr(head, "sk-secret");
    assert_non_null(strstr(head, "\r\nAuthorization: Bearer sk-secret\r\n"));
    assert_null(strstr(found + 1, "sk-secret"));
    assert_null(strstr(embed_script_body(world->script, 0), "sk-secret"));
}

/* ---- Requests ---- */

/* Two of eight texts at most are under way: what comes meanwhile waits. */
static void occupy(struct world *world)
{
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    for (unsigned i = 0; i < world->settings.flights_max; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "first %u", i);
        (void)submit(world, TASKS_MAX - 1 - i, text);
        embed_script_await(world->script, 2 + i); /* the canary was the first */
    }
}

static void let_go(struct world *world)
{
    tell(world, (struct embed_manners){.manner = HTTP_WELL});
    http_script_release(embed_script_http(world->script));
}

static void what_waits_shares_a_request(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    occupy(world);
    for (unsigned i = 0; i < 20; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text %u", i);
        (void)submit(world, i, text);
    }
    let_go(world);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
    static const unsigned texts[] = {1, 1, 8, 8, 4}; /* canary, first, the twenty */
    assert_int_equal(embed_script_requests(world->script), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(embed_script_texts(world->script, i), texts[i]);
    assert_int_equal(http_script_connections(embed_script_http(world->script)), 1);
}

static void a_list_of_jobs_is_taken_whole(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    for (unsigned i = 0; i < 20; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text %u", i);
        struct task *task = task_of(world, i, text);
        if (i > 0)
            world->tasks[i - 1].job.next = &task->job;
    }
    remote_submit(world->remote, &world->tasks[0].job);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
    assert_int_equal(embed_script_requests(world->script), 4);
    remote_submit(world->remote, NULL); /* an empty list is one, too */
}

static void equal_texts_go_once(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    occupy(world);
    for (unsigned i = 0; i < 30; i++)
        (void)submit(world, i, i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c");
    let_go(world);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
    assert_int_equal(embed_script_requests(world->script), 3);
    assert_int_equal(embed_script_texts(world->script, 2), 3);
    struct remote_state now = state_of(world);
    assert_int_equal(now.jobs, 31);
    assert_int_equal(now.texts, 4);
}

static void vectors_are_told_apart_by_their_index(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    occupy(world);
    for (unsigned i = 0; i < 8; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text %u", i);
        (void)submit(world, i, text);
    }
    tell(world, (struct embed_manners){.shuffles = true});
    http_script_release(embed_script_http(world->script));
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
}

static void bulk_waits_for_those_somebody_waits_for(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    world->settings.batch_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    occupy(world);
    struct task *bulk = task_of(world, 0, "bulk");
    bulk->job.bulk = true;
    remote_submit(world->remote, &bulk->job);
    struct task *urgent = submit(world, 1, "urgent");
    let_go(world);
    assert_int_equal(await(urgent), STATUS_OK);
    assert_int_equal(await(bulk), STATUS_OK);
    assert_non_null(strstr(embed_script_body(world->script, 2), "urgent"));
    assert_non_null(strstr(embed_script_body(world->script, 3), "bulk"));
}

static void bulk_leaves_half_of_the_flights(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 4;
    world->settings.batch_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.manner = HTTP_SILENT});
    for (unsigned i = 0; i < 6; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "bulk %u", i);
        task_of(world, i, text)->job.bulk = true;
        remote_submit(world->remote, &world->tasks[i].job);
    }
    await_state(world, 2, 0);
    embed_script_await(world->script, 3);
    struct task *urgent = submit(world, 6, "urgent");
    embed_script_await(world->script, 4);
    assert_non_null(strstr(embed_script_body(world->script, 3), "urgent"));
    let_go(world);
    assert_int_equal(await(urgent), STATUS_OK);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
}

/* ---- Texts that are refused ---- */

static void submit_eight(struct world *world, const char *eighth)
{
    for (unsigned i = 0; i < 8; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text %u", i);
        struct task *task = task_of(world, i, i == 7 ? eighth : text);
        if (i > 0)
            world->tasks[i - 1].job.next = &task->job;
    }
    remote_submit(world->remote, &world->tasks[0].job);
}

static void a_refused_request_is_halved_and_that_is_remembered(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.batch_max = 3});
    submit_eight(world, "text 7");
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
    /* The canary; 8 and 4 are too many; 2 is not. */
    static const unsigned first[] = {1, 8, 4, 2, 2, 2, 2};
    assert_int_equal(embed_script_requests(world->script), 7);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(embed_script_texts(world->script, i), first[i]);
    submit_eight(world, "text 7");
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
    assert_int_equal(embed_script_requests(world->script), 11); /* none is refused any more */
    assert_int_equal(state_of(world).batch_now, 2);
}

static void one_refused_text_fails_alone(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.refused = "long"});
    submit_eight(world, "long long text");
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
    assert_int_equal(await(&world->tasks[7]), STATUS_TEXT_TOO_LONG);
    struct remote_state now = state_of(world);
    assert_int_equal(now.batch_now, 8); /* eight texts were not too many */
    assert_true(now.is_up);
    assert_int_equal(now.errors[REMOTE_ERROR_TEXT], 4); /* among 8, 4, 2 and alone */
}

static void one_unspeakable_text_fails_alone(void **state)
{
    struct world *world = *state;
    world->settings.flights_max = 1;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.unspeakable = "strange"});
    submit_eight(world, "strange text");
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(await(&world->tasks[i]), STATUS_OK);
        assert_vector_of(&world->tasks[i], false);
    }
    assert_int_equal(await(&world->tasks[7]), STATUS_BAD_VECTOR);
    assert_int_equal(state_of(world).batch_now, 8);
    assert_true(state_of(world).is_up);
}

/* ---- The canary ---- */

static void weights_that_change_are_noticed_within_the_hour(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.has_drifted = true});
    turn(world, HOUR_US - 1);
    await_state(world, 0, 0);
    assert_int_equal(embed_script_requests(world->script), 1);
    turn(world, 1);
    embed_script_await(world->script, 2);
    while (state_of(world).canaries < 2)
        continue;
    await_state(world, 0, 0);
    assert_true(state_of(world).has_drifted);
    assert_int_equal(state_of(world).drifts, 1);
    assert_true(state_of(world).is_up);
    tell(world, (struct embed_manners){.has_drifted = false}); /* the old ones are back */
    turn(world, HOUR_US);
    while (state_of(world).canaries < 3)
        continue;
    await_state(world, 0, 0);
    assert_false(state_of(world).has_drifted);
    assert_int_equal(state_of(world).drifts, 1);
}

static void a_canary_of_another_dimension_is_drift(void **state)
{
    struct world *world = *state;
    assert_int_equal(open_remote(world), STATUS_OK);
    tell(world, (struct embed_manners){.dimension = 2 * DIMENSION});
    turn(world, HOUR_US);
    while (!state_of(world).has_drifted)
        continue;
    assert_int_equal(remote_dimension(world->remote), DIMENSION);
    struct task *task = submit(world, 0, "hello");
    assert_int_equal(await(task), STATUS_EMBEDDER_MISMATCH);
    assert_true(state_of(world).errors[REMOTE_ERROR_MISMATCH] >= 2);
}

/* ---- The start ---- */

static void dimensions_are_asked_for_if_set(void **state)
{
    struct world *world = *state;
    world->settings.dimensions = DIMENSION;
    assert_int_equal(open_remote(world), STATUS_OK);
    assert_non_null(strstr(embed_script_body(world->script, 0), "\"dimensions\":8"));
}

static void another_dimension_than_set_ends_the_start(void **state)
{
    struct world *world = *state;
    world->settings.dimensions = 16;
    assert_int_equal(open_remote(world), STATUS_EMBEDDER_MISMATCH);
    assert_null(world->remote);
    assert_string_equal(world->failure.field, "embed.dimensions");
    assert_non_null(strstr(world->failure.message, "vectors of 8 numbers, not 16"));
}

static void settings_that_cannot_be_used_end_the_start(void **state)
{
    struct world *world = *state;
    struct remote_settings good = world->settings;
    world->settings.url = TEXT("localhost:80");
    assert_int_equal(open_remote(world), STATUS_BAD_OPTION);
    assert_string_equal(world->failure.field, "embed.url");
    world->settings = good;
    world->settings.model = (struct text){NULL, 0};
    assert_int_equal(open_remote(world), STATUS_BAD_OPTION);
    assert_string_equal(world->failure.field, "embed.model");
    world->settings = good;
    world->settings.key = TEXT("two\r\nX-Lines: yes");
    assert_int_equal(open_remote(world), STATUS_BAD_OPTION);
    assert_string_equal(world->failure.field, "embed.key_file");
    assert_int_equal(embed_script_requests(world->script), 0);
}

static void a_start_without_server_says_what_is_wrong(void **state)
{
    struct world *world = *state;
    static const struct {
        struct embed_manners manners;
        const char *says;
    } cases[] = {
        {{.code = 401}, "answers 401; is the key in embed.key_file right?"},
        {{.code = 404}, "answers 404; are embed.url, embed.model"},
        {{.code = 307}, "answers 307"},
        {{.body = "<html>hello</html>"}, "does not answer with a vector; is embed.provider right?"},
        {{.body = "{\"data\":[]}"}, "does not answer with a vector"},
    };
    world->settings.key = TEXT("sk-secret");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tell(world, cases[i].manners);
        assert_int_equal(open_remote(world), STATUS_EMBEDDER_DOWN);
        assert_null(world->remote);
        assert_string_equal(world->failure.field, "embed.url");
        assert_non_null(strstr(world->failure.message, cases[i].says));
        assert_null(strstr(world->failure.message, "sk-secret"));
    }
}

/* ---- done may submit ---- */

static struct world *chained_world;
static atomic_uint links_left;

static void task_done_and_next(struct embed_job *job, enum status status)
{
    assert_int_equal(status, STATUS_OK);
    if (atomic_fetch_sub(&links_left, 1) > 1)
        remote_submit(chained_world->remote, job);
    else
        task_done(job, status);
}

static void done_may_submit_again(void **state)
{
    chained_world = *state;
    assert_int_equal(open_remote(chained_world), STATUS_OK);
    atomic_store(&links_left, 20);
    struct task *task = task_of(chained_world, 0, "again");
    task->job.done = task_done_and_next;
    remote_submit(chained_world->remote, &task->job);
    assert_int_equal(await(task), STATUS_OK);
    assert_int_equal(embed_script_requests(chained_world->script), 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(openai_is_spoken),
        WITH_WORLD(tei_is_spoken),
        WITH_WORLD(ollama_is_spoken),
        WITH_WORLD(tokens_are_counted_where_they_are_told),
        WITH_WORLD(base64_is_read),
        WITH_WORLD(a_refused_encoding_is_not_asked_for_again),
        WITH_WORLD(the_key_goes_into_one_header_alone),
        WITH_WORLD(what_waits_shares_a_request),
        WITH_WORLD(a_list_of_jobs_is_taken_whole),
        WITH_WORLD(equal_texts_go_once),
        WITH_WORLD(vectors_are_told_apart_by_their_index),
        WITH_WORLD(bulk_waits_for_those_somebody_waits_for),
        WITH_WORLD(bulk_leaves_half_of_the_flights),
        WITH_WORLD(a_refused_request_is_halved_and_that_is_remembered),
        WITH_WORLD(one_refused_text_fails_alone),
        WITH_WORLD(one_unspeakable_text_fails_alone),
        WITH_WORLD(weights_that_change_are_noticed_within_the_hour),
        WITH_WORLD(a_canary_of_another_dimension_is_drift),
        WITH_WORLD(dimensions_are_asked_for_if_set),
        WITH_WORLD(another_dimension_than_set_ends_the_start),
        WITH_WORLD(settings_that_cannot_be_used_end_the_start),
        WITH_WORLD(a_start_without_server_says_what_is_wrong),
        WITH_WORLD(done_may_submit_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
