"""Goal: the published identity vectors are what docs/identity.md says.
Method: the reference, written from that page alone, recomputes every row; a few facts of the page are checked by hand. The server's own code is held against
the same file by tests/unit/cache/test_key_vectors.c. No server is started.
"""
import json
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import key_reference as reference

# RFC 8785, appendix B: IEEE bits (hex) and how ECMAScript prints them.
PRINTED_NUMBERS = [
    ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"), ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"), ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"), ("c340000000000000", "-9007199254740992"), ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"), ("44b52d02c7e14af6", "1e+23"), ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"), ("444b1ae4d6e2ef4f", "999999999999999900000"), ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"), ("3eb0c6f7a0b5ed8d", "0.000001"), ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"), ("41b3de4355555555", "333333333.3333333"), ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"), ("becbf647612f3696", "-0.0000033333333333333333"), ("43143ff3c1cb0959", "1424953923781206.2"),
]


def texts_of(value, path=()):
    """Paths to all texts but roles (five words) and JSON."""
    if isinstance(value, str):
        if path[-1] != "role" and not str(path[-1]).endswith("_json"):
            yield path
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from texts_of(inner, path + (name,))


def with_a_letter(identity, path):
    copy = json.loads(json.dumps(identity))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] += "x"
    return copy


class KeyVectors(unittest.TestCase):
    def test_every_row_is_what_the_page_says(self):
        self.assertEqual(list(reference.check(reference.VECTORS)), [])

    def test_there_are_a_thousand_rows_and_no_two_alike(self):
        stored = json.loads(reference.VECTORS.read_text())
        self.assertEqual(stored["version"], 1)
        self.assertGreaterEqual(len(stored["rows"]), 1000)
        spelled = {json.dumps(row["identity"], sort_keys=True) for row in stored["rows"]}
        self.assertGreaterEqual(len(spelled), 1000)

    def test_the_printed_digests_hold(self):
        short = reference.keys({"model": "m", "prompt": "hi"})
        self.assertEqual(short["scope_key"], "f2cf9c071e2cdd921ffb67f07de6f6b5699dc91ea1ab1f9bbfae7eea1f92441a")
        self.assertEqual(short["exact_key"], "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a")
        longer = reference.keys({"model": "m", "prompt": "cafe\u0301\r\n", "system_prompt": "Be brief.", "params": {"temperature": 0}})
        self.assertEqual(longer["exact_key"], "f9caa3e609f5f86254d217a819f03e46362fad780bf41010643c701bae426c63")

    def test_numbers_are_printed_as_rfc_8785_prints_them(self):
        for bits, printed in PRINTED_NUMBERS:
            value = struct.unpack(">d", bytes.fromhex(bits))[0]
            self.assertEqual(reference.json_number(value), printed, bits)

    def test_a_letter_more_anywhere_is_another_key(self):
        maker, changed = reference.Maker(7), 0
        for _ in range(400):
            identity = maker.identity()
            try:
                before = reference.keys(identity)
                for path in texts_of(identity):
                    self.assertNotEqual(reference.keys(with_a_letter(identity, path)), before, (identity, path))
                    changed += 1
            except reference.Refused:
                continue
        self.assertGreater(changed, 1000)


if __name__ == "__main__":
    unittest.main()
