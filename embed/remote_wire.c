/*
 * remote_wire.c - the requests of three kinds of embedding servers, and their addresses.
 *   OpenAI  {"model":M,"input":[..],"encoding_format":"base64","dimensions":N}
 *           platform.openai.com/docs/api-reference/embeddings; vLLM, LiteLLM and many others answer
 * it TEI     {"inputs":[..],"normalize":true,"truncate":false}
 * huggingface.github.io/text-embeddings-inference Ollama
 * {"model":M,"input":[..],"truncate":false,"keep_alive":"2h"}    github.com/ollama/ollama
 * docs/api.md A text is never cut by the server where that can be asked for: two prompts that share
 * a beginning would get one vector. keep_alive is longer than the hour between two canaries, so a
 * model stays loaded through a quiet night.
 *
 * JSON is written by hand: cJSON's strings end at NUL and would have to be copied first.
 * Owns nothing. Threads: any.
 */
#include "embed/remote_wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { BODY_FIRST_BYTES = 4096 };

/* ---- The address ---- */

static const char *path_of(enum remote_shape shape)
{
    switch (shape) {
    case REMOTE_OPENAI:
        return "/v1/embeddings";
    case REMOTE_TEI:
        return "/embed";
    case REMOTE_OLLAMA:
        return "/api/embed";
    }
    assert(false);
    return "";
}

static bool has_prefix(struct text text, struct text prefix)
{
    return text.length >= prefix.length && memcmp(text.bytes, prefix.bytes, prefix.length) == 0;
}

static bool has_suffix(struct text text, const char *suffix, size_t length)
{
    return text.length >= length && memcmp(text.bytes + text.length - length, suffix, length) == 0;
}

/* Cuts the text after "//" into host and path; false if there is no host or what must not be there.
 */
static bool split_address(struct text base, struct text *out_path)
{
    size_t start = has_prefix(base, TEXT("http://"))    ? strlen("http://")
                   : has_prefix(base, TEXT("https://")) ? strlen("https://")
                                                        : 0;
    if (start == 0)
        return false;
    size_t end = start;
    while (end < base.length && base.bytes[end] != '/')
        end++;
    for (size_t i = start; i < base.length; i++) {
        unsigned char byte = (unsigned char)base.bytes[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '?' || byte == '#' || (byte == '@' && i < end))
            return false;
    }
    *out_path = (struct text){base.bytes + end, base.length - end};
    return end > start;
}

/* How much of the verb's path stands at the end of `path` already, whole segments only. */
static size_t overlap(struct text path, const char *verb)
{
    size_t length = strlen(verb);
    while (length > 0 && !has_suffix(path, verb, length)) {
        do
            length--;
        while (length > 0 && verb[length] != '/');
    }
    return length;
}

enum status remote_wire_url(enum remote_shape shape, struct text base, char out_url[REMOTE_URL_MAX],
                            struct failure *failure)
{
    struct text path;
    while (base.length > 0 && base.bytes[base.length - 1] == '/')
        base.length--;
    if (!split_address(base, &path))
        return failure_set(
            failure, STATUS_BAD_OPTION, "embed.url",
            "must be http://HOST or https://HOST, with a port and a path at most: no "
            "user, no query, no space");
    const char *verb = path_of(shape);
    size_t known = overlap(path, verb);
    if (base.length + strlen(verb) - known >= REMOTE_URL_MAX)
        return failure_set(failure, STATUS_BAD_OPTION, "embed.url", "longer than %d bytes",
                           REMOTE_URL_MAX - 1);
    int written =
        snprintf(out_url, REMOTE_URL_MAX, "%.*s%s", (int)base.length, base.bytes, verb + known);
    assert(written > 0);
    assert(written < REMOTE_URL_MAX);
    return STATUS_OK;
}

/* ---- The body ---- */

/* Once memory is spent, nothing more is written, and the end finds out. */
static void put(struct remote_body *body, bool *is_whole, const char *bytes, size_t length)
{
    size_t needed = body->length + length, room = body->room;
    while (room < needed)
        room = room == 0 ? BODY_FIRST_BYTES : 2 * room;
    if (room > body->room) {
        char *grown = *is_whole ? realloc(body->bytes, room) : NULL;
        *is_whole = grown != NULL;
        if (grown == NULL)
            return;
        body->bytes = grown;
        body->room = room;
    }
    memcpy(body->bytes + body->length, bytes, length);
    body->length += length;
}

static void put_word(struct remote_body *body, bool *is_whole, const char *word)
{
    put(body, is_whole, word, strlen(word));
}

static bool needs_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* RFC 8259, section 7: quote, backslash and control characters are escaped, all else stands. */
static void put_string(struct remote_body *body, bool *is_whole, struct text text)
{
    put_word(body, is_whole, "\"");
    for (size_t at = 0; at < text.length;) {
        size_t end = at;
        while (end < text.length && !needs_escape((unsigned char)text.bytes[end]))
            end++;
        if (end > at)
            put(body, is_whole, text.bytes + at, end - at);
        if (end < text.length) {
            char escaped[8];
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char)text.bytes[end++]);
            put_word(body, is_whole, escaped);
        }
        at = end;
    }
    put_word(body, is_whole, "\"");
}

static void put_texts(struct remote_body *body, bool *is_whole, const struct text *texts,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_word(body, is_whole, i == 0 ? "[" : ",");
        put_string(body, is_whole, texts[i]);
    }
    put_word(body, is_whole, "]");
}

static void put_ending(struct remote_body *body, bool *is_whole, const struct remote_form *form)
{
    char dimensions[32];
    switch (form->shape) {
    case REMOTE_OPENAI:
        if (!form->asks_floats)
            put_word(body, is_whole, ",\"encoding_format\":\"base64\"");
        (void)snprintf(dimensions, sizeof(dimensions), ",\"dimensions\":%u", form->dimensions);
        if (form->dimensions != 0)
            put_word(body, is_whole, dimensions);
        break;
    case REMOTE_TEI:
        put_word(body, is_whole, ",\"normalize\":true,\"truncate\":false");
        break;
    case REMOTE_OLLAMA:
        put_word(body, is_whole, ",\"truncate\":false,\"keep_alive\":\"2h\"");
        break;
    }
    put_word(body, is_whole, "}");
}

enum status remote_wire_write(const struct remote_form *form, const struct text *texts,
                              size_t count, struct remote_body *body)
{
    assert(count > 0);
    bool is_whole = true;
    body->length = 0;
    if (form->shape == REMOTE_TEI) {
        put_word(body, &is_whole, "{\"inputs\":");
    } else {
        put_word(body, &is_whole, "{\"model\":");
        put_string(body, &is_whole, text_of(form->model));
        put_word(body, &is_whole, ",\"input\":");
    }
    put_texts(body, &is_whole, texts, count);
    put_ending(body, &is_whole, form);
    return is_whole ? STATUS_OK : STATUS_NO_MEMORY;
}

void remote_body_clear(struct remote_body *body)
{
    free(body->bytes);
    *body = (struct remote_body){NULL, 0, 0};
}
