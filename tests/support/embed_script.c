/*
 * embed_script.c - an embedding server for tests. Remembers every request it got.
 * Owns its http_script and what it remembers, under one mutex. Threads: any.
 */
#include "tests/support/embed_script.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED_MAX = 4096, DIMENSION_MAX = 4096 };

struct remembered {
    char *head, *body;
    unsigned texts;
};

struct embed_script {
    struct http_script *http;
    enum embed_script_shape shape;
    unsigned dimension;
    pthread_mutex_t mutex;
    pthread_cond_t came;
    struct embed_manners manners;
    struct remembered requests[REMEMBERED_MAX];
    unsigned count;
};

/* FNV-1a, then one step of an LCG a number. */
void embed_script_vector(const char *text, unsigned dimension, bool has_drifted, float *out_vector)
{
    uint32_t state = has_drifted ? 77 : 2166136261u;
    for (; *text != '\0'; text++)
        state = (state ^ (unsigned char)*text) * 16777619u;
    for (unsigned i = 0; i < dimension; i++) {
        state = state * 1664525u + 1013904223u;
        out_vector[i] = (float)(state >> 16) / 65536.0f - 0.5f;
    }
}

static cJSON *base64_of(const float *vector, unsigned dimension)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)vector; /* little-endian, as the machine */
    size_t size = dimension * sizeof(float), length = 0;
    char *text = calloc(1, size * 2 + 8);
    assert(text != NULL);
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < size ? bytes[i + 2] : 0;
        text[length++] = letters[three >> 18];
        text[length++] = letters[three >> 12 & 63];
        text[length++] = i + 1 < size ? letters[three >> 6 & 63] : '=';
        text[length++] = i + 2 < size ? letters[three & 63] : '=';
    }
    cJSON *value = cJSON_CreateString(text);
    free(text);
    return value;
}

static bool begins_with(const char *text, const char *prefix)
{
    return prefix != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

static cJSON *value_of(const struct embed_script *script, const char *text)
{
    const struct embed_manners *manners = &script->manners;
    float vector[DIMENSION_MAX];
    unsigned dimension = manners->dimension != 0 ? manners->dimension : script->dimension;
    assert(dimension <= DIMENSION_MAX);
    embed_script_vector(text, dimension, manners->has_drifted, vector);
    if (manners->gives_base64)
        return base64_of(vector, dimension);
    cJSON *array = cJSON_CreateFloatArray(vector, (int)dimension);
    if (begins_with(text, manners->unspeakable))
        cJSON_ReplaceItemInArray(array, 0, cJSON_CreateNull());
    return array;
}

static cJSON *openai_item(const struct embed_script *script, const char *text, int index)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "object", "embedding");
    cJSON_AddNumberToObject(item, "index", index);
    cJSON_AddItemToObject(item, "embedding", value_of(script, text));
    return item;
}

static void add_tokens(const struct embed_script *script, cJSON *root, unsigned count)
{
    const unsigned tokens = script->manners.tokens * count;
    if (tokens == 0)
        return;
    if (script->shape == EMBED_OLLAMA)
        cJSON_AddNumberToObject(root, "prompt_eval_count", tokens);
    if (script->shape != EMBED_OPENAI)
        return;
    cJSON *usage = cJSON_AddObjectToObject(root, "usage");
    cJSON_AddNumberToObject(usage, "prompt_tokens", tokens);
    cJSON_AddNumberToObject(usage, "total_tokens", tokens);
}

static char *reply_for(const struct embed_script *script, const cJSON *texts)
{
    cJSON *list = cJSON_CreateArray(), *root = list;
    int count = cJSON_GetArraySize(texts);
    for (int i = 0; i < count; i++) {
        int place = script->manners.shuffles ? count - 1 - i : i;
        const char *text = cJSON_GetArrayItem(texts, place)->valuestring;
        cJSON_AddItemToArray(list, script->shape == EMBED_OPENAI ? openai_item(script, text, place)
                                                                 : value_of(script, text));
    }
    if (script->shape != EMBED_TEI) {
        root = cJSON_CreateObject();
        cJSON_AddItemToObject(root, script->shape == EMBED_OPENAI ? "data" : "embeddings", list);
    }
    add_tokens(script, root, (unsigned)count);
    char *reply = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return reply;
}

static bool is_refused(const struct embed_script *script, const cJSON *texts)
{
    const struct embed_manners *manners = &script->manners;
    if (manners->batch_max != 0 && (unsigned)cJSON_GetArraySize(texts) > manners->batch_max)
        return true;
    const cJSON *text = NULL;
    cJSON_ArrayForEach(text, texts)
    {
        if (begins_with(text->valuestring, manners->refused))
            return true;
    }
    return false;
}

static void remember(struct embed_script *script, const struct http_seen *seen, unsigned texts)
{
    assert(script->count < REMEMBERED_MAX);
    script->requests[script->count++] =
        (struct remembered){strdup(seen->head), strdup(seen->body), texts};
    pthread_cond_broadcast(&script->came);
}

static void set_told(struct embed_script *script, const cJSON *root, const cJSON *texts,
                     struct http_told *out_told)
{
    struct embed_manners *manners = &script->manners;
    out_told->manner = manners->manner;
    if (manners->code != 0) {
        out_told->code = manners->code;
        out_told->headers = manners->headers;
        out_told->body = manners->body != NULL ? strdup(manners->body) : NULL;
        if (manners->code_times > 0 && --manners->code_times == 0)
            manners->code = 0;
    } else if (manners->refuses_base64 && cJSON_GetObjectItem(root, "encoding_format") != NULL) {
        out_told->code = 400;
    } else if (is_refused(script, texts)) {
        out_told->code = 413;
    } else {
        out_told->body = manners->body != NULL ? strdup(manners->body) : reply_for(script, texts);
    }
}

static void answer(void *context, const struct http_seen *seen, struct http_told *out_told)
{
    struct embed_script *script = context;
    cJSON *root = cJSON_Parse(seen->body);
    const cJSON *texts = cJSON_GetObjectItem(root, script->shape == EMBED_TEI ? "inputs" : "input");
    pthread_mutex_lock(&script->mutex);
    set_told(script, root, texts, out_told);
    remember(script, seen, (unsigned)cJSON_GetArraySize(texts));
    pthread_mutex_unlock(&script->mutex);
    cJSON_Delete(root);
}

struct embed_script *embed_script_create(enum embed_script_shape shape, unsigned dimension)
{
    struct embed_script *script = calloc(1, sizeof(*script));
    assert(script != NULL);
    script->shape = shape;
    script->dimension = dimension;
    pthread_mutex_init(&script->mutex, NULL);
    pthread_cond_init(&script->came, NULL);
    script->http = http_script_create(answer, script, NULL);
    return script;
}

void embed_script_destroy(struct embed_script **script)
{
    struct embed_script *doomed = *script;
    if (doomed == NULL)
        return;
    *script = NULL;
    http_script_destroy(&doomed->http);
    for (unsigned i = 0; i < doomed->count; i++) {
        free(doomed->requests[i].head);
        free(doomed->requests[i].body);
    }
    pthread_cond_destroy(&doomed->came);
    pthread_mutex_destroy(&doomed->mutex);
    free(doomed);
}

void embed_script_tell(struct embed_script *script, const struct embed_manners *manners)
{
    pthread_mutex_lock(&script->mutex);
    script->manners = *manners;
    pthread_mutex_unlock(&script->mutex);
}

struct http_script *embed_script_http(struct embed_script *script)
{
    return script->http;
}

void embed_script_await(struct embed_script *script, unsigned requests)
{
    pthread_mutex_lock(&script->mutex);
    while (script->count < requests)
        pthread_cond_wait(&script->came, &script->mutex);
    pthread_mutex_unlock(&script->mutex);
}

unsigned embed_script_requests(struct embed_script *script)
{
    pthread_mutex_lock(&script->mutex);
    unsigned count = script->count;
    pthread_mutex_unlock(&script->mutex);
    return count;
}

static struct remembered remembered_of(struct embed_script *script, unsigned number)
{
    embed_script_await(script, number + 1);
    pthread_mutex_lock(&script->mutex);
    struct remembered request = script->requests[number];
    pthread_mutex_unlock(&script->mutex);
    return request;
}

unsigned embed_script_texts(struct embed_script *script, unsigned number)
{
    return remembered_of(script, number).texts;
}

const char *embed_script_body(struct embed_script *script, unsigned number)
{
    return remembered_of(script, number).body;
}

const char *embed_script_head(struct embed_script *script, unsigned number)
{
    return remembered_of(script, number).head;
}
