"""The tokenizer against the reference itself, PyPI `tokenizers`, over random texts: the same ids, token for token.

Skipped where that package cannot be imported (Debian has none; run it with a Python that has it). The vocabulary is the
tiny one of tests/data, and the model's where its folder is there: REPRISE_MODELS, else build/models.
"""
import os
import pathlib
import random
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ.get("REPRISE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("REPRISE_BIN", SOURCE / "build/dev/bin"))
PROGRAM = BIN.parent / "tests" / "tokenizer_ids"
TINY = SOURCE / "tests/data/tokenizer_tiny_vocab.txt"
MODEL = pathlib.Path(os.environ.get("REPRISE_MODELS", SOURCE / "build/models")) / "minilm-l6" / "vocab.txt"
SEED = int(os.environ.get("REPRISE_SEED", "20251125"))
TEXTS = 20_000

sys.path.insert(0, str(SOURCE / "tools"))
REASON = ""
try:
    import tokenizer_golden
except ImportError as error:
    tokenizer_golden, REASON = None, str(error)

# Marks that stay, of several classes; a mark that vanishes but is a barrier; joiners; what decomposes into three.
CURIOUS = "\u08d4\u302e\u1b44\U0001d165\U0001d16d\u034f\ufe0f\u200d\u200b\u0301\u0327\U0001d160\u0130\u03c2\u037e\u1fef\uf900\0\ufffd"
SNIPPETS = ["[SEP]", "[CLS]", "[MASK]", "[UNK]", "[[SEP]]", "[sep]", "##", "##ing", "the ", "Reset", "my PIN?", "unaffable", "Straße", "x" * 99]


def random_text(chance):
    pieces = []
    for _ in range(chance.randrange(40)):
        kind = chance.randrange(10)
        if kind < 3:
            pieces.append(chr(chance.randrange(32, 127)))
        elif kind < 5:
            pieces.append(chance.choice(CURIOUS))
        elif kind == 5:
            pieces.append(chance.choice(SNIPPETS))
        elif kind == 6:
            pieces.append(chr(chance.randrange(0xA0, 0x3100)))
        elif kind == 7:
            pieces.append(chr(chance.randrange(0x4E00, 0xD7A4)))
        elif kind == 8:
            pieces.append(chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000)))))
        else:
            pieces.append(" ")
    return "".join(pieces)


@unittest.skipIf(tokenizer_golden is None, f"no reference to compare with: {REASON}")
class Reference(unittest.TestCase):
    def compare(self, vocabulary, mode):
        chance = random.Random(SEED)
        texts = [random_text(chance) for _ in range(TEXTS)]
        lines = "".join(text.encode().hex() + "\n" for text in texts)
        ours = subprocess.run([PROGRAM, vocabulary, mode, "65536"], input=lines, capture_output=True, text=True, check=True)
        reference = tokenizer_golden.reference(tokenizer_golden.lines_of(vocabulary), mode == "special")
        printed = ours.stdout.splitlines()
        self.assertEqual(len(printed), TEXTS)
        for text, line, theirs in zip(texts, printed, reference.encode_batch(texts)):
            self.assertEqual(line, " ".join(map(str, theirs.ids)), f"seed {SEED}, {text!r}")

    def test_tiny_vocabulary(self):
        for mode in ("plain", "special"):
            self.compare(TINY, mode)

    @unittest.skipUnless(MODEL.is_file(), f"no {MODEL}")
    def test_vocabulary_of_the_model(self):
        for mode in ("plain", "special"):
            self.compare(MODEL, mode)


if __name__ == "__main__":
    unittest.main()
