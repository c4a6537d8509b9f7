/*
 * Goal: the server computes the digests that proto/key-vectors.json publishes, row by row.
 * Method: each row's identity is read with cJSON into a struct identity, and every digest is
 * compared. The file was made by another implementation (tests/wire/key_reference.py), from
 * docs/identity.md.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/key.h"
#include "tests/support/unit.h"

enum { LIST_MAX = 16 };

struct row { /* one identity with room for its lists */
    struct identity identity;
    struct key_message messages[LIST_MAX];
    struct key_attribute attributes[LIST_MAX];
    struct text stop[LIST_MAX], context_ids[LIST_MAX];
};

static char *read_vectors(void)
{
    char path[512];
    const char *here = strstr(__FILE__, "tests/unit/");
    assert_non_null(here);
    (void)snprintf(path, sizeof(path), "%.*sproto/key-vectors.json", (int)(here - __FILE__),
                   __FILE__);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    char *bytes = calloc(1, (size_t)size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
    (void)fclose(file);
    return bytes;
}

static struct text text_in(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(item == NULL || cJSON_IsString(item));
    return item != NULL ? text_of(item->valuestring) : (struct text){NULL, 0};
}

static bool number_in(const cJSON *object, const char *name, double *out_value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    *out_value = item != NULL ? item->valuedouble : 0;
    return item != NULL;
}

static size_t texts_in(const cJSON *object, const char *name, struct text texts[LIST_MAX])
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, name);
    size_t count = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        assert_true(count < LIST_MAX);
        texts[count++] = text_of(item->valuestring);
    }
    return count;
}

static void read_messages(const cJSON *json, struct row *row)
{
    const cJSON *item = NULL;
    row->identity.messages = row->messages;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "messages"))
    {
        assert_true(row->identity.messages_count < LIST_MAX);
        row->messages[row->identity.messages_count++] = (struct key_message){
            .role = text_in(item, "role"),
            .content = text_in(item, "content"),
            .content_json = text_in(item, "content_json"),
            .name = text_in(item, "name"),
            .tool_call_id = text_in(item, "tool_call_id"),
            .tool_calls_json = text_in(item, "tool_calls_json"),
        };
    }
}

static void read_attributes(const cJSON *json, struct row *row)
{
    const cJSON *item = NULL;
    row->identity.attributes = row->attributes;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "attributes"))
    {
        assert_true(row->identity.attributes_count < LIST_MAX);
        row->attributes[row->identity.attributes_count++] =
            (struct key_attribute){text_in(item, "name"), text_in(item, "value")};
    }
}

static void read_params(const cJSON *json, struct row *row)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(json, "params");
    struct key_params *params = &row->identity.params;
    double value = 0;
    params->temperature_given = number_in(given, "temperature", &params->temperature);
    params->top_p_given = number_in(given, "top_p", &params->top_p);
    params->max_tokens_given = number_in(given, "max_tokens", &value);
    params->max_tokens = (uint32_t)value;
    params->seed_given = number_in(given, "seed", &value);
    params->seed = (int64_t)value;
    (void)number_in(given, "n", &value);
    params->n = (uint32_t)value;
    params->stop = row->stop;
    params->stop_count = texts_in(given, "stop", row->stop);
    params->other_json = text_in(given, "other_json");
}

static void read_row(const cJSON *json, struct row *row)
{
    *row = (struct row){0};
    struct identity *identity = &row->identity;
    identity->tenant = text_in(json, "tenant");
    identity->namespace_ = text_in(json, "namespace");
    identity->model = text_in(json, "model");
    identity->prompt = text_in(json, "prompt");
    identity->system_prompt = text_in(json, "system_prompt");
    identity->embedder = text_in(json, "embedder");
    identity->tools_json = text_in(json, "tools_json");
    identity->tool_choice_json = text_in(json, "tool_choice_json");
    identity->response_format_json = text_in(json, "response_format_json");
    identity->context_ids = row->context_ids;
    identity->context_ids_count = texts_in(json, "context_ids", row->context_ids);
    read_messages(json, row);
    read_attributes(json, row);
    read_params(json, row);
}

static void assert_digest(const cJSON *row, const char *name, const struct digest *digest,
                          int number)
{
    char hex[DIGEST_HEX + 1];
    digest_to_hex(digest, hex);
    const struct text expected = text_in(row, name);
    if (!text_equal(expected, text_of(hex)))
        fail_msg("row %d: %s is %s in the server", number, name, hex);
}

static void every_published_row_has_its_digests(void **state)
{
    (void)state;
    char *bytes = read_vectors();
    cJSON *file = cJSON_Parse(bytes);
    assert_non_null(file);
    struct arena *arena = NULL;
    assert_int_equal(arena_create(&arena), STATUS_OK);
    int number = 0;
    const cJSON *json = NULL;
    cJSON_ArrayForEach(json, cJSON_GetObjectItemCaseSensitive(file, "rows"))
    {
        static struct row row;
        struct key key;
        struct failure failure = {0};
        read_row(cJSON_GetObjectItemCaseSensitive(json, "identity"), &row);
        if (key_make(&row.identity, &key_limits_standard, arena, &key, &failure) != STATUS_OK)
            fail_msg("row %d: %s: %s", number, failure.field, failure.message);
        const bool canonical = cJSON_GetObjectItemCaseSensitive(json, "canonical") == NULL;
        if (key.canonical != canonical)
            fail_msg("row %d: canonical is %d", number, key.canonical);
        if (canonical) {
            assert_digest(json, "scope_key", &key.scope, number);
            assert_digest(json, "compat_key", &key.compatibility, number);
            assert_digest(json, "exact_key", &key.exact, number);
        }
        arena_reset(arena);
        number++;
    }
    assert_true(number >= 1000);
    arena_destroy(&arena);
    cJSON_Delete(file);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_row_has_its_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
