/*
 * remote_reply.c - the vectors in a remote embedder's reply, by cJSON.
 *   OpenAI  {"data":[{"index":0,"embedding":E},..]}: by index; servers that leave it out mean the
 * place TEI     [E,..] Ollama  {"embeddings":[E,..]} An E is an array of numbers or base64 (RFC
 * 4648, section 4) of little-endian 32-bit floats: servers answer with either, whatever they were
 * asked for. Tokens: OpenAI {"usage":{"prompt_tokens":N}}, of some servers total_tokens alone;
 * Ollama {"prompt_eval_count":N}; TEI says nothing.
 *
 * A reply is data of somebody else. cJSON makes a node of 64 bytes from as little as two bytes of
 * text, so what begins a value is counted before anything is parsed; every number is checked before
 * it is a float. Owns nothing. Threads: any.
 */
#include "embed/remote_reply.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum {
    NUMBER_BYTES = 32, /* "-0.0123456789012345678," and white space */
    ITEM_BYTES = 512,  /* what stands around one vector             */
    ITEM_NODES = 16,
    FRAME_BYTES = 65536, /* what stands around all of them: usage, model, timings */
    FRAME_NODES = 256,
    REFUSAL_BYTES = 8192, /* a longer one is not read for its reason */
    /* Read in any case, so that another dimension than expected is recognised as such: 64 vectors
     * of the largest. 8 MiB of text, 16 MiB of nodes. */
    NUMBERS_MIN = 64 * REMOTE_DIMENSION_MAX,
};

static const double LENGTH_MIN = 1e-6;
static const double TOKENS_MAX = 1 << 30; /* more than a request can hold: taken for a mistake */

static size_t numbers_max(size_t count, uint32_t dimension)
{
    size_t expected = count * dimension;
    return expected > NUMBERS_MIN ? expected : NUMBERS_MIN;
}

size_t remote_reply_max(size_t count, uint32_t dimension)
{
    return FRAME_BYTES + count * ITEM_BYTES + numbers_max(count, dimension) * NUMBER_BYTES;
}

/* Every value but the first follows one of these; those inside strings only make the check
 * stricter. */
static bool has_few_values(struct text reply, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < reply.length; i++)
        count += reply.bytes[i] == ',' || reply.bytes[i] == '[' || reply.bytes[i] == '{';
    return count <= max;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static cJSON *parse(struct text reply, size_t count, uint32_t dimension)
{
    size_t values_max = FRAME_NODES + count * ITEM_NODES + numbers_max(count, dimension);
    if (reply.length == 0 || !has_few_values(reply, values_max))
        return NULL;
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(reply.bytes, reply.length, &end, false);
    if (root == NULL)
        return NULL;
    while (end < reply.bytes + reply.length && is_space(*end))
        end++;
    if (end == reply.bytes + reply.length)
        return root;
    cJSON_Delete(root);
    return NULL;
}

/* ---- Which value is whose vector ---- */

/* The place that the item names, or its own; count if it names none that is possible. */
static size_t index_of(const cJSON *item, size_t place, size_t count)
{
    const cJSON *index = cJSON_GetObjectItemCaseSensitive(item, "index");
    if (index == NULL)
        return place;
    if (!cJSON_IsNumber(index) || !(index->valuedouble >= 0) ||
        !(index->valuedouble < (double)count) || floor(index->valuedouble) != index->valuedouble)
        return count;
    return (size_t)index->valuedouble;
}

/* Fills the places; false if not every one is filled exactly once. */
static bool place_items(const cJSON *list, bool are_objects, size_t count, const cJSON **places)
{
    if (!cJSON_IsArray(list))
        return false;
    size_t filled = 0;
    for (const cJSON *item = list->child; item != NULL; item = item->next, filled++) {
        if (filled == count)
            return false;
        size_t place = are_objects ? index_of(item, filled, count) : filled;
        if (place == count || places[place] != NULL)
            return false;
        places[place] = are_objects ? cJSON_GetObjectItemCaseSensitive(item, "embedding") : item;
        if (places[place] == NULL)
            return false;
    }
    return filled == count;
}

static bool place_all(enum remote_shape shape, const cJSON *root, size_t count,
                      const cJSON **places)
{
    switch (shape) {
    case REMOTE_OPENAI:
        return place_items(cJSON_GetObjectItemCaseSensitive(root, "data"), true, count, places);
    case REMOTE_TEI:
        return place_items(root, false, count, places);
    case REMOTE_OLLAMA:
        return place_items(cJSON_GetObjectItemCaseSensitive(root, "embeddings"), false, count,
                           places);
    }
    return false;
}

/* ---- One vector ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Letters without the padding; 0 if no number of floats fits. */
static size_t base64_letters(const char *text)
{
    size_t length = strlen(text), padding = 0;
    while (padding < 2 && padding < length && text[length - padding - 1] == '=')
        padding++;
    if (padding > 0 && length % 4 != 0)
        return 0;
    length -= padding;
    size_t bytes = length / 4 * 3 + length % 4 * 3 / 4;
    return length % 4 != 1 && bytes % sizeof(float) == 0 ? length : 0;
}

/* Numbers in it; 0: none, or it is no vector. */
static uint32_t dimension_of(const cJSON *value)
{
    size_t count = 0;
    if (cJSON_IsString(value))
        count = base64_letters(value->valuestring) * 3 / 4 / sizeof(float);
    else if (cJSON_IsArray(value))
        count = (size_t)cJSON_GetArraySize(value);
    return count <= REMOTE_DIMENSION_MAX ? (uint32_t)count : 0;
}

static enum status read_base64(const char *letters, size_t count, float *out)
{
    uint32_t gathered = 0, word = 0;
    unsigned bits = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        int value = base64_value(letters[i]);
        if (value < 0)
            return STATUS_BAD_JSON;
        gathered = gathered << 6 | (uint32_t)value;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        word |= (gathered >> bits & 0xff) << 8 * (bytes % 4); /* little-endian */
        if (++bytes % 4 == 0) {
            memcpy(out++, &word, sizeof(word));
            word = 0;
        }
    }
    return STATUS_OK;
}

static enum status read_numbers(const cJSON *array, float *out)
{
    for (const cJSON *number = array->child; number != NULL; number = number->next) {
        if (!cJSON_IsNumber(number))
            return cJSON_IsNull(number) ? STATUS_BAD_VECTOR : STATUS_BAD_JSON; /* null: a NaN */
        *out++ = (float)number->valuedouble;
    }
    return STATUS_OK;
}

static enum status to_unit(float *vector, uint32_t dimension)
{
    double squares = 0;
    for (uint32_t i = 0; i < dimension; i++)
        squares += (double)vector[i] * (double)vector[i];
    double length = sqrt(squares);
    if (!isfinite(length) || length < LENGTH_MIN)
        return STATUS_BAD_VECTOR;
    for (uint32_t i = 0; i < dimension; i++)
        vector[i] = (float)((double)vector[i] / length);
    return STATUS_OK;
}

static enum status read_vector(const cJSON *value, uint32_t dimension, float *out)
{
    enum status status =
        cJSON_IsString(value)
            ? read_base64(value->valuestring, base64_letters(value->valuestring), out)
            : read_numbers(value, out);
    return status == STATUS_OK ? to_unit(out, dimension) : status;
}

/* ---- What it has cost ---- */

static bool read_count(const cJSON *number, uint64_t *out_count)
{
    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 0) ||
        !(number->valuedouble <= TOKENS_MAX) || floor(number->valuedouble) != number->valuedouble)
        return false;
    *out_count = (uint64_t)number->valuedouble;
    return true;
}

static bool read_tokens(enum remote_shape shape, const cJSON *root, uint64_t *out_tokens)
{
    const cJSON *usage = NULL;
    switch (shape) {
    case REMOTE_OPENAI:
        usage = cJSON_GetObjectItemCaseSensitive(root, "usage");
        return read_count(cJSON_GetObjectItemCaseSensitive(usage, "prompt_tokens"), out_tokens) ||
               read_count(cJSON_GetObjectItemCaseSensitive(usage, "total_tokens"), out_tokens);
    case REMOTE_OLLAMA:
        return read_count(cJSON_GetObjectItemCaseSensitive(root, "prompt_eval_count"), out_tokens);
    case REMOTE_TEI:
        return false;
    }
    return false;
}

/* ---- All of them ---- */

static enum status check_dimensions(const cJSON *const *places, size_t count, uint32_t dimension,
                                    uint32_t *out_dimension)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t mine = dimension_of(places[i]);
        if (mine == 0)
            return STATUS_BAD_JSON;
        *out_dimension = mine;
        dimension = dimension != 0 ? dimension : mine;
        if (mine != dimension)
            return STATUS_EMBEDDER_MISMATCH;
    }
    return STATUS_OK;
}

static enum status read_all(const cJSON *const *places, size_t count, uint32_t dimension,
                            float **out_vectors)
{
    float *vectors = calloc(count * dimension, sizeof(float));
    if (vectors == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = read_vector(places[i], dimension, vectors + i * dimension);
    if (status == STATUS_OK)
        *out_vectors = vectors;
    else
        free(vectors);
    return status;
}

enum status remote_reply_read(enum remote_shape shape, struct text reply, size_t count,
                              uint32_t dimension, struct remote_reply *out_reply)
{
    assert(count > 0);
    assert(dimension <= REMOTE_DIMENSION_MAX);
    *out_reply = (struct remote_reply){.vectors = NULL};
    cJSON *root = parse(reply, count, dimension);
    if (root == NULL)
        return STATUS_BAD_JSON;
    out_reply->has_tokens = read_tokens(shape, root, &out_reply->tokens);
    const cJSON **places = calloc(count, sizeof(*places));
    enum status status = places != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK && !place_all(shape, root, count, places))
        status = STATUS_BAD_JSON;
    if (status == STATUS_OK)
        status = check_dimensions(places, count, dimension, &out_reply->dimension);
    if (status == STATUS_OK)
        status = read_all(places, count, out_reply->dimension, &out_reply->vectors);
    free(places);
    cJSON_Delete(root);
    return status;
}

/* ---- Why it refuses ---- */

/* As OpenAI, vLLM, Text Embeddings Inference and Ollama put it. */
static bool speaks_of_length(const char *said)
{
    static const char *const words[] = {"length", " tokens", "too long", "too large"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(said, words[i]) != NULL)
            return true;
    return false;
}

static bool blames_length(const cJSON *object)
{
    static const char *const names[] = {"error", "message", "code", "type", "error_type", "detail"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const cJSON *said = cJSON_GetObjectItemCaseSensitive(object, names[i]);
        if (cJSON_IsString(said) && speaks_of_length(said->valuestring))
            return true;
    }
    return false;
}

bool remote_reply_blames_length(struct text reply)
{
    char said[REFUSAL_BYTES + 1];
    if (reply.length > REFUSAL_BYTES || reply.length == 0)
        return false;
    memcpy(said, reply.bytes, reply.length);
    said[reply.length] = '\0';
    cJSON *root = cJSON_Parse(said);
    const bool is_length =
        root == NULL
            ? speaks_of_length(said)
            : blames_length(root) || blames_length(cJSON_GetObjectItemCaseSensitive(root, "error"));
    cJSON_Delete(root);
    return is_length;
}
