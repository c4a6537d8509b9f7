/*
 * Goal: each pair of tenant and name has counters of its own, and there is an end to how many.
 * Method: names that differ in one half, names whose halves could run into each other, a table of
 * three.
 */
#include "cache/namespace.h"

#include "tests/support/unit.h"

static const uint8_t hash_key[16] = {1, 2, 3};

static struct namespaces *create(uint32_t names_max)
{
    struct namespaces *namespaces = NULL;
    assert_int_equal(namespaces_create(names_max, hash_key, &namespaces), STATUS_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tenants_with_the_same_name_are_apart),
        cmocka_unit_test(halves_do_not_run_into_each_other),
        cmocka_unit_test(one_name_more_than_there_may_be_is_refused),
        cmocka_unit_test(counters_belong_to_their_namespace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
