/*
 * Goal: every text that waits is done exactly once, in the right company, in the right order or
 * with the right refusal. Method: a fake engine to which a byte is a token, which notes every pack;
 * one compute thread that a gate holds back while texts pile up; a clock turned by hand. Vectors
 * tell whose they are. Room: batch.
 */
#include "tests/support/unit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "embed/batch.h"

enum { DIMENSION = 3, PACKS_MAX = 64, NOTE_BYTES = 512, TEXTS_MAX = 8, TOKENS_MAX = 20 };

/* ---- a fake engine --------------------------------------------------------------------------- */

static atomic_uint_fast64_t now_us;

static uint64_t clock_us(void)
{
    return atomic_load(&now_us);
}

struct engine {                        /* of one test */
    char notes[PACKS_MAX][NOTE_BYTES]; /* texts of each pack, with spaces between */
    atomic_uint packs_count;
    uint64_t us_a_token; /* the clock goes on by it      */
    sem_t *gate;         /* waited for in every run      */
    sem_t *entered;      /* and posted before that       */
    enum status run_status;
    int packs_made_max; /* then memory is spent         */
    int packs_alive;
};

struct pack {
    struct engine *engine;
    struct text texts[TEXTS_MAX];
    uint32_t count, tokens;
};

static enum status pack_create(void *context, void **out_pack)
{
    struct engine *engine = context;
    if (engine->packs_alive == engine->packs_made_max)
        return STATUS_NO_MEMORY;
    struct pack *pack = calloc(1, sizeof(*pack));
    assert_non_null(pack);
    pack->engine = engine;
    engine->packs_alive++;
    *out_pack = pack;
    return STATUS_OK;
}

static void pack_destroy(void *pack)
{
    ((struct pack *)pack)->engine->packs_alive--;
    free(pack);
}

static enum status pack_add(void *context, struct text text, uint32_t room,
                            struct batch_added *out_added)
{
    struct pack *pack = context;
    assert_true(pack->count < TEXTS_MAX);
    out_added->unknown = text.bytes[0] == '?' || text.bytes[1] == 'w';
    if (text.bytes[0] == '!')
        return text.bytes[1] == 'l' ? STATUS_TEXT_TOO_LONG : STATUS_NOT_FOUND;
    if (text.length > room)
        return STATUS_LIMIT_EXCEEDED;
    pack->texts[pack->count++] = text;
    pack->tokens += (uint32_t)text.length;
    out_added->tokens = (uint32_t)text.length;
    return STATUS_OK;
}

static void unit_of(struct text text, float out_unit[DIMENSION])
{
    out_unit[0] = (float)text.length;
    out_unit[1] = (float)text.bytes[0];
    out_unit[2] = (float)text.bytes[text.length - 1];
}

static enum status pack_run(void *context, float *out_units)
{
    struct pack *pack = context;
    struct engine *engine = pack->engine;
    const unsigned number = atomic_fetch_add(&engine->packs_count, 1);
    char *note = number < PACKS_MAX ? engine->notes[number] : NULL;
    assert_true(pack->count > 0);
    for (uint32_t i = 0; i < pack->count; i++) {
        unit_of(pack->texts[i], out_units + (size_t)i * DIMENSION);
        const size_t used = note != NULL ? strlen(note) : 0;
        if (note != NULL)
            (void)snprintf(note + used, NOTE_BYTES - used, "%s%.*s", i > 0 ? " " : "",
                           (int)pack->texts[i].length, pack->texts[i].bytes);
    }
    if (engine->entered != NULL)
        assert_int_equal(sem_post(engine->entered), 0);
    if (engine->gate != NULL)
        assert_int_equal(sem_wait(engine->gate), 0);
    (void)atomic_fetch_add(&now_us, engine->us_a_token * pack->tokens);
    pack->count = pack->tokens = 0;
    return engine->run_status;
}

/* ---- a batch, a pool, a gate ----------------------------------------------------------------- */

struct rig {
    struct engine engine;
    struct batch_setup setup;
    struct batch_engine table;
    struct pool *pool;
    struct batch *batch;
    struct pool_job blocker;
    sem_t gate, blocked, finished;
};

struct call {
    struct embed_job job; /* first member */
    struct rig *rig;
    float unit[DIMENSION];
    enum status status;
    int done_count;
    bool on_compute;
    sem_t *to_post;
};

static void block(struct pool_job *job)
{
    struct rig *rig = (struct rig *)(void *)((char *)job - offsetof(struct rig, blocker));
    assert_int_equal(sem_post(&rig->blocked), 0);
    assert_int_equal(sem_wait(&rig->gate), 0);
}

static struct rig *rig_create(uint32_t threads_count, uint32_t pool_queue_max)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    atomic_store(&now_us, 1000);
    rig->engine.packs_made_max = -1;
    assert_int_equal(sem_init(&rig->gate, 0, 0), 0);
    assert_int_equal(sem_init(&rig->blocked, 0, 0), 0);
    assert_int_equal(sem_init(&rig->finished, 0, 0), 0);
    assert_int_equal(pool_create(threads_count, pool_queue_max, &rig->pool), STATUS_OK);
    rig->blocker.run = block;
    rig->table = (struct batch_engine){
        .context = &rig->engine,
        .dimension = DIMENSION,
        .tokens_max = 1000,
        .pack_create = pack_create,
        .pack_destroy = pack_destroy,
        .add = pack_add,
        .run = pack_run,
    };
    rig->setup = (struct batch_setup){
        .engine = &rig->table,
        .pool = rig->pool,
        .clock_us = clock_us,
        .pumps_max = threads_count,
        .tokens_max = TOKENS_MAX,
        .texts_max = TEXTS_MAX,
        .queue_max = 100,
        .recent_max = 0,
        .seed = 7,
    };
    return rig;
}

static void rig_open(struct rig *rig)
{
    assert_int_equal(batch_create(&rig->setup, &rig->batch), STATUS_OK);
}

static void rig_destroy(struct rig *rig)
{
    batch_destroy(&rig->batch);
    pool_destroy(&rig->pool);
    assert_int_equal(rig->engine.packs_alive, 0);
    (void)sem_destroy(&rig->finished);
    (void)sem_destroy(&rig->blocked);
    (void)sem_destroy(&rig->gate);
    free(rig);
}

/* The one compute thread does nothing more until the gate opens. */
static void hold(struct rig *rig)
{
    assert_int_equal(pool_submit(rig->pool, &rig->blocker), STATUS_OK);
    assert_int_equal(sem_wait(&rig->blocked), 0);
}

static void open_gate(struct rig *rig)
{
    assert_int_equal(sem_post(&rig->gate), 0);
}

static void note_done(struct embed_job *job, enum status status)
{
    struct call *call = (struct call *)job;
    call->status = status;
    call->done_count++;
    call->on_compute = thread_number() >= 0;
    assert_int_equal(sem_post(call->to_post), 0);
}

static void submit(struct rig *rig, struct call *call, const char *text)
{
    call->rig = rig;
    call->to_post = &rig->finished;
    call->job.text = text_of(text);
    call->job.out_unit = call->unit;
    call->job.done = note_done;
    batch_submit(rig->batch, &call->job);
}

static void wait_for(struct rig *rig, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(sem_wait(&rig->finished), 0);
}

static void assert_right(const struct call *call)
{
    float unit[DIMENSION];
    unit_of(call->job.text, unit);
    assert_int_equal(call->done_count, 1);
    assert_int_equal(call->status, STATUS_OK);
    assert_memory_equal(call->unit, unit, sizeof(unit));
    assert_true(call->on_compute);
}

/* Texts that wait together, then the packs they went in: notes with spaces between texts. */
static void assert_packs(struct rig *rig, const char *const *expected, unsigned count)
{
    assert_int_equal(atomic_load(&rig->engine.packs_count), count);
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(rig->engine.notes[i], expected[i]);
}

#define PACKS(rig, ...)                                                                            \
    assert_packs(rig, (const char *const[]){__VA_ARGS__},                                          \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* ---- packs ----------------------------------------------------------------------------------- */

static void a_lone_text_does_not_wait_for_company(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call call = {.unit = {0}};
    submit(rig, &call, "hello");
    wait_for(rig, 1);
    assert_right(&call);
    PACKS(rig, "hello");
    rig_destroy(rig);
}

static void what_waits_goes_together_oldest_first(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"};
    struct call calls[6] = {0};
    hold(rig);
    for (int i = 0; i < 6; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    wait_for(rig, 6);
    for (int i = 0; i < 6; i++)
        assert_right(&calls[i]);
    PACKS(rig, "aaaa bbbb cccc dddd eeee", "ffff"); /* 20 tokens fill it */
    rig_destroy(rig);
}

static void a_pack_holds_at_most_so_many_texts(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct call calls[10] = {0};
    hold(rig);
    for (int i = 0; i < 10; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    wait_for(rig, 10);
    PACKS(rig, "a b c d e f g h", "i j");
    rig_destroy(rig);
}

static void what_does_not_fit_is_first_in_the_next_pack(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"0123456789", "abcdefghijkl", "xx", "yy"};
    struct call calls[4] = {0};
    hold(rig);
    for (int i = 0; i < 4; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    wait_for(rig, 4);
    PACKS(rig, "0123456789", "abcdefghijkl xx yy"); /* xx did not overtake */
    rig_destroy(rig);
}

static void a_text_longer_than_a_pack_goes_alone(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"aa", "0123456789012345678901234", "bb"};
    struct call calls[3] = {0};
    hold(rig);
    for (int i = 0; i < 3; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    wait_for(rig, 3);
    PACKS(rig, "aa", "0123456789012345678901234", "bb");
    for (int i = 0; i < 3; i++)
        assert_right(&calls[i]);
    rig_destroy(rig);
}

static void equal_texts_are_embedded_once(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"same", "other", "same", "same", "end"};
    struct call calls[5] = {0};
    hold(rig);
    for (int i = 0; i < 5; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    wait_for(rig, 5);
    for (int i = 0; i < 5; i++)
        assert_right(&calls[i]);
    PACKS(rig, "same other end");
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.twins, 2);
    assert_int_equal(about.texts, 5);
    assert_int_equal(about.tokens, 12);
    assert_int_equal(about.packs, 1);
    assert_int_equal(about.waiting, 0);
    rig_destroy(rig);
}

static void a_text_without_a_vector_does_not_spoil_the_pack(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call calls[4] = {0};
    hold(rig);
    submit(rig, &calls[0], "!wordless");
    submit(rig, &calls[1], "good");
    submit(rig, &calls[2], "!long");
    submit(rig, &calls[3], "fine");
    open_gate(rig);
    wait_for(rig, 4);
    assert_int_equal(calls[0].status, STATUS_NOT_FOUND);
    assert_int_equal(calls[2].status, STATUS_TEXT_TOO_LONG);
    assert_true(calls[0].on_compute);
    assert_right(&calls[1]);
    assert_right(&calls[3]);
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.wordless, 1);
    assert_int_equal(about.too_long, 1);
    rig_destroy(rig);
}

static uint64_t last_us(const struct rig *rig, enum batch_part part)
{
    return histogram_quantile_us(batch_figures(rig->batch)->seconds[part], 1);
}

static void what_a_pack_took_is_told_by_part(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->engine.us_a_token = 100;
    rig_open(rig);
    struct call calls[3] = {0};
    hold(rig);
    calls[2].job.bulk = true; /* nobody waits for it */
    submit(rig, &calls[2], "bulk");
    (void)atomic_fetch_add(&now_us, 1 << 20);
    submit(rig, &calls[0], "four");
    submit(rig, &calls[1], "six by");
    (void)atomic_fetch_add(&now_us, 5000);
    open_gate(rig);
    wait_for(rig, 3);
    PACKS(rig, "four six by", "bulk");
    assert_in_range(last_us(rig, BATCH_QUEUE), 5000, 5000 * 11 / 10);
    assert_int_equal(last_us(rig, BATCH_TOKENISE), 1); /* no time: the first bucket */
    assert_in_range(last_us(rig, BATCH_COMPUTE), 1000, 1000 * 11 / 10);
    const struct batch_figures *figures = batch_figures(rig->batch);
    assert_null(figures->seconds[BATCH_REQUEST]);
    assert_in_range(histogram_quantile_us(figures->pack_tokens, 1), 10, 11);
    assert_in_range(histogram_quantile_us(figures->pack_tokens, 0), 4, 4);
    rig_destroy(rig);
}

static void an_unknown_token_is_counted_once_whatever_becomes_of_its_text(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call calls[3] = {0};
    hold(rig);
    submit(rig, &calls[0], "!wordless");
    submit(rig, &calls[1], "fifteen letters");
    submit(rig, &calls[2], "?does not fit"); /* so it is added twice */
    open_gate(rig);
    wait_for(rig, 3);
    PACKS(rig, "fifteen letters", "?does not fit");
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.unknown, 2);
    rig_destroy(rig);
}

static void a_run_that_fails_fails_its_pack_and_no_other(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call calls[3] = {0};
    rig->engine.run_status = STATUS_INTERNAL;
    hold(rig);
    submit(rig, &calls[0], "one");
    submit(rig, &calls[1], "two");
    open_gate(rig);
    wait_for(rig, 2);
    assert_int_equal(calls[0].status, STATUS_INTERNAL);
    assert_int_equal(calls[1].status, STATUS_INTERNAL);
    rig->engine.run_status = STATUS_OK;
    submit(rig, &calls[2], "three");
    wait_for(rig, 1);
    assert_right(&calls[2]);
    rig_destroy(rig);
}

/* ---- interactive and bulk -------------------------------------------------------------------- */

static void bulk_waits_for_interactive_texts(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call calls[4] = {0};
    calls[0].job.bulk = calls[1].job.bulk = true;
    hold(rig);
    submit(rig, &calls[0], "bulk1");
    submit(rig, &calls[1], "bulk2");
    submit(rig, &calls[2], "quick1");
    submit(rig, &calls[3], "quick2");
    open_gate(rig);
    wait_for(rig, 4);
    PACKS(rig, "quick1 quick2", "bulk1 bulk2");
    rig_destroy(rig);
}

static void bulk_gets_a_pack_after_a_full_pack_of_the_others(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc", "dddddddddd"};
    struct call calls[5] = {0};
    calls[4].job.bulk = true;
    hold(rig);
    submit(rig, &calls[4], "bulk");
    for (int i = 0; i < 4; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    wait_for(rig, 5);
    PACKS(rig, "aaaaaaaaaa bbbbbbbbbb", "bulk", "cccccccccc dddddddddd");
    rig_destroy(rig);
}

static void bulk_packs_are_small(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.tokens_max = 1000;
    rig_open(rig);
    char texts[3][65];
    struct call calls[3] = {0};
    hold(rig);
    for (int i = 0; i < 3; i++) {
        memset(texts[i], 'a' + i, 64);
        texts[i][64] = '\0';
        calls[i].job.bulk = true;
        submit(rig, &calls[i], texts[i]);
    }
    open_gate(rig);
    wait_for(rig, 3);
    assert_int_equal(atomic_load(&rig->engine.packs_count), 2); /* 128 tokens, then 64 */
    assert_int_equal(strlen(rig->engine.notes[0]), 129);
    assert_int_equal(strlen(rig->engine.notes[1]), 64);
    rig_destroy(rig);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void a_full_queue_refuses_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.queue_max = 2;
    rig_open(rig);
    struct call calls[4] = {0};
    hold(rig);
    for (int i = 0; i < 3; i++)
        submit(rig, &calls[i], "text");
    assert_int_equal(calls[2].done_count, 1);
    assert_int_equal(calls[2].status, STATUS_OVERLOADED);
    assert_false(calls[2].on_compute);
    calls[3].job.bulk = true; /* has a queue of its own */
    submit(rig, &calls[3], "text");
    assert_int_equal(calls[3].done_count, 0);
    open_gate(rig);
    wait_for(rig, 4);
    assert_right(&calls[3]);
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.overloaded, 1);
    rig_destroy(rig);
}

static void who_cannot_be_in_time_is_told_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->engine.us_a_token = 1000;
    rig_open(rig);
    struct call calls[5] = {0};
    submit(rig, &calls[0], "measure"); /* 7 tokens, estimated as 3: 2333 us each */
    wait_for(rig, 1);
    hold(rig);
    calls[1].job.deadline_us = clock_us() + 1; /* nobody is ahead: it is tried */
    submit(rig, &calls[1], "aaaa");
    assert_int_equal(calls[1].done_count, 0);
    calls[2].job.deadline_us = clock_us() + 13000; /* 3 ahead and 3 of its own: 14 ms */
    submit(rig, &calls[2], "bbbb");
    assert_int_equal(calls[2].done_count, 1);
    assert_int_equal(calls[2].status, STATUS_DEADLINE);
    calls[3].job.deadline_us = clock_us() + 15000;
    submit(rig, &calls[3], "cccc");
    assert_int_equal(calls[3].done_count, 0);
    submit(rig, &calls[4], "dddd"); /* no deadline */
    assert_int_equal(calls[4].done_count, 0);
    open_gate(rig);
    wait_for(rig, 4);
    for (int i = 3; i < 5; i++)
        assert_right(&calls[i]);
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.late, 1); /* and not as if there had been no room */
    assert_int_equal(about.overloaded, 0);
    rig_destroy(rig);
}

static void bulk_does_not_count_against_those_in_front(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->engine.us_a_token = 1000;
    rig_open(rig);
    struct call calls[4] = {0};
    submit(rig, &calls[0], "measure");
    wait_for(rig, 1);
    hold(rig);
    calls[1].job.bulk = true;
    submit(rig, &calls[1], "bulk that takes its time");
    calls[2].job.deadline_us = clock_us() + 7500;
    submit(rig, &calls[2], "aaaa");
    assert_int_equal(calls[2].done_count, 0);
    calls[3].job.bulk = true;
    calls[3].job.deadline_us = clock_us() + 7500;
    submit(rig, &calls[3], "bbbb");
    assert_int_equal(calls[3].status, STATUS_DEADLINE);
    open_gate(rig);
    wait_for(rig, 3);
    rig_destroy(rig);
}

static void nobody_embeds_for_who_has_gone(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call calls[2] = {0};
    hold(rig);
    calls[0].job.deadline_us = clock_us() + 10;
    submit(rig, &calls[0], "late");
    submit(rig, &calls[1], "in time");
    (void)atomic_fetch_add(&now_us, 11);
    open_gate(rig);
    wait_for(rig, 2);
    assert_int_equal(calls[0].status, STATUS_DEADLINE);
    assert_true(calls[0].on_compute);
    PACKS(rig, "in time");
    rig_destroy(rig);
}

static void a_stop_ends_what_waits_and_what_comes(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.recent_max = 4;
    rig_open(rig);
    struct call calls[5] = {0};
    submit(rig, &calls[0], "known");
    wait_for(rig, 1);
    hold(rig);
    submit(rig, &calls[1], "waits");
    calls[2].job.bulk = true;
    submit(rig, &calls[2], "waits behind");
    submit(rig, &calls[3], "known"); /* has its vector */
    batch_stop(rig->batch);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(calls[i].done_count, 1);
        assert_int_equal(calls[i].status, STATUS_DRAINING);
    }
    submit(rig, &calls[4], "comes later");
    assert_int_equal(calls[4].status, STATUS_DRAINING);
    assert_int_equal(calls[3].done_count, 0);
    open_gate(rig);
    wait_for(rig, 4);
    assert_right(&calls[3]);
    batch_stop(rig->batch);
    PACKS(rig, "known");
    rig_destroy(rig);
}

static void do_nothing(struct pool_job *job)
{
    (void)job;
}

static void a_full_pool_refuses_and_the_next_text_is_served(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 1);
    rig_open(rig);
    struct call calls[2] = {0};
    struct pool_job filler = {.run = do_nothing};
    hold(rig);
    assert_int_equal(pool_submit(rig->pool, &filler), STATUS_OK);
    submit(rig, &calls[0], "refused");
    assert_int_equal(calls[0].done_count, 1);
    assert_int_equal(calls[0].status, STATUS_OVERLOADED);
    open_gate(rig);
    wait_for(rig, 1);
    while (pool_waiting(rig->pool) > 0)
        ; /* until the filler has been taken */
    submit(rig, &calls[1], "served");
    wait_for(rig, 1);
    assert_right(&calls[1]);
    rig_destroy(rig);
}

static void a_pump_that_the_pool_refuses_goes_on_without_it(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 1);
    sem_t entered;
    assert_int_equal(sem_init(&entered, 0, 0), 0);
    rig->engine.gate = &rig->gate;
    rig->engine.entered = &entered;
    rig_open(rig);
    struct call calls[2] = {0};
    struct pool_job filler = {.run = do_nothing};
    submit(rig, &calls[0], "first");
    assert_int_equal(sem_wait(&entered), 0); /* inside the engine, by now */
    submit(rig, &calls[1], "second");
    assert_int_equal(pool_submit(rig->pool, &filler), STATUS_OK); /* the pool is full */
    open_gate(rig);
    open_gate(rig);
    wait_for(rig, 2);
    assert_right(&calls[0]);
    assert_right(&calls[1]);
    rig_destroy(rig);
    (void)sem_destroy(&entered);
}

static void spent_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    struct rig *rig = rig_create(3, 8);
    rig->engine.packs_made_max = 2;
    assert_int_equal(batch_create(&rig->setup, &rig->batch), STATUS_NO_MEMORY);
    assert_null(rig->batch);
    rig_destroy(rig);
}

/* ---- recent texts ---------------------------------------------------------------------------- */

static void a_recent_text_is_not_embedded_again(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.recent_max = 4;
    rig_open(rig);
    struct call calls[2] = {0};
    submit(rig, &calls[0], "question");
    wait_for(rig, 1);
    submit(rig, &calls[1], "question");
    wait_for(rig, 1);
    assert_right(&calls[0]);
    assert_right(&calls[1]); /* on a compute thread too */
    PACKS(rig, "question");
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.recent_hits, 1);
    assert_int_equal(about.texts, 2);
    rig_destroy(rig);
}

static void a_recent_text_is_served_when_the_queue_is_full(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.recent_max = 4;
    rig->setup.queue_max = 1;
    rig_open(rig);
    struct call calls[4] = {0};
    submit(rig, &calls[0], "question");
    wait_for(rig, 1);
    hold(rig);
    submit(rig, &calls[1], "full");
    submit(rig, &calls[2], "refused");
    assert_int_equal(calls[2].status, STATUS_OVERLOADED);
    calls[3].job.deadline_us = 1; /* long past: it costs nothing */
    submit(rig, &calls[3], "question");
    assert_int_equal(calls[3].done_count, 0);
    open_gate(rig);
    wait_for(rig, 3);
    assert_right(&calls[3]);
    rig_destroy(rig);
}

static void what_was_embedded_while_it_waited_is_not_embedded_again(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.recent_max = 4;
    rig->setup.texts_max = 1;
    rig_open(rig);
    struct call calls[2] = {0};
    hold(rig);
    submit(rig, &calls[0], "question");
    submit(rig, &calls[1], "question");
    open_gate(rig);
    wait_for(rig, 2);
    assert_right(&calls[0]);
    assert_right(&calls[1]);
    PACKS(rig, "question");
    rig_destroy(rig);
}

static void what_was_embedded_elsewhere_is_done_on_a_compute_thread_and_remembered(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig->setup.recent_max = 4;
    rig->table = (struct batch_engine){.dimension = DIMENSION};
    rig_open(rig);
    struct call calls[3] = {0};
    for (int i = 0; i < 3; i++) {
        calls[i].to_post = &rig->finished;
        calls[i].job = (struct embed_job){
            .text = TEXT("far away"), .out_unit = calls[i].unit, .done = note_done};
    }
    assert_false(batch_recall(rig->batch, &calls[0].job));
    (void)atomic_fetch_add(&now_us, 99999);
    batch_finish(rig->batch, &calls[0].job, STATUS_EMBEDDER_DOWN);
    wait_for(rig, 1);
    assert_int_equal(calls[0].status, STATUS_EMBEDDER_DOWN);
    assert_true(calls[0].on_compute);
    assert_false(batch_recall(rig->batch, &calls[1].job)); /* a failure is not remembered */
    unit_of(calls[1].job.text, calls[1].unit);
    (void)atomic_fetch_add(&now_us, 300);
    batch_finish(rig->batch, &calls[1].job, STATUS_OK);
    wait_for(rig, 1);
    assert_right(&calls[1]);
    assert_true(batch_recall(rig->batch, &calls[2].job));
    wait_for(rig, 1);
    assert_right(&calls[2]);
    assert_in_range(last_us(rig, BATCH_REQUEST), 300, 300 * 11 / 10); /* failures are not timed */
    assert_null(batch_figures(rig->batch)->pack_tokens);
    rig_destroy(rig);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void note_done_and_open(struct embed_job *job, enum status status)
{
    open_gate(((struct call *)job)->rig);
    note_done(job, status);
}

static void the_end_tells_those_who_wait(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    struct call calls[3] = {0};
    calls[1].job.bulk = true;
    hold(rig);
    for (int i = 0; i < 3; i++)
        submit(rig, &calls[i], "text");
    calls[2].job.done = note_done_and_open; /* the pump, still in the pool's queue, comes after */
    batch_destroy(&rig->batch);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(calls[i].done_count, 1);
        assert_int_equal(calls[i].status, STATUS_DRAINING);
    }
    rig_destroy(rig);
}

static void the_end_waits_for_a_pack_under_way(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    sem_t entered;
    assert_int_equal(sem_init(&entered, 0, 0), 0);
    rig->engine.gate = &rig->gate;
    rig->engine.entered = &entered;
    rig_open(rig);
    struct call calls[2] = {0};
    submit(rig, &calls[0], "under way");
    assert_int_equal(sem_wait(&entered), 0);
    submit(rig, &calls[1], "too late");
    calls[1].job.done = note_done_and_open;
    batch_destroy(&rig->batch);
    assert_right(&calls[0]);
    assert_int_equal(calls[1].status, STATUS_DRAINING);
    rig_destroy(rig);
    (void)sem_destroy(&entered);
}

static void a_pool_that_ends_first_has_done_all_work(void **state)
{
    (void)state;
    struct rig *rig = rig_create(1, 8);
    rig_open(rig);
    static const char *const texts[] = {"0123456789012345", "abcdefghijklmnop", "zzzzzzzzzzzzzzzz"};
    struct call calls[3] = {0};
    hold(rig);
    for (int i = 0; i < 3; i++)
        submit(rig, &calls[i], texts[i]);
    open_gate(rig);
    pool_destroy(&rig->pool);
    for (int i = 0; i < 3; i++)
        assert_right(&calls[i]);
    rig_destroy(rig);
}

/* ---- many threads ---------------------------------------------------------------------------- */

enum { CALLERS = 4, CALLS_EACH = 400, WORDS = 60 };

struct caller {
    struct rig *rig;
    struct call *calls; /* [CALLS_EACH] */
    char (*words)[8];
    uint64_t chance;
    struct thread *thread;
};

static void call_often(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < CALLS_EACH; i++) {
        caller->chance = caller->chance * 6364136223846793005u + 1442695040888963407u;
        struct call *call = &caller->calls[i];
        call->job.bulk = (caller->chance >> 40) % 3 == 0;
        submit(caller->rig, call, caller->words[(caller->chance >> 33) % WORDS]);
    }
}

static void many_callers_are_all_served_right(void **state)
{
    (void)state;
    struct rig *rig = rig_create(3, 64);
    rig->setup.recent_max = 16;
    rig->setup.queue_max = 100000;
    rig_open(rig);
    char words[WORDS][8];
    for (int i = 0; i < WORDS; i++)
        (void)snprintf(words[i], sizeof(words[i]), "%c%0*d", 'a' + i % 26, i % 5 + 1, i);
    struct caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.rig = rig, .words = words, .chance = (uint64_t)i};
        callers[i].calls = calloc(CALLS_EACH, sizeof(struct call));
        assert_non_null(callers[i].calls);
        assert_int_equal(
            thread_create(THREAD_OTHER, "caller", call_often, &callers[i], &callers[i].thread),
            STATUS_OK);
    }
    wait_for(rig, CALLERS * CALLS_EACH);
    for (int i = 0; i < CALLERS; i++) {
        thread_join(&callers[i].thread);
        for (int k = 0; k < CALLS_EACH; k++)
            assert_right(&callers[i].calls[k]);
        free(callers[i].calls);
    }
    struct batch_state about;
    batch_state(rig->batch, &about);
    assert_int_equal(about.texts, CALLERS * CALLS_EACH);
    assert_int_equal(about.waiting, 0);
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_text_does_not_wait_for_company),
        cmocka_unit_test(what_waits_goes_together_oldest_first),
        cmocka_unit_test(a_pack_holds_at_most_so_many_texts),
        cmocka_unit_test(what_does_not_fit_is_first_in_the_next_pack),
        cmocka_unit_test(a_text_longer_than_a_pack_goes_alone),
        cmocka_unit_test(equal_texts_are_embedded_once),
        cmocka_unit_test(a_text_without_a_vector_does_not_spoil_the_pack),
        cmocka_unit_test(what_a_pack_took_is_told_by_part),
        cmocka_unit_test(an_unknown_token_is_counted_once_whatever_becomes_of_its_text),
        cmocka_unit_test(a_run_that_fails_fails_its_pack_and_no_other),
        cmocka_unit_test(bulk_waits_for_interactive_texts),
        cmocka_unit_test(bulk_gets_a_pack_after_a_full_pack_of_the_others),
        cmocka_unit_test(bulk_packs_are_small),
        cmocka_unit_test(a_full_queue_refuses_at_once),
        cmocka_unit_test(who_cannot_be_in_time_is_told_at_once),
        cmocka_unit_test(bulk_does_not_count_against_those_in_front),
        cmocka_unit_test(nobody_embeds_for_who_has_gone),
        cmocka_unit_test(a_stop_ends_what_waits_and_what_comes),
        cmocka_unit_test(a_full_pool_refuses_and_the_next_text_is_served),
        cmocka_unit_test(a_pump_that_the_pool_refuses_goes_on_without_it),
        cmocka_unit_test(spent_memory_leaves_nothing_behind),
        cmocka_unit_test(a_recent_text_is_not_embedded_again),
        cmocka_unit_test(a_recent_text_is_served_when_the_queue_is_full),
        cmocka_unit_test(what_was_embedded_while_it_waited_is_not_embedded_again),
        cmocka_unit_test(what_was_embedded_elsewhere_is_done_on_a_compute_thread_and_remembered),
        cmocka_unit_test(the_end_tells_those_who_wait),
        cmocka_unit_test(the_end_waits_for_a_pack_under_way),
        cmocka_unit_test(a_pool_that_ends_first_has_done_all_work),
        cmocka_unit_test(many_callers_are_all_served_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
