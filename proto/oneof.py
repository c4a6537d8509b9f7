"""Rewrites proto3 `optional` for protoc-c, which refuses it up to 1.5.2.

    oneof.py PROTO_ROOT FILE OUT_ROOT

Outside comments and strings, `optional T x = n [options];` becomes `oneof x_given { T x = n [options]; }`, on the same
line; nothing else changes. On the wire both are the same bytes. What it cannot read ends the build: a group, `extend`,
proto2, or an `optional` that is not one plain field. Remove this script when protoc-c reads `optional`.
"""
import pathlib
import re
import sys

FIELD = re.compile(r"\boptional\s+([\w.]+)\s+(\w+)\s*(=\s*\d+\s*(?:\[[^\]]*\]\s*)?;)")
CODE_OR_NOT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def pieces(text):
    """Yields (is_code, piece): comments and strings apart from the rest."""
    at = 0
    for match in CODE_OR_NOT.finditer(text):
        yield True, text[at:match.start()]
        yield False, match.group()
        at = match.end()
    yield True, text[at:]


def rewrite(text, name):
    code_only = "".join(piece if is_code else " " for is_code, piece in pieces(text))
    for word in ("group", "extend"):
        if re.search(rf"(^|[;{{}}])\s*(?:(?:optional|repeated|required)\s+)?{word}\b[^=;]*\{{", code_only, re.MULTILINE):
            sys.exit(f"{name}: oneof.py cannot rewrite a file with `{word}`")
    if 'syntax = "proto3"' not in text:
        sys.exit(f"{name}: oneof.py reads proto3 only")
    out = []
    for is_code, piece in pieces(text):
        if is_code:
            piece = FIELD.sub(r"oneof \2_given { \1 \2 \3 }", piece)
            if re.search(r"\boptional\b", piece):
                sys.exit(f"{name}: an `optional` that oneof.py cannot read: it must be one plain field")
        out.append(piece)
    return "".join(out)


def main():
    root, name, out_root = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    out = out_root / name
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(rewrite((root / name).read_text(encoding="utf-8"), name), encoding="utf-8")


if __name__ == "__main__":
    main()
