"""Goal: docs/api.md shows every rpc, and what it shows is so. Method: each section's commands go to a server of its own, in the page's order,
behind the page's first Set and Get; requests are read as grpcurl reads them, and what is printed is compared with the reply. Figures that a busy
server has, and a reader's has not, are compared by names and kinds alone."""
import itertools
import os
import re
import subprocess
import threading
import unittest

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory

import page
from support import BIN, FOLDER, SOURCE, Server, cache_pb2 as C, common_pb2 as M
from reflection.v1alpha import reflection_pb2  # noqa: E402,F401 - its service is in the pool then

PAGE = (SOURCE / "docs/api.md").read_text()
ADDRESS = "127.0.0.1:7371"
# Printed figures of a server that has been in use: (section, rpc).
BUSY = {("GetPolicy, SetPolicy, DescribePolicy", "DescribePolicy"), ("GetShadowReport", "GetShadowReport"), ("Scroll, GetEntry, Import", "Scroll"),
        ("Namespaces", "DropNamespace"), ("Snapshots, Compact", "CreateSnapshot"), ("Snapshots, Compact", "ListSnapshots"),
        ("WatchStats, Monitor", "WatchStats"), ("WatchStats, Monitor", "Monitor")}


def service_names():
    """Of the proto files; packages stand in them as they do on the wire."""
    out = {}
    for path in sorted((SOURCE / "proto").rglob("*.proto")):
        text = path.read_text()
        package = re.search(r"^package ([\w.]+);", text, re.M).group(1)
        for name, body in re.findall(r"^service (\w+) \{(.*?)^\}", text, re.M | re.S):
            out[f"{package}.{name}"] = re.findall(r"^\s*rpc (\w+)\(", body, re.M)
    return out


class ApiPage(unittest.TestCase):
    def setUp(self):
        self.names, self.number = page.Names(), itertools.count()
        self.folder = FOLDER / self._testMethodName
        self.folder.mkdir()
        self.other = Server()
        self.addCleanup(self.other.stop)

    def method(self, name):
        service, rpc = name.rsplit("/", 1)
        return descriptor_pool.Default().FindServiceByName(service).methods_by_name[rpc]

    def call(self, server, words, watched):
        """As grpcurl would. Returns (the method, replies as JSON documents, the error or None)."""
        rest, body = [], ""
        arguments = iter(words[1:])
        for word in arguments:
            if word == "-d":
                body = next(arguments)
            elif word not in ("-plaintext", "-emit-defaults"):
                rest.append(word)
        address, name = rest
        self.assertEqual(address, ADDRESS)
        method = self.method(name)
        factory = message_factory.MessageFactory(descriptor_pool.Default())
        ask, answer = factory.GetPrototype(method.input_type), factory.GetPrototype(method.output_type)
        messages = [json_format.ParseDict(self.names.fill(document), ask()) for document in page.documents(body or "{}")]
        path, timeout = f"/{name}", 60
        forms = dict(request_serializer=ask.SerializeToString, response_deserializer=answer.FromString)
        replies, error = [], None
        try:
            if method.client_streaming and method.server_streaming:
                got = server.channel.stream_stream(path, **forms)(iter(messages), timeout=timeout)
            elif method.client_streaming:
                got = [server.channel.stream_unary(path, **forms)(iter(messages), timeout=timeout)]
            elif method.server_streaming:
                got = server.channel.unary_stream(path, **forms)(messages[0], timeout=timeout)
            else:
                got = [server.channel.unary_unary(path, **forms)(messages[0], timeout=timeout)]
            for reply in got:
                replies.append(json_format.MessageToDict(reply))
                if len(replies) == watched:
                    break
                if method.name == "Monitor":  # something to see
                    server.cache.Get(C.GetRequest(identity=M.Identity(model="gpt-4o-mini", prompt="a question of someone else's")), timeout=timeout)
            if method.server_streaming and method.name in ("Watch", "WatchStats", "Monitor"):
                got.cancel()
        except grpc.RpcError as failure:
            error = failure
        return method, replies, error

    def check_grpcurl(self, server, section, words, remark, output):
        if output.startswith("ERROR:"):
            _, _, error = self.call(server, words, 0)
            self.assertIsNotNone(error, words)
            shown = dict(re.findall(r"^  (Code|Message): (.*)$", output, re.M))
            code = "".join(part.title() for part in error.code().name.split("_"))
            self.assertEqual((code, error.details()), (shown["Code"], shown["Message"]))
            return
        shown = page.printed(output)
        method, replies, error = self.call(server, words, len(shown) or 1)
        self.assertIsNone(error, f"{section}: {words}")
        for document in shown:  # every printed name is one of the contract's
            self.parse_printed(document, method.output_type)
        if not shown:
            return
        shape = (section, method.name) in BUSY or remark.startswith("after")  # a time that no test waits
        self.assertEqual(len(shown), len(replies), f"{section}: {words}: {replies}")
        lines = [line for one, other in zip(shown, replies) for line in page.differences(one, other, self.names, shape)]
        self.assertEqual(lines, [], f"{section}: {method.name}: {replies}")

    def parse_printed(self, document, descriptor):
        def bare(value):
            if isinstance(value, dict):
                return {key: bare(item) for key, item in value.items() if key != "..." and item != "..."}
            if isinstance(value, list):
                return [bare(item) for item in value if item != "..."]
            return value
        json_format.ParseDict(bare(document), message_factory.MessageFactory(descriptor_pool.Default()).GetPrototype(descriptor)())

    def check_command(self, server, words, output):
        words = [self.other.address if word == "other:7371" else self.names.fill(word) for word in words]
        done = subprocess.run([str(BIN / "reprise"), *words[1:]], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, env={name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")} | {"REPRISE_ENDPOINT": server.address})
        self.assertIn(done.returncode, (0, 3) if "explain" in words else (0,), f"{words}\n{done.stdout}{done.stderr}")
        real = page.spaced(done.stdout + done.stderr)
        for line in output.splitlines():
            if line.strip() not in ("", "..."):
                wanted = page.spaced(line)
                counts = "export" in words or "import" in words
                found = page.counts_away(wanted) in page.counts_away(real) if counts else wanted in real
                self.assertTrue(found, f"{words}: {line!r} is not in\n{done.stdout}{done.stderr}")

    def walk(self, server, section, block):
        """A block's commands, in its order. What an output cuts short stands whole in the next command."""
        for words, remark, output in page.commands(block):
            with self.subTest(section=section, words=" ".join(words)[:120]):
                if words[0] == "grpcurl":
                    self.check_grpcurl(server, section, words, remark, output)
                else:
                    self.assertEqual(words[0].rsplit("/", 1)[-1], "reprise")
                    self.check_command(server, words, output)

    def test_what_it_shows_is_so(self):
        found = page.blocks(PAGE)
        first = found[0]
        for section, group in itertools.groupby(found, key=lambda block: block[0]):
            folder = self.folder / f"data-{next(self.number)}"
            server = Server(storage_path=str(folder))
            try:
                if section != first[0]:
                    self.walk(server, section, first[2])
                for _, _, block in group:
                    self.walk(server, section, block)
            finally:
                server.stop()

    def test_every_rpc_is_shown(self):
        shown = set()
        for _, _, block in page.blocks(PAGE):
            for words, _, _ in page.commands(block):
                if words[0] == "grpcurl":
                    shown.add(words[-1])
        wanted = {f"{service}/{rpc}" for service, rpcs in service_names().items() for rpc in rpcs}
        self.assertGreater(len(wanted), 30)
        self.assertEqual(wanted - shown, set())
        self.assertEqual(shown - wanted, set())


if __name__ == "__main__":
    unittest.main()
