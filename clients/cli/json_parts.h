/* json_parts.h - what json*.c share: pieces of a tree. Threads: any. */
#pragma once
#include "clients/cli/json.h"

void json_add_enum(cJSON *object, const char *name, const char *prefix, const char *value);
void json_add_count(cJSON *object, const char *name, uint64_t count);
void json_add_bytes(cJSON *object, const char *name, const void *bytes, size_t size);
void json_add_info(cJSON *object, const struct reprise_info *info); /* NULL: nothing */
void json_add_candidates(cJSON *object, const struct reprise_candidate *candidates, size_t count);
cJSON *json_float(double number); /* as json_add_float */
void json_add_strings(cJSON *object, const char *name, const char *const *strings, size_t count);
void json_add_pairs(cJSON *object, const char *name, const struct reprise_pair *pairs,
                    size_t count);
