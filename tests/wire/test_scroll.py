"""Scroll, GetEntry, Import and the verbs scan, entry, export, import and top: what is stored, page by page, and what goes on."""
import json
import os
import subprocess
import threading
import unittest

import grpc
from support import BIN, FOLDER, Server, WireTest, admin_pb2, cache_pb2, common_pb2

A, C, M = admin_pb2, cache_pb2, common_pb2


class Scrolling(WireTest):
    def pages(self, **more):
        cursor = ""
        while True:
            page = self.admin.Scroll(A.ScrollRequest(selector=C.Selector(namespace=self.namespace), cursor=cursor, **more))
            yield page
            cursor = page.next_cursor
            if not cursor:
                return

    def test_pages_bring_every_entry_once(self):
        ids = {self.set(f"question number {n}", f"answer {n}", tags=["t"], metadata=[M.Attribute(name="n", value=str(n))]).entry_id for n in range(60)}
        for limit in (1, 7, 100):
            pages = list(self.pages(limit=limit))
            self.assertTrue(all(len(page.entries) <= limit for page in pages))
            found = [entry.entry_id for page in pages for entry in page.entries]
            self.assertEqual((len(found), set(found)), (60, ids))
        entry = pages[0].entries[0]
        number = entry.metadata[0].value
        self.assertEqual((entry.identity.prompt, entry.identity.model, list(entry.tags), entry.content), (f"question number {number}", "m", ["t"], ""))

    def test_answers_and_vectors_only_when_asked_for(self):
        self.set("hello there", "world", info=M.AnswerInfo(finish_reason="stop"))
        plain, = list(self.pages())
        self.assertEqual((plain.entries[0].content, len(plain.entries[0].vector.f32)), ("", 0))
        full, = list(self.pages(answers=True, vectors=True))
        entry = full.entries[0]
        self.assertEqual((entry.content, entry.info.finish_reason), ("world", "stop"))
        self.assertAlmostEqual(sum(x * x for x in entry.vector.f32), 1, places=3)

    def test_large_answers_make_short_pages(self):
        for n in range(6):
            self.set(f"large {n}", "x" * 1_500_000)
        pages = list(self.pages(answers=True))
        self.assertGreaterEqual(len(pages), 3)
        self.assertEqual(sum(len(page.entries) for page in pages), 6)

    def test_one_entry_by_its_id(self):
        stored = self.set("hello", "world")
        self.get("hello")
        reply = self.admin.GetEntry(A.GetEntryRequest(entry_id=stored.entry_id))
        self.assertEqual((reply.entry.content, reply.entry.hit_count, reply.entry.expires_unix_ms), ("world", 1, stored.expires_unix_ms))
        self.refused(lambda: self.admin.GetEntry(A.GetEntryRequest(entry_id="0" * 64)), grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "entry_id")
        self.refused(lambda: self.admin.GetEntry(A.GetEntryRequest(entry_id="x")), grpc.StatusCode.INVALID_ARGUMENT, "BAD_ID", "entry_id")

    def test_what_a_scroll_refuses(self):
        for request, reason, field in ((A.ScrollRequest(limit=1001), "LIMIT_EXCEEDED", "limit"), (A.ScrollRequest(cursor="abc"), "BAD_ID", "cursor"),
                                       (A.ScrollRequest(selector=C.Selector(tags=["t"] * 17)), "LIMIT_EXCEEDED", "selector.tags")):
            self.refused(lambda: self.admin.Scroll(request), grpc.StatusCode.INVALID_ARGUMENT, reason, field)

    def run_it(self, *words, code=0):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
        result = subprocess.run([str(BIN / "reprise"), *([] if "--endpoint" in words else ["--endpoint", self.server.address]), "--timeout", "60s", *words], capture_output=True, text=True,
                                timeout=120, env=environment, cwd=FOLDER)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def test_the_command_lists_shows_and_exports(self):
        ids = {self.set(f"question {n}", f"answer {n}").entry_id: n for n in range(30)}
        mine = ("--namespace", self.namespace)
        listed = self.run_it("scan", *mine).stdout.splitlines()
        self.assertEqual((len(listed), listed[-1]), (31, "30 entries"))
        self.assertEqual(len(self.run_it("scan", *mine, "--limit", "4", "-o", "json").stdout.splitlines()), 4)
        some = next(iter(ids))
        self.assertIn(f"answer {ids[some]}", self.run_it("entry", some).stdout)
        self.run_it("entry", "0" * 64, code=1)
        path = FOLDER / f"{self.namespace}.jsonl"
        exported = self.run_it("export", str(path), *mine)
        self.assertIn("30 entries", exported.stderr)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual({line["entryId"]: line["content"] for line in lines}, {id_: f"answer {n}" for id_, n in ids.items()})
        self.run_it("export", str(path), *mine, code=1)  # nothing is overwritten unasked
        self.assertEqual(len(self.run_it("export", "-", *mine, "--vectors").stdout.splitlines()), 30)

    def test_an_export_goes_on_with_its_cursor(self):
        for n in range(20):
            self.set(f"question {n}", "x")
        first = self.admin.Scroll(A.ScrollRequest(selector=C.Selector(namespace=self.namespace), limit=8))
        path = FOLDER / f"{self.namespace}.jsonl"
        path.write_text("".join(json.dumps({"entryId": entry.entry_id}) + "\n" for entry in first.entries))
        self.run_it("export", str(path), "--namespace", self.namespace, "--cursor", first.next_cursor)
        found = [json.loads(line)["entryId"] for line in path.read_text().splitlines()]
        self.assertEqual((len(found), len(set(found))), (20, 20))
        self.assertIn("BAD_ID", self.run_it("export", "-", "--cursor", "nonsense", code=1).stderr)

    def test_an_import_brings_back_what_an_export_has_written(self):
        mine = ("--namespace", self.namespace)
        info = M.AnswerInfo(finish_reason="stop", usage=M.Usage(input_tokens=3, output_tokens=4))
        self.set("How do I reset my password?", "Under Settings.", info=info, tags=["t"], metadata=[M.Attribute(name="a", value="b")], ttl_ms=600_000)
        self.set("How do I reset my password?", "Briefly.", system_prompt="Be brief.")
        self.set("warm", "x", params=M.Params(temperature=0.5))
        self.set("", "", info=M.AnswerInfo(content_type="image/png"), blob=bytes(range(256)), identity=self.identity("picture"))
        own = dict(identity=self.identity("mine", embedder="own", attributes=[M.Attribute(name="region", value="eu")]), vector=M.Vector(f32=[1, 2, 3]))
        self.set(content="y", **own)
        self.set("alive", "z", ttl_ms=60_000, sliding=True, sliding_max_ms=600_000, stale_while_revalidate_ms=5000, stale_if_error_ms=7000,
                 pinned=True, depends_on=[M.Dependency(id="doc", version="3")])
        self.set("failed", "HTTP 500", negative=True, ttl_ms=30_000)
        before = {entry.entry_id: entry for page in self.pages(answers=True, vectors=True) for entry in page.entries}
        lives = {entry.identity.prompt: entry for entry in before.values()}
        self.assertEqual((lives["alive"].ttl_ms, lives["alive"].expires_unix_ms - lives["alive"].created_unix_ms), (60_000, 60_000))
        self.assertTrue(lives["alive"].pinned and lives["failed"].negative)
        path = FOLDER / f"{self.namespace}.jsonl"
        self.run_it("export", str(path), *mine, "--vectors")
        self.assertIn("kept         7", self.run_it("import", str(path)).stdout)
        self.run_it("invalidate", *mine, "--confirm", self.namespace)
        self.assertIn("would import", self.run_it("import", str(path), "--dry-run").stdout)
        self.assertEqual(len(list(self.pages())[0].entries), 0)
        said = json.loads(self.run_it("import", str(path), "-o", "json").stdout)
        self.assertEqual(said, {"imported": 7, "kept": 0, "expired": 0, "indexed": 5, "evicted": 0, "unindexed": 0})
        after = {entry.entry_id: entry for page in self.pages(answers=True, vectors=True) for entry in page.entries}
        self.assertEqual(set(after), set(before))
        for identifier, entry in before.items():
            same = after[identifier]
            self.assertEqual([round(x, 5) for x in same.vector.f32], [round(x, 5) for x in entry.vector.f32])
            same.ClearField("vector")
            entry.ClearField("vector")
            same.ClearField("size_bytes")  # the allocator's part differs from block to block
            entry.ClearField("size_bytes")
            self.assertEqual(same, entry)
        near = self.get("How can I reset my password?")
        self.assertEqual((near.tier, near.content, near.info), (M.TIER_SEMANTIC, "Under Settings.", info))
        self.assertEqual(self.get("How can I reset my password?", system_prompt="Be brief.").content, "Briefly.")
        self.assertTrue(self.get("failed").entry.negative)
        self.assertEqual(self.cache.Invalidate(C.InvalidateRequest(selector=C.Selector(namespace=self.namespace, depends_on_id="doc"))).matched, 1)
        self.assertTrue(self.get("warm", params=M.Params(temperature=0.5)).hit)
        self.assertEqual(self.get(identity=self.identity("mine, in other words", embedder="own", attributes=own["identity"].attributes),
                                  vector=own["vector"]).content, "y")
        explained = self.cache.Explain(C.ExplainRequest(request=C.GetRequest(identity=self.identity("warm"))))
        self.assertIn("another params.temperature", explained.reason)

    def test_an_import_says_who_left_and_what_got_no_vector(self):
        vector = M.Vector(f32=[1, 2, 3])
        for n in range(9):
            self.set(f"question {n}", "x", identity=self.identity(f"question {n}", embedder="own"), vector=vector)
        path = FOLDER / f"{self.namespace}.jsonl"
        self.run_it("export", str(path), "--namespace", self.namespace)
        other = Server()
        other.admin.CreateNamespace(A.CreateNamespaceRequest(namespace=A.Namespace(name=self.namespace, entries_max=4)), timeout=60)
        said = self.run_it("--endpoint", other.address, "import", str(path)).stdout
        self.assertRegex(said, r"(?m)^imported     9, 0 of them findable by meaning$")
        self.assertRegex(said, r"(?m)^unindexed    9 got no vector here")
        self.assertRegex(said, r"(?m)^evicted      5 left to make room$")
        other.stop()

    def test_an_import_without_vectors_makes_them_and_survives_a_restart(self):
        folder = str(FOLDER / self.namespace)
        self.set("How do I reset my password?", "Under Settings.")
        path = FOLDER / f"{self.namespace}.jsonl"
        self.run_it("export", str(path), "--namespace", self.namespace)
        other = Server(storage_path=folder)
        said = self.run_it("--endpoint", other.address, "import", str(path))
        self.assertIn("imported     1, 1 of them findable by meaning", said.stdout)
        other.stop()
        other = Server(storage_path=folder)
        reply = other.cache.Get(C.GetRequest(identity=self.identity("How can I reset my password?")))
        self.assertEqual((reply.tier, reply.content), (M.TIER_SEMANTIC, "Under Settings."))
        other.stop()

    def test_top_counts_between_two_looks(self):
        stop = threading.Event()

        def ask():
            self.set("q", "x")
            while not stop.is_set():
                self.get("q")

        asker = threading.Thread(target=ask)
        asker.start()
        try:
            lines = self.run_it("top", "--namespace", self.namespace, "--interval", "100ms", "--count", "3", "-o", "json").stdout.splitlines()
            table = self.run_it("top", "--interval", "50ms", "--count", "2").stdout.splitlines()
        finally:
            stop.set()
            asker.join()
        last = json.loads(lines[-1])
        self.assertEqual((len(lines), len(table), last["entries"]), (3, 3, 1))
        self.assertGreater(last["requestsPerSecond"], 0)
        self.assertGreater(last["hitRate"], 0.9)
        self.assertIn("gets/s", table[0])
        self.run_it("top", "--interval", "never", code=2)

    def test_what_an_import_refuses(self):
        self.set("q", "x")
        entry = list(self.pages(answers=True))[0].entries[0]
        for field, change in (("entry_id", dict(entry_id="x")), ("scope_id", dict(scope_id="")), ("space_id", dict(space_id="1")),
                              ("field_sums", dict(field_sums=b"9")), ("field_sums", dict(field_sums=b"\x01abc")), ("tags[0]", dict(tags=["x" * 200]))):
            bad = A.Entry()
            bad.CopyFrom(entry)
            for name, value in change.items():
                if name == "tags":
                    bad.tags.extend(value)
                else:
                    setattr(bad, name, value)
            with self.assertRaises(grpc.RpcError) as caught:
                self.admin.Import(A.ImportRequest(entries=[entry, bad]))
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(f"entries[1].{field}", caught.exception.details())
        path = FOLDER / "broken.jsonl"
        path.write_text('{"entryId": 1}\n')
        self.assertIn("broken.jsonl:1: it is no line", self.run_it("import", str(path), code=1).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
