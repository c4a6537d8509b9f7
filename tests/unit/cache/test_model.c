/*
 * Goal: whatever is done in whatever order, the cache answers as a list searched by brute force
 * would: the right tier, the nearest living entry of the right scope and compatibility, never one
 * that expired, died, was selected by an Invalidate that has replied, or is another namespace's.
 * Method: 100,000 random calls on 960 keys (two tenants with ten namespaces each, two system
 * prompts, 24 questions at known angles); the model keeps one slot a key. Of equally near ones
 * either may be served. The clock is turned by hand, back as well: what was past its end for a
 * while may have been swept, or lives again.
 * REPRISE_CACHE_OPERATIONS sets another number, REPRISE_CACHE_SEED another course.
 */
#include "tests/unit/cache/world.h"

enum {
    TENANTS = 2,
    NAMES = 10,
    SCOPES = TENANTS * NAMES,
    SYSTEMS = 2,
    PROMPTS = 24,
    KEYS = SCOPES * SYSTEMS * PROMPTS,
    OPERATIONS = 100000,
    TTL_MAX_MS = 2000,
    JUMP_MS = 3000,
};

static const char *const tenants[] = {"acme", "zeta"};
static const char *const names[] = {"default", "faq",  "shop",  "docs", "code",
                                    "mail",    "chat", "legal", "news", "help"};
static const char *const systems[] = {"", "Be brief."};
static const char *const tags[] = {"red", "green", "blue"};
static const char *const sources[] = {"prices", "terms"};
static const char *const versions[] = {"6", "7"};
static const double CUT = 0.95, TOO_CLOSE = 1e-4;

struct slot { /* what the model knows of one key */
    bool is_there;
    bool may_be_gone; /* was past its end for a while: the sweep may have taken it */
    int64_t created_ms, expires_ms;
    double at; /* its vector's angle */
    int tag, source, source_version;
    int version;
    struct digest id;
    char lease[CACHE_LEASE_TEXT + 1]; /* "": nobody holds it */
};

struct model {
    struct world *world;
    struct slot slots[KEYS];
    bool is_known[SCOPES]; /* the namespace is there... */
    bool is_made[SCOPES];  /* ...and somebody created it: what Sets made may be created, once */
    uint64_t random;
    int version;
    /* So that the test cannot pass by testing nothing. */
    int semantic_hits, exact_hits, misses, touched, gone, dropped, leased, lived_again;
};

static uint64_t number_from(const char *name, uint64_t standard)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : standard;
}

static unsigned roll(struct model *model, unsigned sides)
{
    return (unsigned)(next_random(&model->random) % sides);
}

static int scope_of(int key)
{
    return key / PROMPTS / SYSTEMS;
}

static int group_of(int key) /* scope and compatibility */
{
    return key / PROMPTS;
}

static struct text tenant_of(int scope)
{
    return text_of(tenants[scope / NAMES]);
}

static struct text name_of(int scope)
{
    return text_of(names[scope % NAMES]);
}

/* Words that differ in their letters alone, so that the guard has nothing to say. */
static struct identity identity_of(int key, char prompt[32])
{
    const int number = key % PROMPTS;
    (void)snprintf(prompt, 32, "explain w%cx%c", 'a' + number / 5, 'a' + number % 5);
    return (struct identity){.tenant = tenant_of(scope_of(key)),
                             .namespace_ = name_of(scope_of(key)),
                             .model = TEXT("m"),
                             .system_prompt = text_of(systems[group_of(key) % SYSTEMS]),
                             .prompt = text_of(prompt)};
}

static double angle_of(struct model *model, int key)
{
    return (key % PROMPTS) * 0.12 + roll(model, 3) * 0.02;
}

static bool is_alive(const struct model *model, int key)
{
    return model->slots[key].is_there && model->slots[key].expires_ms > model->world->now_ms;
}

static bool is_surely_alive(const struct model *model, int key)
{
    return is_alive(model, key) && !model->slots[key].may_be_gone;
}

static void content_of(int key, int version, char out_text[32])
{
    (void)snprintf(out_text, 32, "%d/%d", key, version);
}

/* ---- the clock ------------------------------------------------------------------------------- */

/* Before anything is called at the new time. */
static void turn_clock(struct model *model, int64_t by_ms)
{
    struct world *world = model->world;
    if (world->now_ms + by_ms < 1)
        return;
    for (int key = 0; by_ms < 0 && key < KEYS; key++)
        model->lived_again += model->slots[key].is_there && !is_alive(model, key) &&
                              model->slots[key].expires_ms > world->now_ms + by_ms;
    world->now_ms += by_ms;
    for (int key = 0; key < KEYS; key++)
        if (!is_alive(model, key))
            model->slots[key].may_be_gone = true;
}

static void call_clock(struct model *model)
{
    const unsigned which = roll(model, 20);
    if (which == 0)
        turn_clock(model, -(int64_t)roll(model, JUMP_MS / 2));
    else if (which == 1 && roll(model, 4) == 0)
        turn_clock(model, roll(model, JUMP_MS));
    else
        turn_clock(model, roll(model, 20));
}

/* ---- Set ------------------------------------------------------------------------------------- */

/* With this lease, or none. */
static void set_key(struct model *model, int key, const char *lease)
{
    struct world *world = model->world;
    char prompt[32], content[32];
    struct slot *slot = &model->slots[key];
    const double at = angle_of(model, key);
    const struct vector vector = angle(at);
    const int tag = (int)roll(model, 3), source = (int)roll(model, 2),
              of_source = (int)roll(model, 2);
    const struct text tag_text = text_of(tags[tag]);
    const struct key_attribute depends_on = {text_of(sources[source]),
                                             text_of(versions[of_source])};
    content_of(key, ++model->version, content);
    const struct cache_set_request request = {.identity = identity_of(key, prompt),
                                              .content = text_of(content),
                                              .vector = vector.at,
                                              .dimension = DIMENSION,
                                              .ttl_given = true,
                                              .ttl_ms = 1 + roll(model, TTL_MAX_MS),
                                              .tags = &tag_text,
                                              .tags_count = 1,
                                              .depends_on = &depends_on,
                                              .depends_on_count = 1,
                                              .lease_token = text_of(lease)};
    assert_int_equal(set_request(world, &request), STATUS_OK);
    assert_true(world->set.stored);
    assert_true(world->set.indexed);
    *slot = (struct slot){.is_there = true,
                          .created_ms = world->now_ms,
                          .expires_ms = world->set.expires_ms,
                          .at = at,
                          .tag = tag,
                          .source = source,
                          .source_version = of_source,
                          .version = model->version,
                          .id = world->set.entry_id};
    model->is_known[scope_of(key)] = true;
}

static void call_set(struct model *model)
{
    set_key(model, (int)roll(model, KEYS), "");
}

/* ---- Get ------------------------------------------------------------------------------------- */

/* What there surely is, and what may be besides. */
static double best_of(const struct model *model, int group, double at,
                      bool (*counts)(const struct model *, int))
{
    double best = -2;
    for (int key = group * PROMPTS; key < (group + 1) * PROMPTS; key++) {
        if (counts(model, key) && cos(model->slots[key].at - at) > best)
            best = cos(model->slots[key].at - at);
    }
    return best;
}

/* The served content names the key it is of: it must be alive, of this group, current, and none
 * that surely is there may be nearer. */
static void check_semantic(struct model *model, int group, double at, double best)
{
    const struct cache_get_reply *reply = &model->world->get.reply;
    const struct text served = entry_answer(reply->found.entry);
    char text[32] = "";
    memcpy(text, served.bytes, served.length);
    char *end = NULL;
    const int key = (int)strtol(text, &end, 10);
    assert_int_equal(scope_of(key), group / SYSTEMS);
    assert_int_equal(group_of(key), group);
    assert_true(is_alive(model, key));
    assert_int_equal(strtol(end + 1, NULL, 10), model->slots[key].version);
    const double similarity = cos(model->slots[key].at - at);
    assert_true(similarity > best - 1e-5);
    assert_true(similarity > CUT - TOO_CLOSE);
    assert_true(fabs(reply->similarity - similarity) < 1e-5);
    model->semantic_hits++;
}

/* `best` and `most` are the same unless something may be there or not. */
static void check_miss(struct model *model, int key, double best, double most)
{
    const struct cache_get_reply *reply = &model->world->get.reply;
    assert_int_equal(reply->tier, CACHE_TIER_NONE);
    assert_null(reply->found.entry);
    assert_true(best < CUT + TOO_CLOSE);
    model->misses++;
    if (reply->miss_reason == CACHE_MISS_EXPIRED)
        assert_true(model->slots[key].is_there); /* not swept yet */
    else if (best > TOO_CLOSE)                   /* the floor of clients' vectors is 0 */
        assert_miss(reply, CACHE_MISS_BELOW_CUT);
    else if (most < -TOO_CLOSE)
        assert_miss(reply, CACHE_MISS_NO_CANDIDATE);
}

/* True: a hit of the exact tier. */
static bool check_exact(struct model *model, int key)
{
    const struct cache_get_reply *reply = &model->world->get.reply;
    struct slot *slot = &model->slots[key];
    char content[32];
    if (reply->tier != CACHE_TIER_EXACT) {
        assert_false(is_surely_alive(model, key));
        if (is_alive(model, key))
            slot->is_there = false; /* it was swept */
        return false;
    }
    assert_true(is_alive(model, key));
    content_of(key, slot->version, content);
    assert_hit(reply, CACHE_TIER_EXACT, content);
    slot->may_be_gone = false;
    model->exact_hits++;
    return true;
}

/* What the world's Get says of this key, asked from this angle. */
static void check_get(struct model *model, int key, double at)
{
    if (check_exact(model, key))
        return;
    const int group = group_of(key);
    const double best = best_of(model, group, at, is_surely_alive);
    const double most = best_of(model, group, at, is_alive);
    if (model->world->get.reply.tier == CACHE_TIER_SEMANTIC)
        check_semantic(model, group, at, best);
    else
        check_miss(model, key, best, most);
}

static void get_key(struct model *model, int key)
{
    char prompt[32];
    const double at = angle_of(model, key);
    const struct vector vector = angle(at);
    (void)ask(model->world, identity_of(key, prompt), &vector);
    check_get(model, key, at);
}

static void call_get(struct model *model)
{
    get_key(model, (int)roll(model, KEYS));
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* A miss gives it to one, who fills it, gives it back, or keeps it; all others are told so. */
static void call_lease(struct model *model)
{
    struct world *world = model->world;
    char prompt[32];
    const int key = (int)roll(model, KEYS);
    struct slot *slot = &model->slots[key];
    const double at = angle_of(model, key);
    const struct vector vector = angle(at);
    const struct cache_get_request request = {.identity = identity_of(key, prompt),
                                              .vector = vector.at,
                                              .dimension = DIMENSION,
                                              .lease = CACHE_LEASE_FIRST};
    assert_int_equal(ask_request(world, &request), STATUS_OK);
    if (world->get.lease_due)
        assert_false(
            cache_get_lease(world->cache, &world->get, NULL, world->now_ms, world->now_us));
    check_get(model, key, at);
    const struct cache_get_reply *reply = &world->get.reply;
    assert_int_equal(reply->lease.given, reply->tier == CACHE_TIER_NONE);
    if (!reply->lease.given)
        return;
    assert_int_equal(reply->lease.held_by_other, slot->lease[0] != '\0');
    assert_int_equal(reply->lease.token[0] == '\0', reply->lease.held_by_other);
    if (!reply->lease.held_by_other)
        memcpy(slot->lease, reply->lease.token, sizeof(slot->lease));
    char lease[sizeof(slot->lease)];
    memcpy(lease, slot->lease, sizeof(lease));
    uint32_t waiters = 0;
    const unsigned which = roll(model, 4);
    model->leased++;
    if (which < 2)
        set_key(model, key, lease); /* the slot holds none from here on */
    else if (which == 2) {
        assert_true(cache_release_lease(world->cache, text_of(lease), world->now_us, &waiters));
        slot->lease[0] = '\0';
    }
}

/* ---- Touch, Delete --------------------------------------------------------------------------- */

/* Whoever names another namespace than the entry's touches nothing, and deletes nothing. */
static void call_touch(struct model *model)
{
    struct world *world = model->world;
    const int key = (int)roll(model, KEYS);
    struct slot *slot = &model->slots[key];
    if (slot->version == 0)
        return;
    const int scope = roll(model, 4) == 0 ? (int)roll(model, SCOPES) : scope_of(key);
    const struct cache_touch_request request = {.tenant = tenant_of(scope),
                                                .namespace_ = name_of(scope),
                                                .entry_ids = &slot->id,
                                                .entry_ids_count = 1,
                                                .ttl_given = true,
                                                .ttl_ms = roll(model, TTL_MAX_MS)};
    struct cache_touch_reply reply;
    world_forget(world);
    assert_int_equal(
        cache_touch(world->cache, &request, world->arena, world->now_ms, &reply, &world->failure),
        STATUS_OK);
    assert_int_equal(reply.touched + reply.missing, 1);
    if (scope != scope_of(key) || !is_alive(model, key)) {
        assert_int_equal(reply.touched, 0);
    } else if (reply.touched == 0) {
        assert_true(slot->may_be_gone);
        slot->is_there = false;
    } else {
        slot->expires_ms = world->now_ms + (int64_t)request.ttl_ms;
        slot->may_be_gone = request.ttl_ms == 0;
        model->touched++;
    }
}

static void call_delete(struct model *model)
{
    struct world *world = model->world;
    char prompt[32];
    const int key = (int)roll(model, KEYS);
    const struct identity identity = identity_of(key, prompt);
    struct slot *slot = &model->slots[key];
    struct cache_delete_request request = {.tenant = identity.tenant, .identity = &identity};
    bool is_theirs = true;
    if (slot->is_there && roll(model, 2) == 0) {
        const int scope = roll(model, 4) == 0 ? (int)roll(model, SCOPES) : scope_of(key);
        is_theirs = scope == scope_of(key);
        request = (struct cache_delete_request){.tenant = tenant_of(scope),
                                                .namespace_ = name_of(scope),
                                                .entry_ids = &slot->id,
                                                .entry_ids_count = 1};
    }
    uint32_t deleted = 0;
    world_forget(world);
    assert_int_equal(cache_delete(world->cache, &request, world->arena, NULL, &deleted, NULL),
                     STATUS_OK);
    if (!slot->is_there || !is_theirs)
        assert_int_equal(deleted, 0);
    else if (!slot->may_be_gone)
        assert_int_equal(deleted, 1);
    slot->is_there &= !is_theirs;
}

/* ---- Invalidate ------------------------------------------------------------------------------ */

/* One of the ways to name a part. */
static struct cache_selector choose(struct model *model, int scope, const struct text *tag)
{
    struct cache_selector selector = {.tenant = tenant_of(scope), .now_ms = model->world->now_ms};
    if (roll(model, 8) != 0) /* else all of the tenant's */
        selector.namespace_ = name_of(scope);
    const unsigned which = roll(model, 6);
    if (which < 2) {
        selector.tags = tag;
        selector.tags_count = 1;
    } else if (which < 4) {
        selector.depends_on_id = text_of(sources[roll(model, 2)]);
        if (which == 3)
            selector.depends_on_version_not = text_of(versions[roll(model, 2)]);
    } else if (which == 4) {
        selector.created_before_ms = model->world->now_ms - (int64_t)roll(model, TTL_MAX_MS);
        if (selector.created_before_ms < 1)
            selector.created_before_ms = 1;
    } else if (selector.namespace_.length > 0) {
        selector.confirm = selector.namespace_;
    } else {
        selector.model = roll(model, 2) == 0 ? TEXT("m") : TEXT("another");
    }
    return selector;
}

static bool selects(const struct model *model, const struct cache_selector *selector, int key)
{
    const struct slot *slot = &model->slots[key];
    const struct text version = text_of(versions[slot->source_version]);
    return slot->is_there && text_equal(selector->tenant, tenant_of(scope_of(key))) &&
           (selector->namespace_.length == 0 ||
            text_equal(selector->namespace_, name_of(scope_of(key)))) &&
           (selector->tags_count == 0 || text_equal(selector->tags[0], text_of(tags[slot->tag]))) &&
           (selector->depends_on_id.length == 0 ||
            text_equal(selector->depends_on_id, text_of(sources[slot->source]))) &&
           (selector->depends_on_version_not.length == 0 ||
            !text_equal(selector->depends_on_version_not, version)) &&
           (selector->created_before_ms == 0 || slot->created_ms < selector->created_before_ms) &&
           (selector->model.length == 0 || text_equal(selector->model, TEXT("m")));
}

/* The entry is gone, or its TTL has ended. */
static void forget_selected(struct model *model, const struct cache_selector *selector, int key)
{
    struct slot *slot = &model->slots[key];
    if (!selector->make_stale) {
        slot->is_there = false;
    } else if (slot->expires_ms > selector->now_ms) {
        slot->expires_ms = selector->now_ms;
        slot->may_be_gone = true;
    }
}

static void call_invalidate(struct model *model)
{
    struct world *world = model->world;
    const struct text tag = text_of(tags[roll(model, 3)]);
    struct cache_selector selector = choose(model, (int)roll(model, SCOPES), &tag);
    selector.dry_run = roll(model, 4) == 0;
    selector.make_stale = !selector.dry_run && roll(model, 3) == 0;
    bool selected[KEYS];
    uint64_t sure = 0, there = 0;
    for (int key = 0; key < KEYS; key++) {
        selected[key] = selects(model, &selector, key);
        there += selected[key];
        sure += selected[key] && is_surely_alive(model, key);
    }
    struct cache_invalidate_reply reply;
    world_forget(world);
    assert_int_equal(cache_invalidate(world->cache, &selector, NULL, &reply, &world->failure),
                     STATUS_OK);
    assert_true(reply.matched >= sure);
    assert_true(reply.matched <= there);
    if (selector.dry_run)
        return;
    for (int key = 0; key < KEYS; key++)
        if (selected[key])
            forget_selected(model, &selector, key);
    for (int key = 0; key < KEYS; key++)
        if (selected[key])
            get_key(model, key); /* neither it nor another that was selected is served */
    model->gone += (int)reply.matched;
}

/* ---- namespaces ------------------------------------------------------------------------------ */

static void call_drop(struct model *model)
{
    struct world *world = model->world;
    const int scope = (int)roll(model, SCOPES);
    uint64_t removed = 0, sure = 0, there = 0;
    world_forget(world);
    const enum status status =
        cache_drop_namespace(world->cache, tenant_of(scope), name_of(scope), name_of(scope), NULL,
                             &removed, &world->failure);
    for (int key = 0; key < KEYS; key++) {
        if (scope_of(key) != scope)
            continue;
        there += model->slots[key].is_there;
        sure += is_surely_alive(model, key);
        model->slots[key].is_there = false;
    }
    assert_int_equal(status, model->is_known[scope] ? STATUS_OK : STATUS_NOT_FOUND);
    assert_true(removed >= sure);
    assert_true(removed <= there);
    model->is_known[scope] =
        model->is_known[scope] && scope % NAMES == 0; /* `default` comes back */
    model->is_made[scope] = false;
    model->dropped += status == STATUS_OK;
}

static void call_create(struct model *model)
{
    struct world *world = model->world;
    const int scope = (int)roll(model, SCOPES);
    const struct cache_namespace_change change = {.tenant = tenant_of(scope),
                                                  .name = name_of(scope),
                                                  .settings = cache_namespace_settings_none};
    struct cache_namespace_view view;
    world_forget(world);
    const enum status status =
        cache_create_namespace(world->cache, &change, world->arena, NULL, &view, &world->failure);
    assert_int_equal(status, model->is_made[scope] ? STATUS_ALREADY_EXISTS : STATUS_OK);
    model->is_known[scope] = model->is_made[scope] = true;
}

/* ---- the course ------------------------------------------------------------------------------ */

static void call_any(struct model *model)
{
    static const struct {
        unsigned share; /* of a thousand */
        void (*call)(struct model *);
    } calls[] = {{300, call_set},  {500, call_get},   {40, call_lease},
                 {30, call_touch}, {40, call_delete}, {4, call_invalidate},
                 {2, call_drop},   {2, call_create},  {70, call_clock}};
    unsigned which = roll(model, 1000);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (which < calls[i].share) {
            calls[i].call(model);
            return;
        }
        which -= calls[i].share;
    }
    cache_tick(model->world->cache, model->world->now_ms);
}

/* After a whole turn of the sweeping hand only the living are left, and each has its row. */
static void check_what_is_left(struct model *model)
{
    struct world *world = model->world;
    uint64_t alive = 0, entries = 0, rows = 0;
    for (int key = 0; key < KEYS; key++)
        get_key(model, key); /* from here on the model is sure */
    for (int i = 0; i < 700; i++)
        cache_tick(world->cache, world->now_ms);
    for (int key = 0; key < KEYS; key++)
        alive += is_alive(model, key);
    for (int i = 0; i < TENANTS; i++) {
        struct cache_stats stats;
        world_forget(world);
        assert_int_equal(cache_stats(world->cache, text_of(tenants[i]), TEXT(""), world->arena,
                                     world->now_ms, &stats),
                         STATUS_OK);
        entries += stats.entries;
        rows += stats.semantic.entries;
    }
    assert_int_equal(entries, alive);
    assert_int_equal(rows, alive);
}

static void whatever_is_done_the_cache_agrees_with_the_model(void **state)
{
    static struct model model;
    const uint64_t operations = number_from("REPRISE_CACHE_OPERATIONS", OPERATIONS);
    model = (struct model){.world = *state, .random = number_from("REPRISE_CACHE_SEED", 20261125)};
    for (uint64_t i = 0; i < operations; i++)
        call_any(&model);
    check_what_is_left(&model);
    assert_true(model.exact_hits > 1000);
    assert_true(model.semantic_hits > 1000);
    assert_true(model.misses > 1000);
    assert_true(model.touched > 100);
    assert_true(model.gone > 100);
    assert_true(model.dropped > 10);
    assert_true(model.leased > 100);
    assert_true(model.lived_again > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_is_done_the_cache_agrees_with_the_model,
                                        world_plain, world_destroy),
    };
    return cmocka_run_group_tests(tests, world_register, world_unregister);
}
