/*
 * Goal: each limit is the smallest that any of our control groups sets, and the machine's own if
 * none does. Method: a temporary folder with files as the kernel would show them, for both versions
 * of control groups.
 */
#include "base/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/folder.h"
#include "tests/support/unit.h"

static char root[64];
static char memberships[128];

static int set_up(void **state)
{
    (void)state;
    folder_create(root);
    (void)snprintf(memberships, sizeof(memberships), "%s/self", root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(root);
    return 0;
}

static void make_folder(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_file(const char *name, const char *content)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(content, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static uint64_t limit(void)
{
    return machine_memory_bytes_at(memberships, root);
}

static uint64_t machine(void)
{
    return machine_memory_bytes_at("/nonexistent/self", "/nonexistent");
}

static void without_groups_the_machine_is_the_limit(void **state)
{
    (void)state;
    const uint64_t expected = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(machine() == expected);
    make_file("self", "0::/\n"); /* a group without a file of limits */
    assert_true(limit() == expected);
}

static void version_two_in_a_container_has_its_limit_at_the_root(void **state)
{
    (void)state;
    make_file("self", "0::/\n");
    make_file("memory.max", "1048576\n");
    assert_true(limit() == 1048576);
}

static void the_smallest_limit_of_a_group_and_its_parents_counts(void **state)
{
    (void)state;
    make_folder("a");
    make_folder("a/b");
    make_file("self", "0::/a/b\n");
    make_file("memory.max", "max\n");
    make_file("a/memory.max", "3000000\n");
    make_file("a/b/memory.max", "4000000\n");
    assert_true(limit() == 3000000);
    make_file("a/b/memory.max", "2000000\n");
    assert_true(limit() == 2000000);
    make_file("a/memory.max", "max\n");
    make_file("a/b/memory.max", "max\n");
    assert_true(limit() == machine());
}

static void version_one_is_read_beside_other_controllers(void **state)
{
    (void)state;
    make_folder("memory");
    make_folder("memory/box");
    make_file("self", "12:cpu,cpuacct:/x\n7:hugetlb,memory:/box\n3:memoryless:/y\n0::/\n");
    make_file("memory/memory.limit_in_bytes", "9223372036854771712\n"); /* no limit */
    make_file("memory/box/memory.limit_in_bytes", "5000000\n");
    assert_true(limit() == 5000000);
}

static void nonsense_sets_no_limit(void **state)
{
    (void)state;
    make_file("self", "nonsense\n::\n0::/../../etc\n\n0:\n");
    make_file("memory.max", "-\n");
    assert_true(limit() == machine());
    make_file("memory.max", "0\n");
    assert_true(limit() == machine());
}

static uint32_t cores(void)
{
    return machine_cores_at(memberships, root);
}

static void a_quota_of_the_group_limits_the_cores(void **state)
{
    (void)state;
    const uint32_t online = machine_cores_at("/nonexistent/self", "/nonexistent");
    make_file("self", "0::/a\n");
    make_folder("a");
    assert_int_equal(cores(), online);
    make_file("a/cpu.max", "max 100000\n");
    assert_int_equal(cores(), online);
    make_file("a/cpu.max", "50000 100000\n");
    assert_int_equal(cores(), 1);
    make_file("cpu.max", "99900000 100000\n");
    make_file("a/cpu.max", "nonsense\n");
    assert_int_equal(cores(), online < 999 ? online : 999);
}

static void the_quota_of_version_one_has_its_period_beside_it(void **state)
{
    (void)state;
    make_file("self", "4:cpu,cpuacct:/box\n");
    make_folder("cpu");
    make_folder("cpu/box");
    make_file("cpu/box/cpu.cfs_quota_us", "-1\n");
    make_file("cpu/box/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores(), machine_cores_at("/nonexistent/self", "/nonexistent"));
    make_file("cpu/box/cpu.cfs_quota_us", "20000\n");
    make_file("cpu/box/cpu.cfs_period_us", "20000\n");
    assert_int_equal(cores(), 1);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(without_groups_the_machine_is_the_limit),
        RULE(version_two_in_a_container_has_its_limit_at_the_root),
        RULE(the_smallest_limit_of_a_group_and_its_parents_counts),
        RULE(version_one_is_read_beside_other_controllers),
        RULE(nonsense_sets_no_limit),
        RULE(a_quota_of_the_group_limits_the_cores),
        RULE(the_quota_of_version_one_has_its_period_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
