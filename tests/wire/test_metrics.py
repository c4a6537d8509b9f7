"""The HTTP door: probes, health, and the metrics page, read by a parser that forgives nothing."""
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from support import BIN, SOURCE, Server, cache_pb2, common_pb2, grpc

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:{NAME}="(?:[^"\\\n]|\\["\\n])*"(?:,(?!\}}))?)*)\}})? (\S+)')
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\["\\n])*)"')
ESCAPED = re.compile(r'\\(.)')


def parse(text):
    """Name and labels to value, by https://prometheus.io/docs/instrumenting/exposition_formats/; raises where the page breaks a rule."""
    samples, kinds, helped, family = {}, {}, set(), None
    assert text.endswith("\n"), "the last line ends"
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in helped, f"two heads: {family}"
            helped.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
            assert kind != "counter" or name.endswith("_total"), f"a counter ends in _total: {name}"
            assert kind == "counter" or not name.endswith("_total"), f"only a counter ends in _total: {name}"
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no sample: {line!r}"
            name, labels, value = match.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name) if kinds.get(family) == "histogram" else name
            assert base == family, f"{name} stands below {family}"
            pairs = [(key, ESCAPED.sub(lambda found: "\n" if found.group(1) == "n" else found.group(1), text)) for key, text in LABEL.findall(labels or "")]
            assert len(dict(pairs)) == len(pairs), f"a label twice: {line}"
            key = (name, frozenset(pairs))
            assert key not in samples, f"twice: {line}"
            samples[key] = float(value)
    return samples, kinds


class HttpTest(unittest.TestCase):
    def start(self, **options):
        server = Server(http_listen="127.0.0.1:0", **options)
        self.addCleanup(server.stop)
        self.port = int(server.process.stdout.readline().split()[-1])
        return server

    @staticmethod
    def get(server, prompt, model="m"):
        return server.cache.Get(cache_pb2.GetRequest(identity=common_pb2.Identity(model=model, prompt=prompt)), timeout=30)

    @staticmethod
    def set(server, prompt, model="m"):
        return server.cache.Set(cache_pb2.SetRequest(identity=common_pb2.Identity(model=model, prompt=prompt), content="An answer."), timeout=30)

    def ask(self, path, method="GET", body=None, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()
        finally:
            connection.close()

    def metrics(self):
        status, headers, text = self.ask("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return parse(text)


class Metrics(HttpTest):
    def test_the_page_is_prometheus_text_and_counts_what_happened(self):
        server = self.start()
        self.set(server, "What is a cache?")
        for prompt in ("What is a cache?", "What is a cache?", "Who pays for it?"):
            self.get(server, prompt)
        samples, kinds = self.metrics()
        value = lambda name, **labels: samples[name, frozenset(labels.items())]
        self.assertEqual(value("reprise_requests_total"), 3)
        self.assertEqual(value("reprise_hits_total", tier="exact", kind="fresh"), 2)
        self.assertEqual(value("reprise_sets_total"), 1)
        self.assertEqual(value("reprise_entries"), 1)
        self.assertEqual(value("reprise_ready"), 1)
        self.assertEqual(sum(number for (name, _), number in samples.items() if name == "reprise_misses_total"), 1)
        self.assertEqual(value("reprise_hit_seconds_count", tier="exact"), 1)  # the first of every four
        self.assertEqual(value("reprise_hit_seconds_bucket", tier="exact", le="+Inf"), 1)
        self.assertGreaterEqual(value("reprise_hit_seconds_sum", tier="exact"), 0)
        rows = [number for (name, labels), number in samples.items() if name == "reprise_scope_rows" and dict(labels)["namespace"] == "default"]
        self.assertEqual(rows, [1])
        self.assertGreater(value("process_resident_memory_bytes"), 1e6)
        self.assertGreater(value("process_start_time_seconds"), 1.6e9)
        self.assertEqual(kinds["reprise_hit_seconds"], "histogram")

    def test_replies_are_counted_by_method_and_code(self):
        server = self.start()
        self.set(server, "What is a cache?")
        for _ in range(3):
            self.get(server, "What is a cache?")
        for prompt in ("", "\0"):
            with self.assertRaises(grpc.RpcError) as raised:
                self.get(server, prompt)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        with self.assertRaises(grpc.RpcError):
            server.channel.unary_unary("/reprise.v1.Cache/Nothing")(b"", timeout=30)
        samples, _ = self.metrics()
        replies = {(dict(labels)["rpc"], dict(labels)["code"]): number for (name, labels), number in samples.items() if name == "reprise_grpc_replies_total"}
        self.assertEqual(replies["reprise.v1.Cache/Get", "OK"], 3)
        self.assertEqual(replies["reprise.v1.Cache/Get", "INVALID_ARGUMENT"], 2)
        self.assertEqual(replies["reprise.v1.Cache/Set", "OK"], 1)
        self.assertEqual(replies["reprise.v1.Feedback/Report", "OK"], 0)
        self.assertEqual(replies["none", "UNIMPLEMENTED"], 1)

    def test_buckets_of_a_histogram_only_rise(self):
        server = self.start()
        self.set(server, "one")
        for _ in range(50):
            self.get(server, "one")
        samples, _ = self.metrics()
        buckets = sorted((float(dict(labels)["le"]), number) for (name, labels), number in samples.items()
                         if name == "reprise_hit_seconds_bucket" and dict(labels)["tier"] == "exact")
        self.assertEqual([number for _, number in buckets], sorted(number for _, number in buckets))
        self.assertEqual(buckets[-1], (float("inf"), 13))

    def test_a_model_with_a_quote_and_a_line_feed_does_not_break_the_page(self):
        server = self.start()
        model = 'a"b\\c\nd{},="'
        self.set(server, "one two three", model)
        self.get(server, "one two three four", model)
        samples, _ = self.metrics()
        models = {dict(labels)["model"] for (name, labels) in samples if name == "reprise_scope_lookups_total"}
        self.assertIn(model, models)

    def test_only_the_most_used_scopes_are_written(self):
        server = self.start(metrics_scopes_max=3)
        for number in range(8):
            self.set(server, "one two three", f"m{number}")
            self.get(server, "one two three four", f"m{number}")
        samples, _ = self.metrics()
        self.assertEqual(len([1 for (name, _) in samples if name == "reprise_scope_threshold"]), 3)

    def test_scopes_that_look_alike_do_not_break_the_page(self):
        server = self.start()
        long = "e" * 60  # names of embedders are cut to 47 bytes for people
        alike = [dict(embedder=long + "1"), dict(embedder=long + "2"), dict(attributes=[common_pb2.Attribute(name="a", value="1;b=2")]),
                 dict(attributes=[common_pb2.Attribute(name="a", value="1"), common_pb2.Attribute(name="b", value="2")])]
        for number, names in enumerate(alike):
            identity = common_pb2.Identity(model="m", prompt=f"prompt {number}", **names)
            vector = common_pb2.Vector(f32=[1, 0, 0]) if "embedder" in names else None
            server.cache.Set(cache_pb2.SetRequest(identity=identity, content="An answer.", vector=vector), timeout=30)
        samples, _ = self.metrics()
        rows = {labels: number for (name, labels), number in samples.items() if name == "reprise_scope_rows"}
        self.assertEqual(sorted(rows.values()), [1, 1, 1, 1])
        self.assertEqual(len({frozenset(pair for pair in labels if pair[0] != "scope") for labels in rows}), 2)

    def test_each_namespace_has_its_lines_and_only_the_most_used_are_written(self):
        server = self.start(metrics_scopes_max=2)
        for number, name in enumerate(("seldom", "often", "mostly")):
            identity = common_pb2.Identity(namespace=name, model="m", prompt="What is a cache?")
            server.cache.Set(cache_pb2.SetRequest(identity=identity, content="An answer."), timeout=30)
            for _ in range(number):
                server.cache.Get(cache_pb2.GetRequest(identity=identity), timeout=30)
        samples, _ = self.metrics()
        of = lambda metric: {dict(labels)["namespace"]: number for (name, labels), number in samples.items() if name == metric}
        self.assertEqual(of("reprise_namespace_requests_total"), {"mostly": 2, "often": 1})
        self.assertEqual(of("reprise_namespace_answered_total"), {"mostly": 2, "often": 1})
        self.assertEqual(of("reprise_namespace_entries"), {"mostly": 1, "often": 1})
        self.assertGreater(of("reprise_namespace_size_bytes")["often"], 0)

    def test_the_storage_has_one_state_at_a_time(self):
        self.start()
        samples, _ = self.metrics()
        states = {dict(labels)["state"]: number for (name, labels), number in samples.items() if name == "reprise_storage_state"}
        self.assertEqual([state for state, number in states.items() if number == 1], ["memory"])
        self.assertIn("memory_only", states)
        self.assertEqual(samples["reprise_storage_io_info", frozenset({("backend", "none")})], 1)

    def test_syncs_of_the_disk_are_timed(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)  # behind the server's end
        server = self.start(storage_path=folder.name, journal_durability="always")
        for number in range(3):
            self.set(server, f"What is number {number}?")
        samples, _ = self.metrics()
        count = samples["reprise_journal_sync_seconds_count", frozenset()]
        self.assertGreaterEqual(count, 3)
        self.assertEqual(samples["reprise_journal_sync_seconds_bucket", frozenset({("le", "+Inf")})], count)
        self.assertGreater(samples["reprise_journal_sync_seconds_sum", frozenset()], 0)
        self.assertEqual(samples["reprise_storage_state", frozenset({("state", "durable")})], 1)

    def test_every_degraded_word_has_its_line(self):
        self.start(embed_provider="lexical")
        samples, _ = self.metrics()
        states = {dict(labels)["state"]: number for (name, labels), number in samples.items() if name == "reprise_degraded"}
        self.assertIn("memory_only", states)
        self.assertIn("embedder_down", states)
        self.assertEqual(set(states.values()), {0.0})


class Manual(unittest.TestCase):
    def test_the_manual_has_every_metric(self):
        written = subprocess.run([sys.executable, "-B", str(SOURCE / "scripts/metrics-page"), str(BIN)], capture_output=True, text=True, check=True).stdout
        self.assertEqual((SOURCE / "docs/metrics.md").read_text(), written, "docs/metrics.md is older than the page: make docs")


    def test_what_the_manual_tells_to_watch_is_served(self):
        known = set(re.findall(r"^\| `(\w+)` \|", (SOURCE / "docs/metrics.md").read_text(), re.MULTILINE))
        self.assertIn("reprise_ready", known)
        watched = set(re.findall(r"\breprise_[a-z_]+", (SOURCE / "docs/operations.md").read_text()))
        self.assertGreater(len(watched), 5)
        served = lambda name: any(one.startswith(name) for one in known) if name.endswith("_") else re.sub(r"_(bucket|sum|count)$", "", name) in known
        self.assertEqual({name for name in watched if not served(name)}, set())


class Probes(HttpTest):
    def test_probes_and_health_of_a_server_that_serves(self):
        self.start()
        for path in ("/livez", "/healthz", "/readyz"):
            self.assertEqual(self.ask(path)[::2], (200, "ok\n"))
        status, headers, text = self.ask("/health")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        health = json.loads(text)
        self.assertEqual((health["status"], health["degraded"], health["loading_done"]), ("healthy", [], 1))

    def test_a_drain_is_not_ready_and_still_alive(self):
        server = self.start(server_drain_delay="2s")
        server.signal(signal.SIGTERM)
        status = 200
        while status == 200:
            status, _, text = self.ask("/readyz")
        self.assertEqual(status, 503)
        self.assertTrue(text.startswith("draining"), text)
        self.assertEqual(self.ask("/livez")[0], 200)
        status, _, text = self.ask("/health")
        self.assertEqual((status, json.loads(text)["status"]), (503, "draining"))
        self.assertEqual(self.metrics()[0]["reprise_ready", frozenset()], 0)
        server.signal(signal.SIGTERM)  # no need to wait for the rest

    def test_what_is_not_there_or_not_served_is_refused_by_name(self):
        self.start()
        status, _, text = self.ask("/nothing")
        self.assertEqual(status, 404)
        self.assertIn("/metrics", text)
        status, headers, _ = self.ask("/metrics", method="POST", body="x")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.ask("/metrics", method="GET", body="x" * 100)[0], 413)
        status, _, text = self.ask("/metrics", method="HEAD")
        self.assertEqual((status, text), (200, ""))

    def test_a_head_of_megabytes_and_a_silent_connection_are_turned_away(self):
        self.start(http_timeout="1s")
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            try:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (1 << 20))
                self.assertRegex(connection.recv(100), rb"^(HTTP/1.1 4\d\d |$)")
            except (ConnectionResetError, BrokenPipeError):
                pass
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(b"GET /metrics HT")
            self.assertIn(connection.recv(100)[:9], (b"", b"HTTP/1.1 "))
        self.assertEqual(self.ask("/livez")[0], 200)

    def test_who_asks_ten_thousand_times_and_reads_nothing_costs_no_memory(self):
        self.start()
        memory = lambda: self.metrics()[0]["process_resident_memory_bytes", frozenset()]
        before = memory()
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.settimeout(0.5)
            try:
                connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10000)
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
            self.assertEqual(self.ask("/readyz")[0], 200)
            self.assertLess(memory() - before, 32 << 20)  # the pages would be 200 MiB

    def test_more_connections_than_allowed_do_not_stop_the_others(self):
        self.start(http_connections_max=4)
        idle = [socket.create_connection(("127.0.0.1", self.port), timeout=30) for _ in range(10)]
        for connection in idle:
            connection.close()
        for _ in range(200):
            try:
                self.assertEqual(self.ask("/livez")[0], 200)
                return
            except (ConnectionError, http.client.HTTPException):
                continue
        self.fail("nobody is served any more")

    def test_the_door_can_be_closed_and_a_taken_port_is_named(self):
        self.start()
        self.assertIn("http.listen", self.refusal(http_listen=f"127.0.0.1:{self.port}"))
        self.assertIn("neither TLS nor tokens", self.refusal(http_listen="0.0.0.0:0"))
        self.assertEqual(self.ask("/livez")[0], 200)

    def refusal(self, **options):
        with self.assertRaises(RuntimeError) as raised:
            Server(**options)
        return str(raised.exception)


if __name__ == "__main__":
    unittest.main()
