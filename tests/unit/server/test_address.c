/* HOST:PORT of an option. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "server/address.h"
#include "tests/support/unit.h"

static void what_is_no_address_is_refused_by_the_options_name(void **state)
{
    (void)state;
    const char *const refused[] = {
        "",          "127.0.0.1",       "127.0.0.1:",      "127.0.0.1:x",
        ":7371",     "127.0.0.1:-1",    "127.0.0.1:65536", "127.0.0.1:7371 ",
        "localhost", "127.0.0.1:000000"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct failure failure = {.status = STATUS_OK};
        assert_int_equal(address_read("http.listen", refused[i], NULL, &failure),
                         STATUS_BAD_OPTION);
        assert_string_equal(failure.field, "http.listen");
    }
}

static void what_others_can_reach_is_refused(void **state)
{
    (void)state;
    const char *const refused[] = {"0.0.0.0:1", "128.0.0.1:1", "[::]:1", "example.com:1"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct failure failure = {.status = STATUS_OK};
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        assert_int_equal(address_read("grpc.listen", refused[i], &address, &failure),
                         STATUS_BAD_OPTION);
        assert_int_equal(address.ss_family, AF_UNSPEC);
        assert_non_null(strstr(failure.message, "neither TLS nor tokens"));
    }
}

static void an_address_is_what_it_says(void **state)
{
    (void)state;
    struct sockaddr_storage address;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
    assert_int_equal(address_read("", "127.1.2.3:65535", &address, NULL), STATUS_OK);
    assert_int_equal(four->sin_family, AF_INET);
    assert_int_equal(ntohl(four->sin_addr.s_addr), 0x7f010203);
    assert_int_equal(ntohs(four->sin_port), 65535);
    assert_int_equal(address_read("", "localhost:0", &address, NULL), STATUS_OK);
    assert_int_equal(ntohl(four->sin_addr.s_addr), 0x7f000001);
    assert_int_equal(address_read("", "[::1]:7371", &address, NULL), STATUS_OK);
    assert_int_equal(six->sin6_family, AF_INET6);
    assert_int_equal(ntohs(six->sin6_port), 7371);
    assert_true(IN6_IS_ADDR_LOOPBACK(&six->sin6_addr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_address_is_refused_by_the_options_name),
        cmocka_unit_test(what_others_can_reach_is_refused),
        cmocka_unit_test(an_address_is_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
