#!/usr/bin/env python3
"""Fills tests/data/tokenizer_golden.tsv with the ids that the reference tokenizer gives.

    tokenizer_golden.py --write VOCAB      VOCAB: the vocab.txt of all-MiniLM-L6-v2
    tokenizer_golden.py --check VOCAB      makes it again; exit 1 if the file on disk differs

The texts are the file's own: to add one, write a row `plain<TAB>text` and run --write. In a text every byte is what it
seems but \\\\ (a backslash) and \\u{HEX} (a code point). Each row gets two columns of ids, by the tiny vocabulary beside it and
by VOCAB, which is not committed. `special` rows are made with [SEP] and its like as added tokens, `plain` rows without.
The reference is PyPI `tokenizers`, as in tokenizer_tables.py.
"""
import hashlib
import pathlib
import re
import sys

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import tokenizer_tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "data" / "tokenizer_golden.tsv"
TINY = ROOT / "tests" / "data" / "tokenizer_tiny_vocab.txt"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def reference(lines, special):
    """The tokenizer that all-MiniLM-L6-v2's tokenizer.json describes, over any vocabulary."""
    pieces = {piece: number for number, piece in enumerate(lines)}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, pieces[name]) for name in ("[CLS]", "[SEP]")])
    if special:
        tokenizer.add_special_tokens(SPECIALS)
    return tokenizer


def unescape(text):
    return re.sub(r"\\(?:\\|u\{([0-9A-F]+)\})", lambda match: chr(int(match.group(1), 16)) if match.group(1) else "\\", text)


def lines_of(path):
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def make(old, vocabulary):
    rows = [line.split("\t")[:2] for line in old.split("\n") if line.startswith(("plain\t", "special\t"))]
    columns = []
    for path in (TINY, vocabulary):
        by_mode = {mode: reference(lines_of(path), mode == "special") for mode in ("plain", "special")}
        columns.append([by_mode[mode].encode(unescape(text)).ids for mode, text in rows])
    digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
    head = ["# mode, text, ids by the tiny vocabulary, ids by that of all-MiniLM-L6-v2: made by tools/tokenizer_golden.py",
            f"# reference: tokenizers {tokenizers.__version__}",
            f"sweep\t{tokenizer_tables.sweep_digest()}",
            f"vocabulary\ttiny\t{digest(TINY)}",
            f"vocabulary\tminilm-l6\t{digest(vocabulary)}"]
    body = ["\t".join((mode, text, *(" ".join(map(str, column[i])) for column in columns))) for i, (mode, text) in enumerate(rows)]
    return "\n".join(head + body) + "\n"


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("--write", "--check"):
        print(__doc__, file=sys.stderr)
        return 2
    old = GOLDEN.read_text(encoding="utf-8")
    new = make(old, pathlib.Path(sys.argv[2]))
    if sys.argv[1] == "--write":
        GOLDEN.write_text(new, encoding="utf-8")
        return 0
    print(f"{GOLDEN.name}: " + ("the same" if old == new else "DIFFERENT"))
    return 0 if old == new else 1


if __name__ == "__main__":
    sys.exit(main())
