/*
 * codec_internal.h - what the codec's own rooms share: reading and writing wire bytes
 * (codec_wire.c), the check (codec_check.c) and unpacking into an arena (codec_unpack.c). Nobody
 * else includes it: here the generated C of proto/ and protobuf-c begin and end. Threads: any; all
 * of it works on the caller's memory.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "reprise/v1/admin.pb-c.h"
#include "reprise/v1/cache.pb-c.h"
#include "reprise/v1/feedback.pb-c.h"

#include "server/codec.h"

enum {
    CODEC_DEPTH_MAX = 16,   /* messages inside messages                                         */
    CODEC_UNKNOWN_MAX = 64, /* unknown fields in one request; protobuf-c keeps each of them      */
    CODEC_AGAIN_MAX = 64,   /* fields that stand once and come again: each costs an allocation   */
    CODEC_SCOPE_ATTRIBUTES_MAX = 64, /* of a PolicyScope in a request                             */
    CODEC_CHOICES_MAX = 16, /* elements of `tiers`, of `include` and of `fields`                 */
    CODEC_DEPENDS_MAX = 64, /* elements of `depends_on`                                          */
    CODEC_BORROW_BYTES =
        4096,                /* answers above are never copied: borrowed when read, when written  */
    CODEC_HASH_MAX = 128,    /* bytes of ReportRequest.reporter and .feedback_id                  */
    CODEC_SERVICE_MAX = 200, /* bytes of HealthCheckRequest.service                               */
    CODEC_SYMBOL_MAX = 1024, /* bytes of a name or a host in a reflection request                 */
};

/* ---- Wire bytes, read ------------------------------------------------------- */

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    const uint8_t *start, *payload; /* the tag; what follows the tag (and the length)            */
    size_t length;                  /* bytes of the payload                                      */
};

/* Reads the field at *at and moves behind it; *at < end. False, and nothing written: broken bytes,
 * a group. */
bool wire_next(const uint8_t **at, const uint8_t *end, struct wire_field *out_field);
/* How many varints the bytes hold, end to end; false when they do not end with one. */
bool wire_count_varints(const uint8_t *bytes, size_t length, size_t *out_count);

/* ---- Wire bytes, written ---------------------------------------------------- */

/* Grows in the arena. When memory is spent it writes nothing more, and wire_done says so. */
struct wire {
    struct arena *arena;
    uint8_t *bytes;
    size_t length, capacity;
    bool spent;
};

void wire_init(struct wire *wire, struct arena *arena, size_t capacity);
/* STATUS_NO_MEMORY if any write found no room. */
enum status wire_done(const struct wire *wire, struct text *out_bytes);

/* As in proto3, a value of 0 and an empty text are not written; wire_message is written even when
 * empty. */
void wire_uint(struct wire *wire, uint32_t number,
               uint64_t value); /* bool, enum, all integers but sint */
void wire_float(struct wire *wire, uint32_t number, float value);
void wire_text(struct wire *wire, uint32_t number, struct text text); /* string and bytes */
void wire_message(struct wire *wire, uint32_t number, const struct wire *message);
/*
 * A message inside, written in place: what is written between begin and end are its fields. Its
 * length stands before it and is not known yet; `expected` says about how long it will be, and a
 * length that takes more or fewer bytes than that one's moves the fields at the end.
 */
struct wire_inner {
    size_t begin, length_bytes;
};
struct wire_inner wire_begin(struct wire *wire, uint32_t number, size_t expected);
void wire_end(struct wire *wire, struct wire_inner inner);
/* The tag and length of a field whose payload follows. */
void wire_open(struct wire *wire, uint32_t number, size_t length);
void wire_raw(struct wire *wire,
              struct text bytes); /* bytes that are fields already, or a payload */
/* Bytes of a length-delimited field of a number below 16: tag, length, payload. */
size_t wire_size(size_t length);

/* Fills the failure with, and returns, STATUS_NO_MEMORY. */
enum status codec_spent(struct failure *failure);

/* ---- Check and unpack ------------------------------------------------------- */

const ProtobufCMessageDescriptor *codec_descriptor(enum codec_message type);

/* codec_check for any descriptor. */
enum status codec_check_as(const ProtobufCMessageDescriptor *descriptor, struct text bytes,
                           const struct codec_limits *limits, struct failure *failure);

/* Unpacks checked bytes into the arena; never for free_unpacked. BAD_MESSAGE, NO_MEMORY. */
enum status codec_unpack_as(const ProtobufCMessageDescriptor *descriptor, struct text bytes,
                            struct arena *arena, ProtobufCMessage **out_message,
                            struct failure *failure);
/* Checks, then unpacks. */
enum status codec_unpack(enum codec_message type, struct text bytes,
                         const struct codec_limits *limits, struct arena *arena,
                         ProtobufCMessage **out_message, struct failure *failure);
/* STATUS_NO_MEMORY. */
enum status codec_pack(const ProtobufCMessage *message, struct arena *arena,
                       struct text *out_bytes);
/* A copy with NUL behind it, as protobuf-c wants its strings; NULL when memory is spent. */
char *codec_string(struct text text, struct arena *arena);
/* NULL when memory is spent. */
struct text *codec_texts(char *const *strings, size_t count, struct arena *arena);

/* A Get of nothing but an identity of texts, each once: read, and true. False: codec_general_get
 * has to look. */
bool codec_plain_get(struct text bytes, struct cache_get_request *out);
/* What codec_read_get does for every other Get; the result is the same for a plain one. */
enum status codec_general_get(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_get_request *out,
                              struct failure *failure);

/* A policy as a message, both ways; a NULL message wants nothing. `field` names it in a failure.
 * codec_policy.c. */
enum status codec_policy(const Reprise__V1__Policy *message, const char *field,
                         struct policy_wishes *out, struct failure *failure);
enum status codec_fill_policy(const struct policy_wishes *wishes, struct arena *arena,
                              Reprise__V1__Policy **out);

/* A NULL message is the namespace `default`; codec_policies.c. */
enum status codec_policy_scope(const Reprise__V1__PolicyScope *message, struct arena *arena,
                               struct cache_policy_scope *out, struct failure *failure);

/* What Stats says of one scope; codec_stats.c. NULL when memory is spent. */
Reprise__V1__ScopePolicy *codec_scope_policy(const struct cache_scope_stats *from,
                                             struct arena *arena);
/* Its name, threshold and size; codec_stats.c. */
enum status codec_embedder(const struct embed_space *space, struct arena *arena,
                           Reprise__V1__EmbedderInfo *message);
/* An unpacked Get, alone or in another message. */
enum status codec_get_message(const Reprise__V1__GetRequest *message, struct arena *arena,
                              struct cache_get_request *out, struct failure *failure);
/* The fields of a Get's reply but for its text; a blob is copied. */
void codec_write_get_head(struct wire *wire, const struct cache_get *get, int64_t now_ms);

/* The parts that several requests share. */
enum status codec_identity(const Reprise__V1__Identity *message, struct arena *arena,
                           struct identity *out, struct failure *failure);
enum status codec_attributes(Reprise__V1__Attribute *const *messages, size_t count,
                             struct arena *arena, const struct key_attribute **out);

void codec_control(const Reprise__V1__CacheControl *message, struct cache_control *out);
/* Entry ids from hex; BAD_ID names entry_ids[i]. */
enum status codec_ids(char *const *hex, size_t count, struct arena *arena,
                      const struct digest **out_ids, struct failure *failure);
/* A Get's lease; codec_leases.c. */
enum status codec_lease_request(const Reprise__V1__LeaseRequest *message,
                                struct cache_get_request *out, struct failure *failure);
/* GetResponse.lease as the field `number`. */
void codec_write_lease(struct wire *wire, uint32_t number, const struct cache_lease *lease);
enum status codec_vector(const Reprise__V1__Vector *message, struct arena *arena,
                         const float **out_floats, uint32_t *out_dimension,
                         struct failure *failure);
/* Ids as names, versions as values. STATUS_NO_MEMORY. */
enum status codec_dependencies(Reprise__V1__Dependency *const *messages, size_t count,
                               struct arena *arena, const struct key_attribute **out);
/* Bits of enum cache_include. */
enum status codec_include(const Reprise__V1__Include *parts, size_t count, unsigned *out_include,
                          struct failure *failure);

enum status codec_selector(const Reprise__V1__Selector *message, struct arena *arena,
                           struct cache_selector *out, struct failure *failure);

/* ---- Replies ---------------------------------------------------------------- */

struct codec_candidate {
    const struct digest *id;
    float similarity;
    unsigned guards;
    struct text prompt;
    bool other_compatibility;
    const struct entry *answer; /* NULL: without its answer */
};
void codec_put_candidate(struct wire *wire, uint32_t number,
                         const struct codec_candidate *candidate);
/* A Get's whole reply as a message inside; a long answer is copied. */
void codec_put_get(struct wire *wire, uint32_t number, const struct cache_get *get, int64_t now_ms);

/* The sentence of a failure: "<field>: <message>". */
enum { CODEC_SENTENCE_MAX = FAILURE_FIELD_MAX + FAILURE_MESSAGE_MAX + 2 };
void codec_sentence(const struct failure *failure, char out[CODEC_SENTENCE_MAX]);
/* A reply that is one packed message. */
enum status codec_reply_pack(const ProtobufCMessage *message, struct arena *arena,
                             struct codec_reply *out);
/* STATUS_REPLY_TOO_LARGE when the reply is over server.reply_max. */
enum status codec_reply_fits(const struct codec_reply *reply, const struct codec_limits *limits,
                             struct failure *failure);
