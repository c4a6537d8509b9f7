/*
 * verbs_offline.c - key and encode: the identity of a question, computed here as the server
 * computes it. Owns nothing beyond a verb. Threads: the main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "cache/key.h"
#include "clients/cli/ask.h"
#include "clients/cli/json.h"
#include "clients/cli/print.h"
#include "clients/cli/verbs.h"

/* The flags' identity as cache/ wants it. Attributes lie in the arena; false when memory is spent.
 */
static bool identity_of(const struct reprise_identity *asked, struct arena *arena,
                        struct identity *out_identity)
{
    size_t count = asked->attributes_count;
    struct key_attribute *attributes = arena_calloc(arena, count, sizeof(*attributes));
    if (attributes == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        attributes[i] = (struct key_attribute){.name = text_of(asked->attributes[i].name),
                                               .value = text_of(asked->attributes[i].value)};
    *out_identity = (struct identity){
        .tenant = TEXT("default"), /* whoever calls without authentication */
        .namespace_ = text_of(asked->namespace_),
        .model = text_of(asked->model),
        .prompt = text_of(asked->prompt),
        .system_prompt = text_of(asked->system_prompt),
        .embedder = text_of(asked->embedder),
        .params = {.temperature_given = asked->params.temperature_given,
                   .temperature = asked->params.temperature},
        .attributes = attributes,
        .attributes_count = count,
    };
    return true;
}

/* The server's wire check refuses such texts before it makes a key. */
static bool is_clean(const struct identity *identity)
{
    const struct text texts[] = {identity->namespace_, identity->model, identity->prompt,
                                 identity->system_prompt, identity->embedder};
    bool clean = true;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        clean = clean && text_is_clean(texts[i].bytes, texts[i].length);
    for (size_t i = 0; i < identity->attributes_count; i++) {
        const struct key_attribute *attribute = &identity->attributes[i];
        clean = clean && text_is_clean(attribute->name.bytes, attribute->name.length) &&
                text_is_clean(attribute->value.bytes, attribute->value.length);
    }
    return clean;
}

static enum verb_exit refused(const struct cli *cli, enum status status, struct failure *failure)
{
    if (failure->status == STATUS_OK) /* out of memory has no words of its own */
        (void)failure_set(failure, status, "", "%s", status_text(status));
    return verb_fail(cli, "%s%s%s%s: %s", status_name(failure->status),
                     failure->field[0] != '\0' ? " (" : "", failure->field,
                     failure->field[0] != '\0' ? ")" : "", failure->message);
}

static void print_key(const struct cli *cli, const struct key *key)
{
    char scope[DIGEST_HEX + 1], compatibility[DIGEST_HEX + 1], exact[DIGEST_HEX + 1];
    digest_to_hex(&key->scope, scope);
    digest_to_hex(&key->compatibility, compatibility);
    digest_to_hex(&key->exact, exact);
    if (!cli->json) {
        (void)fprintf(cli->out, "%-*s%s\n%-*s%s\n%-*s%s\n%-*s%s\n", PRINT_LABEL, "scope", scope,
                      PRINT_LABEL, "compat", compatibility, PRINT_LABEL, "exact", exact,
                      PRINT_LABEL, "tiers", key->semantic ? "exact, semantic" : "exact");
        return;
    }
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "scope", scope);
    (void)cJSON_AddStringToObject(tree, "compat", compatibility);
    (void)cJSON_AddStringToObject(tree, "exact", exact);
    (void)cJSON_AddBoolToObject(tree, "semantic", key->semantic);
    (void)json_print(tree, false, cli->out);
}

static enum verb_exit write_frame(const struct cli *cli, const char *path, const struct ask *ask)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (!reprise_get_request_pack(&ask->get, &bytes, &size))
        return verb_fail(cli, "out of memory");
    FILE *file = fopen(path, "wb");
    bool written = file != NULL && fwrite(bytes, 1, size, file) == size;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    free(bytes);
    if (!written)
        return verb_fail(cli, "%s cannot be written", path);
    (void)fprintf(cli->out, "%-*s%s, %zu bytes: the body of one reprise.v1.Cache/Get\n",
                  PRINT_LABEL, "written", path, size);
    return VERB_DONE;
}

static enum verb_exit print_canonical(const struct cli *cli, const struct arguments *arguments,
                                      const struct text *bytes)
{
    if (arguments_has(arguments, "raw")) {
        (void)fwrite(bytes->bytes, 1, bytes->length, cli->out);
        return VERB_DONE;
    }
    for (size_t i = 0; i < bytes->length; i++)
        (void)fprintf(cli->out, "%02x", (unsigned char)bytes->bytes[i]);
    (void)fputc('\n', cli->out);
    return VERB_DONE;
}

/* What both verbs begin with. On VERB_DONE the caller destroys the arena and deinits the ask. */
static enum verb_exit begin(const struct cli *cli, const struct arguments *arguments,
                            const char *verb, struct ask *ask, struct arena **out_arena,
                            struct identity *out_identity)
{
    enum verb_exit exit_code = ask_read(cli, arguments, ask);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct arena *arena = NULL;
    if (ask->get.identity.model == NULL)
        exit_code = verb_usage(cli, "%s needs --model NAME; see reprise help %s", verb, verb);
    else if (arena_create(&arena) != STATUS_OK ||
             !identity_of(&ask->get.identity, arena, out_identity))
        exit_code = verb_fail(cli, "out of memory");
    else if (!is_clean(out_identity))
        exit_code = verb_fail(cli, "BAD_TEXT: what was typed is not valid UTF-8");
    if (exit_code == VERB_DONE) {
        *out_arena = arena;
        return VERB_DONE;
    }
    arena_destroy(&arena);
    ask_deinit(ask);
    return exit_code;
}

enum verb_exit verb_key(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    struct arena *arena = NULL;
    struct identity identity;
    enum verb_exit exit_code = begin(cli, arguments, "key", &ask, &arena, &identity);
    if (exit_code != VERB_DONE)
        return exit_code;
    struct key key;
    struct failure failure = {.status = STATUS_OK};
    enum status status = key_make(&identity, &key_limits_standard, arena, &key, &failure);
    if (status == STATUS_OK)
        print_key(cli, &key);
    else
        exit_code = refused(cli, status, &failure);
    arena_destroy(&arena);
    ask_deinit(&ask);
    return exit_code;
}

enum verb_exit verb_encode(const struct cli *cli, const struct arguments *arguments)
{
    struct ask ask;
    struct arena *arena = NULL;
    struct identity identity;
    enum verb_exit exit_code = begin(cli, arguments, "encode", &ask, &arena, &identity);
    if (exit_code != VERB_DONE)
        return exit_code;
    const char *frame = arguments_text(arguments, "grpc-frame");
    struct text bytes;
    struct failure failure = {.status = STATUS_OK};
    enum status status = key_canonical(&identity, &key_limits_standard, arena, &bytes, &failure);
    if (status != STATUS_OK)
        exit_code = refused(cli, status, &failure);
    else if (frame != NULL)
        exit_code = write_frame(cli, frame, &ask);
    else
        exit_code = print_canonical(cli, arguments, &bytes);
    arena_destroy(&arena);
    ask_deinit(&ask);
    return exit_code;
}
