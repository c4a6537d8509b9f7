#!/usr/bin/env python3
"""Makes embed/tokenizer_tables.c: what the reference tokenizer does with each code point.

    tokenizer_tables.py --write      writes embed/tokenizer_tables.c
    tokenizer_tables.py --check      makes it again; exit 1 if the file on disk differs
    tokenizer_tables.py --digest     prints the digest of the sweep alone

The reference is PyPI `tokenizers` (pip install tokenizers, into an environment of its own): BertNormalizer with
clean_text, handle_chinese_chars, strip_accents and lowercase, then BertPreTokenizer. Nothing here knows Unicode: each of
the 1,112,064 code points is given to the reference, alone and between neighbours, and what comes back is written down.
Its Unicode tables are of several versions and older than today's; a table taken from Unicode itself would give other ids.
"""
import hashlib
import pathlib
import sys

import tokenizers
from tokenizers import normalizers, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "embed" / "tokenizer_tables.c"
NORMALIZER = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
CLEANER = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
CUTTER = pre_tokenizers.BertPreTokenizer()
NFD = normalizers.NFD()
HANGUL = range(0xAC00, 0xD7A4)
SHIFT_MIN = 4  # equal distances in a row that are worth a range of their own
GAP_MAX = 6    # code points between two mapped ones that may lie in one dense block


def code_points():
    yield from range(0xD800)
    yield from range(0xE000, 0x110000)


def words_of(text):
    return [word for word, _ in CUTTER.pre_tokenize_str(NORMALIZER.normalize_str(text))]


def sweep_text(character):
    """A code point between letters, and beside marks that stay, of the classes 230, 224, 9, 226 and 216: so the order of
    marks is seen too. tests/unit/embed/test_tokenizer_words.c builds the same text."""
    c = character
    return f"a{c}b \u08d4{c}\u302e \u1b44{c} {c}\u1b44 \U0001d16d{c} {c}\U0001d165"


def sweep_digest():
    digest = hashlib.sha256()
    for point in code_points():
        digest.update(" ".join(words_of(sweep_text(chr(point)))).encode() + b"\n")
    return digest.hexdigest()


def ordering_class(mark, known):
    """The combining class of a mark, found by how the reference sorts it among marks of each class."""
    for value, other in known.items():
        if NFD.normalize_str(mark + other) == mark + other and NFD.normalize_str(other + mark) == other + mark:
            return value
    raise SystemExit(f"U+{ord(mark):04X} has a class that no known mark has")


def moves(character):
    """Does the reference sort this code point among marks? U+0334 is of the lowest class, U+0345 of the highest."""
    return (NFD.normalize_str(character + "\u0334") != character + "\u0334"
            or NFD.normalize_str("\u0345" + character) != "\u0345" + character)


# One mark of each class that a mark can have which stays; the numbers are Unicode's (UnicodeData.txt, field 3).
KNOWN = {7: "\u093c", 9: "\u094d", 216: "\u031b", 220: "\u0316", 224: "\u302e", 226: "\U0001d16d", 230: "\u0300"}


def action_of(point):
    """(action, value): value is the code point or points it becomes, or a class."""
    character = chr(point)
    words = words_of(f"a{character}b")
    if words == ["a", "b"]:
        return "SPACE", None
    if words == ["ab"]:
        parts = NFD.normalize_str(character)
        is_clean = CLEANER.normalize_str(character) == ""
        return ("DROP" if is_clean or all(moves(part) for part in parts) else "BARRIER"), None
    if len(words) == 3:
        assert words[0] == "a" and words[2] == "b" and len(words[1]) == 1, f"U+{point:04X}"
        return "ALONE", ord(words[1])
    assert len(words) == 1 and words[0][0] == "a" and words[0][-1] == "b", f"U+{point:04X}"
    inner = words[0][1:-1]
    if point in HANGUL:
        return "HANGUL", None
    if len(inner) > 1:
        assert len(inner) <= 3 and not moves(inner[0]), f"U+{point:04X}"
        return "SEQUENCE", tuple(map(ord, inner))
    if inner != character:
        assert not moves(inner), f"U+{point:04X}: a code point that becomes a mark"
        return "MAP", ord(inner)
    return ("ORDERED", ordering_class(character, KNOWN)) if moves(character) else ("KEEP", point)


class Tables:
    def __init__(self):
        self.ranges, self.targets, self.sequences = [], [], []

    def add(self, first, count, action, value=0):
        while count > 0xFFFF:
            self.ranges.append((first, 0xFFFF, action, value))
            first, count = first + 0xFFFF, count - 0xFFFF
        self.ranges.append((first, count, action, value))


def runs(points, same):
    """Cuts a sorted list into runs of neighbours for which same(previous, next)."""
    out = []
    for point in points:
        if out and same(out[-1][-1], point):
            out[-1].append(point)
        else:
            out.append([point])
    return out


def add_maps(tables, actions, kind):
    """Code points that become another one: equal distances as ranges, the rest as dense blocks of targets."""
    plain = "ALONE" if kind == "ALONE" else "KEEP"
    mapped = [p for p, (action, value) in actions.items() if action == kind and value != p]
    far = []
    for run in runs(mapped, lambda a, b: b == a + 1 and actions[a][1] - a == actions[b][1] - b):
        if kind == "MAP" and len(run) >= SHIFT_MIN:
            tables.add(run[0], len(run), "SHIFT", actions[run[0]][1] - run[0])
        else:
            far += run
    taken = set(mapped) - set(far)

    def near(a, b):
        return b - a <= GAP_MAX and all(actions.get(p, ("", 0)) == (plain, p) and p not in taken for p in range(a + 1, b))

    for run in runs(far, near):
        block = range(run[0], run[-1] + 1)
        tables.add(block[0], len(block), "ALONE_TABLE" if kind == "ALONE" else "TABLE", len(tables.targets))
        tables.targets += [actions[p][1] for p in block]
    return {p for first, count, action, _ in tables.ranges if action.endswith("TABLE") for p in range(first, first + count)}


def build(actions):
    tables = Tables()
    add_maps(tables, actions, "MAP")
    covered = add_maps(tables, actions, "ALONE")
    simple = [p for p, (action, _) in actions.items() if action not in ("KEEP", "MAP") and p not in covered]
    alike = lambda a, b: b == a + 1 and (actions[a][0], group(actions[a])) == (actions[b][0], group(actions[b]))
    group = lambda action: action[1] if action[0] == "ORDERED" else None
    for run in runs(simple, alike):
        action, value = actions[run[0]]
        if action == "SEQUENCE":
            tables.add(run[0], len(run), action, len(tables.sequences))
            tables.sequences += [actions[p][1] for p in run]
        else:
            tables.add(run[0], len(run), action, value if action == "ORDERED" else 0)
    tables.ranges.sort()
    return tables


def filled(items, width=100):
    lines, line = [], "   "
    for item in items:
        if len(line) + 1 + len(item) > width:
            lines.append(line)
            line = "   "
        line += " " + item
    return "\n".join(lines + [line])


HEAD = """\
/*
 * tokenizer_tables.c - what each code point is to the tokenizer, and what it becomes. Constant;
 * threads: any.
 *
 * MADE by tools/tokenizer_tables.py, not by hand: a sweep of PyPI `tokenizers` {version} over all
 * {count:,} code points. It is committed although it is generated, because a build needs neither
 * Python nor that package. SHA-256 of the sweep, which a unit test computes once more from these
 * tables: {digest}
 *
 * The classes are the reference's own. They belong to Unicode versions older than today's, and the
 * ids of a vocabulary depend on them: they change only together with the space.
 */
#include "embed/tokenizer_tables.h"

/* clang-format off */
enum {{ /* short names, so that the rows stay short */
    {names}
}};

"""
ACTIONS = ("KEEP", "LOWER", "DROP", "BARRIER", "SPACE", "ALONE", "ALONE_TABLE", "TABLE", "SHIFT", "SEQUENCE", "ORDERED", "HANGUL")


def render(actions):
    tables = build({point: action for point, action in actions.items() if point > 127})
    ascii_names = []
    for point in range(128):
        action, value = actions[point]
        ascii_names.append("LOWER" if action == "MAP" and value == point + 32 else action)
        assert ascii_names[-1] in ("LOWER", "KEEP", "DROP", "SPACE", "ALONE") and (action == "MAP" or value in (None, point))
    head = HEAD.format(version=tokenizers.__version__, count=sum(1 for _ in code_points()), digest=sweep_digest(),
                       names="\n    ".join(f"{name} = TOKENIZER_{name}," for name in ACTIONS))
    parts = [
        head,
        "const uint8_t tokenizer_ascii[TOKENIZER_ASCII_COUNT] = {\n" + filled(f"{n}," for n in ascii_names) + "\n};\n",
        "\n/* Sorted; a code point in no range stays as it is. */\nconst struct tokenizer_range tokenizer_ranges[] = {\n"
        + filled(f"{{0x{first:x}, {count}, {action}, {value}}}," for first, count, action, value in tables.ranges)
        + "\n};\nconst size_t tokenizer_ranges_count = sizeof(tokenizer_ranges) / sizeof(tokenizer_ranges[0]);\n",
        "\n/* Of TABLE and ALONE_TABLE: what each code point of the block becomes. */\nconst uint32_t tokenizer_targets[] = {\n"
        + filled(f"0x{target:x}," for target in tables.targets)
        + "\n};\nconst size_t tokenizer_targets_count = sizeof(tokenizer_targets) / sizeof(tokenizer_targets[0]);\n",
        "\n/* Of SEQUENCE; 0 ends a shorter one. */\n"
        "const uint32_t tokenizer_sequences[][TOKENIZER_SEQUENCE_MAX] = {\n"
        + filled("{" + ", ".join(f"0x{p:x}" for p in (*parts, 0)[:3]) + "}," for parts in tables.sequences)
        + "\n};\nconst size_t tokenizer_sequences_count =\n    sizeof(tokenizer_sequences) / sizeof(tokenizer_sequences[0]);\n"
        "/* clang-format on */\n",
    ]
    return "".join(parts)


def main():
    if sys.argv[1:] == ["--digest"]:
        print(sweep_digest())
        return 0
    if sys.argv[1:] not in (["--write"], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = render({point: action_of(point) for point in code_points()})
    if sys.argv[1] == "--write":
        TARGET.write_text(text, encoding="ascii")
        return 0
    same = TARGET.read_text(encoding="ascii") == text
    print(f"{TARGET.name}: " + ("the same" if same else "DIFFERENT"))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
