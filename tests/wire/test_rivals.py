"""Bugs that caches of this kind have had, one named test each, as far as today's verbs can have them."""
import time
import unittest

from support import WireTest, admin_pb2, cache_pb2, common_pb2, feedback_pb2

C, M, F = cache_pb2, common_pb2, feedback_pb2
RESET = "How do I reset my password?"
RESET_AGAIN = "How can I reset my password?"


class RivalBugs(WireTest):
    def test_threshold_zero_is_a_value_not_unset(self):
        """redisvl #650: a threshold of 0 was taken as "none given"."""
        self.set(RESET, "a")
        far = self.get("How do I reset my wireless router at home?", min_similarity=0)
        self.assertFalse(far.hit)
        self.assertAlmostEqual(far.threshold, 0.90, places=5)
        self.assertEqual(self.get(RESET_AGAIN, min_similarity=0).tier, M.TIER_SEMANTIC)

    def test_threshold_one_is_a_value_and_only_tightens(self):
        self.set(RESET, "a")
        reply = self.get(RESET_AGAIN, min_similarity=1)
        self.assertEqual((reply.hit, reply.threshold), (False, 1.0))
        same = self.get(RESET, min_similarity=1, tiers=[M.TIER_SEMANTIC])
        self.assertEqual((same.hit, same.similarity), (True, 1.0))

    def test_similarity_is_not_a_distance(self):
        """redisvl #407, #444, Azure AI-Gateway #63: the scale was read upside down."""
        self.set(RESET, "a")
        near, far = self.get(RESET_AGAIN), self.get("Compare two gardening books about roses")
        self.assertGreater(near.similarity, far.similarity)

    def test_not_every_query_gets_the_first_answer(self):
        """langchain #25161, GPTCache #379."""
        questions = {"How do I reset my password?": "r", "Where can I download my invoice?": "i", "Which countries do you ship to?": "s"}
        for question, answer in questions.items():
            self.set(question, answer)
        for question, answer in questions.items():
            self.assertEqual(self.get(question).content, answer)
            self.assertEqual(self.get(question, tiers=[M.TIER_SEMANTIC]).content, answer)
        self.assertFalse(self.get("Tell me a joke about penguins").hit)

    def test_a_reversed_question_does_not_hit(self):
        """GPTCache #694, vllm semantic-router #2691."""
        self.set("How do I migrate my data from MySQL to Postgres?", "forward")
        reply = self.get("How do I migrate my data from Postgres to MySQL?")
        self.assertEqual((reply.hit, reply.miss_reason), (False, M.MISS_REASON_GUARD_BLOCKED))
        self.assertIn(M.GUARD_ORDER, reply.decision.guards)

    def test_opposites_do_not_hit(self):
        self.set("Please turn on the dark mode in my account settings", "on")
        reply = self.get("Please turn off the dark mode in my account settings")
        self.assertFalse(reply.hit)

    def test_two_namespaces_and_two_models_never_share(self):
        """litellm #19575, vllm semantic-router #2134."""
        self.set(RESET, "a")
        for other in ({"namespace": "other-one"}, {"model": "other"}, {"attributes": [M.Attribute(name="region", value="eu")]},
                      {"embedder": "other"}):
            for prompt in (RESET, RESET_AGAIN):
                self.assertFalse(self.get(prompt, **other).hit, other)

    def test_isolation_does_not_end_all_semantic_hits(self):
        """litellm #29086, #31610: the cure for shared tenants put the tenant into the embedded text."""
        for n in range(5):
            self.set(RESET, f"of {n}", namespace=f"isolated-{n}")
        for n in range(5):
            self.assertEqual(self.get(RESET_AGAIN, namespace=f"isolated-{n}").content, f"of {n}")

    def test_another_system_prompt_is_another_answer(self):
        self.set(RESET, "a", system_prompt="Be brief.")
        for prompt in (RESET, RESET_AGAIN):
            self.assertFalse(self.get(prompt, system_prompt="Be rude.").hit)
            self.assertFalse(self.get(prompt).hit)
        self.assertEqual(self.get(RESET_AGAIN, system_prompt="Be brief.").tier, M.TIER_SEMANTIC)

    def test_a_twin_behind_many_incompatible_rows_still_hits(self):
        """A filter applied to the ten nearest only would lose the twin at rank eleven."""
        for n in range(40):
            self.set(RESET, f"of prompt {n}", system_prompt=f"You are assistant number {n}.")
        self.set(RESET, "mine", system_prompt="You are mine.")
        self.assertEqual(self.get(RESET_AGAIN, system_prompt="You are mine.").content, "mine")

    def test_reordered_json_is_the_same_request(self):
        """Bifrost #2791, #3190."""
        self.set("x", "a", tools_json='{"a": 1, "b": [1.0, "z"]}')
        self.assertTrue(self.get("x", tools_json='{ "b":[1,"z"],"a":1e0 }').hit)

    def test_an_expired_entry_neither_hits_nor_counts_nor_fills_the_top(self):
        for n in range(40):
            self.set(RESET, f"gone {n}", system_prompt=f"s{n % 3}", ttl_ms=100)
        self.set("How should I reset my password?", "alive")
        time.sleep(0.15)
        reply = self.get(RESET_AGAIN)
        self.assertEqual(reply.content, "alive")
        self.assertEqual(self.get(RESET, system_prompt="s1").miss_reason, M.MISS_REASON_EXPIRED)

    def test_a_deleted_row_is_never_found_again(self):
        """camel #3790: a row id reused after a delete served another question's answer."""
        for round_number in range(5):
            stored = self.set(RESET, f"round {round_number}")
            self.assertEqual(self.get(RESET_AGAIN).content, f"round {round_number}")
            self.cache.Delete(C.DeleteRequest(namespace=self.namespace, entry_ids=[stored.entry_id]))
            self.set("Where can I download my invoice?", "invoice")
            self.assertFalse(self.get(RESET_AGAIN).hit)

    def test_an_unnormalised_twin_is_the_same_text(self):
        self.set("cafe\u0301\r\nmenu", "a")
        self.assertEqual(self.get("caf\u00e9\nmenu").tier, M.TIER_EXACT)

    def test_a_vector_that_is_not_a_number_is_not_stored_as_zero(self):
        import grpc
        with self.assertRaises(grpc.RpcError):
            self.set("x", vector=M.Vector(f32=[float("nan")] * 3), embedder="mine")
        self.assertFalse(self.get("x", embedder="mine").hit)

    def test_a_verdict_on_an_answer_replaced_in_the_same_millisecond_moves_nothing(self):
        """Seen here: the token knew its entry by the millisecond, and a replacement without a vector ended the server."""
        vector = M.Vector(f32=[1, 2, 3])
        asked = C.GetRequest(identity=self.identity("!!"), vector=vector)
        for _ in range(300):
            self.set("?!", "a", vector=vector)
            token = self.cache.Get(asked).decision.token
            self.set("?!", "b")
            reply = self.feedback.Report(F.ReportRequest(decision_token=token, verdict=F.VERDICT_CORRECT))
            self.assertEqual(reply.outcome, F.REPORT_OUTCOME_UNKNOWN_ENTRY)
        self.assertEqual(self.get("?!").content, "b")

    def test_every_semantic_outcome_has_a_token_that_feedback_takes(self):
        """A hit without a feedback id: nobody could say that it was wrong."""
        self.set(RESET, "a")
        self.set("How do I migrate my data from MySQL to Postgres?", "forward")
        hit, near, blocked = (self.get(prompt) for prompt in (
            RESET_AGAIN, "How do I reset my wireless router at home?", "How do I migrate my data from Postgres to MySQL?"))
        self.assertEqual((hit.tier, near.miss_reason, blocked.miss_reason),
                         (M.TIER_SEMANTIC, M.MISS_REASON_BELOW_CUT, M.MISS_REASON_GUARD_BLOCKED))
        tokens = [reply.decision.token for reply in (hit, near, blocked)]
        self.assertEqual([len(token) for token in tokens], [86, 86, 86])
        outcomes = [self.feedback.Report(F.ReportRequest(decision_token=token, verdict=F.VERDICT_WRONG)).outcome for token in tokens]
        self.assertEqual(outcomes, [F.REPORT_OUTCOME_ACCEPTED, F.REPORT_OUTCOME_COUNTED_ONLY, F.REPORT_OUTCOME_COUNTED_ONLY])

    def test_a_hit_does_not_lengthen_a_life(self):
        """redisvl #603: each read put the end off, so that a wrong answer that is asked for often never ended."""
        ends = time.monotonic() + 1.5
        self.set(RESET, "a", ttl_ms=1500)
        ended = time.monotonic() + 1.5
        asked, left_before = 0, 1501
        while time.monotonic() < ends - 0.3:
            for prompt, tier in ((RESET, M.TIER_EXACT), (RESET_AGAIN, M.TIER_SEMANTIC)):
                reply = self.get(prompt)
                if time.monotonic() >= ends:  # a busy machine: it may have ended meanwhile
                    break
                self.assertEqual(reply.tier, tier)
                self.assertLessEqual(reply.entry.ttl_remaining_ms, left_before)
                left_before = reply.entry.ttl_remaining_ms
                asked += 1
            time.sleep(0.05)
        self.assertGreater(asked, 4)
        self.assertLess(left_before, 1000)
        time.sleep(max(0, ended + 0.05 - time.monotonic()))
        self.assertFalse(self.get(RESET).hit)
        self.assertFalse(self.get(RESET_AGAIN).hit)


class Capacity(WireTest):
    options = {"storage_entries_max": "40", "table_stripes": "1"}

    def test_an_update_of_a_key_at_capacity_evicts_nobody(self):
        """headroom #2094."""
        for n in range(40):
            self.set(f"question number {n} here", "x")
        before = self.admin.Stats(admin_pb2.StatsRequest())
        for _ in range(100):
            self.set("question number 7 here", "y")
        after = self.admin.Stats(admin_pb2.StatsRequest())
        self.assertEqual((after.evictions, after.entries), (before.evictions, before.entries))


if __name__ == "__main__":
    unittest.main()
