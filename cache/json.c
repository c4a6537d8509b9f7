/*
 * json.c - RFC 8785, in two passes: a strict scan over the bytes, then cJSON's tree written in
 * canonical order. The scan exists because cJSON is lenient where identity must not be: it reads
 * "01" and "1.", takes raw control characters, loses what follows NUL in a string, and cuts numbers
 * at 63 characters. The scan also counts what can grow, so that the output needs one allocation.
 * Owns nothing. Threads: any. cJSON notes the last error's place in a global that nobody here
 * reads. NOT HERE: Unicode normalisation. RFC 8785 leaves strings as they are (section 3.2.2.2),
 * and so do we.
 */
#include "cache/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum {
    NUMBER_GROWS = 25
}; /* "-0.0000012345678901234567" is the longest that an exponent can become */

struct scan {
    const char *bytes;
    size_t length, at;
    size_t depth;
    size_t exponents; /* numbers that may become longer than they were */
    bool has_form;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char scan_peek(const struct scan *scan)
{
    return scan->at < scan->length ? scan->bytes[scan->at] : '\0';
}

static size_t scan_digits(struct scan *scan)
{
    size_t start = scan->at;
    while (is_digit(scan_peek(scan)))
        scan->at++;
    return scan->at - start;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool scan_number(struct scan *scan)
{
    size_t start = scan->at;
    if (scan_peek(scan) == '-')
        scan->at++;
    bool zero = scan_peek(scan) == '0';
    size_t whole = scan_digits(scan);
    if (whole == 0 || (zero && whole > 1))
        return false;
    if (scan_peek(scan) == '.') {
        scan->at++;
        if (scan_digits(scan) == 0)
            return false;
    }
    if (scan_peek(scan) == 'e' || scan_peek(scan) == 'E') {
        scan->at++;
        if (scan_peek(scan) == '+' || scan_peek(scan) == '-')
            scan->at++;
        if (scan_digits(scan) == 0)
            return false;
        scan->exponents++;
    }
    if (scan->at - start > JSON_NUMBER_MAX)
        scan->has_form = false;
    return true;
}

/* From behind the opening quote to behind the closing one. */
static bool scan_string(struct scan *scan)
{
    while (scan->at < scan->length) {
        char c = scan->bytes[scan->at++];
        if (c == '"')
            return true;
        if ((unsigned char)c < 0x20)
            return false;
        if (c != '\\')
            continue;
        if (scan->length - scan->at >= 5 && memcmp(scan->bytes + scan->at, "u0000", 5) == 0)
            scan->has_form = false; /* cJSON's strings end at NUL */
        scan->at++;
    }
    return false;
}

static bool scan_text(struct scan *scan)
{
    while (scan->at < scan->length) {
        char c = scan->bytes[scan->at];
        if (c == '-' || is_digit(c)) {
            if (!scan_number(scan))
                return false;
            continue;
        }
        scan->at++;
        if (c == '"') {
            if (!scan_string(scan))
                return false;
        } else if (c == '{' || c == '[') {
            if (++scan->depth > JSON_DEPTH_MAX)
                return false;
        } else if (c == '}' || c == ']') {
            if (scan->depth-- == 0)
                return false;
        } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != ',' && c != ':' &&
                   !(c >= 'a' && c <= 'z')) {
            return false;
        }
    }
    return scan->depth == 0;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Decimal digits of |value| without trailing zeros, and the power of ten behind the point before
 * them: value = 0.DIGITS * 10^point. */
struct decimal {
    char digits[20];
    int count, point;
};

static double decimal_value(const struct decimal *decimal)
{
    char text[40];
    (void)snprintf(text, sizeof(text), "0.%se%d", decimal->digits, decimal->point);
    return strtod(text, NULL);
}

static void decimal_round(double value, int count, struct decimal *out_decimal)
{
    assert(value > 0);
    assert(count >= 1);
    assert(count <= 17);
    char text[40]; /* d.ddde+xx */
    (void)snprintf(text, sizeof(text), "%.*e", count - 1, value);
    out_decimal->count = count;
    out_decimal->digits[0] = text[0];
    for (int i = 1; i < count; i++)
        out_decimal->digits[i] = text[i + 1];
    out_decimal->digits[count] = '\0';
    const char *exponent = strchr(text, 'e');
    assert(exponent != NULL);
    out_decimal->point = (int)strtol(exponent + 1, NULL, 10) + 1;
}

/* One unit up in the last place. */
static void decimal_up(struct decimal *decimal)
{
    assert(decimal->count > 0);
    int i = decimal->count - 1;
    while (i >= 0 && decimal->digits[i] == '9')
        decimal->digits[i--] = '0';
    if (i >= 0) {
        decimal->digits[i]++;
        return;
    }
    decimal->digits[0] = '1'; /* 99 became 100: the zeros fall off later */
    decimal->point++;
}

/*
 * The fewest digits that read back as `value`. Below a power of two the neighbours lie half as far
 * as above it, so there the nearest decimal may read back as the neighbour below while the next one
 * up is right (2^-44).
 */
static void decimal_shortest(double value, struct decimal *out_decimal)
{
    for (int count = 1; count <= 17; count++) {
        decimal_round(value, count, out_decimal);
        if (decimal_value(out_decimal) == value)
            break;
        decimal_up(out_decimal);
        if (decimal_value(out_decimal) == value)
            break;
    }
    assert(decimal_value(out_decimal) == value); /* 17 digits always do */
    while (out_decimal->count > 1 && out_decimal->digits[out_decimal->count - 1] == '0')
        out_decimal->digits[--out_decimal->count] = '\0';
}

size_t json_number(double value, char out_text[JSON_NUMBER_TEXT])
{
    assert(isfinite(value));
    const char *sign = value < 0 ? "-" : "";
    if (value == 0) {
        memcpy(out_text, "0", 2);
        return 1;
    }
    struct decimal d;
    decimal_shortest(fabs(value), &d);
    int length = 0;
    if (d.point > 0 && d.point <= 21 && d.count <= d.point) {
        length = snprintf(out_text, JSON_NUMBER_TEXT, "%s%s%.*s", sign, d.digits, d.point - d.count,
                          "00000000000000000000");
    } else if (d.point > 0 && d.point <= 21) {
        length = snprintf(out_text, JSON_NUMBER_TEXT, "%s%.*s.%s", sign, d.point, d.digits,
                          d.digits + d.point);
    } else if (d.point > -6 && d.point <= 0) {
        length =
            snprintf(out_text, JSON_NUMBER_TEXT, "%s0.%.*s%s", sign, -d.point, "000000", d.digits);
    } else {
        length = snprintf(out_text, JSON_NUMBER_TEXT, "%s%c%s%se%+d", sign, d.digits[0],
                          d.count > 1 ? "." : "", d.digits + 1, d.point - 1);
    }
    assert(length > 0);
    assert(length < JSON_NUMBER_TEXT);
    return (size_t)length;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct output {
    char *bytes;
    size_t used, capacity;
    struct arena *arena;
    bool has_form;
};

static void output_add(struct output *output, const char *bytes, size_t length)
{
    assert(length <= output->capacity - output->used); /* the scan has counted */
    memcpy(output->bytes + output->used, bytes, length);
    output->used += length;
}

static void output_escape(struct output *output, unsigned char c)
{
    static const char short_form[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char text[8] = {'\\', (char)c, '\0'};
    if (c < 0x20 && short_form[c] != '\0')
        text[1] = short_form[c];
    else if (c < 0x20)
        (void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)c);
    output_add(output, text, strlen(text));
}

static void output_string(struct output *output, const char *string)
{
    output_add(output, "\"", 1);
    assert(string != NULL);
    const char *start = string;
    for (const char *at = string;; at++) {
        unsigned char c = (unsigned char)*at;
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        output_add(output, start, (size_t)(at - start));
        start = at + 1;
        if (c == '\0')
            break;
        output_escape(output, c);
    }
    output_add(output, "\"", 1);
}

static void output_number(struct output *output, double value)
{
    if (!(fabs(value) < 9007199254740992.0)) {
        output->has_form = false;
        return;
    }
    char text[JSON_NUMBER_TEXT];
    output_add(output, text, json_number(value, text));
}

/* UTF-16 code units (RFC 8785, section 3.2.3): as bytes, but U+E000..U+FFFF come after the
 * surrogates of what lies beyond U+FFFF. Only lead bytes are 0xEE or more. */
static int name_order(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    unsigned char x = (unsigned char)*a;
    unsigned char y = (unsigned char)*b;
    if (x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0))
        return x >= 0xF0 ? -1 : 1;
    return (x > y) - (x < y);
}

static int member_order(const void *a, const void *b)
{
    const cJSON *const *x = a;
    const cJSON *const *y = b;
    return name_order((*x)->string, (*y)->string);
}

/* The members in canonical order; NULL when memory is spent. */
static const cJSON **members_sorted(struct output *output, const cJSON *object, size_t count)
{
    const cJSON **members = arena_calloc(output->arena, count + 1, sizeof(const cJSON *));
    if (members == NULL)
        return NULL;
    size_t i = 0;
    for (const cJSON *child = object->child; child != NULL; child = child->next)
        members[i++] = child;
    assert(i == count);
    qsort(members, count, sizeof(members[0]), member_order);
    for (i = 1; i < count; i++) {
        if (name_order(members[i - 1]->string, members[i]->string) == 0)
            output->has_form = false;
    }
    return members;
}

static enum status output_value(struct output *output, const cJSON *value);

static enum status output_object(struct output *output, const cJSON *object)
{
    size_t count = (size_t)cJSON_GetArraySize(object);
    const cJSON **members = members_sorted(output, object, count);
    if (members == NULL)
        return STATUS_NO_MEMORY;
    output_add(output, "{", 1);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            output_add(output, ",", 1);
        output_string(output, members[i]->string);
        output_add(output, ":", 1);
        enum status status = output_value(output, members[i]);
        if (status != STATUS_OK)
            return status;
    }
    output_add(output, "}", 1);
    return STATUS_OK;
}

static enum status output_array(struct output *output, const cJSON *array)
{
    output_add(output, "[", 1);
    for (const cJSON *child = array->child; child != NULL; child = child->next) {
        if (child != array->child)
            output_add(output, ",", 1);
        enum status status = output_value(output, child);
        if (status != STATUS_OK)
            return status;
    }
    output_add(output, "]", 1);
    return STATUS_OK;
}

/* Recursive, as deep as JSON_DEPTH_MAX: the scan has seen to it. */
static enum status output_value(struct output *output, const cJSON *value)
{
    if (cJSON_IsObject(value))
        return output_object(output, value);
    if (cJSON_IsArray(value))
        return output_array(output, value);
    if (cJSON_IsString(value))
        output_string(output, value->valuestring);
    else if (cJSON_IsNumber(value))
        output_number(output, value->valuedouble);
    else if (cJSON_IsNull(value))
        output_add(output, "null", 4);
    else if (cJSON_IsTrue(value))
        output_add(output, "true", 4);
    else {
        assert(cJSON_IsFalse(value));
        output_add(output, "false", 5);
    }
    return STATUS_OK;
}

/* NULL: not JSON, or (cJSON does not say) no memory. */
static cJSON *parse(struct text json)
{
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts(json.bytes, json.length, &end, 0);
    if (tree == NULL)
        return NULL;
    for (; end < json.bytes + json.length; end++) {
        if (*end != ' ' && *end != '\t' && *end != '\n' && *end != '\r') {
            cJSON_Delete(tree);
            return NULL;
        }
    }
    return tree;
}

enum status json_canonical(struct text json, struct arena *arena, struct text *out_text,
                           bool *out_has_form)
{
    assert(arena != NULL);
    assert(out_has_form != NULL);
    struct scan scan = {.bytes = json.bytes, .length = json.length, .has_form = true};
    if (!scan_text(&scan))
        return STATUS_BAD_JSON;
    assert(scan.depth == 0);
    cJSON *tree = scan.has_form ? parse(json) : NULL;
    if (scan.has_form && tree == NULL)
        return STATUS_BAD_JSON;
    *out_text = (struct text){NULL, 0};
    *out_has_form = false;
    if (tree == NULL)
        return STATUS_OK;
    size_t capacity = json.length + NUMBER_GROWS * scan.exponents;
    struct output output = {.bytes = arena_alloc(arena, capacity),
                            .capacity = capacity,
                            .arena = arena,
                            .has_form = true};
    enum status status = STATUS_NO_MEMORY;
    if (output.bytes != NULL)
        status = output_value(&output, tree);
    cJSON_Delete(tree);
    if (status != STATUS_OK)
        return status;
    if (output.has_form) {
        *out_text = (struct text){output.bytes, output.used};
        *out_has_form = true;
    }
    return STATUS_OK;
}
