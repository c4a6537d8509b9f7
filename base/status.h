/*
 * status.h - one table of failures, with their gRPC codes and the reasons that clients see.
 * A miss is an outcome and not in here. Threads: any; all of it is constant.
 */
#pragma once
#include <stddef.h>

/* clang-format off */
/*    name                gRPC  text for logs and RPC details                                      */
#define STATUS_TABLE(X)                                                                            \
    X(OK,                   0, "ok")                                                               \
    X(CANCELLED,            1, "the caller has gone away")                                         \
    X(BAD_MESSAGE,          3, "the bytes are not a message of this type")                         \
    X(BAD_TEXT,             3, "a string is not valid UTF-8 or holds NUL")                         \
    X(BAD_ID,               3, "an id is not 64 lowercase hex digits")                             \
    X(BAD_JSON,             3, "a JSON field cannot be read")                                      \
    X(BAD_VECTOR,           3, "a vector is zero, infinite or not a number")                       \
    X(DIM_MISMATCH,         3, "the vector has another dimension than its scope")                  \
    X(EMPTY_PROMPT,         3, "there is no prompt and no message")                                \
    X(BAD_THRESHOLD,        3, "a threshold is not between 0 and 1")                               \
    X(BAD_NAME,             3, "a name is missing, too long or repeated")                          \
    X(AMBIGUOUS_INPUT,      3, "two fields exclude each other")                                    \
    X(SCOPE_TOO_LONG,       3, "the scope's encoding is over 4 KiB")                               \
    X(ENTRY_TOO_LARGE,      3, "the entry is larger than one entry may be")                        \
    X(TEXT_TOO_LONG,        3, "the embedder refuses the text, most often for its length")         \
    X(LIMIT_EXCEEDED,       3, "a value or a count is outside its limits")                         \
    X(DEADLINE,             4, "the deadline has passed")                                          \
    X(NOT_FOUND,            5, "there is no such thing")                                           \
    X(ALREADY_EXISTS,       6, "there is one of that name already")                                \
    X(ENTRY_EXISTS,         6, "there is such an entry already")                                   \
    X(NO_MEMORY,            8, "memory, or its budget, is spent")                                  \
    X(OVERLOADED,           8, "too much is waiting; come back a little later")                    \
    X(REPLY_TOO_LARGE,      8, "the reply would be over server.reply_max")                         \
    X(MODEL_UNSUPPORTED,    9, "the model's files ask for something that is not built in")          \
    X(EMBEDDER_MISMATCH,    9, "the embedder answers with another dimension than its space has")   \
    X(NAMESPACE_UNKNOWN,    9, "there is no such namespace, and cache.strict_namespaces is set")   \
    X(VERSION_MISMATCH,     9, "it has changed since that version")                                \
    X(UNCONFIRMED,          9, "a whole namespace needs confirm = its name")                       \
    X(LEASE_LOST,          10, "the lease has been lost, and another answer is there")             \
    X(UNIMPLEMENTED,       12, "there is no such method")                                          \
    X(INTERNAL,            13, "a fault of ours")                                                  \
    X(UNAVAILABLE,         14, "not reachable")                                                    \
    X(EMBEDDER_DOWN,       14, "the embedder cannot be reached or does not answer as it should")   \
    X(DRAINING,            14, "shutting down; retry elsewhere")                                   \
    X(UNSUPPORTED,         14, "this machine or its sandbox does not allow it")                    \
    X(BAD_OPTION,           3, "an option is unknown or outside its range")                        \
    X(WEIGHTS_MISSING,     14, "a file of the embedding model is not there")                       \
    X(WEIGHTS_CORRUPT,     13, "a file of the embedding model is not what it should be")           \
    X(LOADING,             14, "the data folder is still being read; retry a little later")         \
    X(STORAGE_DEGRADED,    14, "applied in memory; the disk has failed and cannot confirm it")      \
    X(NO_JOURNAL,           9, "an ack of the disk needs storage.path")                             \
    X(CORRUPT,             15, "bytes on disk are damaged")                                         \
    X(IO_FAILED,           14, "an input or output operation failed")
/* clang-format on */

enum status {
#define STATUS_ROW(name, code, text) STATUS_##name,
    STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};

const char *status_name(enum status status); /* "BAD_TEXT": the reason clients see */
const char *status_text(enum status status);
int status_grpc_code(enum status status);

enum { FAILURE_FIELD_MAX = 96, FAILURE_MESSAGE_MAX = 192 };

/* A refused request: which field, and what its limit is. Never holds text of a prompt. */
struct failure {
    enum status status;
    char field[FAILURE_FIELD_MAX]; /* "identity.messages[3].content"; "" if no field is to blame */
    char message[FAILURE_MESSAGE_MAX]; /* a sentence with the limit */
};

/* Fills the failure (NULL is fine) and returns the status, so that it can stand behind `return`. */
enum status failure_set(struct failure *failure, enum status status, const char *field,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts "prefix" and a dot before the field, for a message inside a message. */
void failure_prefix(struct failure *failure, const char *prefix);
