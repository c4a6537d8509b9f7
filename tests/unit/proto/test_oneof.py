"""Goal: protoc-c reads what the public proto files say. oneof.py changes `optional` and nothing else, refuses what it cannot
read, and on the wire both forms are the same bytes, an absent value, a given 0 and a given 1 apart from each other.

Method: the rewriting of small texts; then every `optional` of every public file, packed by protoc from the public file and
from the rewritten one. A new `optional` is tested from its first day.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3] / "proto"
PROTOC = os.environ.get("PROTOC", "protoc")
HEAD = 'syntax = "proto3";\n'


def rewrite(text):
    """The rewritten text, or None and what oneof.py said when it refused."""
    with tempfile.TemporaryDirectory() as folder:
        root, out = pathlib.Path(folder, "in"), pathlib.Path(folder, "out")
        root.mkdir()
        (root / "t.proto").write_text(text, encoding="utf-8")
        run = subprocess.run([sys.executable, "-B", ROOT / "oneof.py", root, "t.proto", out], capture_output=True, text=True,
                             check=False)
        if run.returncode != 0:
            return None, run.stderr
        return (out / "t.proto").read_text(encoding="utf-8"), run.stderr


class Rewriting(unittest.TestCase):
    def test_an_optional_becomes_a_oneof_on_its_own_line(self):
        text = HEAD + "message M {\n  optional double a = 1;  // kept\n  string b = 2;\n}\n"
        self.assertEqual(rewrite(text)[0], text.replace("optional double a = 1;", "oneof a_given { double a = 1; }"))

    def test_options_types_of_other_packages_and_two_on_a_line_are_read(self):
        text = HEAD + "message M { optional .x.y.Z a = 1 [deprecated = true]; optional int32 b=2; }\n"
        self.assertEqual(rewrite(text)[0], HEAD + "message M { oneof a_given { .x.y.Z a = 1 [deprecated = true]; } "
                                                  "oneof b_given { int32 b =2; } }\n")

    def test_comments_and_strings_are_left_alone(self):
        text = (HEAD + "// optional double a = 1;\n/* optional\n double b = 2; */\n"
                'option go_package = "optional double c = 3;";\nmessage optional_things { string optionals = 1; }\n')
        self.assertEqual(rewrite(text)[0], text)

    def test_what_it_cannot_read_ends_the_build(self):
        for body in ("message M { optional group G = 1 { } }", "message M { } extend M { optional int32 a = 5; }",
                     "message M { optional map<string, string> m = 1; }", "message M { optional = 1; }"):
            with self.subTest(body=body):
                text, said = rewrite(HEAD + body)
                self.assertIsNone(text)
                self.assertIn("t.proto", said)

    def test_proto2_is_refused(self):
        self.assertIsNone(rewrite('syntax = "proto2";\nmessage M { optional int32 a = 1; }\n')[0])


def optionals():
    """(file, message, field) of every optional in the public files."""
    found = []
    for path in sorted((ROOT / "reprise").rglob("*.proto")):
        message = None
        for line in path.read_text(encoding="utf-8").splitlines():
            begins = re.match(r"message (\w+) {", line)
            message = begins.group(1) if begins else message
            field = re.match(r"\s*optional [\w.]+ (\w+) =", line)
            if field:
                found.append((str(path.relative_to(ROOT)), message, field.group(1)))
    return found


def encode(root, file, message, text):
    return subprocess.run([PROTOC, "-I", root, f"--encode=reprise.v1.{message}", file], input=text.encode(),
                          capture_output=True, check=True, cwd=root).stdout


class OnTheWire(unittest.TestCase):
    def test_public_and_rewritten_files_pack_the_same_bytes(self):
        fields = optionals()
        self.assertGreaterEqual(len(fields), 7)
        with tempfile.TemporaryDirectory() as rewritten:
            for path in sorted((ROOT / "reprise").rglob("*.proto")):
                subprocess.run([sys.executable, "-B", ROOT / "oneof.py", ROOT, path.relative_to(ROOT), rewritten], check=True)
            for file, message, field in fields:
                with self.subTest(message=message, field=field):
                    packed = []
                    for text in ("", f"{field}: 0", f"{field}: 1"):
                        packed.append(encode(ROOT, file, message, text))
                        self.assertEqual(packed[-1], encode(rewritten, file, message, text))
                    self.assertEqual(packed[0], b"")
                    self.assertEqual(len(set(packed)), 3)


if __name__ == "__main__":
    unittest.main()
