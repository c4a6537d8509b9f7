/*
 * Goal: each pair of tenant and name has counters of its own, and there is an end to how many.
 * Method: names that differ in one half, names whose halves could run into each other, a table of
 * three.
 */
#include "cache/namespace.h"

#include "base/epoch.h"
#include "base/thread.h"
#include "tests/support/unit.h"

static const uint8_t hash_key[16] = {1, 2, 3};
static struct epochs *epochs;

static struct namespaces *create(uint32_t names_max)
{
    struct namespaces *namespaces = NULL;
    assert_int_equal(namespaces_create(names_max, hash_key, epochs, &namespaces), STATUS_OK);
    return namespaces;
}

static struct namespace_ *obtain(struct namespaces *namespaces, const char *tenant,
                                 const char *name)
{
    struct namespace_ *namespace_ = NULL;
    assert_int_equal(namespaces_obtain(namespaces, text_of(tenant), text_of(name), &namespace_),
                     STATUS_OK);
    return namespace_;
}

static void tenants_with_the_same_name_are_apart(void **state)
{
    (void)state;
    struct namespaces *namespaces = create(10);
    struct namespace_ *a = obtain(namespaces, "a", "default");
    struct namespace_ *b = obtain(namespaces, "b", "default");
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(obtain(namespaces, "a", "default"), a);
    assert_ptr_equal(namespaces_find(namespaces, TEXT("b"), TEXT("default")), b);
    assert_null(namespaces_find(namespaces, TEXT("default"), TEXT("a")));
    assert_true(text_equal(b->tenant, TEXT("b")));
    assert_true(text_equal(b->name, TEXT("default")));
    namespaces_destroy(&namespaces);
    assert_null(namespaces);
}

static void halves_do_not_run_into_each_other(void **state)
{
    (void)state;
    struct namespaces *namespaces = create(10);
    assert_ptr_not_equal(obtain(namespaces, "ab", "c"), obtain(namespaces, "a", "bc"));
    assert_ptr_not_equal(obtain(namespaces, "x", "y"), obtain(namespaces, "y", "x"));
    assert_ptr_not_equal(obtain(namespaces, "x", "x"), obtain(namespaces, "y", "y"));
    namespaces_destroy(&namespaces);
}

static void one_name_more_than_there_may_be_is_refused(void **state)
{
    (void)state;
    struct namespaces *namespaces = create(3);
    struct namespace_ *first = obtain(namespaces, "t", "1");
    (void)obtain(namespaces, "t", "2");
    (void)obtain(namespaces, "t", "3");
    struct namespace_ *fourth = NULL;
    assert_int_equal(namespaces_obtain(namespaces, TEXT("t"), TEXT("4"), &fourth),
                     STATUS_LIMIT_EXCEEDED);
    assert_null(fourth);
    assert_ptr_equal(obtain(namespaces, "t", "1"), first);
    namespaces_destroy(&namespaces);
}

static void add_up(void *context, struct namespace_ *namespace_)
{
    *(uint64_t *)context += namespace_read(&namespace_->counters.exact_hits);
}

static void counters_belong_to_their_namespace(void **state)
{
    (void)state;
    struct namespaces *namespaces = create(10);
    namespace_count(&obtain(namespaces, "t", "1")->counters.exact_hits, 3);
    namespace_count(&obtain(namespaces, "t", "2")->counters.exact_hits, 5);
    namespace_uncount(&obtain(namespaces, "t", "2")->counters.exact_hits, 1);
    assert_int_equal(namespace_read(&obtain(namespaces, "t", "1")->counters.exact_hits), 3);
    uint64_t sum = 0;
    namespaces_each(namespaces, add_up, &sum);
    assert_int_equal(sum, 7);
    namespaces_destroy(&namespaces);
}

static enum status any(const void *context, const struct cache_namespace_settings *settings,
                       struct failure *failure)
{
    (void)context;
    (void)failure;
    return settings->ttl_ms != 7 ? STATUS_OK : STATUS_LIMIT_EXCEEDED;
}

static void a_change_takes_its_fields_and_one_version(void **state)
{
    (void)state;
    struct failure failure;
    struct namespaces *namespaces = create(10);
    struct namespace_ *namespace_ = obtain(namespaces, "t", "1");
    struct cache_namespace_change change = {.fields = NAMESPACE_TTL | NAMESPACE_NPROBE,
                                            .settings = {.ttl_ms = 5, .nprobe = 6, .ef_search = 9}};
    assert_int_equal(namespace_version(namespace_), 0);
    assert_int_equal(namespace_change(namespaces, namespace_, &change, any, NULL, &failure),
                     STATUS_OK);
    assert_int_equal(namespace_version(namespace_), 1);
    assert_int_equal(namespace_wants(namespace_)->ttl_ms, 5);
    assert_int_equal(namespace_wants(namespace_)->nprobe, 6);
    assert_int_equal(namespace_wants(namespace_)->ef_search, 0);
    change.settings.ttl_ms = 7; /* what the check refuses changes nothing */
    assert_int_equal(namespace_change(namespaces, namespace_, &change, any, NULL, &failure),
                     STATUS_LIMIT_EXCEEDED);
    change.settings.ttl_ms = 8;
    change.if_version = 2;
    assert_int_equal(namespace_change(namespaces, namespace_, &change, any, NULL, &failure),
                     STATUS_VERSION_MISMATCH);
    assert_int_equal(namespace_wants(namespace_)->ttl_ms, 5);
    change.if_version = 1;
    assert_int_equal(namespace_change(namespaces, namespace_, &change, any, NULL, &failure),
                     STATUS_OK);
    assert_int_equal(namespace_version(namespace_), 2);
    namespaces_destroy(&namespaces);
}

static void a_removed_name_is_free_again(void **state)
{
    (void)state;
    struct namespaces *namespaces = create(2);
    for (int i = 0; i < 100; i++) {
        struct namespace_ *namespace_ = obtain(namespaces, "t", "again");
        (void)obtain(namespaces, "t", "stays");
        atomic_store(&namespace_->is_closing, true);
        namespaces_remove(namespaces, namespace_);
        assert_null(namespaces_find(namespaces, TEXT("t"), TEXT("again")));
        (void)epoch_collect(epochs);
    }
    namespaces_destroy(&namespaces);
}

static int open_epochs(void **state)
{
    (void)state;
    return thread_register(THREAD_COMPUTE) == STATUS_OK && epochs_create(&epochs) == STATUS_OK ? 0
                                                                                               : -1;
}

static int close_epochs(void **state)
{
    (void)state;
    epochs_destroy(&epochs);
    thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_with_the_same_name_are_apart),
        cmocka_unit_test(halves_do_not_run_into_each_other),
        cmocka_unit_test(one_name_more_than_there_may_be_is_refused),
        cmocka_unit_test(counters_belong_to_their_namespace),
        cmocka_unit_test(a_change_takes_its_fields_and_one_version),
        cmocka_unit_test(a_removed_name_is_free_again),
    };
    return cmocka_run_group_tests(tests, open_epochs, close_epochs);
}
