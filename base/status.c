/*
 * status.c - the texts behind the table of failures, and how a refused request is described.
 * Owns nothing. Threads: any.
 */
#include "base/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct status_row {
    const char *name, *text;
    int grpc_code;
};

static const struct status_row rows[] = {
#define STATUS_TEXT_ROW(name, code, text) {#name, text, code},
    STATUS_TABLE(STATUS_TEXT_ROW)
#undef STATUS_TEXT_ROW
};

static const struct status_row *row_of(enum status status)
{
    assert((size_t)status < sizeof(rows) / sizeof(rows[0]));
    return &rows[status];
}

const char *status_name(enum status status)
{
    return row_of(status)->name;
}

const char *status_text(enum status status)
{
    return row_of(status)->text;
}

int status_grpc_code(enum status status)
{
    return row_of(status)->grpc_code;
}

enum status failure_set(struct failure *failure, enum status status, const char *field,
                        const char *format, ...)
{
    assert(status != STATUS_OK);
    if (failure == NULL)
        return status;
    failure->status = status;
    (void)snprintf(failure->field, sizeof(failure->field), "%s", field);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(failure->message, sizeof(failure->message), format, arguments);
    va_end(arguments);
    return status;
}

void failure_prefix(struct failure *failure, const char *prefix)
{
    if (failure == NULL || failure->status == STATUS_OK)
        return;
    char inner[FAILURE_FIELD_MAX];
    memcpy(inner, failure->field, sizeof(inner));
    /* An over-long path loses its end, never its beginning. */
    int written = snprintf(failure->field, sizeof(failure->field), "%s%s%s", prefix,
                           inner[0] != '\0' ? "." : "", inner);
    assert(written >= 0);
}
