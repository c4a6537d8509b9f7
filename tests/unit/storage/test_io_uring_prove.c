/*
 * Goal: where io_uring works the proof says so and leaves nothing behind; where a sandbox refuses
 * it, the refusal is clean, whichever call is refused and whichever error it gives, and its
 * sentence names what to look at. Method: a temporary folder; children of this process under
 * seccomp filters that answer for the three calls.
 */
#include "storage/io_uring_prove.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/folder.h"
#include "tests/unit/storage/sandbox.h"

enum { REASON_BYTES = 512 };

struct answer { /* what a child sends back */
    enum status status;
    char reason[REASON_BYTES];
};

static unsigned files_in(const char *path)
{
    DIR *folder = opendir(path);
    assert_non_null(folder);
    unsigned count = 0;
    for (const struct dirent *file = readdir(folder); file != NULL; file = readdir(folder))
        count += file->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static bool is_complete_sentence(const struct answer *answer)
{
    return strstr(answer->reason, "seccomp") != NULL &&
           strstr(answer->reason, "kernel.io_uring_disabled") != NULL;
}

struct limits {                  /* on a child */
    unsigned first, last, error; /* of forbid; error 0: none */
    bool has_file_limit;         /* files may not grow       */
};

static void prove_in_child(const struct limits *limits, const char *folder, int out)
{
    struct answer answer = {.status = STATUS_INTERNAL};
    const struct rlimit none = {0, RLIM_INFINITY};
    if (limits->error != 0 && !forbid(limits->first, limits->last, limits->error))
        _exit(2);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (limits->has_file_limit && setrlimit(RLIMIT_FSIZE, &none) != 0)
        _exit(3);
    answer.status = io_uring_prove(folder, answer.reason, sizeof(answer.reason));
    _exit(write(out, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
}

static struct answer prove_under(const struct limits *limits)
{
    char folder[64];
    int ends[2];
    struct answer answer;
    folder_create(folder);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        prove_in_child(limits, folder, ends[1]);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &answer, sizeof(answer)), sizeof(answer));
    (void)close(ends[0]);
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_int_equal(files_in(folder), 0);
    folder_remove(folder);
    return answer;
}

static struct answer prove_where_forbidden(unsigned first, unsigned last, unsigned error)
{
    return prove_under(&(struct limits){.first = first, .last = last, .error = error});
}

static struct answer prove_here(void)
{
    char folder[64];
    struct answer answer;
    folder_create(folder);
    answer.status = io_uring_prove(folder, answer.reason, sizeof(answer.reason));
    assert_int_equal(files_in(folder), 0);
    folder_remove(folder);
    return answer;
}

static void a_linked_write_and_sync_are_done_and_read_back(void **state)
{
    (void)state;
    const struct answer answer = prove_here();
    if (answer.status == STATUS_UNSUPPORTED) {
        assert_true(is_complete_sentence(&answer));
        print_message("skipped: %s\n", answer.reason);
        skip();
    }
    assert_int_equal(answer.status, STATUS_OK);
    assert_non_null(strstr(answer.reason, "read back"));
}

static void a_filter_on_all_three_calls_is_a_clean_refusal(void **state)
{
    (void)state;
    static const unsigned errors[] = {EPERM, ENOSYS, ENOMEM, EINVAL, EACCES};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        const struct answer answer =
            prove_where_forbidden(SYS_io_uring_setup, SYS_io_uring_register, errors[i]);
        assert_int_equal(answer.status, STATUS_UNSUPPORTED);
        assert_true(is_complete_sentence(&answer));
        assert_non_null(strstr(answer.reason, strerrordesc_np((int)errors[i])));
    }
}

static void a_filter_on_one_call_alone_is_a_clean_refusal_too(void **state)
{
    (void)state;
    static const unsigned calls[] = {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register};
    static const unsigned errors[] = {EPERM, ENOSYS};
    for (size_t i = 0; i < 6; i++) {
        const unsigned call = calls[i / 2];
        const struct answer answer = prove_where_forbidden(call, call, errors[i % 2]);
        assert_int_equal(answer.status, STATUS_UNSUPPORTED);
        assert_true(is_complete_sentence(&answer));
    }
}

static void a_write_that_fails_is_the_folders_fault(void **state)
{
    (void)state;
    if (prove_here().status != STATUS_OK) {
        print_message("skipped: io_uring is not allowed on this machine\n");
        skip();
    }
    const struct answer answer = prove_under(&(struct limits){.has_file_limit = true});
    assert_int_equal(answer.status, STATUS_IO_FAILED);
    assert_non_null(strstr(answer.reason, "the linked write"));
}

static void a_folder_that_cannot_be_written_is_the_folders_fault(void **state)
{
    (void)state;
    char reason[REASON_BYTES];
    assert_int_equal(io_uring_prove("/nonexistent/folder", reason, sizeof(reason)),
                     STATUS_IO_FAILED);
    assert_non_null(strstr(reason, "folder"));
    assert_int_equal(io_uring_prove("/proc", reason, sizeof(reason)), STATUS_IO_FAILED);
}

static void a_small_buffer_for_the_reason_is_not_overrun(void **state)
{
    (void)state;
    char reason[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    (void)io_uring_prove("/nonexistent/folder", reason, 4);
    assert_int_equal(strlen(reason), 3);
    assert_int_equal(reason[4], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linked_write_and_sync_are_done_and_read_back),
        cmocka_unit_test(a_filter_on_all_three_calls_is_a_clean_refusal),
        cmocka_unit_test(a_filter_on_one_call_alone_is_a_clean_refusal_too),
        cmocka_unit_test(a_write_that_fails_is_the_folders_fault),
        cmocka_unit_test(a_folder_that_cannot_be_written_is_the_folders_fault),
        cmocka_unit_test(a_small_buffer_for_the_reason_is_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
