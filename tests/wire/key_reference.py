#!/usr/bin/env python3
"""Identity in plain Python, written from docs/identity.md alone, and the maker of proto/key-vectors.json.

    key_reference.py --write [FILE]    writes the vectors (default: proto/key-vectors.json)
    key_reference.py --check [FILE]    recomputes every row; exit 1 on the first difference

It shares no code with the server: NFC is unicodedata's, SHA-256 hashlib's, RFC 8785 is below.
"""
import hashlib
import json
import math
import pathlib
import random
import struct
import sys
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "proto" / "key-vectors.json"
MARK = b"reprise/1"


class Refused(Exception):
    """The server answers INVALID_ARGUMENT; the text is the reason."""


class NoForm(Exception):
    """JSON without canonical form: neither tier serves the request."""


# ---- RFC 8785 ------------------------------------------------------------------------------------------

def parse_json(text):
    def pairs(items):
        names = [name for name, _ in items]
        if len(set(names)) != len(names):
            raise NoForm("repeated name")
        return dict(items)

    def number(token):
        if len(token) > 63:
            raise NoForm("long number")
        value = float(token)
        if not abs(value) < 2.0 ** 53:
            raise NoForm("2^53 or more")
        return value

    def constant(_):
        raise Refused("BAD_JSON")

    if text[:1] == "\ufeff":
        raise Refused("BAD_JSON")
    try:
        return json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=number,
                          parse_constant=constant)
    except json.JSONDecodeError:
        raise Refused("BAD_JSON") from None


def json_number(value):
    """ECMA-262, Number::toString. repr() gives the same shortest digits; only the layout differs."""
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, exponent = repr(abs(value)), 0
    if "e" in mantissa:
        mantissa, exponent = mantissa.split("e")[0], int(mantissa.split("e")[1])
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = exponent + len(whole) if whole != "0" else exponent - (len(fraction) - len(fraction.lstrip("0")))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    head = digits[0] + ("." + digits[1:] if count > 1 else "")
    return f"{sign}{head}e{'+' if point > 0 else '-'}{abs(point - 1)}"


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def json_string(text):
    if "\0" in text:
        raise NoForm("NUL")
    if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise Refused("BAD_JSON")
    return '"' + "".join(ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


def json_write(value, depth=0):
    if isinstance(value, (dict, list)) and depth == 64:
        raise Refused("BAD_JSON")
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(json_string(n) + ":" + json_write(value[n], depth + 1) for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(json_write(item, depth + 1) for item in value) + "]"
    if isinstance(value, str):
        return json_string(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_number(value)


def canonical_json(text):
    return json_write(parse_json(text)).encode() if text else b""


# ---- the encoding --------------------------------------------------------------------------------------

def canonical_text(text):
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n")).encode()


def field(tag, content):
    return struct.pack("<BI", tag, len(content)) + content


def some(tag, content):
    return field(tag, content) if content else b""


def number(tag, value):
    return b"" if value is None else field(tag, struct.pack("<q", value))


def a_list(tag, elements):
    return some(tag, b"".join(field(0, element) for element in elements))


def millionths(value):
    if value is None:
        return None
    if not 0 <= value <= 10:
        raise Refused("LIMIT_EXCEEDED")
    return math.floor(value * 1e6 + 0.5)


def scope_of(identity):
    attributes = sorted((canonical_text(a["name"]), canonical_text(a.get("value", "")))
                        for a in identity.get("attributes", []))
    if len({name for name, _ in attributes}) != len(attributes):
        raise Refused("BAD_NAME")
    content = (some(1, canonical_text(identity.get("tenant") or "default"))
               + some(2, canonical_text(identity.get("namespace") or "default"))
               + some(3, canonical_text(identity["model"]))
               + some(4, canonical_text(identity.get("embedder", "")))
               + a_list(5, [some(1, name) + some(2, value) for name, value in attributes]))
    if len(content) + 5 > 4096:
        raise Refused("SCOPE_TOO_LONG")
    return field(ord("S"), content)


EXTRAS = ("content_json", "name", "tool_call_id", "tool_calls_json")


def cut_messages(identity):
    """Returns system texts, history and the query (None: no query)."""
    messages = identity.get("messages", [])
    if bool(messages) == bool(identity.get("prompt")):
        raise Refused("AMBIGUOUS_INPUT" if messages else "EMPTY_PROMPT")
    if not messages:
        messages = [{"role": "user", "content": identity["prompt"]}]
    systems = [identity["system_prompt"]] if identity.get("system_prompt") else []
    rest = list(messages)
    while rest and rest[0]["role"] in ("system", "developer") and not any(rest[0].get(e) for e in EXTRAS):
        systems.append(rest.pop(0).get("content", ""))
    query = None
    if rest and rest[-1]["role"] == "user" and not any(rest[-1].get(e) for e in ("tool_call_id", "tool_calls_json")):
        query = rest.pop()
        if not query.get("content") and not query.get("content_json"):
            raise Refused("EMPTY_PROMPT")
    return systems, rest, query


def message_of(message):
    if message.get("content") and message.get("content_json"):
        raise Refused("AMBIGUOUS_INPUT")
    return (some(1, canonical_text(message["role"])) + some(2, canonical_text(message.get("content", "")))
            + some(3, canonical_json(message.get("content_json", ""))) + some(4, canonical_text(message.get("name", "")))
            + some(5, canonical_text(message.get("tool_call_id", "")))
            + some(6, canonical_json(message.get("tool_calls_json", ""))))


def params_of(params):
    n = params.get("n", 0)
    other = canonical_json(params.get("other_json", ""))
    if other and not other.startswith(b"{"):
        raise Refused("BAD_JSON")
    return (number(1, millionths(params.get("temperature"))) + number(2, millionths(params.get("top_p")))
            + number(3, params.get("max_tokens")) + number(4, params.get("seed")) + number(5, n if n > 1 else None)
            + a_list(6, [canonical_text(stop) for stop in params.get("stop", [])]) + some(7, other))


def compat_of(identity, systems, history):
    return field(ord("C"),
                 a_list(1, [canonical_text(text) for text in systems])
                 + a_list(2, [message_of(message) for message in history])
                 + some(3, canonical_json(identity.get("tools_json", "")))
                 + some(4, canonical_json(identity.get("tool_choice_json", "")))
                 + some(5, canonical_json(identity.get("response_format_json", "")))
                 + some(6, params_of(identity.get("params", {})))
                 + a_list(7, [canonical_text(text) for text in identity.get("context_ids", [])]))


def query_of(query):
    query = query or {}
    return field(ord("Q"), some(1, canonical_text(query.get("content", ""))) + some(2, canonical_text(query.get("name", "")))
                 + some(3, canonical_json(query.get("content_json", ""))))


def keys(identity):
    """{'scope_key', 'compat_key', 'exact_key'} as hex, or {'canonical': False}."""
    try:
        systems, history, query = cut_messages(identity)
        scope, compat = scope_of(identity), compat_of(identity, systems, history)
        digest = lambda *parts: hashlib.sha256(MARK + b"".join(parts)).hexdigest()
        return {"scope_key": digest(scope), "compat_key": digest(compat), "exact_key": digest(scope, compat, query_of(query))}
    except NoForm:
        return {"canonical": False}


# ---- the vectors ---------------------------------------------------------------------------------------

def by_hand():
    """One rule a row, as a reader of docs/identity.md would try them."""
    hi = {"model": "m", "prompt": "hi"}
    yield hi
    yield {**hi, "tenant": "default", "namespace": "default"}
    yield {"model": "m", "prompt": "cafe\u0301\r\n", "system_prompt": "Be brief.", "params": {"temperature": 0.0}}
    yield {"model": "m", "prompt": "caf\u00e9\n", "system_prompt": "Be brief.", "params": {"temperature": 0.0}}
    for prompt in ("hi ", " hi", "Hi", "hi\r", "hi\r\n", "hi\n", "hi\r\r\n", "a\tb", "\u212b", "\u1e9b\u0323", "\uac00", "\u1100\u1161",
                   "\U0001f600", "\u05e9\u05c1", "\u0958", "e\u0301\u0327", "e\u0327\u0301", "\ufb01", "x" * 1000, "\u0130", "\U0001d15e"):
        yield {"model": "m", "prompt": prompt}
    for extra in ({"tenant": "acme"}, {"namespace": "a.b_c-9"}, {"model": "gpt-4o-mini"}, {"embedder": "bge-small"},
                  {"attributes": [{"name": "region", "value": "eu"}, {"name": "a", "value": ""}]},
                  {"attributes": [{"name": "a"}, {"name": "region", "value": "eu"}]},
                  {"attributes": [{"name": "e\u0301", "value": "1"}, {"name": "f", "value": "2"}]},
                  {"system_prompt": "Be brief."}, {"tools_json": "[]"}, {"tools_json": "{}"}, {"tool_choice_json": "\"auto\""},
                  {"response_format_json": "{\"type\": \"json_object\"}"}, {"context_ids": ["doc@1", ""]}, {"context_ids": [""]},
                  {"tools_json": "[{\"b\":1,\"a\":[1.0,1e2,-0.0]}]"}, {"tools_json": "[ {\"a\" : [1,100,0], \"b\":1 } ]"}):
        yield {**hi, **extra}
    for params in ({"temperature": 0.7}, {"temperature": struct.unpack("f", struct.pack("f", 0.7))[0]}, {"temperature": 0}, {"temperature": 10},
                   {"temperature": 1e-7}, {"temperature": 4.9e-7}, {"temperature": 5e-7}, {"top_p": 1}, {"top_p": 0.9999999},
                   {"max_tokens": 0}, {"max_tokens": 4294967295}, {"seed": 0}, {"seed": -1}, {"seed": 2 ** 53 - 1},
                   {"n": 0}, {"n": 1}, {"n": 2}, {"stop": [""]}, {"stop": ["\n", "END"]}, {"stop": ["END", "\n"]},
                   {"other_json": "{}"}, {"other_json": "{\"top_k\": 40, \"min_p\": 5e-2}"}):
        yield {**hi, "params": params}
    user, assistant = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
    system, developer = {"role": "system", "content": "Be brief."}, {"role": "developer", "content": "In French."}
    call = {"role": "assistant", "tool_calls_json": "[{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"}
    result = {"role": "tool", "tool_call_id": "c1", "content": "42"}
    for messages in ([user], [system, user], [developer, user], [system, developer, user], [developer, system, user],
                     [user, assistant, user], [system, user, assistant, user], [user, system, user], [user, assistant], [system],
                     [system, {"role": "system", "content": ""}, user], [user, call, result], [user, call, result, user],
                     [{**system, "name": "boss"}, user], [{"role": "system", "content_json": "[{\"type\":\"text\",\"text\":\"Be brief.\"}]"}, user],
                     [system, {**developer, "name": "x"}, system, user], [{**user, "name": "ann"}],
                     [{"role": "user", "content_json": "[{\"text\":\"hi\",\"type\":\"text\"}]"}],
                     [{"role": "user", "content_json": "[{\"type\": \"text\", \"text\": \"hi\"}]"}],
                     [{**user, "tool_call_id": "c1"}], [{**user, "tool_calls_json": "[]"}], [assistant, user]):
        yield {"model": "m", "messages": messages}
        yield {"model": "m", "messages": messages, "system_prompt": "Be brief."}
    for name in ("\u00e9", "e\u0301"):  # strings inside JSON are not normalised
        yield {**hi, "tools_json": json.dumps({name: name}, ensure_ascii=False)}
        yield {**hi, "tools_json": json.dumps({name: name})}
    yield {**hi, "tools_json": "{\"\\ud83d\\ude00\":1,\"\\ufb33\":2,\"\\u20ac\":3,\"\\r\":4,\"1\":5,\"\\u0080\":6,\"\\u00f6\":7}"}
    yield {**hi, "tools_json": "\"\\u0001\\b\\t\\n\\f\\r\\\"\\\\\\/\\u007f\\u2028\""}
    for depth in (1, 63, 64):
        yield {**hi, "tools_json": "[" * depth + "]" * depth}


def numbers():
    texts = ["0", "-0", "0.0", "-0e5", "1", "-1", "1.0", "1e0", "10e-1", "0.1e1", "1e21", "123456789012345680000", "4.50", "2e-3",
             "0.000000000000000000000000001", "1e-6", "1e-7", "9.5e-7", "0.000001", "0.0000001", "5e-324", "2.2250738585072014e-308",
             "1e-400", "9007199254740991", "-9007199254740991", "9007199254740992", "9007199254740993", "1e16", "1e15", "1e400",
             "0.1", "0.30000000000000004", "333333333.33333329", "5.684341886080802e-14", "1.7763568394002505e-15", "1E+2", "1e-0",
             "123.456e3", "0.1" + "0" * 60, "0.1" + "0" * 61, "1.5e-10", "4.35", "0.000001234", "100000000000000.1"]
    maker = random.Random(8785)
    while len(texts) < 260:
        value = struct.unpack("<d", maker.randbytes(8))[0]
        if math.isfinite(value) and abs(value) < 2 ** 53:
            texts.append(repr(value))
    texts += [repr(math.ldexp(1.0, -power)) for power in range(1, 120, 7)]
    return texts


def no_form():
    hi = {"model": "m", "prompt": "hi"}
    for text in ("{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":1}", "[{\"x\":{\"y\":1,\"y\":1}}]", "9007199254740992", "-1e300", "\"a\\u0000b\"",
                 "{\"\\u0000\":1}", "1" * 64, "[0." + "1" * 62 + "]"):
        for name in ("tools_json", "tool_choice_json", "response_format_json"):
            yield {**hi, name: text}
    yield {**hi, "params": {"other_json": "{\"seed\":9007199254740993}"}}
    yield {"model": "m", "messages": [{"role": "user", "content_json": "[{\"a\":1,\"a\":1}]"}]}


ALPHABET = ["a", "b", "Z", "9", " ", "\n", "\r\n", "\t", "'", "\"", "\\", "/", "\u00e9", "e\u0301", "\u00df", "\u4e2d", "\uac01", "\u1100\u1161\u11a8",
            "\U0001f469\u200d\U0001f4bb", "\u0439", "\u0438\u0306", "\u1ea5", "\u03d3", "\u0344", "\u2126", "\U000119a0"]


class Maker:
    """Random identities that the server accepts, from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, longest=12):
        return "".join(self.random.choice(ALPHABET) for _ in range(self.random.randint(1, longest)))

    def maybe(self, chance=0.3):
        return self.random.random() < chance

    def value(self, depth=0):
        kind = self.random.randrange(8 if depth < 3 else 6)
        if kind < 6:
            return [None, True, False, self.random.randint(-10 ** 6, 10 ** 6), self.random.uniform(-1, 1) * 10 ** self.random.randint(-9, 9),
                    self.text()][kind]
        size = self.random.randrange(4)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(size)]
        return {self.text(4): self.value(depth + 1) for _ in range(size)}

    def json(self, value=None):
        value = self.value() if value is None else value
        return json.dumps(value, ensure_ascii=self.maybe(0.5), indent=self.random.choice([None, None, 1]),
                          separators=self.random.choice([None, (",", ":"), (" , ", " : ")]))

    def message(self):
        made = {"role": self.random.choice(["system", "developer", "user", "assistant", "tool"])}
        if self.maybe(0.8):
            made["content"] = self.text()
        elif self.maybe(0.5):
            made["content_json"] = self.json([{"type": "text", "text": self.text()}])
        for name in ("name", "tool_call_id"):
            if self.maybe(0.1):
                made[name] = self.text(4)
        if self.maybe(0.1):
            made["tool_calls_json"] = self.json()
        return made

    def params(self):
        made = {}
        for name in ("temperature", "top_p"):
            if self.maybe():
                made[name] = self.random.choice([0, 1, self.random.random(), round(self.random.uniform(0, 10), 2)])
        for name, highest in (("max_tokens", 2 ** 32 - 1), ("n", 4)):
            if self.maybe(0.2):
                made[name] = self.random.randint(0, highest)
        if self.maybe(0.2):
            made["seed"] = self.random.randint(-2 ** 31, 2 ** 53 - 1)
        if self.maybe(0.2):
            made["stop"] = [self.text(3) for _ in range(self.random.randint(1, 3))]
        if self.maybe(0.1):
            made["other_json"] = self.json({self.text(4): self.value(2) for _ in range(3)})
        return made

    def identity(self):
        made = {"model": self.text(6)}
        if self.maybe(0.5):
            made["prompt"] = self.text()
        else:
            made["messages"] = [self.message() for _ in range(self.random.randint(1, 4))]
        for name in ("tenant", "system_prompt", "embedder"):
            if self.maybe(0.2):
                made[name] = self.text(6)
        if self.maybe():
            made["namespace"] = "".join(self.random.choice("abcXYZ019._-") for _ in range(self.random.randint(1, 8)))
        if self.maybe():
            made["attributes"] = [{"name": f"{i}{self.text(3)}", "value": self.text(4)} for i in self.random.sample(range(9), 3)]
        if self.maybe(0.4):
            made["params"] = self.params()
        for name in ("tools_json", "tool_choice_json", "response_format_json"):
            if self.maybe(0.1):
                made[name] = self.json()
        if self.maybe(0.1):
            made["context_ids"] = [self.text(4) for _ in range(self.random.randint(1, 3))]
        return made


def at_random(count):
    maker = Maker(20)
    made = 0
    while made < count:
        identity = maker.identity()
        try:
            keys(identity)
        except Refused:
            continue
        made += 1
        yield identity


def all_rows():
    rows = list(by_hand())
    rows += [{"model": "m", "prompt": "hi", "tools_json": text} for text in numbers()]
    rows += list(no_form())
    rows += list(at_random(1100 - len(rows)))
    return [{"identity": identity, **keys(identity)} for identity in rows]


def write(path):
    rows = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in all_rows())
    path.write_text(f'{{"version":1,"unicode":"{unicodedata.unidata_version}","rows":[\n{rows}\n]}}\n')


def check(path):
    """Yields (row number, name of the digest, expected, computed) of each difference."""
    for number_, row in enumerate(json.loads(path.read_text())["rows"]):
        computed = keys(row["identity"])
        stored = {name: value for name, value in row.items() if name != "identity"}
        for name in sorted(set(stored) | set(computed)):
            if stored.get(name) != computed.get(name):
                yield number_, name, stored.get(name), computed.get(name)


def main():
    path = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else VECTORS
    if len(sys.argv) < 2 or sys.argv[1] not in ("--write", "--check"):
        print(__doc__)
        return 2
    if sys.argv[1] == "--write":
        write(path)
        return 0
    differences = list(check(path))
    for difference in differences[:10]:
        print("row %d: %s is %s, computed %s" % difference)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
