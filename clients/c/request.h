/*
 * request.h - the caller's plain structs as protocol messages. Messages lie in the arena, their
 * strings stay the caller's. NULL when memory is spent. Threads: any; pure.
 */
#pragma once
#include "base/arena.h"
#include "clients/c/reprise.h"
#include "reprise/v1/admin.pb-c.h"
#include "reprise/v1/cache.pb-c.h"
#include "reprise/v1/feedback.pb-c.h"

Reprise__V1__GetRequest *request_get(const struct reprise_get_request *request,
                                     struct arena *arena);
Reprise__V1__SetRequest *request_set(const struct reprise_set_request *request,
                                     struct arena *arena);
/* Into a message that has its initial values. */
void request_usage(const struct reprise_usage *usage, Reprise__V1__Usage *made);
Reprise__V1__BatchGetRequest *request_batch_get(const struct reprise_get_request *requests,
                                                size_t count, struct arena *arena);
Reprise__V1__BatchSetRequest *request_batch_set(const struct reprise_set_request *requests,
                                                size_t count, struct arena *arena);
Reprise__V1__DeleteRequest *request_delete(const struct reprise_delete_request *request,
                                           struct arena *arena);
Reprise__V1__InvalidateRequest *request_invalidate(const struct reprise_invalidate_request *request,
                                                   struct arena *arena);
Reprise__V1__TouchRequest *request_touch(const struct reprise_touch_request *request,
                                         struct arena *arena);
Reprise__V1__SearchRequest *request_search(const struct reprise_search_request *request,
                                           struct arena *arena);
Reprise__V1__ExplainRequest *request_explain(const struct reprise_explain_request *request,
                                             struct arena *arena);
Reprise__V1__ScrollRequest *request_scroll(const struct reprise_scroll_request *request,
                                           struct arena *arena);
Reprise__V1__ImportRequest *request_import(const struct reprise_stored *entries, size_t count,
                                           struct arena *arena);
Reprise__V1__ReportRequest *request_report(const struct reprise_report_request *request,
                                           struct arena *arena);
Reprise__V1__BatchReportRequest *
request_batch_report(const struct reprise_report_request *requests, size_t count,
                     struct arena *arena);
/* namespaces.c */
Reprise__V1__Policy *request_policy(const struct reprise_policy *policy, struct arena *arena);
Reprise__V1__CreateNamespaceRequest *
request_create_namespace(const struct reprise_namespace *settings, struct arena *arena);
Reprise__V1__UpdateNamespaceRequest *
request_update_namespace(const struct reprise_namespace *settings, const char *const *fields,
                         size_t fields_count, struct arena *arena);
