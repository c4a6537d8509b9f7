/*
 * Goal: the foreign libraries beneath the vectors compute, whichever thread calls, with the right
 * OpenMP and BLAS.
 * Method: the proofs of --self-check; sgemm from several threads, one at a time (decision 0004),
 * against a plain loop; the list of loaded objects.
 */
#include "tests/unit/index/index_support.h"

#include <cblas.h>
#include <link.h>

#include "base/lock.h"
#include "base/thread.h"
#include "index/prove.h"

static void the_known_neighbour_is_found(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    char reason[128] = "";
    assert_int_equal(prove_faiss(reason, sizeof(reason)), STATUS_OK);
    assert_non_null(strstr(reason, "HNSW"));
}

static void a_product_of_matrices_is_right(void **state)
{
    (void)state;
    char reason[128] = "";
    assert_int_equal(prove_blas(reason, sizeof(reason)), STATUS_OK);
    assert_non_null(strstr(reason, "sgemm"));
    char little[4];
    assert_int_equal(prove_blas(little, sizeof(little)), STATUS_OK);
    assert_int_equal(strlen(little), 3); /* cut, and ended */
}

enum { THREADS = 4, ROUNDS = 20, SIDE = 96 };

struct worker {
    struct lock *blas; /* serial OpenBLAS shares its scratch among callers */
    uint64_t seed;
    bool all_equal;
};

/* Large enough for a threaded BLAS to split it. */
static void multiply_and_compare(void *argument)
{
    struct worker *worker = argument;
    float *a = calloc(3 * SIDE * SIDE, sizeof(*a)), *b = a + SIDE * SIDE, *c = b + SIDE * SIDE;
    assert_non_null(a);
    worker->all_equal = true;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2 * SIDE * SIDE; i++)
            a[i] = chance_normal(&worker->seed);
        lock_acquire(worker->blas);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1.0f, a, SIDE, b,
                    SIDE, 0.0f, c, SIDE);
        lock_release(worker->blas);
        for (int i = 0; i < SIDE * SIDE; i++) {
            double sum = 0;
            for (int k = 0; k < SIDE; k++)
                sum += (double)a[i / SIDE * SIDE + k] * (double)b[k * SIDE + i % SIDE];
            worker->all_equal = worker->all_equal && fabs(sum - (double)c[i]) < 1e-3;
        }
    }
    free(a);
}

static void sgemm_from_several_threads_equals_a_plain_loop(void **state)
{
    (void)state;
    skip_foreign_code_under_tsan();
    struct worker workers[THREADS];
    struct thread *threads[THREADS];
    struct lock blas;
    lock_init(&blas, LOCK_RANK_EMBED_BLAS);
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.blas = &blas, .seed = i + 1};
        assert_int_equal(
            thread_create(THREAD_OTHER, "sgemm", multiply_and_compare, &workers[i], &threads[i]),
            STATUS_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        assert_true(workers[i].all_equal);
    }
    lock_deinit(&blas);
}

struct loaded {
    bool gomp, other_openmp, openblas_serial, openblas_other;
};

static int note_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct loaded *loaded = argument;
    (void)size;
    if (strstr(info->dlpi_name, "libgomp") != NULL)
        loaded->gomp = true;
    if (strstr(info->dlpi_name, "libomp") != NULL || strstr(info->dlpi_name, "libiomp") != NULL)
        loaded->other_openmp = true;
    if (strstr(info->dlpi_name, "openblas-serial") != NULL)
        loaded->openblas_serial = true;
    else if (strstr(info->dlpi_name, "openblas") != NULL)
        loaded->openblas_other = true;
    return 0;
}

static void only_the_openmp_and_blas_we_chose_are_loaded(void **state)
{
    (void)state;
    struct loaded loaded = {0};
    (void)dl_iterate_phdr(note_object, &loaded);
    assert_true(loaded.gomp);
    assert_false(loaded.other_openmp);
    assert_true(loaded.openblas_serial);
    assert_false(loaded.openblas_other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_neighbour_is_found),
        cmocka_unit_test(a_product_of_matrices_is_right),
        cmocka_unit_test(sgemm_from_several_threads_equals_a_plain_loop),
        cmocka_unit_test(only_the_openmp_and_blas_we_chose_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
