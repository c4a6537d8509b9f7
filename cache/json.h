/*
 * json.h - JSON in its canonical form (RFC 8785), so that member order, spaces and spellings of
 * numbers make no difference to identity. Reading is cJSON's; what cJSON lets pass (leading zeros,
 * bare control characters) is refused before. Threads: any; what it makes lies in the caller's
 * arena.
 */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/text.h"

enum {
    JSON_DEPTH_MAX = 64, /* nested deeper: BAD_JSON */
    JSON_NUMBER_MAX =
        63, /* characters of a number; cJSON copies no more. Longer: no canonical form */
};

/*
 * STATUS_BAD_JSON, STATUS_NO_MEMORY. *out_has_form is false when the text is JSON but no canonical
 * form tells it from every other text: a repeated member name, a number of 2^53 or more
 * (neighbouring integers share a double), NUL inside a string. *out_text is empty then.
 */
enum status json_canonical(struct text json, struct arena *arena, struct text *out_text,
                           bool *out_has_form);

enum { JSON_NUMBER_TEXT = 32 };
/* As ECMAScript writes a finite number (ECMA-262, Number::toString); returns the length. */
size_t json_number(double value, char out_text[JSON_NUMBER_TEXT]);
