"""Writes a file's bytes as a C array:  embed.py IN OUT.c  (declared in proto/descriptor_set.h)."""
import pathlib
import sys

data = pathlib.Path(sys.argv[1]).read_bytes()
rows = (", ".join(str(byte) for byte in data[at:at + 20]) for at in range(0, len(data), 20))
pathlib.Path(sys.argv[2]).write_text(
    '#include "proto/descriptor_set.h"\n\n'
    "const unsigned char descriptor_set[] = {\n    " + ",\n    ".join(rows) + "};\n"
    f"const unsigned long descriptor_set_size = {len(data)};\n")
