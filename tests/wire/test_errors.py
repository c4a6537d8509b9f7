"""Every refusal: its code, its reason, and the field that it names. What the store held before is still there after."""
import math
import pathlib
import re
import unittest

import grpc

from support import SOURCE, WireTest, admin_pb2, cache_pb2, common_pb2, feedback_pb2

C, M, F = cache_pb2, common_pb2, feedback_pb2
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Errors(WireTest):
    def test_no_identity_no_prompt_no_model(self):
        self.refused(lambda: self.cache.Get(C.GetRequest()), INVALID, "EMPTY_PROMPT", "identity")
        self.refused(lambda: self.get(""), INVALID, "EMPTY_PROMPT", "identity.prompt")
        self.refused(lambda: self.get("x", model=""), INVALID, "BAD_NAME", "identity.model")

    def test_prompt_and_messages_exclude_each_other(self):
        both = self.identity("x", messages=[M.ChatMessage(role="user", content="y")])
        self.refused(lambda: self.get(identity=both), INVALID, "AMBIGUOUS_INPUT")

    def test_names_outside_their_alphabet(self):
        self.refused(lambda: self.get("x", namespace="a b"), INVALID, "BAD_NAME", "identity.namespace")
        self.refused(lambda: self.get("x", namespace="n" * 65), INVALID, "BAD_NAME", "identity.namespace")
        self.refused(lambda: self.get("x", model="m" * 257), INVALID, "BAD_NAME", "identity.model")
        twice = [M.Attribute(name="region", value="eu"), M.Attribute(name="region", value="us")]
        self.refused(lambda: self.get("x", attributes=twice), INVALID, "BAD_NAME")

    def test_nul_and_invalid_utf8_name_their_field(self):
        self.refused(lambda: self.get("a\0b"), INVALID, "BAD_TEXT", "identity.prompt")
        self.refused(lambda: self.set("x", "a\0b"), INVALID, "BAD_TEXT", "content")
        raw = self.server.channel.unary_unary("/reprise.v1.Cache/Get", request_serializer=None, response_deserializer=None)
        identity = b"\x12\x01m" + b"\x1a\x02\xc3\x28"
        self.refused(lambda: raw(b"\x0a" + bytes([len(identity)]) + identity), INVALID, "BAD_TEXT", "identity.prompt")

    def test_nul_never_equals_its_prefix(self):
        self.set("abc", "stored")
        self.refused(lambda: self.get("abc\0def"), INVALID, "BAD_TEXT")

    def test_json_that_cannot_be_read(self):
        self.refused(lambda: self.get("x", tools_json="{"), INVALID, "BAD_JSON", "identity.tools_json")

    def test_vectors_that_are_none(self):
        vector = lambda *numbers: M.Vector(f32=numbers)
        for numbers in ((0, 0, 0), (math.nan, 1, 0), (math.inf, 0, 0), (-math.inf, 1, 1)):
            self.refused(lambda: self.get("x", vector=vector(*numbers)), INVALID, "BAD_VECTOR")
            self.refused(lambda: self.set("x", vector=vector(*numbers)), INVALID, "BAD_VECTOR")
        self.assertFalse(self.get("x").hit)
        self.refused(lambda: self.get("x", vector=M.Vector(f16=b"\0\0\0")), INVALID, "BAD_VECTOR")
        self.refused(lambda: self.get("x", vector=M.Vector(f32=[1], f16=b"\0\0")), INVALID, "AMBIGUOUS_INPUT")
        self.refused(lambda: self.get("x", vector=vector(*[1.0] * 4097)), INVALID, "LIMIT_EXCEEDED")

    def test_another_dimension_than_the_scope(self):
        self.set("one", vector=M.Vector(f32=[1, 0, 0]), embedder="mine")
        self.refused(lambda: self.get("two", vector=M.Vector(f32=[1, 0]), embedder="mine"), INVALID, "DIM_MISMATCH")
        self.refused(lambda: self.set("two", vector=M.Vector(f32=[1, 0]), embedder="mine"), INVALID, "DIM_MISMATCH")

    def test_thresholds_outside_their_range(self):
        for threshold in (-0.01, 1.01, math.nan, math.inf):
            self.refused(lambda: self.get("x", min_similarity=threshold), INVALID, "BAD_THRESHOLD", "min_similarity")

    def test_content_and_blob(self):
        self.refused(lambda: self.set("x", "a", blob=b"b"), INVALID, "AMBIGUOUS_INPUT")
        self.refused(lambda: self.set("x", "", blob=b"b"), INVALID, "AMBIGUOUS_INPUT")

    def test_an_answer_over_its_limit_and_the_old_one_stays(self):
        self.set("x", "old")
        self.refused(lambda: self.set("x", "a" * (2 * 1024 * 1024 + 1)), INVALID, "ENTRY_TOO_LARGE")
        self.assertEqual(self.get("x").content, "old")

    def test_limits_name_the_field_and_the_number(self):
        many = lambda count: [M.Attribute(name=f"a{n}", value="v") for n in range(count)]
        message = self.refused(lambda: self.get("x", attributes=many(17)), INVALID, "LIMIT_EXCEEDED", "identity.attributes")
        self.assertIn("16", message)
        self.refused(lambda: self.set("x", metadata=many(17)), INVALID, "LIMIT_EXCEEDED", "metadata")
        self.refused(lambda: self.set("x", tags=["t"] * 17), INVALID, "LIMIT_EXCEEDED", "tags")
        self.refused(lambda: self.set("x", tags=["t" * 129]), INVALID, "LIMIT_EXCEEDED", "tags[0]")
        self.refused(lambda: self.set("x", ttl_ms=31 * 24 * 3600 * 1000), INVALID, "LIMIT_EXCEEDED", "ttl_ms")
        message = self.refused(lambda: self.get("p" * (256 * 1024 + 1)), INVALID, "LIMIT_EXCEEDED", "identity.prompt")
        self.assertIn("262144", message.replace(",", ""))
        self.refused(lambda: self.get("x", params=M.Params(temperature=11)), INVALID, "LIMIT_EXCEEDED", "identity.params.temperature")
        messages = [M.ChatMessage(role="user", content="x")] * 1025
        self.refused(lambda: self.get(messages=messages), INVALID, "LIMIT_EXCEEDED", "identity.messages")
        self.refused(lambda: self.get("x", context_ids=["d"] * 65), INVALID, "LIMIT_EXCEEDED", "identity.context_ids")

    def test_every_text_of_an_identity_has_a_limit(self):
        long, item = "x" * (256 * 1024 + 1), "x" * 1025
        json = '["' + long + '"]'
        cases = {"identity.context_ids[1]": {"context_ids": ["d", item]}, "identity.params.stop[0]": {"params": M.Params(stop=[item])},
                 "identity.tools_json": {"tools_json": json}, "identity.system_prompt": {"system_prompt": long},
                 "identity.response_format_json": {"response_format_json": json}, "identity.tool_choice_json": {"tool_choice_json": json},
                 "identity.params.other_json": {"params": M.Params(other_json=json)}}
        for field, fields in cases.items():
            self.refused(lambda: self.get("x", **fields), INVALID, "LIMIT_EXCEEDED", field)

    def test_marks_in_the_wrong_order_are_only_a_long_text(self):
        """Ordered by swapping neighbours they kept a thread busy for seconds."""
        for n in range(20):
            self.get("a" + "\u0301\u0316" * 60_000 + str(n), timeout=30)

    def test_a_scope_over_four_kibibytes(self):
        attributes = [M.Attribute(name=f"a{n}", value="v" * 1000) for n in range(5)]
        self.refused(lambda: self.get("x", attributes=attributes), INVALID, "SCOPE_TOO_LONG")

    def test_unknown_enum_values(self):
        self.refused(lambda: self.get("x", include=[0]), INVALID, "LIMIT_EXCEEDED", "include[0]")
        self.refused(lambda: self.get("x", tiers=[77]), INVALID, "LIMIT_EXCEEDED", "tiers[0]")
        self.refused(lambda: self.feedback.Report(F.ReportRequest(decision_token="x")), INVALID, "LIMIT_EXCEEDED", "verdict")

    def test_batches_outside_their_size(self):
        self.refused(lambda: self.cache.BatchGet(C.BatchGetRequest()), INVALID, "LIMIT_EXCEEDED", "items")
        many = C.BatchGetRequest(items=[C.GetRequest(identity=self.identity("x"))] * 257)
        self.refused(lambda: self.cache.BatchGet(many), INVALID, "LIMIT_EXCEEDED", "items")

    def test_ids_that_are_none(self):
        for bad in ("", "abc", "G" * 64, "A" * 64, "0" * 63):
            request = C.DeleteRequest(namespace=self.namespace, entry_ids=[bad])
            self.refused(lambda: self.cache.Delete(request), INVALID, "BAD_ID", "entry_ids[0]")

    def test_selectors_that_say_too_little(self):
        invalidate = lambda **fields: self.cache.Invalidate(C.InvalidateRequest(**fields))
        self.set("x", "kept")
        self.refused(lambda: invalidate(), INVALID, "LIMIT_EXCEEDED", "selector")
        self.refused(lambda: invalidate(selector=C.Selector()), INVALID, "LIMIT_EXCEEDED", "selector")
        whole = C.Selector(namespace=self.namespace)
        failed = grpc.StatusCode.FAILED_PRECONDITION
        self.refused(lambda: invalidate(selector=whole), failed, "UNCONFIRMED", "confirm")
        self.refused(lambda: invalidate(selector=whole, confirm="other"), failed, "UNCONFIRMED", "confirm")
        part = C.Selector(namespace="errors", tags=["a"])
        self.refused(lambda: invalidate(selector=part, confirm="other"), failed, "UNCONFIRMED", "confirm")
        self.refused(lambda: invalidate(selector=part, confirm="other", dry_run=True), failed, "UNCONFIRMED", "confirm")
        self.assertEqual(invalidate(selector=whole, dry_run=True).matched, 1)
        self.assertEqual(self.get("x").content, "kept")

    def test_a_reply_over_its_limit_and_a_batch_that_says_which(self):
        content = "a" * (2 * 1024 * 1024)
        for n in range(3):
            self.set(f"big {n}", content)
        items = [C.GetRequest(identity=self.identity(f"big {n}")) for n in range(3)]
        results = self.cache.BatchGet(C.BatchGetRequest(items=items)).results
        self.assertEqual(results[0].response.content, content)
        self.assertEqual(results[2].error.reason, "REPLY_TOO_LARGE")
        self.assertEqual(results[2].error.code, EXHAUSTED.value[0])

    def test_pins_hold_a_tenth_of_a_budget_and_no_more(self):
        budget = admin_pb2.Namespace(name="pins", entries_max=10)
        self.admin.CreateNamespace(admin_pb2.CreateNamespaceRequest(namespace=budget))
        self.set("one", namespace="pins", pinned=True)
        self.refused(lambda: self.set("two", namespace="pins", pinned=True), EXHAUSTED, "NO_MEMORY", "pinned")
        self.assertFalse(self.get("two", namespace="pins").hit)
        self.set("two", namespace="pins")

    def test_stats_of_a_name_that_is_none(self):
        self.refused(lambda: self.admin.Stats(admin_pb2.StatsRequest(namespace="a b")), INVALID, "BAD_NAME", "namespace")


class SmallReply(WireTest):
    options = {"server_reply_max": "64KiB"}

    def test_a_single_reply_over_the_limit(self):
        self.set("big", "a" * 100_000)
        self.refused(lambda: self.get("big"), EXHAUSTED, "REPLY_TOO_LARGE")


class EveryReason(unittest.TestCase):
    """The table of base/status.h against the wire tests: a reason that clients may see is provoked by one of them."""

    # Why no call can be made to end with it. Unit tests look at those that people see elsewhere.
    UNSEEN = {
        "CANCELLED": "whoever would see it has gone away",
        "DEADLINE": "the caller's own clock ends the call with the same code before our words arrive",
        "ENTRY_EXISTS": "between store and cache; the reply of a Set says skip",
        "INTERNAL": "a fault of ours",
        "CORRUPT": "a start that is refused, or fsck",
        "IO_FAILED": "a start that is refused; while serving it is STORAGE_DEGRADED",
        "MODEL_UNSUPPORTED": "a start that is refused",
        "UNAVAILABLE": "a start that is refused: another process has the folder or the port",
        "UNSUPPORTED": "a start that is refused: the machine does not allow it",
        "WEIGHTS_CORRUPT": "a start that is refused",
        "WEIGHTS_MISSING": "a start that is refused",
    }

    def test_every_reason_is_provoked_or_cannot_be_seen(self):
        table = re.findall(r"^    X\((\w+), ", (SOURCE / "base/status.h").read_text(), re.MULTILINE)[1:]  # but for OK
        self.assertGreater(len(table), 30)
        tests = pathlib.Path(__file__).parent.glob("test_*.py")
        calls = "\n".join(re.sub(r"UNSEEN = \{.*?\n    \}", "", test.read_text(), flags=re.DOTALL) for test in tests)
        provoked = {reason for reason in table if f'"{reason}"' in calls}
        self.assertEqual(sorted(set(table) - provoked - set(self.UNSEEN)), [], "no wire test provokes these")
        self.assertEqual(sorted(provoked & set(self.UNSEEN)), [], "these can be seen after all")
        self.assertEqual(sorted(set(self.UNSEEN) - set(table)), [], "these are not in the table any more")


if __name__ == "__main__":
    unittest.main()
