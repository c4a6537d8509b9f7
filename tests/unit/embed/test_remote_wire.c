/*
 * test_remote_wire.c - Goal: each shape is asked as its server expects, any clean text survives the
 * JSON, and an address that could leak or mislead is refused. Method: bodies are compared byte for
 * byte, and read back by cJSON.
 */
#include "tests/support/unit.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "embed/remote_wire.h"

static const char *write_body(const struct remote_form *form, const struct text *texts,
                              size_t count, struct remote_body *body)
{
    assert_int_equal(remote_wire_write(form, texts, count, body), STATUS_OK);
    assert_true(body->length < body->room);
    body->bytes[body->length] = '\0'; /* there is room, as asserted */
    return body->bytes;
}

static void each_shape_is_asked_in_its_own_words(void **state)
{
    (void)state;
    const struct text texts[] = {TEXT("one"), TEXT("two")};
    struct remote_body body = {NULL, 0, 0};
    struct remote_form form = {.shape = REMOTE_OPENAI, .model = "m\"1"};
    assert_string_equal(
        write_body(&form, texts, 2, &body),
        "{\"model\":\"m\\u00221\",\"input\":[\"one\",\"two\"],\"encoding_format\":\"base64\"}");
    form.asks_floats = true;
    form.dimensions = 256;
    assert_string_equal(write_body(&form, texts, 1, &body),
                        "{\"model\":\"m\\u00221\",\"input\":[\"one\"],\"dimensions\":256}");
    form = (struct remote_form){.shape = REMOTE_TEI, .model = "", .dimensions = 256};
    assert_string_equal(write_body(&form, texts, 2, &body),
                        "{\"inputs\":[\"one\",\"two\"],\"normalize\":true,\"truncate\":false}");
    form = (struct remote_form){.shape = REMOTE_OLLAMA, .model = "m"};
    assert_string_equal(write_body(&form, texts, 1, &body),
                        "{\"model\":\"m\",\"input\":[\"one\"],\"truncate\":false,"
                        "\"keep_alive\":\"2h\"}");
    remote_body_clear(&body);
    assert_null(body.bytes);
}

static void any_text_comes_through_the_json(void **state)
{
    (void)state;
    char all[0x80 + 16];
    size_t length = 0;
    for (char c = 1; length < 0x7f; c++)
        all[length++] = c;
    memcpy(all + length, "\xC3\xA9\xE4\xB8\x80\xF0\x9F\x98\x80", 9);
    all[length + 9] = '\0';
    const struct text texts[] = {text_of(all), {NULL, 0}};
    struct remote_body body = {NULL, 0, 0};
    struct remote_form form = {.shape = REMOTE_TEI, .model = ""};
    cJSON *root = cJSON_Parse(write_body(&form, texts, 2, &body));
    assert_non_null(root);
    const cJSON *inputs = cJSON_GetObjectItem(root, "inputs");
    assert_int_equal(cJSON_GetArraySize(inputs), 2);
    assert_string_equal(cJSON_GetArrayItem(inputs, 0)->valuestring, all);
    assert_string_equal(cJSON_GetArrayItem(inputs, 1)->valuestring, "");
    cJSON_Delete(root);
    remote_body_clear(&body);
}

static void a_long_text_is_whole(void **state)
{
    (void)state;
    size_t length = 1 << 20;
    char *bytes = malloc(length);
    assert_non_null(bytes);
    memset(bytes, '"', length);
    const struct text text = {bytes, length};
    struct remote_body body = {NULL, 0, 0};
    struct remote_form form = {.shape = REMOTE_OPENAI, .model = "m"};
    assert_int_equal(remote_wire_write(&form, &text, 1, &body), STATUS_OK);
    assert_true(body.length > 6 * length);
    free(bytes);
    remote_body_clear(&body);
}

static void what_the_address_has_already_is_not_repeated(void **state)
{
    (void)state;
    static const struct {
        enum remote_shape shape;
        const char *base, *url;
    } cases[] = {
        {REMOTE_OPENAI, "https://api.openai.com", "https://api.openai.com/v1/embeddings"},
        {REMOTE_OPENAI, "https://api.openai.com/", "https://api.openai.com/v1/embeddings"},
        {REMOTE_OPENAI, "https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"},
        {REMOTE_OPENAI, "https://api.openai.com/v1/", "https://api.openai.com/v1/embeddings"},
        {REMOTE_OPENAI, "http://h:8000/v1/embeddings", "http://h:8000/v1/embeddings"},
        {REMOTE_OPENAI, "http://h/a/b", "http://h/a/b/v1/embeddings"},
        {REMOTE_OPENAI, "http://h/xv1", "http://h/xv1/v1/embeddings"},
        {REMOTE_TEI, "http://[::1]:8080", "http://[::1]:8080/embed"},
        {REMOTE_TEI, "http://h/tei/embed/", "http://h/tei/embed"},
        {REMOTE_TEI, "http://embed", "http://embed/embed"},
        {REMOTE_OLLAMA, "http://localhost:11434", "http://localhost:11434/api/embed"},
        {REMOTE_OLLAMA, "http://localhost:11434/api", "http://localhost:11434/api/embed"},
        {REMOTE_OLLAMA, "http://api", "http://api/api/embed"},
    };
    char url[REMOTE_URL_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(remote_wire_url(cases[i].shape, text_of(cases[i].base), url, NULL),
                         STATUS_OK);
        assert_string_equal(url, cases[i].url);
    }
}

static void an_address_that_could_leak_or_mislead_is_refused(void **state)
{
    (void)state;
    static const char *const bases[] = {
        "",           "h:80",          "ftp://h",          "HTTP://h",     "http://",
        "http:///v1", "http://u:p@h/", "http://h/?key=1",  "http://h/#a",  "http://h /",
        "http://h\n", "https://",      "http://h\xC3\xA9", "file:///etc/x"};
    char url[REMOTE_URL_MAX];
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        struct failure failure = {0};
        assert_int_equal(remote_wire_url(REMOTE_TEI, text_of(bases[i]), url, &failure),
                         STATUS_BAD_OPTION);
        assert_string_equal(failure.field, "embed.url");
    }
    assert_int_equal(remote_wire_url(REMOTE_TEI, TEXT("http://h/@x"), url, NULL), STATUS_OK);
}

static void an_address_is_as_long_as_its_room(void **state)
{
    (void)state;
    char base[REMOTE_URL_MAX + 1], url[REMOTE_URL_MAX];
    memset(base, 'a', sizeof(base));
    memcpy(base, "http://h/", 9);
    size_t fits = REMOTE_URL_MAX - 1 - strlen("/embed");
    assert_int_equal(remote_wire_url(REMOTE_TEI, (struct text){base, fits}, url, NULL), STATUS_OK);
    assert_int_equal(strlen(url), REMOTE_URL_MAX - 1);
    assert_int_equal(remote_wire_url(REMOTE_TEI, (struct text){base, fits + 1}, url, NULL),
                     STATUS_BAD_OPTION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_shape_is_asked_in_its_own_words),
        cmocka_unit_test(any_text_comes_through_the_json),
        cmocka_unit_test(a_long_text_is_whole),
        cmocka_unit_test(what_the_address_has_already_is_not_repeated),
        cmocka_unit_test(an_address_that_could_leak_or_mislead_is_refused),
        cmocka_unit_test(an_address_is_as_long_as_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
