"""Hostile values that have a name: where Hypothesis and the fuzzer begin, and what tests ask for one by one."""

from collections.abc import Iterator

from hostile import NOW

COOKIE, ID, OTHER_ID = b"chirp_session", b"i" * 43, b"o" * 43
LONG_AGO = int(NOW) - 4000  # seen long enough ago that a touch is due, and not yet expired


def far_future(data: bytes) -> bytes:
    """Return a document whose envelope is in order and not expired."""
    return b'{"__created_at":4e9,"__last_seen_at":4e9,"handle":"abc","data":' + data + b"}"


def document(data: bytes, *, created: object = LONG_AGO, seen: object = LONG_AGO, handle: bytes = b'"abc"') -> bytes:
    """Return a document as JSON, with any of its parts replaced."""
    stamps = f'"__created_at":{created},"__last_seen_at":{seen}'.encode()
    return b'{%s,"handle":%s,"data":%s}' % (stamps, handle, data)


def about(told: bytes) -> bytes:
    """Return a document that says this beside its data."""
    return document(b'{"a":1}').replace(b'"data":', b'"about":%s,"data":' % told)


CORRUPT = {
    "empty": b"",
    "text": b"hello",
    "a number": b"1",
    "null": b"null",
    "a list": b"[]",
    "half a document": b'{"__created_at":',
    "no envelope": b"{}",
    "half a document with a secret": b'{"handle":"precious","data":{"card":"precious',
    "another package's": b'{"user_id":7}',
    "a pickle": b"\x80\x04\x95\x05\x00",
    "invalid UTF-8": b"\xff\xfe\xfd",
    "invalid UTF-8 in the data": far_future(b'{"a":"\xff"}'),
    "a lone surrogate": far_future(b'{"a":"\\ud800"}'),
    "data that is no object": far_future(b"[1]"),
    "data that is null": far_future(b"null"),
    "deep data": far_future(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep beside the data": far_future(b"{}")[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep and nothing else": b"{" + b'"a":{' * 100_000,
    "stamps of text": b'{"__created_at":"now","__last_seen_at":4e9,"handle":"abc","data":{}}',
    "an endless stamp": b'{"__created_at":1e308,"__last_seen_at":1e308,"handle":"abc","data":{}}',
    "too large a stamp": b'{"__created_at":1e400,"__last_seen_at":4e9,"handle":"abc","data":{}}',
    "a negative stamp": b'{"__created_at":-1,"__last_seen_at":4e9,"handle":"abc","data":{}}',
    "a lifetime without end": about(b'{"max_age":1e308}'),
    "a lifetime that is over": about(b'{"max_age":-1}'),
    "a client of control characters": about(b'{"user_agent":"\\u001b[2J\\r\\nforged","address":"::1"}'),
    "a long client": about(b'{"user_agent":"%s"}' % (b"x" * 70_000)),
    "white space first": b" " + far_future(b"{}"),
    "two documents": far_future(b"{}") * 2,
    "nearly a tombstone": b"moved elsewhere",
    "a tombstone with more": b"dead\n",
    "a tombstone out of the prefix": b"moved ../../" + b"a" * 58,
}

READABLE = {
    "plain": document(b'{"a":1,"b":[true,null,"\xc3\xa9",{"c":1.5}]}'),
    "no data": document(b"{}"),
    "a user": document(b'{"user_id":7}'),
    "a user spelt in another way": document(b'{"user_id":"\\u0061","a":[1]}'),
    "a strange user": document(b'{"user_id":[{"id":"\\u0000"}]}'),
    "control characters": document(b'{"\\u0000\\r\\n":"\\u001b[2J\\r\\nSet-Cookie: a=b"}'),
    "a handle of control characters": document(b'{"a":1}', handle=b'"\\u001b[2J\\r\\nforged"'),
    "a long handle": document(b'{"a":1}', handle=b'"%s"' % (b"h" * 70_000)),
    "no handle": document(b'{"a":1}', handle=b'""'),
    "the same key twice": document(b'{"a":1,"a":{"b":1,"b":2}}'),
    "a huge number": document(b'{"a":%s,"b":1e308,"c":-0.0,"d":5e-324}' % (b"9" * 4000)),
    "numbers that grow": document(b'{"a":[%s]}' % b",".join([b"1e15"] * 5000)),
    "as deep as can be": document(b'{"a":' + b"[" * 199 + b"]" * 199 + b"}"),
    "larger than max_bytes": document(b'{"a":["%s"]}' % (b"x" * 70_000)),
    "from the future": far_future(b'{"a":1}'),
    "from the first day": document(b'{"a":1}', created=0, seen=0),
    "about nothing": about(b"null"),
    "about something else": about(b'{"unknown":[1]}'),
    "remembered": about(b'{"max_age":34560000,"user_agent":"<b>\xc3\xa9</b>","address":"2001:db8::1"}'),
    "about to end": about(b'{"max_age":4001,"persistent":false}'),
    "spaced": document(b'\r\n{\t"a" : [ 1 ] }').replace(b",", b" ,\n"),
    "dead": b"dead",
    "moved": b"moved " + b"a" * 64,
    "follow": b"follow " + b"0f" * 32,
}

COOKIE_HEADERS = {
    "one": COOKIE + b"=" + ID,
    "among others": b"a=b; " + COOKIE + b"=" + ID + b" ; c",
    "two": COOKIE + b"=" + ID + b";" + COOKIE + b"=" + OTHER_ID,
    "malformed last": COOKIE + b"=" + ID + b"; " + COOKIE + b"=x",
    "quoted": COOKIE + b'="' + ID + b'"',
    "not ASCII": COOKIE + b"=" + ID[:-1] + b"\xff",
    "controls": COOKIE + b"=" + ID[:-1] + b"\r\n\0",
    "many": b"; ".join(b"c%d=v" % number for number in range(2000)),
    "many of its name": b";".join([COOKIE + b"=" + b"x" * 42] * 200),
    "long": COOKIE + b"=" + b"a" * 65_536,
    "semicolons": b";" * 65_536,
    "spaces": b"; \t" * 20_000 + COOKIE,
}

URLS = {
    "plain": "redis://localhost:6379/0",
    "a password": "redis://user:precious@localhost:6379/0?socket_timeout=3",
    "a socket": "unix://user:precious@/tmp/redis.sock?db=1",
    "TLS": "rediss://:precious@redis.example:6380/1?ssl_cert_reqs=none",
    "a password with a hash": "redis://user:prec#ious@localhost/0",
    "a password with a bracket": "redis://user:prec]ious[@localhost/0",
    "no number as port": "redis://localhost:precious/0",
    "too large a port": "redis://localhost:99999/0",
    "no number as database": "redis://localhost/precious?db=precious",
    "an unknown option": "redis://localhost?precious=precious",
    "another scheme": "http://user:precious@localhost",
    "an open bracket": "redis://[::1/0",
    "controls": "redis://local\0host\r\n/0",
    "nothing": "",
}


def stored_values() -> Iterator[bytes]:
    yield from CORRUPT.values()
    yield from READABLE.values()
