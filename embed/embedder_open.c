/*
 * embedder_open.c - the options of embed/, and from them a provider:
 *
 *   lexical  lexical.c       local   local.c      none  no embedder
 *   openai, tei, ollama      remote.c             auto  local if there is a model, else lexical
 *
 * `auto` looks for a manifest and for nothing else: where nobody has put a model it does without,
 * and says so; a model that is there and broken is an accident, and another space would hide it. So
 * that ends the start, as it does with `local`. Weights that appear later are another space, taken
 * at the next start and never before.
 *
 * Owns nothing. Threads: one, at start.
 * NOT HERE. What an embedder does (embedder.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "embed/embedder_inside.h"
#include "embed/lexical_engine.h"
#include "embed/model.h"

/* clang-format off */
const struct option_row embed_option_rows[] = {
    {"embed.provider", OPTION_CHOICE, "auto", NULL, NULL, "auto|lexical|local|openai|tei|ollama|none", "provider",
     "Who turns prompts into vectors; auto: local if embed.folder holds the model, else lexical; none: the clients."},
    {"embed.model", OPTION_STRING, "", NULL, NULL, NULL, "name",
     "A folder's name in embed.folder or a path (unset: minilm-l6), or what the remote embedder calls its model."},
    {"embed.folder", OPTION_STRING, "/var/lib/reprise/models", NULL, NULL, NULL, "path",
     "Where models lie, each in a folder with a manifest.json; make weights brings one."},
    {"embed.verify", OPTION_CHOICE, "always", NULL, NULL, "always|once", "when",
     "SHA-256 of the weights: at every start, or once until the file changes (a note is kept beside it)."},
    {"embed.precision", OPTION_CHOICE, "auto", NULL, NULL, "auto|fp32|int8", "precision",
     "Arithmetic of provider local; auto: int8 with AVX2, else fp32. Each is a space of its own."},
    {"embed.truncate", OPTION_CHOICE, "refuse", NULL, NULL, "refuse|head", "policy",
     "A text longer than the model: no vector and so the exact tier alone, or the vector of its beginning."},
    {"embed.special_in_text", OPTION_FLAG, "false", NULL, NULL, NULL, "flag",
     "Take [SEP] and its like in a prompt for what they are to the model, as the reference does; for tests."},
    {"embed.batch_tokens", OPTION_UINT, "512", "64", "8192", NULL, "tokens",
     "Tokens that are embedded together; a text waits for its neighbours, about 60 us a token."},
    {"embed.batch_max", OPTION_UINT, "32", "1", "1024", NULL, "texts",
     "Texts that are embedded together, or sent in one request."},
    {"embed.queue_max", OPTION_UINT, "1024", "1", "65536", NULL, "texts",
     "Texts that may wait for a vector; what comes then does without the semantic tier."},
    {"embed.recent", OPTION_UINT, "4096", "0", "1048576", NULL, "texts",
     "Texts whose vectors are remembered, so that a miss and the Set that follows embed once."},
    {"embed.url", OPTION_STRING, "", NULL, NULL, NULL, "url",
     "Where the remote embedder answers, such as http://127.0.0.1:8080."},
    {"embed.key_file", OPTION_STRING, "", NULL, NULL, NULL, "path",
     "File with the key that is sent to the remote embedder as a bearer token."},
    {"embed.timeout", OPTION_DURATION, "2s", "10ms", "60s", NULL, "time",
     "How long one request to the remote embedder may take."},
    {"embed.dimensions", OPTION_UINT, "", "1", "4096", NULL, "numbers",
     "Size of the remote embedder's vectors; unset: as it answers at start, so it must be there then."},
};
/* clang-format on */
const size_t embed_option_rows_count = sizeof(embed_option_rows) / sizeof(embed_option_rows[0]);

enum {
    KEY_BYTES_MAX = 4096,
    REMOTE_START_MS = 60 * 1000, /* Ollama loads its model at the first request */
    REMOTE_RETRIES = 2,
    REMOTE_FLIGHTS = 8,
    PATH_BYTES_MAX = 4096,
};
static const char MODEL_STANDARD[] = "minilm-l6";

/* ---- local ----------------------------------------------------------------------------------- */

/* What holds a slash is a path of its own. False: too long. */
static bool model_folder(const struct options *options, char out_path[PATH_BYTES_MAX])
{
    const char *model = options_text(options, "embed.model");
    if (model[0] == '\0')
        model = MODEL_STANDARD;
    const bool is_path = strchr(model, '/') != NULL;
    const char *folder = is_path ? "" : options_text(options, "embed.folder");
    return snprintf(out_path, PATH_BYTES_MAX, "%s%s%s", folder, is_path ? "" : "/", model) <
           PATH_BYTES_MAX;
}

static enum encoder_precision precision_of(const struct options *options)
{
    const char *word = options_text(options, "embed.precision");
    if (strcmp(word, "fp32") == 0)
        return ENCODER_FP32;
    return strcmp(word, "int8") == 0 ? ENCODER_INT8 : local_precision_here();
}

static enum status open_local(struct embedder *embedder, const struct options *options,
                              const char *folder, struct failure *failure)
{
    const struct local_settings settings = {
        .folder = folder,
        .verifies_once = strcmp(options_text(options, "embed.verify"), "once") == 0,
        .special_in_text = options_flag(options, "embed.special_in_text"),
        .takes_heads = strcmp(options_text(options, "embed.truncate"), "head") == 0,
        .precision = precision_of(options),
        .batch_tokens = (uint32_t)options_uint(options, "embed.batch_tokens"),
        .batch_max = (uint32_t)options_uint(options, "embed.batch_max"),
    };
    embedder->provider = "local";
    const enum status status = local_create(&settings, &embedder->local, failure);
    if (status == STATUS_OK)
        embedder->space = *local_space(embedder->local);
    return status;
}

static void open_lexical(struct embedder *embedder)
{
    embedder->provider = "lexical";
    embedder_lexical_space(&embedder->space);
}

static enum status open_local_or_lexical(struct embedder *embedder, const struct options *options,
                                         bool is_auto, struct failure *failure)
{
    char folder[PATH_BYTES_MAX];
    if (!model_folder(options, folder))
        return failure_set(failure, STATUS_BAD_OPTION, "embed.folder", "too long a path");
    if (!is_auto || model_is_there(folder))
        return open_local(embedder, options, folder, failure);
    log_write(LOG_WARNING, "embed",
              "no weights: lexical vectors, fewer semantic hits; run make weights", "folder=%s",
              folder);
    open_lexical(embedder);
    embedder->lacks_weights = true;
    return STATUS_OK;
}

/* ---- remote ---------------------------------------------------------------------------------- */

/* The first line of the file; the caller frees it. */
static enum status read_key(const char *path, char **out_key, struct failure *failure)
{
    char *key = calloc(1, KEY_BYTES_MAX + 1);
    if (key == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "embed.key_file", "no memory to read it");
    FILE *file = path[0] != '\0' ? fopen(path, "re") : NULL;
    size_t length = file != NULL ? fread(key, 1, KEY_BYTES_MAX, file) : 0;
    if (file != NULL)
        (void)fclose(file);
    key[length] = '\0';
    key[strcspn(key, "\r\n")] = '\0';
    if (path[0] != '\0' && key[0] == '\0') {
        free(key);
        return failure_set(failure, STATUS_BAD_OPTION, "embed.key_file",
                           "the file cannot be read or is empty");
    }
    *out_key = key;
    return STATUS_OK;
}

static enum remote_shape shape_of(const char *provider)
{
    if (strcmp(provider, "openai") == 0)
        return REMOTE_OPENAI;
    return strcmp(provider, "tei") == 0 ? REMOTE_TEI : REMOTE_OLLAMA;
}

/* Its weights are not ours to know: what it is called stands for them. */
static void remote_space(struct embedder *embedder, const char *model)
{
    struct space_name name;
    space_begin(&name);
    space_add_text(&name, text_of(embedder->provider));
    space_add_text(&name, text_of(model));
    space_add_text(&name, TEXT(""));
    space_add_number(&name, remote_dimension(embedder->remote));
    space_add_number(&name, 0);
    /* The scale of its vectors is not known either, so thresholds are those of a client's. */
    embed_client_space(text_of(model[0] != '\0' ? model : embedder->provider),
                       remote_dimension(embedder->remote), &embedder->space);
    embedder->space.id = space_end(&name);
    space_write(embedder->space.version, sizeof(embedder->space.version),
                text_of(embedder->provider));
}

static enum status make_remote(struct embedder *embedder, const struct embedder_setup *setup,
                               const char *key, struct failure *failure)
{
    const struct options *options = setup->options;
    const char *model = options_text(options, "embed.model");
    const struct remote_settings settings = {
        .shape = shape_of(embedder->provider),
        .url = text_of(options_text(options, "embed.url")),
        .model = text_of(model),
        .key = text_of(key),
        .dimensions = (uint32_t)options_uint(options, "embed.dimensions"),
        .timeout_ms = (uint32_t)(options_us(options, "embed.timeout") / 1000),
        .start_timeout_ms = REMOTE_START_MS,
        .retries_max = REMOTE_RETRIES,
        .batch_max = (uint32_t)options_uint(options, "embed.batch_max"),
        .queue_max = (uint32_t)options_uint(options, "embed.queue_max"),
        .flights_max = REMOTE_FLIGHTS,
        .chance_seed = setup->seed,
        .clock_us = setup->clock_us,
    };
    const struct outgoing_settings outgoing = {.transfers_max = REMOTE_FLIGHTS + 1, /* a canary */
                                               .clock_us = setup->clock_us};
    enum status status = outgoing_create(&outgoing, &embedder->outgoing);
    if (status == STATUS_OK)
        status = remote_create(&settings, embedder->outgoing, &embedder->remote, failure);
    if (status == STATUS_OK)
        remote_space(embedder, model);
    return status;
}

static enum status open_remote(struct embedder *embedder, const struct embedder_setup *setup,
                               const char *provider, struct failure *failure)
{
    const struct options *options = setup->options;
    embedder->provider = provider;
    if (setup->pool == NULL)
        return failure_set(failure, STATUS_UNIMPLEMENTED, "embed.provider",
                           "a remote embedder wants compute threads");
    if (options_text(options, "embed.url")[0] == '\0')
        return failure_set(failure, STATUS_BAD_OPTION, "embed.url", "%s needs one", provider);
    if (strcmp(provider, "tei") != 0 && options_text(options, "embed.model")[0] == '\0')
        return failure_set(failure, STATUS_BAD_OPTION, "embed.model", "%s needs one", provider);
    char *key = NULL;
    enum status status = read_key(options_text(options, "embed.key_file"), &key, failure);
    if (status == STATUS_OK)
        status = make_remote(embedder, setup, key, failure);
    free(key);
    return status;
}

/* ---- open ------------------------------------------------------------------------------------ */

static enum status open_provider(struct embedder *embedder, const struct embedder_setup *setup,
                                 struct failure *failure)
{
    static const char *const remotes[] = {"openai", "tei", "ollama"};
    const char *provider = options_text(setup->options, "embed.provider");
    for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++)
        if (strcmp(provider, remotes[i]) == 0)
            return open_remote(embedder, setup, remotes[i], failure);
    if (strcmp(provider, "lexical") != 0)
        return open_local_or_lexical(embedder, setup->options, strcmp(provider, "auto") == 0,
                                     failure);
    open_lexical(embedder);
    return STATUS_OK;
}

/* Lexical vectors are made faster than they are remembered. */
static enum status open_batch(struct embedder *embedder, const struct embedder_setup *setup)
{
    const struct options *options = setup->options;
    const uint32_t texts_max = (uint32_t)options_uint(options, "embed.batch_max");
    const bool is_lexical = embedder->local == NULL && embedder->remote == NULL;
    struct batch_engine engine = {.dimension = embedder->space.dimension};
    if (embedder->local != NULL)
        local_engine(embedder->local, &engine);
    else if (is_lexical)
        lexical_engine(texts_max, &engine);
    const struct batch_setup batch = {
        .engine = &engine,
        .pool = setup->pool,
        .clock_us = setup->clock_us,
        .pumps_max = pool_threads(setup->pool),
        .tokens_max = (uint32_t)options_uint(options, "embed.batch_tokens"),
        .texts_max = texts_max,
        .queue_max = (uint32_t)options_uint(options, "embed.queue_max"),
        .recent_max = is_lexical ? 0 : (uint32_t)options_uint(options, "embed.recent"),
        .seed = setup->seed,
    };
    return batch_create(&batch, &embedder->batch);
}

enum status embedder_open_lexical(struct embedder **out_embedder)
{
    struct embedder *embedder = calloc(1, sizeof(*embedder));
    if (embedder == NULL)
        return STATUS_NO_MEMORY;
    open_lexical(embedder);
    *out_embedder = embedder;
    return STATUS_OK;
}

enum status embedder_open(const struct embedder_setup *setup, struct embedder **out_embedder,
                          struct failure *failure)
{
    assert(setup->options != NULL);
    assert((setup->pool == NULL) == (setup->clock_us == NULL));
    if (strcmp(options_text(setup->options, "embed.provider"), "none") == 0) {
        *out_embedder = NULL;
        return STATUS_OK;
    }
    struct embedder *embedder = calloc(1, sizeof(*embedder));
    enum status status = STATUS_NO_MEMORY;
    if (embedder == NULL)
        return failure_set(failure, status, "", "no memory for an embedder");
    status = open_provider(embedder, setup, failure);
    if (status == STATUS_OK && setup->pool != NULL)
        status = open_batch(embedder, setup);
    if (status != STATUS_OK)
        goto destroy_embedder;
    *out_embedder = embedder;
    return STATUS_OK;

destroy_embedder:
    if (failure != NULL && failure->status == STATUS_OK)
        (void)failure_set(failure, status, "", "%s", status_text(status));
    embedder_destroy(&embedder);
    return status;
}
