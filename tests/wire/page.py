"""What the tests of the pages share: commands of a page with what it prints behind them, and printed replies compared with real ones.

A command begins with `$ ` and goes on over the next line while a quote is open or a backslash ends it; what follows it is its output. A reply is
JSON in which `...` stands for more of the same, and a text that ends in `...` for any that begins so or was printed like that before.
"""
import json
import re
import shlex

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SECTION = re.compile(r"^## (.*)$", re.M)
# Names of values that another run has otherwise: times, sizes of files, numbers of the log.
VARIES = re.compile(r"(Ms|Us|UnixMs|Bytes|BytesBefore|BytesAfter|sequence|uptimeS)$")


def spaced(text):
    return " ".join(text.split())


def counts_away(text):
    return re.sub(r"\d+", "0", text)


def open_quote(text):
    try:
        shlex.split(text, comments=True)
        return False
    except ValueError:
        return True


def commands(block):
    """[(words, remark, output)]: the words as a shell would make them, the text behind #, and the lines up to the next command."""
    found, lines = [], block.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            if not found:
                raise ValueError(f"output without a command: {line!r}")
            found[-1][2].append(line)
            continue
        text = line[2:]
        while text.endswith("\\") or open_quote(text):
            text = (text[:-1] if text.endswith("\\") else text + "\n") + lines.pop(0)
        remark = re.search(r"\s# (.*)$", text)
        found.append((shlex.split(text, comments=True), remark.group(1) if remark else "", []))
    return [(words, remark, "\n".join(output)) for words, remark, output in found]


def blocks(page):
    """[(section, language, text)] of every fenced block."""
    heads = [(match.start(), match.group(1)) for match in SECTION.finditer(page)]
    out = []
    for match in FENCE.finditer(page):
        section = [name for start, name in heads if start < match.start()]
        out.append((section[-1] if section else "", match.group(1), match.group(2)))
    return out


def documents(text):
    """The JSON documents in a text, one behind the other."""
    decoder, out, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        out.append(document)
    return out


def printed(text):
    """Printed replies as documents: `...` in an object becomes the key "...", in a list the text "...", where a value stands any value."""
    text = re.sub(r'(:\s*)\.\.\.', r'\1"..."', text)
    text = re.sub(r'(?<=[{,[])(\s*)\.\.\.(?=\s*[,}\]])', lambda match: match.group(1) + "\x00", text)
    out, depth = [], []
    quoted = False
    for place, letter in enumerate(text):
        if letter == '"' and text[place - 1] != "\\":
            quoted = not quoted
        elif not quoted and letter in "{[":
            depth.append(letter)
        elif not quoted and letter in "}]":
            depth.pop()
        out.append(letter if letter != "\x00" else ('"...": null' if depth[-1] == "{" else '"..."'))
    return documents(re.sub(r'\[(\s*)\.\.\.(\s*)\]', r'["..."]', "".join(out)))


class Names:
    """Texts that a page cuts short: what they stood for in this run."""

    def __init__(self):
        self.whole = {}

    def learn(self, short, text):
        self.whole[short] = text

    def fill(self, value):
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str) and value.endswith("..."):
            return self.whole[value]
        return value


def differences(shown, real, names, shape=False, path=""):
    """Where a printed reply and a real one part, as lines; with `shape` only names and kinds are compared, not values. Learns what is cut short."""
    if shown == "...":
        return []
    if isinstance(shown, dict) and isinstance(real, dict):
        keys = [key for key in shown if key != "..."]
        out = [f"{path}.{key}: printed, not there" for key in keys if key not in real and not shape and not VARIES.search(key)]
        out += [f"{path}.{key}: there, not printed" for key in real if key not in shown and "..." not in shown and not shape]
        for key in keys:
            if key in real:
                out += differences(shown[key], real[key], names, shape or bool(VARIES.search(key)), f"{path}.{key}")
        return out
    if isinstance(shown, list) and isinstance(real, list):
        items = [item for item in shown if item != "..."]
        if not shape and (len(items) > len(real) or (len(items) < len(real) and "..." not in shown)):
            return [f"{path}: {len(items)} printed, {len(real)} there"]
        if shape or (shown and shown[0] == "..."):
            return []
        return [line for place, item in enumerate(items) if place < len(real)
                for line in differences(item, real[place], names, shape, f"{path}[{place}]")]
    if isinstance(shown, bool) != isinstance(real, bool) or isinstance(shown, str) != isinstance(real, str):
        return [f"{path}: {shown!r} printed, {real!r} there"]
    if isinstance(shown, str) and shown.endswith("..."):
        names.learn(shown, real)
        if re.search(r"(Id|Ids\[\d+\])$", path) and not real.startswith(shown[:-3]):  # ids are made of what is stored: the same everywhere
            return [f"{path}: {shown!r} printed, {real!r} there"]
        return []
    if shape:
        return []
    same = abs(shown - real) <= 1e-5 if isinstance(shown, (int, float)) and isinstance(real, (int, float)) else shown == real
    return [] if same else [f"{path}: {shown!r} printed, {real!r} there"]
