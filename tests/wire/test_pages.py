"""Goal: what README and the pages for operators tell a reader to type can be typed, and options, metrics and verbs that they name are there.
Method: fenced commands run in order, on a server in a folder of its own; words in backquotes are looked up. docs/api.md has test_api_page.py."""
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import page
from support import BIN, FOLDER, SOURCE, Server, admin_pb2 as A, cache_pb2 as C
from google.protobuf import json_format

PAGES = ["README.md", "CHANGELOG.md", "examples/README.md", *(str(path.relative_to(SOURCE)) for path in sorted((SOURCE / "docs").glob("*.md")))]
README, OPERATIONS = (SOURCE / "README.md").read_text(), (SOURCE / "docs/operations.md").read_text()
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
ENDLESS = ("monitor", "top")  # until their reader leaves


def shell_lines(block):
    """The commands of a block that shows no output: lines, joined where a backslash ends them."""
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def inline(text):
    """What stands in backquotes, outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", page.FENCE.sub("", text))


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
        self.config = self.folder / "reprise.yaml"
        self.config.write_text("lease: {hold: 20s}\n")
        self.server = Server(storage_path=str(self.folder / "data"), http_listen="127.0.0.1:0", config=str(self.config))
        self.addCleanup(lambda: self.server.process.returncode is None and self.server.stop())
        self.http = f"127.0.0.1:{self.server.process.stdout.readline().split()[-1]}"

    def run_it(self, *words, codes=(0,), seconds=60):
        """A program of ours. Of one that would go on for ever only the start is waited for."""
        program = BIN / pathlib.Path(words[0]).name
        try:
            done = subprocess.run([str(program), *words[1:]], cwd=self.folder, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
                                  env={**ENVIRONMENT, "REPRISE_ENDPOINT": self.server.address})
        except subprocess.TimeoutExpired:
            self.assertTrue(words[1] in ENDLESS or "--watch" in words, words)
            return ""
        self.assertIn(done.returncode, codes, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask_for(self, name, body):
        """The method of the contract, and its request out of a body as grpcurl and ghz take it."""
        self.assertEqual(name, "reprise.v1.Cache.Get")
        return self.server.cache.Get(json_format.Parse(body, C.GetRequest()), timeout=60)

    def type_one(self, words):
        if words[0] == "make":
            self.assertRegex((SOURCE / "Makefile").read_text(), rf"(?m)^{words[1]}:")
        elif words[0] in ("grpcurl", "ghz"):
            name = words[words.index("--call") + 1] if "--call" in words else words[-1].replace("/", ".")
            self.ask_for(name, words[words.index("-d") + 1])
        elif words[0] == "curl":
            with urllib.request.urlopen(f"http://{words[-1].replace('127.0.0.1:7370', self.http)}", timeout=60) as reply:
                self.assertIn(b"reprise_", reply.read())
        else:
            self.assertIn(pathlib.Path(words[0]).name, ("reprise", "reprise-server"), words)
            endless = words[1] in ENDLESS
            self.run_it(*words, codes=(0, 3) if words[1] == "calibrate" else (0,), seconds=2 if endless else 60)

    def test_the_readme(self):
        (self.folder / "questions.tsv").write_text("1\tHow do I reset my password?\tHow can I reset my password?\n0\tTurn it on\tTurn it off\n")
        ran = 0
        for _, language, block in page.blocks(README):
            if language == "python":
                self.assertIn(block.splitlines()[-1], (SOURCE / "examples/first.py").read_text())
                script = self.folder / "first.py"
                script.write_text(block.replace("127.0.0.1:7371", self.server.address))
                done = subprocess.run([sys.executable, "-B", str(script)], capture_output=True, text=True, timeout=60,
                                      env={**ENVIRONMENT, "PYTHONPATH": str(FOLDER / "stubs")})
                self.assertEqual(done.stdout.splitlines(), ["False", "Under Settings, Security.", "Under Settings, Security. 1"], done.stderr)
                continue
            for words in shell_lines(block):
                with self.subTest(words=" ".join(words)):
                    self.type_one(words)
                    ran += 1
        self.assertGreater(ran, 8)

    def test_the_page_for_operators(self):
        ran = 0
        for _, _, block in page.blocks(OPERATIONS):
            for words in shell_lines(block):
                with self.subTest(words=" ".join(words)):
                    self.operate(words)
                    ran += 1
        self.assertGreater(ran, 8)

    def operate(self, words):
        if words[:2] == ["kill", "-HUP"]:
            self.config.write_text("lease: {hold: 25s}\n")
            self.server.signal(signal.SIGHUP)
            self.await_value("lease.hold", "25s")
        elif words[0] == "reprise-server":  # on a folder that nobody has open
            self.run_it("reprise", "snapshot", "create", "before-upgrade")
            self.server.stop()
            again = Server(storage_path=str(self.folder / "data"), restore=words[-1])
            self.assertEqual(words[1:-1], ["--storage-path", "data", "--restore"])
            again.stop()
        else:
            self.run_it(*words)

    def await_value(self, name, value):
        for _ in range(600):
            if json.loads(self.run_it("reprise", "config", "get", name, "-o", "json"))["options"][0]["value"] == value:
                return
        self.fail(f"{name} never became {value}")

    def test_commands_in_the_text_are_verbs_with_their_flags(self):
        found = 0
        for name in PAGES:
            for words in inline((SOURCE / name).read_text()):
                if not words.startswith("reprise "):
                    continue
                with self.subTest(page=name, words=words):
                    verb, *rest = words.split()[1:]
                    for one in verb.split("|"):
                        text = self.run_it("reprise", "help", one)
                        for flag in re.findall(r"(?<!\S)--[a-z-]+", " ".join(rest)):
                            self.assertIn(f"{flag} ", text.replace("\n", " "))
                    found += 1
        self.assertGreater(found, 20)

    def test_options_and_fields_in_the_text_are_such(self):
        known = set(re.findall(r"^\W*([a-z]+\.[a-z_]+)", self.run_it("reprise-server", "--describe-options"), re.M))
        rooms = {name.split(".")[0] for name in known}
        for field in [*A.StatsResponse.DESCRIPTOR.fields, *C.GetRequest.DESCRIPTOR.fields]:  # the pages name their parts in the same way
            known |= {f"{field.name}.{part.name}" for part in field.message_type.fields} if field.message_type else set()
        known.add("index.segments")  # a file
        found = 0
        for name in PAGES:
            for words in inline((SOURCE / name).read_text()):
                match = re.fullmatch(r"([a-z]+)\.([a-z_]+)(?:\s*=.*)?", words)
                if match and match.group(1) in rooms and not re.fullmatch(r".*\.(c|h|py|md|cc)", words):
                    with self.subTest(page=name, words=words):
                        self.assertTrue(f"{match.group(1)}.{match.group(2)}" in known)
                    found += 1
        self.assertGreater(found, 100)

    def test_files_in_the_text_are_there(self):
        found = 0
        for name in PAGES:
            text = (SOURCE / name).read_text()
            links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
            words = [word for word in inline(text) if re.fullmatch(r"[\w.-]+/[\w./-]+\.(c|h|py|md|sh|json|proto|tsv)", word)]
            for path in [*(pathlib.Path(name).parent / link for link in links), *words]:
                with self.subTest(page=name, path=str(path)):
                    self.assertTrue((SOURCE / path).exists())
                found += 1
        self.assertGreater(found, 30)

    def test_metrics_in_the_text_are_metrics(self):
        known = set(re.findall(r"`(reprise_\w+)`", (SOURCE / "docs/metrics.md").read_text()))
        for name in PAGES:
            for word in re.findall(r"\breprise_[a-z_]+", (SOURCE / name).read_text()):
                with self.subTest(page=name, word=word):
                    short = re.sub(r"_(bucket|sum|count)$", "", word)
                    self.assertTrue(short in known or word in known or (word.endswith("_") and any(metric.startswith(word) for metric in known)))


if __name__ == "__main__":
    unittest.main()
