/*
 * reply.h - protocol messages as the caller's plain structs. The structs lie in the arena in which
 * the message was unpacked, and point into it. NULL when memory is spent. Threads: any; pure.
 */
#pragma once
#include "base/arena.h"
#include "clients/c/reprise.h"
#include "reprise/v1/admin.pb-c.h"
#include "reprise/v1/cache.pb-c.h"
#include "reprise/v1/feedback.pb-c.h"

const struct reprise_get_reply *reply_get(const Reprise__V1__GetResponse *message,
                                          struct arena *arena);
const struct reprise_search_reply *reply_search(const Reprise__V1__SearchResponse *message,
                                                struct arena *arena);
const struct reprise_explain_reply *reply_explain(const Reprise__V1__ExplainResponse *message,
                                                  struct arena *arena);
const struct reprise_scroll_reply *reply_entries(Reprise__V1__Entry *const *messages, size_t count,
                                                 const char *next_cursor, struct arena *arena);
const struct reprise_set_reply *reply_set(const Reprise__V1__SetResponse *message,
                                          struct arena *arena);
/* out_usage: where its usage is put, if there is one. */
struct reprise_finish reply_finish(const Reprise__V1__Finish *message,
                                   struct reprise_usage *out_usage);
const struct reprise_batch_get_reply *reply_batch_get(const Reprise__V1__BatchGetResponse *message,
                                                      struct arena *arena);
const struct reprise_batch_set_reply *reply_batch_set(const Reprise__V1__BatchSetResponse *message,
                                                      struct arena *arena);
const struct reprise_invalidate_reply *
reply_invalidate(const Reprise__V1__InvalidateResponse *message, struct arena *arena);
const struct reprise_stats_reply *reply_stats(const Reprise__V1__StatsResponse *message,
                                              struct arena *arena);
const struct reprise_snapshots_reply *reply_snapshots(Reprise__V1__Snapshot *const *messages,
                                                      size_t count, struct arena *arena);
/* namespaces.c */
const struct reprise_namespaces_reply *
reply_namespaces(const Reprise__V1__ListNamespacesResponse *message, struct arena *arena);
/* Of Get, Set and Describe: what the others lack is NULL. */
const struct reprise_policy_reply *reply_policies(const Reprise__V1__Policy *set,
                                                  const Reprise__V1__Policy *effective,
                                                  uint64_t version, struct arena *arena);
const struct reprise_policy_reply *
reply_described(const Reprise__V1__DescribePolicyResponse *message, struct arena *arena);
/* reply_shadow.c */
const struct reprise_shadow_reply *reply_shadow(const Reprise__V1__GetShadowReportResponse *message,
                                                struct arena *arena);
/* reply_stats.c */
bool reply_scope_policy(const Reprise__V1__ScopePolicy *from, struct arena *arena,
                        struct reprise_scope_policy *policy);
void reply_policy(const Reprise__V1__Policy *message, struct reprise_policy *out_policy);
const struct reprise_namespace *reply_namespace(const Reprise__V1__Namespace *message,
                                                struct arena *arena);

bool reply_candidates(Reprise__V1__Candidate *const *messages, size_t count, struct arena *arena,
                      const struct reprise_candidate **out_candidates);
bool reply_info(const Reprise__V1__AnswerInfo *message, struct arena *arena,
                const struct reprise_info **out_info);
/* The names and values of attributes; false when memory is spent. */
bool reply_pairs(Reprise__V1__Attribute *const *attributes, size_t count, struct arena *arena,
                 const struct reprise_pair **out_pairs);
