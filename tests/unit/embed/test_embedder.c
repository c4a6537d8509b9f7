/*
 * Goal: a space is named by everything that shapes its vectors, the options choose the provider
 * they name, and every provider is asked in the same way. Method: the id is computed a second time
 * here, byte by byte; models lie in temporary folders, remote embedders answer from a script.
 * Rooms: embedder, embedder_open, lexical_engine, space.
 */
#include "tests/unit/embed/model_folder.h"

#include <semaphore.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/thread.h"
#include "embed/embedder.h"
#include "tests/support/embed_script.h"

/* ---- a desk -----------------------------------------------------------------------------------
 */

enum { FLAGS_MAX = 8, TEXTS = 6 };

struct desk { /* options, compute threads, an embedder and what became of its jobs */
    struct options *options;
    struct pool *pool;
    struct embedder *embedder;
    struct failure failure;
    sem_t finished;
};

struct call {
    struct embed_job job; /* first member */
    struct desk *desk;
    float unit[512];
    enum status status;
    bool on_compute;
};

static void set_options(struct desk *desk, const char *const *flags)
{
    const struct option_table table = {embed_option_rows, embed_option_rows_count};
    char *arguments[FLAGS_MAX + 1] = {(char *)(uintptr_t) "test"};
    int count = 1;
    for (; flags[count - 1] != NULL; count++)
        arguments[count] = (char *)(uintptr_t)flags[count - 1];
    options_destroy(&desk->options);
    assert_int_equal(options_create(&table, 1, &desk->options), STATUS_OK);
    assert_int_equal(options_read_flags(desk->options, count, arguments, stderr), STATUS_OK);
}

#define FLAGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static enum status open_desk(struct desk *desk, uint32_t threads_count, const char *const *flags)
{
    *desk = (struct desk){.options = NULL};
    set_options(desk, flags);
    assert_int_equal(sem_init(&desk->finished, 0, 0), 0);
    if (threads_count > 0)
        assert_int_equal(pool_create(threads_count, 64, &desk->pool), STATUS_OK);
    const struct embedder_setup setup = {
        .options = desk->options,
        .pool = desk->pool,
        .clock_us = threads_count > 0 ? clock_monotonic_us : NULL,
        .seed = 5,
    };
    return embedder_open(&setup, &desk->embedder, &desk->failure);
}

static void close_desk(struct desk *desk)
{
    embedder_destroy(&desk->embedder);
    pool_destroy(&desk->pool);
    options_destroy(&desk->options);
    (void)sem_destroy(&desk->finished);
}

static void call_done(struct embed_job *job, enum status status)
{
    struct call *call = (struct call *)job;
    call->status = status;
    call->on_compute = thread_number() >= 0;
    (void)sem_post(&call->desk->finished);
}

static void submit(struct desk *desk, struct call *call, const char *text)
{
    call->desk = desk;
    call->job =
        (struct embed_job){.text = text_of(text), .out_unit = call->unit, .done = call_done};
    embedder_submit(desk->embedder, &call->job);
}

static void wait_for(struct desk *desk, int count)
{
    for (int i = 0; i < count; i++)
        while (sem_wait(&desk->finished) != 0)
            ;
}

static struct embedder *open_lexical(struct desk *desk)
{
    assert_int_equal(open_desk(desk, 0, FLAGS("--embed-provider=lexical")), STATUS_OK);
    return desk->embedder;
}

/* ---- lexical, and spaces ----------------------------------------------------------------------
 */

static void lexical_tells_its_space(void **state)
{
    (void)state;
    struct desk desk;
    const struct embedder *embedder = open_lexical(&desk);
    const struct embed_space *space = embedder_space(embedder);
    assert_string_equal(space->name, "lexical");
    assert_string_equal(space->version, "1");
    assert_int_equal(space->dimension, 512);
    assert_true(space->threshold_default == 0.90f);
    assert_true(space->min_similarity == 0.40f);
    close_desk(&desk);
    assert_null(desk.embedder);
    embedder_destroy(&desk.embedder);
}

static void the_id_of_lexical_is_the_digest_of_its_parts(void **state)
{
    (void)state;
    static const uint8_t parts[] = {
        7, 0, 0, 0, 'l', 'e', 'x', 'i', 'c', 'a', 'l', /* provider   */
        7, 0, 0, 0, 'l', 'e', 'x', 'i', 'c', 'a', 'l', /* model      */
        1, 0, 0, 0, '1',                               /* version    */
        4, 0, 0, 0, 0,   2,   0,   0,                  /* dimension  */
        4, 0, 0, 0, 1,   0,   0,   0,                  /* arithmetic */
    };
    struct digest digest = digest_sha256(parts, sizeof(parts));
    uint64_t expected = 0;
    for (int i = 7; i >= 0; i--)
        expected = expected << 8 | digest.bytes[i];
    struct desk desk;
    const struct embedder *embedder = open_lexical(&desk);
    assert_true(embedder_space(embedder)->id == expected);
    assert_true(expected != 0);
    close_desk(&desk);
}

static void it_embeds(void **state)
{
    (void)state;
    struct desk desk;
    const struct embedder *embedder = open_lexical(&desk);
    struct arena *arena = NULL;
    float unit[512];
    assert_int_equal(arena_create(&arena), STATUS_OK);
    assert_int_equal(embedder_embed(embedder, TEXT("open the door"), arena, unit), STATUS_OK);
    double squares = 0;
    for (size_t i = 0; i < 512; i++)
        squares += (double)unit[i] * unit[i];
    assert_true(fabs(squares - 1) < 1e-6);
    assert_int_equal(embedder_embed(embedder, TEXT("..."), arena, unit), STATUS_NOT_FOUND);
    struct embedder_tokens tokens;
    assert_int_equal(embedder_tokens(embedder, TEXT("Don't open, the DOOR!"), arena, &tokens),
                     STATUS_OK);
    assert_int_equal(tokens.count, 4);
    assert_null(tokens.ids);
    assert_true(text_equal(tokens.pieces[0], TEXT("don't")));
    assert_true(text_equal(tokens.pieces[3], TEXT("door")));
    close_desk(&desk);
    arena_destroy(&arena);
}

static void a_clients_space_is_told_apart_by_name_and_dimension(void **state)
{
    (void)state;
    struct embed_space a, b, c, again;
    embed_client_space(TEXT("text-embedding-3-small"), 1536, &a);
    embed_client_space(TEXT("text-embedding-3-small"), 512, &b);
    embed_client_space(TEXT("text-embedding-3-large"), 1536, &c);
    embed_client_space(TEXT("text-embedding-3-small"), 1536, &again);
    assert_true(a.id == again.id);
    assert_true(a.id != b.id);
    assert_true(a.id != c.id);
    assert_true(a.id != 0);
    assert_string_equal(a.name, "text-embedding-3-small");
    assert_int_equal(a.dimension, 1536);
    assert_true(a.threshold_default == 0.95f);
    assert_true(a.min_similarity == 0.0f);
}

static void a_client_that_says_lexical_is_not_in_our_space(void **state)
{
    (void)state;
    struct desk desk;
    const struct embedder *embedder = open_lexical(&desk);
    struct embed_space client;
    embed_client_space(TEXT("lexical"), 512, &client);
    assert_true(client.id != embedder_space(embedder)->id);
    close_desk(&desk);
}

static void a_long_name_is_cut_for_display_but_counts_whole(void **state)
{
    (void)state;
    char long_a[65], long_b[65];
    memset(long_a, 'n', sizeof(long_a));
    long_a[64] = '\0';
    memcpy(long_b, long_a, sizeof(long_b));
    long_b[63] = 'm';
    struct embed_space a, b;
    embed_client_space(text_of(long_a), 8, &a);
    embed_client_space(text_of(long_b), 8, &b);
    assert_int_equal(strlen(a.name), sizeof(a.name) - 1);
    assert_string_equal(a.name, b.name);
    assert_true(a.id != b.id);
    /* 46 letters, then two bytes of one: it does not fit whole, so it is left out. */
    char split[49];
    memset(split, 'n', 46);
    memcpy(split + 46, "\xC3\xA9", 3);
    embed_client_space(text_of(split), 8, &a);
    assert_int_equal(strlen(a.name), 46);
}

/* ---- options choose a provider --------------------------------------------------------------- */

static void assert_provider(const struct desk *desk, const char *provider, const char *degraded)
{
    struct embedder_state about;
    embedder_state(desk->embedder, &about);
    assert_string_equal(about.provider, provider);
    assert_int_equal(about.degraded_count, degraded != NULL ? 1 : 0);
    if (degraded != NULL)
        assert_string_equal(about.degraded[0], degraded);
}

static void the_options_choose_by_themselves(void **state)
{
    (void)state;
    struct desk desk = {.options = NULL};
    set_options(&desk, (const char *const[]){NULL});
    assert_string_equal(options_text(desk.options, "embed.provider"), "auto");
    assert_false(options_is_set(desk.options, "embed.model"));
    assert_false(options_is_set(desk.options, "embed.dimensions"));
    options_destroy(&desk.options);
}

static void none_needs_no_folder(void **state)
{
    (void)state;
    struct desk desk;
    assert_int_equal(open_desk(&desk, 0, FLAGS("--embed-provider=none", "--embed-folder=/nowhere")),
                     STATUS_OK);
    assert_null(desk.embedder);
    close_desk(&desk);
}

static void auto_without_weights_is_lexical_and_says_so(void **state)
{
    (void)state;
    struct desk desk;
    assert_int_equal(open_desk(&desk, 0, FLAGS("--embed-folder=/nowhere")), STATUS_OK);
    assert_provider(&desk, "lexical", "no_weights");
    struct desk lexical;
    assert_true(embedder_space(desk.embedder)->id == embedder_space(open_lexical(&lexical))->id);
    close_desk(&lexical);
    close_desk(&desk);
    assert_int_equal(open_desk(&desk, 0, FLAGS("--embed-provider=lexical")), STATUS_OK);
    assert_provider(&desk, "lexical", NULL); /* as the operator wanted it */
    close_desk(&desk);
}

static void auto_takes_the_model_that_is_there(void **state)
{
    const struct model_folder *folder = *state;
    char flag[128];
    (void)snprintf(flag, sizeof(flag), "--embed-model=%s", folder->path);
    struct desk desk;
    assert_int_equal(open_desk(&desk, 0, FLAGS(flag)), STATUS_OK);
    assert_provider(&desk, "local", NULL);
    assert_string_equal(embedder_space(desk.embedder)->name, "tiny");
    float unit[TINY_WIDTH];
    assert_int_equal(embedder_embed(desk.embedder, TEXT("open the door"), NULL, unit), STATUS_OK);
    close_desk(&desk);
}

static void a_model_is_a_folder_in_the_folder(void **state)
{
    const struct model_folder *folder = *state;
    char parent[128], model[128];
    (void)snprintf(parent, sizeof(parent), "--embed-folder=%s", folder->path);
    *strrchr(parent, '/') = '\0';
    (void)snprintf(model, sizeof(model), "--embed-model=%s", strrchr(folder->path, '/') + 1);
    struct desk desk;
    assert_int_equal(open_desk(&desk, 0, FLAGS(parent, model, "--embed-provider=local")),
                     STATUS_OK);
    assert_string_equal(embedder_space(desk.embedder)->name, "tiny");
    close_desk(&desk);
}

/* Silence would cost every semantic hit of the old space. */
static void auto_does_not_pass_over_a_broken_model(void **state)
{
    const struct model_folder *folder = *state;
    folder_write(folder, "vocab.txt", "x", 1);
    char flag[128];
    (void)snprintf(flag, sizeof(flag), "--embed-model=%s", folder->path);
    struct desk desk;
    assert_int_equal(open_desk(&desk, 0, FLAGS(flag)), STATUS_WEIGHTS_CORRUPT);
    assert_null(desk.embedder);
    assert_non_null(strstr(desk.failure.field, "vocab.txt"));
    close_desk(&desk);
}

static void local_without_weights_does_not_start(void **state)
{
    (void)state;
    struct desk desk;
    assert_int_equal(
        open_desk(&desk, 0, FLAGS("--embed-provider=local", "--embed-folder=/nowhere")),
        STATUS_WEIGHTS_MISSING);
    assert_null(desk.embedder);
    assert_string_equal(desk.failure.field, "/nowhere/minilm-l6/manifest.json");
    close_desk(&desk);
}

static void options_reach_the_model(void **state)
{
    const struct model_folder *folder = *state;
    char flag[128];
    (void)snprintf(flag, sizeof(flag), "--embed-model=%s", folder->path);
    struct desk desk;
    assert_int_equal(open_desk(&desk, 0,
                               FLAGS(flag, "--embed-precision=fp32", "--embed-truncate=head",
                                     "--embed-special-in-text", "--embed-verify=once")),
                     STATUS_OK);
    struct embedder_state about;
    embedder_state(desk.embedder, &about);
    assert_string_equal(about.precision, "fp32");
    float unit[TINY_WIDTH], marked[TINY_WIDTH];
    assert_int_equal(
        embedder_embed(desk.embedder, TEXT("a a a a a a a a a a a a a a a a a a"), NULL, unit),
        STATUS_OK);
    assert_int_equal(embedder_embed(desk.embedder, TEXT("door [SEP] door"), NULL, marked),
                     STATUS_OK);
    char note[128];
    (void)snprintf(note, sizeof(note), "%s/model.safetensors.verified", folder->path);
    FILE *file = fopen(note, "r");
    assert_non_null(file);
    (void)fclose(file);
    close_desk(&desk);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void every_provider_takes_jobs(void **state)
{
    const struct model_folder *folder = *state;
    char flag[128];
    (void)snprintf(flag, sizeof(flag), "--embed-model=%s", folder->path);
    for (int provider = 0; provider < 2; provider++) {
        struct desk desk;
        assert_int_equal(
            open_desk(&desk, 2, FLAGS(provider == 0 ? "--embed-provider=lexical" : flag)),
            STATUS_OK);
        static const char *const texts[TEXTS] = {
            "open the door", "close the door",  "...",
            "open the door", "where is my pin", "reset my password please"};
        struct call calls[TEXTS];
        struct arena *arena = NULL;
        float alone[512];
        assert_int_equal(arena_create(&arena), STATUS_OK);
        for (int i = 0; i < TEXTS; i++)
            submit(&desk, &calls[i], texts[i]);
        wait_for(&desk, TEXTS);
        for (int i = 0; i < TEXTS; i++) {
            assert_int_equal(embedder_embed(desk.embedder, text_of(texts[i]), arena, alone),
                             calls[i].status);
            assert_true(calls[i].on_compute);
            if (calls[i].status == STATUS_OK)
                assert_memory_equal(calls[i].unit, alone,
                                    embedder_space(desk.embedder)->dimension * sizeof(float));
        }
        assert_int_equal(calls[0].status, STATUS_OK);
        struct embedder_state about;
        embedder_state(desk.embedder, &about);
        assert_true(about.texts >= TEXTS - 1);
        assert_true(about.packs >= 1);
        assert_int_equal(about.waiting, 0);
        arena_destroy(&arena);
        close_desk(&desk);
    }
}

static void lexical_has_no_vector_for_dots_and_counts_it(void **state)
{
    (void)state;
    struct desk desk;
    struct call call;
    assert_int_equal(open_desk(&desk, 1, FLAGS("--embed-provider=lexical")), STATUS_OK);
    submit(&desk, &call, "...");
    wait_for(&desk, 1);
    assert_int_equal(call.status, STATUS_NOT_FOUND);
    struct embedder_state about;
    embedder_state(desk.embedder, &about);
    assert_int_equal(about.wordless, 1);
    assert_int_equal(about.texts, 0);
    close_desk(&desk);
}

/* ---- remote ---------------------------------------------------------------------------------- */

static struct embed_script *remote_script(enum embed_script_shape shape, char out_flag[64])
{
    struct embed_script *script = embed_script_create(shape, 8);
    (void)snprintf(out_flag, 64, "--embed-url=http://127.0.0.1:%u",
                   http_script_port(embed_script_http(script)));
    return script;
}

static void a_remote_embedder_is_asked_and_its_vectors_are_remembered(void **state)
{
    (void)state;
    char url[64];
    struct embed_script *script = remote_script(EMBED_TEI, url);
    struct desk desk;
    struct call calls[2];
    if (open_desk(&desk, 1, FLAGS("--embed-provider=tei", url, "--embed-timeout=30s")) != STATUS_OK)
        fail_msg("%s: %s", desk.failure.field, desk.failure.message);
    assert_provider(&desk, "tei", NULL);
    assert_int_equal(embedder_space(desk.embedder)->dimension, 8);
    assert_true(embedder_space(desk.embedder)->threshold_default == 0.95f);
    const unsigned before = embed_script_requests(script);
    for (int i = 0; i < 2; i++) {
        submit(&desk, &calls[i], "far away");
        wait_for(&desk, 1);
        assert_int_equal(calls[i].status, STATUS_OK);
        assert_true(calls[i].on_compute); /* not the thread of all outgoing requests */
    }
    assert_int_equal(embed_script_requests(script), before + 1);
    assert_memory_equal(calls[0].unit, calls[1].unit, 8 * sizeof(float));
    struct embedder_state about;
    embedder_state(desk.embedder, &about);
    assert_int_equal(about.recent_hits, 1);
    float unit[8];
    assert_int_equal(embedder_embed(desk.embedder, TEXT("x"), NULL, unit), STATUS_UNIMPLEMENTED);
    close_desk(&desk);
    embed_script_destroy(&script);
}

static void the_key_of_a_remote_embedder_comes_from_a_file(void **state)
{
    (void)state;
    char url[64], key[128];
    struct model_folder folder = {.weights = {.at = NULL}};
    folder_create(folder.path);
    folder_write(&folder, "key", "open-sesame\r\nnot this\n", 22);
    (void)snprintf(key, sizeof(key), "--embed-key-file=%s/key", folder.path);
    struct embed_script *script = remote_script(EMBED_OPENAI, url);
    struct desk desk;
    if (open_desk(&desk, 1,
                  FLAGS("--embed-provider=openai", "--embed-model=m", url, key,
                        "--embed-timeout=30s")) != STATUS_OK)
        fail_msg("%s: %s", desk.failure.field, desk.failure.message);
    assert_non_null(strstr(embed_script_head(script, 0), "Bearer open-sesame\r\n"));
    const uint64_t id = embedder_space(desk.embedder)->id;
    close_desk(&desk);
    assert_int_equal(
        open_desk(&desk, 1,
                  FLAGS("--embed-provider=openai", "--embed-model=n", url, "--embed-timeout=30s")),
        STATUS_OK);
    assert_true(embedder_space(desk.embedder)->id != id);
    close_desk(&desk);
    embed_script_destroy(&script);
    folder_remove(folder.path);
}

static void a_remote_embedder_that_is_down_is_a_state(void **state)
{
    (void)state;
    char url[64];
    (void)snprintf(url, sizeof(url), "--embed-url=http://127.0.0.1:%u", http_closed_port());
    struct desk desk;
    struct call call;
    assert_int_equal(open_desk(&desk, 1,
                               FLAGS("--embed-provider=tei", url, "--embed-dimensions=8",
                                     "--embed-timeout=100ms")),
                     STATUS_OK);
    assert_provider(&desk, "tei", "embedder_down");
    submit(&desk, &call, "anybody there");
    wait_for(&desk, 1);
    assert_int_equal(call.status, STATUS_EMBEDDER_DOWN);
    close_desk(&desk);
}

static bool is_degraded(const struct desk *desk, const char *word)
{
    struct embedder_state about;
    bool is_so = false;
    embedder_state(desk->embedder, &about);
    for (size_t i = 0; i < about.degraded_count; i++)
        is_so = is_so || strcmp(about.degraded[i], word) == 0;
    return is_so;
}

static void a_remote_embedder_that_has_changed_is_a_state(void **state)
{
    (void)state;
    char url[64];
    struct embed_script *script = remote_script(EMBED_TEI, url);
    struct desk desk;
    struct call call;
    assert_int_equal(open_desk(&desk, 1, FLAGS("--embed-provider=tei", url, "--embed-timeout=30s")),
                     STATUS_OK);
    assert_provider(&desk, "tei", NULL);
    embed_script_tell(script, &(struct embed_manners){.dimension = 16});
    submit(&desk, &call, "far away");
    wait_for(&desk, 1);
    assert_int_equal(call.status, STATUS_EMBEDDER_MISMATCH);
    assert_true(is_degraded(&desk, "embedder_changed"));
    assert_true(is_degraded(&desk, "embedder_bad_vectors"));
    while (!is_degraded(&desk, "embedder_down")) /* when the canary has confirmed it */
        continue;
    assert_true(is_degraded(&desk, "embedder_changed"));
    close_desk(&desk);
    embed_script_destroy(&script);
}

static void a_stop_tells_those_who_wait_for_a_silent_server(void **state)
{
    (void)state;
    char url[64];
    struct embed_script *script = remote_script(EMBED_TEI, url);
    struct desk desk;
    struct call calls[2];
    assert_int_equal(open_desk(&desk, 1, FLAGS("--embed-provider=tei", url, "--embed-timeout=60s")),
                     STATUS_OK);
    const unsigned before = embed_script_requests(script);
    embed_script_tell(script, &(struct embed_manners){.manner = HTTP_SILENT});
    submit(&desk, &calls[0], "under way");
    embed_script_await(script, before + 1);
    embedder_stop(desk.embedder);
    submit(&desk, &calls[1], "comes later");
    wait_for(&desk, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(calls[i].status, STATUS_DRAINING);
    close_desk(&desk);
    embed_script_destroy(&script);
}

static void metrics_name_what_is_degraded(void **state)
{
    (void)state;
    struct desk desk;
    struct call calls[2];
    char *said = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&said, &size);
    assert_int_equal(open_desk(&desk, 1, FLAGS("--embed-folder=/nowhere")), STATUS_OK);
    submit(&desk, &calls[0], "open the door");
    submit(&desk, &calls[1], "...");
    wait_for(&desk, 2);
    embedder_metrics(desk.embedder, out);
    embedder_metrics(NULL, out);
    (void)fclose(out);
    static const char *const lines[] = {
        "# TYPE reprise_embed_degraded gauge\n",
        "reprise_embed_degraded{reason=\"no_weights\"} 1\n",
        "reprise_embed_degraded{reason=\"embedder_down\"} 0\n",
        "reprise_embed_degraded{reason=\"embedder_changed\"} 0\n",
        "# TYPE reprise_embed_texts_total counter\n",
        "reprise_embed_texts_total{provider=\"lexical\"} 1\n",
        "reprise_embed_without_vector_total{provider=\"lexical\",reason=\"wordless\"} 1\n",
        "reprise_embed_without_vector_total{provider=\"lexical\",reason=\"late\"} 0\n",
        "reprise_embed_without_vector_total{provider=\"lexical\",reason=\"overloaded\"} 0\n",
        "reprise_embed_unknown_tokens_total{provider=\"lexical\"} 0\n",
        "reprise_embed_seconds_count{provider=\"lexical\",part=\"queue\"} 1\n",
        "reprise_embed_seconds_count{provider=\"lexical\",part=\"compute\"} 1\n",
        "reprise_embed_pack_tokens_bucket{provider=\"lexical\",le=\"1\"} 1\n",
        "reprise_embed_pack_tokens_sum{provider=\"lexical\"} 1\n",
        "reprise_embed_space_info{provider=\"lexical\",model=\"lexical\",precision=\"\",",
        "\",dimension=\"512\"} 1\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(said, lines[i]));
    assert_null(strstr(said, "reprise_embed_requests_total")); /* nobody is asked */
    free(said);
    close_desk(&desk);
}

static void metrics_tell_how_a_remote_embedder_is_asked(void **state)
{
    (void)state;
    char url[64];
    struct embed_script *script = remote_script(EMBED_TEI, url);
    struct desk desk;
    struct call call;
    char *said = NULL;
    size_t size = 0;
    assert_int_equal(open_desk(&desk, 1, FLAGS("--embed-provider=tei", url, "--embed-timeout=30s")),
                     STATUS_OK);
    embed_script_tell(script, &(struct embed_manners){.unspeakable = "bad"});
    submit(&desk, &call, "bad to say");
    wait_for(&desk, 1);
    assert_int_equal(call.status, STATUS_BAD_VECTOR);
    FILE *out = open_memstream(&said, &size);
    embedder_metrics(desk.embedder, out);
    (void)fclose(out);
    static const char *const lines[] = {
        "# TYPE reprise_embed_circuit_open gauge\n",
        "reprise_embed_circuit_open{provider=\"tei\"} 0\n",
        "reprise_embed_retries_total{provider=\"tei\"} 0\n",
        "reprise_embed_bad_vectors_total{provider=\"tei\"} 1\n",
        "reprise_embed_errors_total{provider=\"tei\",reason=\"bad_vector\"} 1\n",
        "reprise_embed_errors_total{provider=\"tei\",reason=\"rejected\"} 0\n",
        "reprise_embed_degraded{reason=\"embedder_bad_vectors\"} 1\n",
        "reprise_embed_uncounted_replies_total{provider=\"tei\"} 1\n", /* the canary's */
        "reprise_embed_seconds_count{provider=\"tei\",part=\"request\"} 0\n", /* of vectors */
        "reprise_embed_space_info{provider=\"tei\",model=\"tei\",",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(said, lines[i]));
    assert_null(strstr(said, "reprise_embed_tokens_total")); /* unknown, which is not 0 */
    assert_null(strstr(said, "reprise_embed_unknown_tokens_total"));
    assert_null(strstr(said, "reprise_embed_pack_tokens"));
    free(said);
    while (is_degraded(&desk, "embedder_bad_vectors")) /* until a canary is right */
        continue;
    close_desk(&desk);
    embed_script_destroy(&script);
}

static void metrics_tell_what_a_local_model_is_and_does_not_know(void **state)
{
    const struct model_folder *folder = *state;
    char flag[128], hex[EMBED_SPACE_HEX + 1], space[256];
    (void)snprintf(flag, sizeof(flag), "--embed-model=%s", folder->path);
    struct desk desk;
    struct call calls[2];
    char *said = NULL;
    size_t size = 0;
    assert_int_equal(open_desk(&desk, 1, FLAGS(flag, "--embed-precision=int8")), STATUS_OK);
    submit(&desk, &calls[0], "open the door");
    submit(&desk, &calls[1], "door zzz yyy"); /* words of no vocabulary */
    wait_for(&desk, 2);
    FILE *out = open_memstream(&said, &size);
    embedder_metrics(desk.embedder, out);
    (void)fclose(out);
    embed_space_hex(embedder_space(desk.embedder), hex);
    (void)snprintf(space, sizeof(space), ",space=\"%s\",dimension=\"%d\"} 1\n", hex, TINY_WIDTH);
    assert_non_null(strstr(said, space));
    static const char *const lines[] = {
        "reprise_embed_space_info{provider=\"local\",model=\"tiny\",precision=\"int8\",isa=\"",
        "reprise_embed_unknown_tokens_total{provider=\"local\"} 2\n",
        "reprise_embed_tokens_total{provider=\"local\"} 5\n", /* [CLS] and [SEP] among them */
        "reprise_embed_pack_tokens_sum{provider=\"local\"} 5\n",
        "reprise_embed_seconds_count{provider=\"local\",part=\"tokenise\"} 1\n",
        "reprise_embed_seconds_count{provider=\"local\",part=\"compute\"} 1\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(said, lines[i]));
    assert_null(strstr(said, "part=\"request\""));
    free(said);
    close_desk(&desk);
}

static void what_a_remote_embedder_lacks_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *flags[4];
        uint32_t threads_count;
        enum status expected;
        const char *field;
    } cases[] = {
        {{"--embed-provider=openai", "--embed-model=m"}, 1, STATUS_BAD_OPTION, "embed.url"},
        {{"--embed-provider=ollama", "--embed-url=http://127.0.0.1:1"},
         1,
         STATUS_BAD_OPTION,
         "embed.model"},
        {{"--embed-provider=tei", "--embed-url=http://127.0.0.1:1", "--embed-key-file=/nowhere"},
         1,
         STATUS_BAD_OPTION,
         "embed.key_file"},
        {{"--embed-provider=tei", "--embed-url=http://127.0.0.1:1"},
         0,
         STATUS_UNIMPLEMENTED,
         "embed.provider"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct desk desk;
        assert_int_equal(open_desk(&desk, cases[i].threads_count, cases[i].flags),
                         cases[i].expected);
        assert_null(desk.embedder);
        assert_string_equal(desk.failure.field, cases[i].field);
        close_desk(&desk);
    }
}

/* ---- the real weights ------------------------------------------------------------------------ */

static void minilm_answers_many_at_once_as_it_answers_one(void **state)
{
    (void)state;
    enum { MANY = 40, WIDTH = 384 };
    char path[512], flag[540];
    if (!model_path("minilm-l6/manifest.json", path)) {
        print_message("no minilm-l6: set REPRISE_MODELS or run make weights: skipped\n");
        skip();
    }
    *strrchr(path, '/') = '\0';
    (void)snprintf(flag, sizeof(flag), "--embed-model=%s", path);
    struct desk desk;
    assert_int_equal(open_desk(&desk, 2, FLAGS("--embed-provider=local", flag)), STATUS_OK);
    struct call *calls = calloc(MANY, sizeof(*calls));
    char(*texts)[64] = calloc(MANY, sizeof(*texts));
    float alone[WIDTH];
    assert_non_null(calls);
    assert_non_null(texts);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "What does it cost to send %d parcels%s?", i,
                       i % 3 == 0 ? " to a country far away" : "");
        submit(&desk, &calls[i], texts[i]);
    }
    wait_for(&desk, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].status, STATUS_OK);
        assert_int_equal(embedder_embed(desk.embedder, text_of(texts[i]), NULL, alone), STATUS_OK);
        assert_memory_equal(calls[i].unit, alone, sizeof(alone));
    }
    struct embedder_state about;
    embedder_state(desk.embedder, &about);
    assert_int_equal(about.texts, MANY);
    assert_true(about.packs < MANY);
    free(texts);
    free(calls);
    close_desk(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lexical_tells_its_space),
        cmocka_unit_test(the_id_of_lexical_is_the_digest_of_its_parts),
        cmocka_unit_test(it_embeds),
        cmocka_unit_test(a_clients_space_is_told_apart_by_name_and_dimension),
        cmocka_unit_test(a_client_that_says_lexical_is_not_in_our_space),
        cmocka_unit_test(a_long_name_is_cut_for_display_but_counts_whole),
        cmocka_unit_test(the_options_choose_by_themselves),
        cmocka_unit_test(none_needs_no_folder),
        cmocka_unit_test(auto_without_weights_is_lexical_and_says_so),
        WITH_FOLDER(auto_takes_the_model_that_is_there),
        WITH_FOLDER(metrics_tell_what_a_local_model_is_and_does_not_know),
        WITH_FOLDER(a_model_is_a_folder_in_the_folder),
        WITH_FOLDER(auto_does_not_pass_over_a_broken_model),
        cmocka_unit_test(local_without_weights_does_not_start),
        WITH_FOLDER(options_reach_the_model),
        WITH_FOLDER(every_provider_takes_jobs),
        cmocka_unit_test(lexical_has_no_vector_for_dots_and_counts_it),
        cmocka_unit_test(a_remote_embedder_is_asked_and_its_vectors_are_remembered),
        cmocka_unit_test(the_key_of_a_remote_embedder_comes_from_a_file),
        cmocka_unit_test(a_remote_embedder_that_is_down_is_a_state),
        cmocka_unit_test(a_remote_embedder_that_has_changed_is_a_state),
        cmocka_unit_test(a_stop_tells_those_who_wait_for_a_silent_server),
        cmocka_unit_test(metrics_name_what_is_degraded),
        cmocka_unit_test(metrics_tell_how_a_remote_embedder_is_asked),
        cmocka_unit_test(what_a_remote_embedder_lacks_is_named),
        cmocka_unit_test(minilm_answers_many_at_once_as_it_answers_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
