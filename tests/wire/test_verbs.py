"""Every verb over the wire, and every miss reason that can occur: what a caller sees when all is well."""
import time
import unittest

from support import Server, WireTest, cache_pb2, common_pb2, admin_pb2, feedback_pb2

RESET = "How do I reset my password?"
RESET_AGAIN = "How can I reset my password?"
C, M, F = cache_pb2, common_pb2, feedback_pb2


class Verbs(WireTest):
    def test_the_ten_lines_of_the_readme(self):
        self.assertFalse(self.get(RESET).hit)
        stored = self.set(RESET, "Under Settings, Security.")
        self.assertTrue(stored.stored)
        self.assertTrue(stored.indexed)
        exact = self.get(RESET)
        self.assertEqual((exact.hit, exact.tier, exact.content), (True, M.TIER_EXACT, "Under Settings, Security."))
        near = self.get(RESET_AGAIN)
        self.assertEqual((near.hit, near.tier, near.content), (True, M.TIER_SEMANTIC, "Under Settings, Security."))
        self.assertFalse(near.decision.certified)
        report = self.feedback.Report(F.ReportRequest(decision_token=near.decision.token, verdict=F.VERDICT_CORRECT))
        self.assertEqual(report.outcome, F.REPORT_OUTCOME_ACCEPTED)

    def test_an_exact_hit_tells_about_its_entry(self):
        info = C.GetResponse().info.__class__(reasoning="because", finish_reason="stop", upstream_id="chatcmpl-1",
                                              usage=M.Usage(input_tokens=12, output_tokens=34, nano_usd=5600))
        metadata = [M.Attribute(name="source", value="faq"), M.Attribute(name="rev", value="7")]
        before = int(time.time() * 1000)
        stored = self.set("hello", "world", info=info, metadata=metadata, ttl_ms=60_000, tags=["a"])
        after = int(time.time() * 1000)
        self.assertTrue(before + 60_000 <= stored.expires_unix_ms <= after + 60_000)
        self.assertGreater(stored.sequence, 0)
        first, second = self.get("hello"), self.get("hello")
        self.assertEqual(first.info, info)
        self.assertEqual(list(first.entry.metadata), metadata)
        self.assertEqual(first.entry.entry_id, stored.entry_id)
        self.assertEqual(first.similarity, 1.0)
        self.assertTrue(before <= first.entry.created_unix_ms <= after)
        self.assertTrue(0 < first.entry.ttl_remaining_ms <= 60_000)
        self.assertEqual((first.entry.hit_count, second.entry.hit_count), (1, 2))
        self.assertEqual(first.miss_reason, M.MISS_REASON_UNSPECIFIED)

    def test_the_key_of_a_request_is_the_id_of_its_entry(self):
        reply = self.get("k", include=[C.INCLUDE_KEY, C.INCLUDE_TIMING])
        self.assertFalse(reply.hit)
        self.assertRegex(reply.debug.key, "^[0-9a-f]{64}$")
        self.assertEqual(self.set("k").entry_id, reply.debug.key)
        self.assertFalse(self.get("k").HasField("debug"))

    def test_the_printed_vector(self):
        reply = self.cache.Get(C.GetRequest(identity=M.Identity(model="m", prompt="hi"), include=[C.INCLUDE_KEY]))
        self.assertEqual(reply.debug.key, "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a")

    def test_an_empty_answer_set_is_a_skip_not_an_error(self):
        reply = self.set("nothing", "")
        self.assertEqual((reply.stored, reply.skip), (False, C.SET_SKIP_ADMISSION))
        self.assertFalse(self.get("nothing").hit)

    def test_a_life_of_zero_is_not_stored(self):
        reply = self.set("brief", "x", ttl_ms=0)
        self.assertEqual((reply.stored, reply.skip), (False, C.SET_SKIP_ADMISSION))

    def test_cut_filtered_and_refused_answers_are_not_stored(self):
        for number, info in enumerate([M.AnswerInfo(finish_reason="length"), M.AnswerInfo(finish_reason="content_filter"),
                                       M.AnswerInfo(refusal="I cannot help with that.")]):
            reply = self.set(f"cut {number}", "half an ans", info=info)
            self.assertEqual((reply.stored, reply.skip), (False, C.SET_SKIP_FINISH_REASON))
            self.assertFalse(self.get(f"cut {number}").hit)

    def test_an_answer_of_tool_calls_alone_is_an_answer(self):
        info = M.AnswerInfo(tool_calls_json='[{"name":"f"}]', finish_reason="tool_calls")
        self.assertTrue(self.set("call f", "", info=info).stored)
        self.assertEqual(self.get("call f").info, info)

    def test_an_opaque_answer_comes_back_as_a_blob(self):
        info = M.AnswerInfo(content_type="application/octet-stream")
        blob = bytes(range(256)) * 40
        self.assertTrue(self.set("opaque", "", info=info, blob=blob).stored)
        reply = self.get("opaque")
        self.assertEqual((reply.blob, reply.content), (blob, ""))

    def test_an_answer_of_one_mebibyte_survives(self):
        content = "ä" * (512 * 1024)
        self.assertTrue(self.set("long", content).stored)
        self.assertEqual(self.get("long").content, content)

    def test_each_entry_expires_to_the_millisecond_and_is_reported(self):
        self.set("short life", "x", ttl_ms=150)
        self.assertTrue(self.get("short life").hit)
        time.sleep(0.2)
        reply = self.get("short life")
        self.assertEqual((reply.hit, reply.miss_reason), (False, M.MISS_REASON_EXPIRED))

    def test_a_replaced_answer_is_the_only_one(self):
        first, second = self.set("q", "one"), self.set("q", "two")
        self.assertEqual(first.entry_id, second.entry_id)
        self.assertGreater(second.sequence, first.sequence)
        self.assertEqual(self.get("q").content, "two")
        self.assertEqual(self.get("q").entry.hit_count, 2)
        self.assertEqual(self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace)).entries, 1)

    def test_miss_reasons_of_the_semantic_tier(self):
        self.assertEqual(self.get("anything at all").miss_reason, M.MISS_REASON_NO_CANDIDATE)
        self.set(RESET, "Under Settings.")
        below = self.get("How do I reset my wireless router at home?")
        self.assertEqual(below.miss_reason, M.MISS_REASON_BELOW_CUT)
        self.assertAlmostEqual(below.threshold, 0.90, places=5)
        self.assertTrue(0 < below.similarity < below.threshold)
        self.assertAlmostEqual(below.decision.near_miss.delta, below.threshold - below.similarity, places=5)
        trash = "Can an administrator of the team restore a project folder that somebody accidentally deleted from the trash folder {} days ago?"
        self.set(trash.format(30), "Yes.")
        blocked = self.get(trash.format(60))
        self.assertEqual(blocked.miss_reason, M.MISS_REASON_GUARD_BLOCKED, blocked)
        self.assertIn(M.GUARD_NUMBER, blocked.decision.guards)
        self.assertEqual(len(blocked.decision.token), 86)

    def test_only_the_exact_tier_when_asked_for(self):
        self.set(RESET, "a")
        reply = self.get(RESET_AGAIN, tiers=[M.TIER_EXACT])
        self.assertEqual((reply.hit, reply.miss_reason), (False, M.MISS_REASON_NOT_FOUND))
        self.assertFalse(reply.HasField("decision"))
        self.assertEqual(self.get(RESET, tiers=[M.TIER_SEMANTIC]).tier, M.TIER_SEMANTIC)

    def test_temperature_above_zero_uses_the_exact_tier_only(self):
        warm = M.Params(temperature=0.7)
        self.set(RESET, "warm", params=warm)
        self.assertEqual(self.get(RESET, params=warm).tier, M.TIER_EXACT)
        reply = self.get(RESET_AGAIN, params=warm)
        self.assertEqual((reply.hit, reply.miss_reason), (False, M.MISS_REASON_NOT_ELIGIBLE))
        cold = M.Params(temperature=0)
        self.set(RESET, "cold", params=cold)
        self.assertEqual(self.get(RESET_AGAIN, params=cold).tier, M.TIER_SEMANTIC)

    def test_several_user_turns_and_tools_are_exact_only(self):
        turns = [M.ChatMessage(role="user", content="Hi"), M.ChatMessage(role="assistant", content="Hello"),
                 M.ChatMessage(role="user", content=RESET)]
        for identity in (self.identity(messages=turns), self.identity(RESET, tools_json='[{"type":"function"}]')):
            self.assertEqual(self.get(identity=identity).miss_reason, M.MISS_REASON_NOT_ELIGIBLE)
            self.assertTrue(self.set(identity=identity).stored)
            self.assertEqual(self.get(identity=identity).tier, M.TIER_EXACT)

    def test_a_text_without_a_word_has_no_vector(self):
        self.set("how do I", "x")
        self.assertTrue(self.set("?!", "marks").stored)
        self.assertEqual(self.get("?!").tier, M.TIER_EXACT)
        self.assertEqual(self.get("!!").miss_reason, M.MISS_REASON_NOT_ELIGIBLE)

    def test_json_without_a_canonical_form_is_not_eligible(self):
        odd = self.identity("x", tools_json='{"a":1,"a":2}')
        self.assertEqual(self.get(identity=odd).miss_reason, M.MISS_REASON_NOT_ELIGIBLE)
        reply = self.set(identity=odd)
        self.assertEqual((reply.stored, reply.skip), (False, C.SET_SKIP_NOT_ELIGIBLE))

    def test_vectors_of_the_client(self):
        vector = lambda *numbers: C.SetRequest().vector.__class__(f32=numbers)
        stored = self.set("alpha", "A", vector=vector(3, 4, 0), embedder="mine")
        self.assertTrue(stored.indexed)
        near = self.get("beta", vector=vector(6, 8, 0.1), embedder="mine")
        self.assertEqual((near.tier, near.content), (M.TIER_SEMANTIC, "A"))
        self.assertAlmostEqual(near.threshold, 0.95, places=5)
        far = self.get("gamma", vector=vector(0, 0, 1), embedder="mine")
        self.assertFalse(far.hit)
        self.assertEqual(self.get("beta", embedder="other", vector=vector(3, 4, 0)).miss_reason, M.MISS_REASON_NO_CANDIDATE)

    def test_half_precision_vectors_are_the_same_vectors(self):
        import struct
        half = M.Vector(f16=struct.pack("<3e", 3, 4, 0))
        self.set("alpha", "A", vector=M.Vector(f32=[3, 4, 0]), embedder="mine")
        reply = self.get("beta", vector=half, embedder="mine")
        self.assertTrue(reply.hit)
        self.assertAlmostEqual(reply.similarity, 1.0, places=4)

    def test_included_parts(self):
        self.set(RESET, "a")
        reply = self.get(RESET_AGAIN, include=[C.INCLUDE_MATCHED_PROMPT, C.INCLUDE_CANDIDATES, C.INCLUDE_TIMING])
        self.assertEqual(reply.debug.matched_prompt, RESET)
        self.assertEqual(reply.debug.candidates[0].prompt, RESET)
        self.assertEqual(reply.debug.candidates[0].entry_id, reply.entry.entry_id)
        self.assertGreater(reply.debug.timing.total_us, 0)
        self.assertGreater(reply.debug.timing.embed_us + reply.debug.timing.search_us, 0)

    def test_batches_answer_in_order_and_items_fail_alone(self):
        sets = self.cache.BatchSet(C.BatchSetRequest(items=[
            C.SetRequest(identity=self.identity(f"item {n}"), content=f"answer {n}") for n in range(20)]
            + [C.SetRequest(identity=self.identity(""), content="x")]))
        self.assertEqual(len(sets.results), 21)
        self.assertTrue(all(result.response.stored for result in sets.results[:20]))
        self.assertEqual((sets.results[20].error.code, sets.results[20].error.reason), (3, "EMPTY_PROMPT"))
        gets = self.cache.BatchGet(C.BatchGetRequest(items=[
            C.GetRequest(identity=self.identity(f"item {n}")) for n in (3, 99, 0)]
            + [C.GetRequest(identity=self.identity("item 3"), min_similarity=2)]))
        self.assertEqual([result.response.content for result in gets.results[:3:2]], ["answer 3", "answer 0"])
        self.assertFalse(gets.results[1].response.hit)
        self.assertEqual(gets.results[3].error.reason, "BAD_THRESHOLD")
        self.assertFalse(gets.results[3].HasField("response"))

    def test_delete_by_id_by_identity_and_by_namespace(self):
        one, two, three = (self.set(f"entry {n}") for n in range(3))
        request = C.DeleteRequest(namespace=self.namespace, entry_ids=[one.entry_id], identity=self.identity("entry 1"))
        self.assertEqual(self.cache.Delete(request).deleted, 2)
        self.assertEqual(self.cache.Delete(request).deleted, 0)
        self.assertEqual(self.cache.Delete(C.DeleteRequest(namespace="another", entry_ids=[three.entry_id])).deleted, 0)
        self.assertFalse(self.get("entry 0").hit)
        self.assertTrue(self.get("entry 2").hit)

    def test_invalidate_by_tag_model_namespace_and_age(self):
        for n in range(6):
            self.set(f"question number {n}", model=f"model-{n % 2}", tags=[f"tag-{n % 3}", "all"])
        select = lambda **fields: C.Selector(namespace=self.namespace, **fields)
        invalidate = lambda selector, **fields: self.cache.Invalidate(C.InvalidateRequest(selector=selector, **fields))
        dry = invalidate(select(tags=["tag-1"]), dry_run=True)
        self.assertEqual((dry.matched, len(dry.sample_ids)), (2, 2))
        self.assertEqual(invalidate(select(tags=["tag-1"])).matched, 2)
        self.assertFalse(self.get("question number 1", model="model-1").hit)
        self.assertEqual(invalidate(select(model="model-0", tags=["all"])).matched, 2)
        self.assertEqual(invalidate(select(created_before_unix_ms=1000)).matched, 0)
        future = int(time.time() * 1000) + 60_000
        self.assertEqual(invalidate(select(created_before_unix_ms=future), dry_run=True).matched, 2)
        self.assertEqual(invalidate(select(), confirm=self.namespace).matched, 2)
        self.assertEqual(self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace)).entries, 0)

    def test_a_dry_run_counts_what_is_then_removed_the_expired_too(self):
        self.set("short", ttl_ms=1, tags=["here"])
        self.set("long", tags=["here"])
        time.sleep(0.01)
        selector = C.Selector(namespace=self.namespace, tags=["here"])
        dry = self.cache.Invalidate(C.InvalidateRequest(selector=selector, dry_run=True))
        real = self.cache.Invalidate(C.InvalidateRequest(selector=selector))
        self.assertIn(dry.matched, (1, 2))  # the sweep may have come first
        self.assertIn(real.matched, (1, dry.matched))

    def test_a_named_embedder_without_a_vector_asks_the_exact_tier_alone(self):
        stored = self.set(RESET, "a", embedder="mine")
        self.assertEqual((stored.stored, stored.indexed), (True, False))
        self.assertEqual(self.get(RESET, embedder="mine").tier, M.TIER_EXACT)
        again = self.get(RESET_AGAIN, embedder="mine")
        self.assertEqual((again.hit, again.miss_reason), (False, M.MISS_REASON_NOT_ELIGIBLE))

    def test_several_choices_are_stored_with_all_of_them_or_not(self):
        params = M.Params(n=2)
        lacking = self.set("x", "one", params=params)
        self.assertEqual((lacking.stored, lacking.skip), (False, C.SET_SKIP_ADMISSION))
        self.assertTrue(self.set("x", "one", params=params, info=M.AnswerInfo(extra_choices_json='["two"]')).stored)
        reply = self.get("x", params=params)
        self.assertEqual((reply.content, reply.info.extra_choices_json), ("one", '["two"]'))
        self.assertFalse(self.get("x", tiers=[M.TIER_EXACT]).hit)

    def test_an_invalidated_entry_is_gone_on_every_tier(self):
        self.set(RESET, "a", tags=["faq"])
        self.assertTrue(self.get(RESET_AGAIN).hit)
        self.cache.Invalidate(C.InvalidateRequest(selector=C.Selector(namespace=self.namespace, tags=["faq"])))
        self.assertFalse(self.get(RESET).hit)
        self.assertFalse(self.get(RESET_AGAIN).hit)

    def test_the_statistics_of_one_namespace(self):
        self.set(RESET, "a")
        self.get(RESET)
        self.get(RESET_AGAIN)
        self.get("something quite different")
        self.get(RESET, tiers=[M.TIER_EXACT])
        stats = self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace))
        tiers = {tier.tier: tier for tier in stats.tiers}
        exact, semantic = tiers[M.TIER_EXACT], tiers[M.TIER_SEMANTIC]
        self.assertEqual((exact.lookups, exact.hits, exact.misses), (4, 2, 2))
        self.assertEqual((semantic.lookups, semantic.hits, semantic.misses), (2, 1, 1))
        self.assertEqual((stats.total_requests, stats.cached_requests), (4, 3))
        self.assertEqual(stats.cache_rate, 0.75)
        self.assertEqual((exact.hit_rate, exact.tier_rate, semantic.hit_rate, semantic.tier_rate), (0.5, 0.5, 0.5, 0.25))
        self.assertEqual((exact.entries, semantic.entries, stats.sets), (1, 1, 1))
        self.assertEqual(sum(miss.count for miss in stats.misses), 1)
        policy = [p for p in stats.policies if p.scope.namespace == self.namespace][0]
        self.assertEqual(policy.mode, admin_pb2.POLICY_MODE_STATIC)
        self.assertAlmostEqual(policy.threshold, 0.90, places=5)
        self.assertFalse(policy.HasField("recent_accuracy"))
        self.assertEqual((policy.lookups, policy.hits), (2, 1))
        self.assertEqual(stats.embedders[0].name, "lexical")

    def test_an_unused_namespace_answers_zeros(self):
        stats = self.admin.Stats(admin_pb2.StatsRequest(namespace="never-used"))
        self.assertEqual((stats.total_requests, stats.entries, stats.cache_rate), (0, 0, 0.0))

    def test_every_report_outcome_but_expiry(self):
        self.set(RESET, "a")
        report = lambda token, verdict=F.VERDICT_CORRECT, **fields: self.feedback.Report(
            F.ReportRequest(decision_token=token, verdict=verdict, **fields)).outcome
        token = lambda: self.get(RESET_AGAIN).decision.token
        first = token()
        self.assertEqual(report(first), F.REPORT_OUTCOME_ACCEPTED)
        self.assertEqual(report(first), F.REPORT_OUTCOME_DUPLICATE)
        self.assertEqual(report("no token"), F.REPORT_OUTCOME_BAD_TOKEN)
        changed = token()
        changed = changed[:40] + ("A" if changed[40] != "A" else "B") + changed[41:]
        self.assertEqual(report(changed), F.REPORT_OUTCOME_BAD_TOKEN)
        self.assertEqual(report(token(), F.VERDICT_UNSURE), F.REPORT_OUTCOME_COUNTED_ONLY)
        near_miss = self.get("How do I reset my wireless router at home?").decision.token
        self.assertEqual(report(near_miss), F.REPORT_OUTCOME_COUNTED_ONLY)
        tokens = [token() for _ in range(61)]
        outcomes = [report(each, reporter="someone") for each in tokens]
        self.assertEqual(outcomes[:60], [F.REPORT_OUTCOME_ACCEPTED] * 60)
        self.assertEqual(outcomes[60], F.REPORT_OUTCOME_RATE_LIMITED)
        late = token()
        self.set(RESET, "b")
        self.assertEqual(report(late), F.REPORT_OUTCOME_UNKNOWN_ENTRY)
        stale = token()
        self.assertEqual(report(stale, F.VERDICT_STALE), F.REPORT_OUTCOME_ACCEPTED)
        self.assertFalse(self.get(RESET).hit)
        echo = self.feedback.Report(F.ReportRequest(decision_token="x", verdict=F.VERDICT_WRONG, feedback_id="f-1"))
        self.assertEqual((echo.feedback_id, echo.labels_left_this_minute), ("f-1", 60))

    def test_an_operator_takes_a_wrong_entry_out_of_the_semantic_tier(self):
        self.set(RESET, "a")
        token = self.get(RESET_AGAIN).decision.token
        self.feedback.Report(F.ReportRequest(decision_token=token, verdict=F.VERDICT_WRONG, source=F.VERDICT_SOURCE_OPERATOR))
        self.assertFalse(self.get(RESET_AGAIN).hit)
        self.assertEqual(self.get(RESET).tier, M.TIER_EXACT)


class PolicyOff(WireTest):
    options = {"semantic_policy": "off"}

    def test_the_semantic_tier_is_disabled(self):
        self.assertFalse(self.set(RESET).indexed)
        self.assertEqual(self.get(RESET_AGAIN).miss_reason, M.MISS_REASON_DISABLED)
        self.assertTrue(self.get(RESET).hit)


class Adaptive(WireTest):
    options = {"semantic_policy": "adaptive", "semantic_token_ttl": "1min"}

    def live(self):
        stats = self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace))
        return [p for p in stats.policies if p.scope.namespace == self.namespace][0]

    def verdicts(self, verdict, count):
        for _ in range(count):
            token = self.get(RESET_AGAIN).decision.token
            outcome = self.feedback.Report(F.ReportRequest(decision_token=token, verdict=verdict)).outcome
            self.assertEqual(outcome, F.REPORT_OUTCOME_ACCEPTED)

    def test_right_verdicts_lower_the_threshold_to_its_end_stop(self):
        self.set(RESET, "a")
        self.assertEqual(self.get(RESET_AGAIN).threshold, self.live().threshold)
        self.verdicts(F.VERDICT_CORRECT, 9)
        self.assertAlmostEqual(self.live().threshold, 0.90, places=4)
        self.verdicts(F.VERDICT_CORRECT, 5)
        live = self.live()
        self.assertAlmostEqual(live.threshold, 0.85, places=4)
        self.assertEqual((live.recent_accuracy, live.feedback_count, live.mode), (1.0, 14, admin_pb2.POLICY_MODE_ADAPTIVE))

    def test_a_wrong_verdict_among_ten_raises_it(self):
        self.set(RESET, "a")
        self.verdicts(F.VERDICT_WRONG, 1)
        self.verdicts(F.VERDICT_CORRECT, 9)
        self.assertAlmostEqual(self.live().threshold, 0.91, places=4)
        self.assertAlmostEqual(self.live().recent_accuracy, 0.9, places=6)


class SmallBudget(WireTest):
    options = {"storage_entries_max": "64", "table_stripes": "1"}

    def test_entries_over_the_budget_are_evicted_and_counted(self):
        for n in range(200):
            self.set(f"unique question {n}")
        stats = self.admin.Stats(admin_pb2.StatsRequest())
        self.assertLessEqual(stats.entries, 64)
        self.assertEqual(stats.entries + stats.evictions, 200)
        self.assertEqual(stats.entries_max, 64)
        semantic = [tier for tier in stats.tiers if tier.tier == M.TIER_SEMANTIC][0]
        self.assertEqual(semantic.entries, stats.entries)


class Overload(unittest.TestCase):
    def test_a_full_compute_queue_degrades_a_get_to_the_exact_tier(self):
        """A huge batch keeps the one compute thread busy; Gets behind it find the queue of one full."""
        server = Server(server_compute_threads=1, server_compute_queue_max=1)
        try:
            identity = lambda prompt: M.Identity(model="m", prompt=prompt)
            server.cache.Set(C.SetRequest(identity=identity("a first question"), content="x"))
            batch = C.BatchSetRequest(items=[C.SetRequest(identity=identity(f"{n} " + "word " * 8000), content="x", vector=M.Vector(f32=[1, 0]))
                                             for n in range(60)])  # with vectors it is one job, which nothing interrupts
            reasons = set()
            for _ in range(20):
                busy = [server.cache.BatchSet.future(batch) for _ in range(6)]
                while not all(future.done() for future in busy):
                    reasons.add(server.cache.Get(C.GetRequest(identity=identity("another question of them"))).miss_reason)
                if M.MISS_REASON_OVERLOADED in reasons:
                    break
            self.assertIn(M.MISS_REASON_OVERLOADED, reasons)
        finally:
            server.stop()


if __name__ == "__main__":
    unittest.main()
