/*
 * json.h - replies and requests as proto3 JSON: lowerCamelCase, enum values by their full names,
 * bytes in base64url. Whole numbers stay numbers (proto3 JSON would quote 64-bit ones; every reader
 * of it takes both). Each makes a tree that json_print prints and frees. NULL when memory is spent.
 * Threads: any.
 */
#pragma once
#include <cjson/cJSON.h>
#include <stdio.h>

#include "clients/c/reprise.h"

cJSON *json_get(const struct reprise_get_reply *reply);
cJSON *json_search(const struct reprise_search_reply *reply);
cJSON *json_explain(const struct reprise_explain_reply *reply);
cJSON *json_stored(const struct reprise_stored *entry);
cJSON *json_set(const struct reprise_set_reply *reply);
cJSON *json_delete(const struct reprise_delete_reply *reply);
cJSON *json_invalidate(const struct reprise_invalidate_reply *reply);
cJSON *json_report(const struct reprise_report_reply *reply);
cJSON *json_stats(const struct reprise_stats_reply *reply);
cJSON *json_health(const struct reprise_health_reply *reply);
cJSON *json_error(const struct reprise_error *error);

/* The body of a Get for grpcurl and ghz: only what is given. */
cJSON *json_get_request(const struct reprise_get_request *request);

/* A number as it would be typed: a float's 7 digits, not the 17 of the double it became. */
void json_add_float(cJSON *object, const char *name, double number);

/* Prints one document and a newline, on one line if `compact`, and frees the tree; false when
 * memory is spent. */
bool json_print(cJSON *tree, bool compact, FILE *out);
