/*
 * test_remote_pack.c - Goal: no job is lost or doubled on its way through queue and pack; equal
 * texts share a place; limits of count, of bytes and of each job hold. Method: jobs on the stack,
 * whose done counts.
 */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

#include "embed/remote_pack.h"

enum { JOBS_MAX = 16 };

static struct embed_job jobs[JOBS_MAX];
static enum status statuses[JOBS_MAX];
static unsigned times_done[JOBS_MAX];

static void note_done(struct embed_job *job, enum status status)
{
    statuses[job - jobs] = status;
    times_done[job - jobs]++;
}

static struct job_list list_of(const char *const *texts, size_t count)
{
    struct job_list list = {NULL, NULL};
    memset(times_done, 0, sizeof(times_done));
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (struct embed_job){
            .text = text_of(texts[i]), .done = note_done, .beside_max = UINT32_MAX};
        job_list_append(&list, &jobs[i]);
    }
    return list;
}

static struct pack pack_of(size_t max)
{
    struct pack pack;
    assert_int_equal(pack_init(&pack, max), STATUS_OK);
    return pack;
}

/* Ends the test's jobs, checks that each was done once, and frees the pack. */
static void finish_all(struct pack *pack, struct job_list *list, size_t count)
{
    pack_empty(pack, list);
    (void)job_list_finish(list, STATUS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(times_done[i], 1);
    pack_deinit(pack);
}

static void texts_are_taken_in_order_up_to_the_limit(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "c", "d", "e"};
    struct job_list list = list_of(texts, 5);
    struct pack pack = pack_of(8);
    assert_int_equal(pack_fill(&pack, &list, 3), 3);
    assert_int_equal(pack.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(pack.texts[i].jobs.first, &jobs[i]);
    assert_ptr_equal(list.first, &jobs[3]);
    finish_all(&pack, &list, 5);
}

static void a_packs_own_size_is_a_limit_too(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "c"};
    struct job_list list = list_of(texts, 3);
    struct pack pack = pack_of(2);
    assert_int_equal(pack_fill(&pack, &list, 100), 2);
    finish_all(&pack, &list, 3);
}

static void equal_texts_share_a_place_and_cost_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "a", "a", "b", "c", "a"};
    struct job_list list = list_of(texts, 7);
    struct pack pack = pack_of(8);
    assert_int_equal(pack_fill(&pack, &list, 2), 5);
    assert_int_equal(pack.count, 2);
    assert_ptr_equal(pack.texts[0].jobs.first, &jobs[0]);
    assert_ptr_equal(pack.texts[0].jobs.last, &jobs[3]);
    assert_ptr_equal(pack.texts[1].jobs.last, &jobs[4]);
    finish_all(&pack, &list, 7);
}

static void a_job_bounds_its_company(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "c", "d"};
    struct job_list list = list_of(texts, 4);
    jobs[2].beside_max = 2;
    struct pack pack = pack_of(8);
    assert_int_equal(pack_fill(&pack, &list, 8), 2); /* c would be the third of at most two */
    pack_empty(&pack, &list);
    list = list_of(texts, 4);
    jobs[0].beside_max = 1;
    assert_int_equal(pack_fill(&pack, &list, 8), 1);
    finish_all(&pack, &list, 4);
}

static void a_request_holds_few_bytes_but_one_text_always_goes(void **state)
{
    (void)state;
    size_t length = PACK_BYTES_MAX;
    char *large = malloc(length + 2);
    assert_non_null(large);
    memset(large, 'x', length + 1);
    large[length + 1] = '\0';
    const char *const texts[] = {"a", "b", large, "c"};
    struct job_list list = list_of(texts, 4);
    struct pack pack = pack_of(8);
    assert_int_equal(pack_fill(&pack, &list, 8), 2);
    struct job_list done = {NULL, NULL};
    pack_empty(&pack, &done);
    assert_int_equal(pack_fill(&pack, &list, 8), 1);
    pack_empty(&pack, &done);
    assert_int_equal(pack_fill(&pack, &list, 8), 1);
    pack_empty(&pack, &done);
    assert_null(list.first);
    finish_all(&pack, &done, 4);
    free(large);
}

static void late_jobs_leave_their_place_until_it_is_compacted(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "a", "c"};
    struct job_list list = list_of(texts, 4), late = {NULL, NULL};
    jobs[0].deadline_us = 100;
    jobs[1].deadline_us = 100;
    jobs[2].deadline_us = 101;
    struct pack pack = pack_of(8);
    assert_int_equal(pack_fill(&pack, &list, 8), 4);
    uint64_t first_us = UINT64_MAX;
    assert_int_equal(pack_expire(&pack, 99, &late, &first_us), 0);
    assert_int_equal(first_us, 100);
    first_us = UINT64_MAX;
    assert_int_equal(pack_expire(&pack, 100, &late, &first_us), 2);
    assert_int_equal(first_us, 101);
    assert_int_equal(job_list_finish(&late, STATUS_DEADLINE), 2);
    assert_int_equal(statuses[1], STATUS_DEADLINE);
    assert_int_equal(pack.count, 3);
    assert_null(pack.texts[1].jobs.first);
    pack_compact(&pack);
    assert_int_equal(pack.count, 2);
    assert_ptr_equal(pack.texts[0].jobs.first, &jobs[2]);
    assert_ptr_equal(pack.texts[1].jobs.first, &jobs[3]);
    finish_all(&pack, &list, 4);
}

static void what_is_put_in_front_is_taken_first(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "b", "c", "d"};
    struct job_list front = list_of(texts, 4), back = {NULL, NULL}, none = {NULL, NULL};
    job_list_append(&back, job_list_take(&front));
    job_list_append(&back, job_list_take(&front));
    job_list_put_in_front(&back, &front);
    job_list_put_in_front(&back, &none);
    static const int order[] = {2, 3, 0, 1};
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(job_list_take(&back), &jobs[order[i]]);
    assert_null(job_list_take(&back));
    assert_null(front.first);
    job_list_append(&front, &jobs[0]);
    job_list_put_in_front(&back, &front); /* into an empty one: its end is right */
    job_list_append(&back, &jobs[1]);
    assert_ptr_equal(back.first->next, &jobs[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_taken_in_order_up_to_the_limit),
        cmocka_unit_test(a_packs_own_size_is_a_limit_too),
        cmocka_unit_test(equal_texts_share_a_place_and_cost_none),
        cmocka_unit_test(a_job_bounds_its_company),
        cmocka_unit_test(a_request_holds_few_bytes_but_one_text_always_goes),
        cmocka_unit_test(late_jobs_leave_their_place_until_it_is_compacted),
        cmocka_unit_test(what_is_put_in_front_is_taken_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
