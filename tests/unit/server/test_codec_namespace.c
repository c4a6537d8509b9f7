/*
 * Goal: a namespace and a policy mean on the wire what they mean in the structs (codec_namespace,
 * codec_policy, codec_policies), and what cannot be wanted is refused by its field. Method:
 * requests packed by protobuf-c and read; replies written and unpacked by protobuf-c.
 */
#include "codec_support.h"

#include <math.h>

static enum status read_create(const Reprise__V1__Namespace *wanted, struct arena *arena,
                               struct cache_namespace_change *out, struct failure *failure)
{
    Reprise__V1__CreateNamespaceRequest message = REPRISE__V1__CREATE_NAMESPACE_REQUEST__INIT;
    message.namespace_ = (Reprise__V1__Namespace *)(uintptr_t)wanted;
    return codec_read_create_namespace(packed(&message.base, arena), &small_limits, arena, out,
                                       failure);
}

static Reprise__V1__Namespace named(char *name)
{
    Reprise__V1__Namespace message = REPRISE__V1__NAMESPACE__INIT;
    message.name = name;
    return message;
}

static void what_is_not_given_is_not_wanted(void **state)
{
    struct cache_namespace_change change;
    struct failure failure;
    const Reprise__V1__Namespace message = named("faq");
    assert_int_equal(read_create(&message, *state, &change, &failure), STATUS_OK);
    assert_text(change.name, "faq");
    assert_int_equal(change.fields, NAMESPACE_ALL_FIELDS);
    assert_true(isnan(change.settings.temperature_max));
    assert_true(policy_wishes_equal(&change.settings.policy, &policy_wishes_none));
    assert_int_equal(change.settings.tiers, 0);
    assert_int_equal(change.settings.ttl_ms, 0);
    assert_int_equal(change.settings.embedder, EMBEDDER_DEFAULT);
}

static void zero_is_a_value_where_there_is_presence(void **state)
{
    struct cache_namespace_change change;
    struct failure failure;
    Reprise__V1__Namespace message = named("faq");
    Reprise__V1__Policy policy = REPRISE__V1__POLICY__INIT;
    policy.static_threshold_given_case =
        REPRISE__V1__POLICY__STATIC_THRESHOLD_GIVEN_STATIC_THRESHOLD;
    message.policy = &policy;
    message.temperature_max_given_case =
        REPRISE__V1__NAMESPACE__TEMPERATURE_MAX_GIVEN_TEMPERATURE_MAX;
    assert_int_equal(read_create(&message, *state, &change, &failure), STATUS_OK);
    assert_true(change.settings.temperature_max == 0);
    assert_true(change.settings.policy.static_threshold == 0);
}

static void expect_refused(struct arena *arena, const Reprise__V1__Namespace *message,
                           enum status expected, const char *field)
{
    struct cache_namespace_change change;
    struct failure failure;
    assert_int_equal(read_create(message, arena, &change, &failure), expected);
    assert_string_equal(failure.field, field);
}

static void what_cannot_be_wanted_is_refused_by_its_field(void **state)
{
    Reprise__V1__Tier tier = (Reprise__V1__Tier)3;
    Reprise__V1__Guard guard = REPRISE__V1__GUARD__GUARD_NEGATION;
    Reprise__V1__Policy policy = REPRISE__V1__POLICY__INIT;
    Reprise__V1__Namespace message = named("a b");
    expect_refused(*state, &message, STATUS_BAD_NAME, "namespace.name");
    message = named("a");
    message.index_kind = (Reprise__V1__IndexKind)9;
    expect_refused(*state, &message, STATUS_LIMIT_EXCEEDED, "namespace.index_kind");
    message = named("a");
    message.embedder = (Reprise__V1__NamespaceEmbedder)3;
    expect_refused(*state, &message, STATUS_LIMIT_EXCEEDED, "namespace.embedder");
    message = named("a");
    message.ack = (Reprise__V1__Ack)4;
    expect_refused(*state, &message, STATUS_LIMIT_EXCEEDED, "namespace.ack");
    message = named("a");
    message.tiers = &tier;
    message.n_tiers = 1;
    expect_refused(*state, &message, STATUS_LIMIT_EXCEEDED, "namespace.tiers");
    message = named("a");
    message.policy = &policy;
    policy.mode = (Reprise__V1__PolicyMode)5;
    expect_refused(*state, &message, STATUS_LIMIT_EXCEEDED, "namespace.policy");
    policy.mode = REPRISE__V1__POLICY_MODE__POLICY_MODE_STATIC;
    policy.guards_off = &guard;
    policy.n_guards_off = 1;
    expect_refused(*state, &message, STATUS_LIMIT_EXCEEDED, "namespace.policy");
    policy.n_guards_off = 0;
    policy.static_threshold_given_case =
        REPRISE__V1__POLICY__STATIC_THRESHOLD_GIVEN_STATIC_THRESHOLD;
    policy.static_threshold = NAN;
    expect_refused(*state, &message, STATUS_BAD_THRESHOLD, "namespace.policy");
    policy.static_threshold = 0.5f;
    policy.min_similarity_given_case = REPRISE__V1__POLICY__MIN_SIMILARITY_GIVEN_MIN_SIMILARITY;
    policy.min_similarity = NAN;
    expect_refused(*state, &message, STATUS_BAD_THRESHOLD, "namespace.policy");
}

static void an_update_names_its_fields(void **state)
{
    struct cache_namespace_change change;
    struct failure failure;
    Reprise__V1__Namespace wanted = named("faq");
    Reprise__V1__UpdateNamespaceRequest message = REPRISE__V1__UPDATE_NAMESPACE_REQUEST__INIT;
    char *fields[] = {"ttl_ms", "policy", "stale_max_ms"};
    message.namespace_ = &wanted;
    message.fields = fields;
    message.n_fields = 2;
    message.if_version = 7;
    assert_int_equal(codec_read_update_namespace(packed(&message.base, *state), &small_limits,
                                                 *state, &change, &failure),
                     STATUS_OK);
    assert_int_equal(change.fields, NAMESPACE_TTL | NAMESPACE_POLICY);
    assert_int_equal(change.if_version, 7);
    message.n_fields = 3;
    assert_int_equal(codec_read_update_namespace(packed(&message.base, *state), &small_limits,
                                                 *state, &change, &failure),
                     STATUS_BAD_NAME);
    assert_string_equal(failure.field, "fields");
}

static void a_view_comes_out_as_it_is(void **state)
{
    struct codec_reply reply;
    struct cache_namespace_view view = {
        .name = TEXT("faq"), .version = 3, .settings = cache_namespace_settings_none, .entries = 5};
    view.settings.tiers = 1u << CACHE_TIER_SEMANTIC;
    view.settings.policy.min_similarity = 0;
    view.settings.policy.adaptive_min = 0.5f;
    view.settings.policy.guards_off = GUARD_NAMES;
    view.settings.temperature_max = 0.25;
    assert_int_equal(codec_write_namespace(&view, *state, &reply), STATUS_OK);
    const Reprise__V1__Namespace *message =
        ((const Reprise__V1__GetNamespaceResponse *)unpacked(
             &reprise__v1__get_namespace_response__descriptor, reply.head, *state))
            ->namespace_;
    assert_string_equal(message->name, "faq");
    assert_int_equal(message->version, 3);
    assert_int_equal(message->entries, 5);
    assert_int_equal(message->n_tiers, 1);
    assert_int_equal(message->tiers[0], REPRISE__V1__TIER__TIER_SEMANTIC);
    assert_true(message->policy->adaptive->min == 0.5f);
    assert_int_equal(message->policy->adaptive->max_given_case, 0);
    assert_int_equal(message->policy->n_guards_off, 1);
    assert_int_equal(message->policy->static_threshold_given_case, 0);
    assert_int_equal(message->policy->min_similarity_given_case,
                     REPRISE__V1__POLICY__MIN_SIMILARITY_GIVEN_MIN_SIMILARITY);
    assert_true(message->temperature_max == 0.25);
}

static void a_policy_is_set_for_a_namespace_alone(void **state)
{
    struct cache_namespace_change change;
    struct failure failure;
    Reprise__V1__PolicyScope scope = REPRISE__V1__POLICY_SCOPE__INIT;
    Reprise__V1__SetPolicyRequest message = REPRISE__V1__SET_POLICY_REQUEST__INIT;
    assert_int_equal(codec_read_set_policy(packed(&message.base, *state), &small_limits, *state,
                                           &change, &failure),
                     STATUS_OK);
    assert_text(change.name, "default");
    assert_int_equal(change.fields, NAMESPACE_POLICY);
    message.scope = &scope;
    scope.model = "m";
    assert_int_equal(codec_read_set_policy(packed(&message.base, *state), &small_limits, *state,
                                           &change, &failure),
                     STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "scope.model");
    scope.model = "";
    scope.embedder = "lexical-1";
    assert_int_equal(codec_read_set_policy(packed(&message.base, *state), &small_limits, *state,
                                           &change, &failure),
                     STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "scope.embedder");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(what_is_not_given_is_not_wanted),
        ARENA_TEST(zero_is_a_value_where_there_is_presence),
        ARENA_TEST(what_cannot_be_wanted_is_refused_by_its_field),
        ARENA_TEST(an_update_names_its_fields),
        ARENA_TEST(a_view_comes_out_as_it_is),
        ARENA_TEST(a_policy_is_set_for_a_namespace_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
