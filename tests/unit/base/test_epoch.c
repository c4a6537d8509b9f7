/*
 * test_epoch.c - Goal: nothing is released while a reader may see it, everything is released once
 * they are out. Method: the order of enter, retire, leave and collect is played through by hand,
 * with a second thread that holds a reader inside; then readers follow a pointer that writers keep
 * replacing, and the released memory is poisoned and freed, so that the sanitizers and a magic
 * number find a reader that was too late.
 */
#include "tests/support/unit.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/epoch.h"
#include "base/lock.h"
#include "base/thread.h"
#include "tests/unit/base/death.h"

static struct epochs *epochs;
static int released_count;

static int create(void **state)
{
    (void)state;
    released_count = 0;
    if (epochs_create(&epochs) != STATUS_OK)
        return -1;
    return thread_register(THREAD_IO) == STATUS_OK ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    thread_unregister();
    epochs_destroy(&epochs);
    return epochs == NULL ? 0 : -1;
}

static void count_released(struct epoch_retired *object)
{
    (void)object;
    assert_true(lock_none_held());
    released_count++;
}

static void without_readers_all_goes_at_the_next_collection(void **state)
{
    (void)state;
    struct epoch_retired objects[3];
    for (size_t i = 0; i < 3; i++)
        epoch_retire(epochs, &objects[i], count_released);
    (void)epoch_collect(epochs);
    assert_int_equal(released_count, 3);
    assert_int_equal(epoch_collect(epochs), 0);
    assert_int_equal(released_count, 3);
}

static void later_retires_release_what_was_retired_before(void **state)
{
    (void)state;
    struct epoch_retired objects[100];
    for (size_t i = 0; i < 100; i++)
        epoch_retire(epochs, &objects[i], count_released);
    assert_in_range(released_count, 90, 99);
    (void)epoch_collect(epochs);
    assert_int_equal(released_count, 100);
}

/* A reader of its own thread: enters, says so, waits for the word, leaves. */
struct reader {
    sem_t is_inside, leave;
    struct thread *thread;
};

static void reader_run(void *argument)
{
    struct reader *reader = argument;
    epoch_enter(epochs);
    (void)sem_post(&reader->is_inside);
    (void)sem_wait(&reader->leave);
    epoch_leave(epochs);
}

static void reader_start(struct reader *reader)
{
    assert_int_equal(sem_init(&reader->is_inside, 0, 0), 0);
    assert_int_equal(sem_init(&reader->leave, 0, 0), 0);
    assert_int_equal(thread_create(THREAD_IO, "reader", reader_run, reader, &reader->thread),
                     STATUS_OK);
    (void)sem_wait(&reader->is_inside);
}

static void reader_stop(struct reader *reader)
{
    (void)sem_post(&reader->leave);
    thread_join(&reader->thread);
}

static void nothing_goes_while_a_reader_of_before_is_inside(void **state)
{
    (void)state;
    struct epoch_retired objects[50];
    struct reader reader;
    reader_start(&reader);
    for (size_t i = 0; i < 50; i++) {
        epoch_retire(epochs, &objects[i], count_released);
        assert_int_equal(epoch_collect(epochs), 0);
    }
    assert_int_equal(released_count, 0);
    reader_stop(&reader);
    assert_int_equal(epoch_collect(epochs), 50);
}

static void a_reader_of_after_holds_back_only_what_is_retired_after_it(void **state)
{
    (void)state;
    struct epoch_retired before[10], after[10];
    struct reader late;
    for (size_t i = 0; i < 10; i++)
        epoch_retire(epochs, &before[i], count_released);
    (void)epoch_collect(epochs);
    assert_int_equal(released_count, 10);
    reader_start(&late);
    for (size_t i = 0; i < 10; i++)
        epoch_retire(epochs, &after[i], count_released);
    (void)epoch_collect(epochs);
    assert_int_equal(released_count, 10);
    reader_stop(&late);
    assert_int_equal(epoch_collect(epochs), 10);
}

/* Readers come and go, each overlapping the next: the epoch still moves, for each reader shows a
 * later one. */
static void overlapping_readers_do_not_hold_back_for_ever(void **state)
{
    (void)state;
    struct epoch_retired object;
    struct reader readers[2];
    reader_start(&readers[0]);
    epoch_retire(epochs, &object, count_released);
    for (int i = 0; i < 4; i++) {
        reader_start(&readers[(i + 1) % 2]);
        reader_stop(&readers[i % 2]);
        (void)epoch_collect(epochs);
    }
    assert_int_equal(released_count, 1);
    reader_stop(&readers[0]);
}

static void nested_readers_are_inside_until_the_last_leave(void **state)
{
    (void)state;
    struct epoch_retired objects[8];
    epoch_enter(epochs);
    epoch_enter(epochs);
    epoch_leave(epochs);
    for (size_t i = 0; i < 8; i++)
        epoch_retire(epochs, &objects[i], count_released);
    assert_int_equal(released_count, 0);
    epoch_leave(epochs);
    assert_int_equal(epoch_collect(epochs), 8);
}

static void two_sets_of_epochs_do_not_hold_each_other_back(void **state)
{
    (void)state;
    struct epochs *others = NULL;
    struct epoch_retired object;
    assert_int_equal(epochs_create(&others), STATUS_OK);
    epoch_enter(others);
    epoch_retire(epochs, &object, count_released);
    (void)epoch_collect(epochs);
    assert_int_equal(released_count, 1);
    epoch_leave(others);
    epochs_destroy(&others);
}

/* A chain: each object's release retires the next. */
static struct epoch_retired chain[5];

static void release_link(struct epoch_retired *object)
{
    released_count++;
    if (object + 1 < chain + 5)
        epoch_retire(epochs, object + 1, release_link);
}

static void a_release_may_retire_the_next_object(void **state)
{
    (void)state;
    epoch_retire(epochs, &chain[0], release_link);
    for (int i = 0; i < 5; i++)
        (void)epoch_collect(epochs);
    assert_int_equal(released_count, 5);
}

static void destroying_releases_all_that_still_waits(void **state)
{
    (void)state;
    struct epochs *doomed = NULL;
    struct epoch_retired objects[7];
    assert_int_equal(epochs_create(&doomed), STATUS_OK);
    epoch_enter(doomed);
    for (size_t i = 0; i < 7; i++)
        epoch_retire(doomed, &objects[i], count_released);
    assert_int_equal(released_count, 0);
    epoch_leave(doomed);
    epochs_destroy(&doomed);
    assert_int_equal(released_count, 7);
    epochs_destroy(&doomed);
}

static void enter_unregistered(void)
{
    thread_unregister();
    epoch_enter(epochs);
}

static void leave_without_enter(void)
{
    epoch_leave(epochs);
}

static void collect_inside(void)
{
    epoch_enter(epochs);
    (void)epoch_collect(epochs);
}

static void misuse_ends_the_program(void **state)
{
    (void)state;
    assert_true(dies(enter_unregistered));
    assert_true(dies(leave_without_enter));
    assert_true(dies(collect_inside));
}

enum { READERS = 3, WRITERS = 2, FREED_MIN = 8000, MAGIC = 0x600d };

struct object {
    struct epoch_retired retired;
    uint32_t magic;
    uint32_t values[16]; /* all equal while it lives */
};

static _Atomic(struct object *) shared;
static atomic_bool is_over;
static atomic_uint made, freed, broken;

static struct object *object_create(uint32_t value)
{
    struct object *object = calloc(1, sizeof(*object));
    if (object == NULL)
        abort();
    object->magic = MAGIC;
    for (size_t i = 0; i < 16; i++)
        object->values[i] = value;
    (void)atomic_fetch_add(&made, 1);
    return object;
}

static void object_free(struct epoch_retired *retired)
{
    struct object *object = (struct object *)(void *)retired;
    memset(object, 0xdd, sizeof(*object));
    free(object);
    (void)atomic_fetch_add(&freed, 1);
}

static void follow_run(void *argument)
{
    (void)argument;
    while (!atomic_load(&is_over)) {
        epoch_enter(epochs);
        const struct object *object = atomic_load_explicit(&shared, memory_order_acquire);
        for (size_t i = 0; i < 16; i++) {
            if (object->magic != MAGIC || object->values[i] != object->values[0])
                (void)atomic_fetch_add(&broken, 1);
        }
        epoch_leave(epochs);
    }
}

/* Until enough was freed beside the readers. The yield lets a reader that was stopped inside go on.
 */
static void replace_run(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; atomic_load(&freed) < FREED_MIN; i++) {
        struct object *old =
            atomic_exchange_explicit(&shared, object_create(i), memory_order_acq_rel);
        epoch_retire(epochs, &old->retired, object_free);
        if (i % 16 == 0) {
            (void)epoch_collect(epochs);
            (void)sched_yield();
        }
    }
}

static void readers_never_see_freed_memory(void **state)
{
    (void)state;
    struct thread *readers[READERS] = {NULL}, *writers[WRITERS] = {NULL};
    atomic_store(&shared, object_create(0));
    for (int i = 0; i < READERS; i++)
        assert_int_equal(thread_create(THREAD_IO, "reader", follow_run, NULL, &readers[i]),
                         STATUS_OK);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(thread_create(THREAD_OTHER, "writer", replace_run, NULL, &writers[i]),
                         STATUS_OK);
    for (int i = 0; i < WRITERS; i++)
        thread_join(&writers[i]);
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++)
        thread_join(&readers[i]);
    (void)epoch_collect(epochs);
    assert_int_equal(atomic_load(&broken), 0);
    assert_int_equal(atomic_load(&freed), atomic_load(&made) - 1); /* all but the last one */
    free(atomic_load(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_readers_all_goes_at_the_next_collection, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(later_retires_release_what_was_retired_before, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(nothing_goes_while_a_reader_of_before_is_inside, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(a_reader_of_after_holds_back_only_what_is_retired_after_it,
                                        create, destroy),
        cmocka_unit_test_setup_teardown(overlapping_readers_do_not_hold_back_for_ever, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(nested_readers_are_inside_until_the_last_leave, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(two_sets_of_epochs_do_not_hold_each_other_back, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(a_release_may_retire_the_next_object, create, destroy),
        cmocka_unit_test_setup_teardown(destroying_releases_all_that_still_waits, create, destroy),
        cmocka_unit_test_setup_teardown(misuse_ends_the_program, create, destroy),
        cmocka_unit_test_setup_teardown(readers_never_see_freed_memory, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
