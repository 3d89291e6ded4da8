"""Writes of one session that meet: merged by top-level key, with none of them lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from session_kit import config_with

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.about import About, AboutChange
from chirp.middleware.sessions.codec import Codec, decode_data, encode_data
from chirp.middleware.sessions.merging import (
    NO_CHANGE,
    Folded,
    Write,
    Written,
    changes_between,
    fold,
    rebase,
    with_changes,
    written,
)
from chirp.middleware.sessions.steps import KEEP_TTL, NO_DOCUMENT, Swap

LIMIT = 300
CONFIG = config_with(max_age=100, max_bytes=LIMIT)
codec, lifetime = Codec(CONFIG), CONFIG.lifetime
KEY, SEEN = "key", 1000.0

keys = st.sampled_from("abcdef")
values = st.sampled_from([None, True, False, 0, 1, 1.0, "1", "", [], {}, [1], {"x": 1}])
sessions = st.dictionaries(keys, values)


def document(data: dict[str, Any], last_seen_at: float = SEEN) -> bytes:
    return codec.encode(created_at=SEEN, last_seen_at=last_seen_at, handle="h", data=encode_data(data))


def write(
    base: dict[str, Any],
    mine: dict[str, Any],
    *,
    slide_to: float | None = None,
    expected: bytes | None = None,
    about: AboutChange = NO_CHANGE,
) -> Write:
    """Return what a request that loaded `base` asks for to have `mine` stored."""
    data = encode_data(mine)
    new = document(mine, slide_to or SEEN) if mine else NO_DOCUMENT
    ttl_ms = KEEP_TTL if slide_to is None or not mine else lifetime.ttl_ms(SEEN, slide_to, slide_to)
    return Write(Swap(KEY, expected or document(base), new, ttl_ms), data, encode_data(base), data, slide_to, about)


def touch(base: dict[str, Any], slide_to: float) -> Write:
    data = encode_data(base)
    new = codec.encode(created_at=SEEN, last_seen_at=slide_to, handle="h", data=data)
    return Write(Swap(KEY, document(base), new, lifetime.ttl_ms(SEEN, slide_to, slide_to)), data, None, data, slide_to)


def data_in(value: bytes) -> dict[str, Any]:
    opened = codec.decode(value)
    assert opened is not None
    return opened.data


def folded_of(writes: list[Write], current: bytes | None = None) -> Folded:
    return fold(writes, current, codec, lifetime)


def swap_of(folded: Folded) -> Swap:
    assert folded.swap is not None
    return folded.swap


def merged(stored: dict[str, Any], base: dict[str, Any], mine: dict[str, Any]) -> bytes:
    return with_changes(encode_data(stored), [changes_between(encode_data(base), encode_data(mine))])


def encoded(session: dict[str, Any]) -> dict[str, bytes]:
    """Return every value as it is stored: `True == 1`, but not here."""
    return {key: encode_data({"": value}) for key, value in session.items()}


@given(stored=sessions, base=sessions, mine=sessions)
def test_a_merge_takes_changed_keys_from_mine_and_all_others_from_the_store(
    stored: dict[str, Any], base: dict[str, Any], mine: dict[str, Any]
) -> None:
    """For all keys: changed, added, removed, untouched."""
    left, before, after = encoded(stored), encoded(base), encoded(mine)
    expected = {}
    for key in "abcdef":
        source = left if before.get(key) == after.get(key) else after
        if key in source:
            expected[key] = source[key]
    assert encoded(decode_data(merged(stored, base, mine))) == expected


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (1, 1.0), (True, 1)])
def test_equal_values_of_other_types_are_a_change(before: Any, after: Any) -> None:
    """`True == 1` in Python, not in the store."""
    assert merged({"k": before}, {"k": before}, {"k": after}) == encode_data({"k": after})


def test_a_key_that_was_removed_is_removed() -> None:
    """Though another request has changed it meanwhile: the later write wins."""
    assert merged({"k": 2, "o": 1}, {"k": 1, "o": 1}, {"o": 1}) == b'{"o":1}'


def test_a_key_that_another_request_removed_stays_removed() -> None:
    """Having loaded it is not having changed it."""
    assert merged({}, {"once": 1}, {"once": 1, "mine": 2}) == b'{"mine":2}'


def test_removing_what_is_gone_is_no_error() -> None:
    """Two requests may both remove it."""
    assert merged({}, {"k": 1}, {}) == b"{}"


@given(base=sessions, parts=st.permutations([("a", 1), ("b", True), ("c", None), ("d", [1])]), gone=st.booleans())
def test_parallel_changes_of_different_keys_lose_nothing(
    base: dict[str, Any], parts: list[tuple[str, Any]], *, gone: bool
) -> None:
    """Promise 3: in one batch, whatever their order, removals included."""
    base = {**base, "f": 1}
    writes = [write(base, {**base, key: value}) for key, value in parts]
    if gone:
        writes.append(write(base, {key: value for key, value in base.items() if key != "f"}))
    folded = folded_of(writes)
    expected = {**base, **dict(parts)}
    if gone:
        del expected["f"]
    assert encoded(data_in(swap_of(folded).document)) == encoded(expected)
    assert (folded.members, folded.losers) == (list(range(len(writes))), {})


@given(base=sessions, first=sessions, second=sessions)
def test_folding_is_the_same_as_one_after_the_other(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The batch stores what two batches would have."""
    stored = document({**base, "f": 1})
    base = data_in(stored)
    writes = [write(base, {**one, "f": 1}) for one in (first, second)]
    again = rebase(writes[1], writes[0].swap.document, codec, lifetime)
    assert again is not None
    assert data_in(swap_of(folded_of(writes)).document) == data_in(again.swap.document)


def test_of_two_changes_to_one_key_the_later_wins() -> None:
    """Later is who asked later."""
    folded = folded_of([write({}, {"k": 1}), write({}, {"k": 2})])
    assert data_in(swap_of(folded).document) == {"k": 2}


def test_a_fold_is_aimed_at_what_the_first_has_loaded() -> None:
    """So it fails as a whole if somebody else wrote meanwhile, and each merges again."""
    folded = folded_of([write({"a": 1}, {"a": 2}), write({"b": 1}, {"b": 2})])
    assert swap_of(folded).expected == document({"a": 1})


def test_a_touch_yields_to_a_write_that_came_later() -> None:
    """It is told what stands there, as if it had lost its compare."""
    folded = folded_of([touch({"a": 1}, 1050), write({"a": 1}, {"a": 2})])
    assert folded.losers == {0: Written(False, document({"a": 1}))}
    assert (folded.members, data_in(swap_of(folded).document)) == ([1], {"a": 2})


def test_a_second_touch_yields_to_the_first() -> None:
    """One of them is enough."""
    folded = folded_of([touch({"a": 1}, 1050), touch({"a": 1}, 1051)])
    assert (folded.members, list(folded.losers)) == ([0], [1])


def test_a_write_that_slides_makes_the_fold_slide() -> None:
    """Whichever of them it is; the latest time counts."""
    for slides in ([None, 1050.0, 1060.0], [1060.0, None, 1050.0]):
        writes = [write({"o": 1}, {"o": 1, str(index): 1}, slide_to=at) for index, at in enumerate(slides)]
        folded = folded_of(writes)
        opened = codec.decode(swap_of(folded).document)
        assert opened is not None
        assert (opened.last_seen_at, swap_of(folded).ttl_ms) == (1060, 100_000)


def test_without_a_slide_the_time_to_live_stays() -> None:
    """A change while no touch is due keeps `last_seen_at` and the TTL."""
    folded = folded_of([write({"o": 1}, {"o": 1, key: 1}) for key in "ab"])
    opened = codec.decode(swap_of(folded).document)
    assert opened is not None
    assert (opened.last_seen_at, swap_of(folded).ttl_ms) == (SEEN, KEEP_TTL)


def test_one_member_that_does_not_fit_is_told_so_alone() -> None:
    """The others are stored; what came after it, too."""
    half = "x" * 120
    writes = [write({"o": 1}, {"o": 1, key: value}) for key, value in (("a", half), ("b", half), ("c", 1))]
    folded = folded_of(writes)
    assert isinstance(folded.losers[1], SessionTooLarge)
    assert (folded.members, data_in(swap_of(folded).document)) == ([0, 2], {"o": 1, "a": half, "c": 1})


def test_a_fold_that_leaves_nothing_deletes() -> None:
    """Each removes one key, together all of them."""
    base = {"a": 1, "b": 1}
    folded = folded_of([write(base, {"b": 1}), write(base, {"a": 1})])
    assert (swap_of(folded).document, swap_of(folded).ttl_ms) == (NO_DOCUMENT, KEEP_TTL)


def test_a_change_saves_a_session_that_another_empties() -> None:
    """The merged result is not empty, so nothing is deleted; in either order."""
    emptied, changed = write({"a": 1}, {}), write({"a": 1}, {"a": 1, "b": 1})
    for writes in ([emptied, changed], [changed, emptied]):
        assert data_in(swap_of(folded_of(writes)).document) == {"b": 1}


def test_nothing_is_folded_onto_a_corrupt_document() -> None:
    """All are told that the session is gone, and nothing is sent."""
    writes = [write({"a": 1}, {"a": 1, key: 1}, expected=b"{corrupt") for key in "bc"]
    assert folded_of(writes) == Folded(None, [], {0: Written(False, None), 1: Written(False, None)})


def test_a_fold_onto_what_is_known_to_stand_is_aimed_at_it() -> None:
    """What others stored meanwhile is kept, without a compare that is bound to be lost."""
    folded = folded_of([write({"a": 1}, {"a": 1, key: 1}) for key in "bc"], document({"a": 2, "d": 1}))
    assert swap_of(folded).expected == document({"a": 2, "d": 1})
    assert data_in(swap_of(folded).document) == {"a": 2, "b": 1, "c": 1, "d": 1}


def test_a_touch_of_another_document_than_stands_is_lost_unsent() -> None:
    """It was loaded before somebody's change."""
    current = document({"a": 2})
    assert folded_of([touch({"a": 1}, 1050)], current) == Folded(None, [], {0: Written(False, current)})


def test_a_touch_of_what_stands_is_sent() -> None:
    """Whatever the one before it had loaded."""
    folded = folded_of([touch({"a": 1}, 1050), touch({"a": 2}, 1050)], document({"a": 2}))
    assert (swap_of(folded).expected, folded.members, list(folded.losers)) == (document({"a": 2}), [1], [0])


@given(stored=sessions, base=sessions, mine=sessions)
def test_a_rebase_aims_the_merge_at_what_is_there_now(
    stored: dict[str, Any], base: dict[str, Any], mine: dict[str, Any]
) -> None:
    """The next compare is with the current document."""
    current = document({**stored, "f": 1})
    again = rebase(write({**base, "f": 1}, {**mine, "f": 1}), current, codec, lifetime)
    assert again is not None
    data = merged({**stored, "f": 1}, {**base, "f": 1}, {**mine, "f": 1})
    assert (again.swap.expected, encode_data(data_in(again.swap.document))) == (current, data)


def test_a_rebase_keeps_the_stamps_of_what_is_there_now() -> None:
    """Another request's touch is not undone."""
    again = rebase(write({"a": 1}, {"a": 2}), document({"a": 1}, 1040), codec, lifetime)
    assert again is not None
    opened = codec.decode(again.swap.document)
    assert opened is not None
    assert (opened.last_seen_at, again.swap.ttl_ms) == (1040, KEEP_TTL)


@pytest.mark.parametrize("current", [b"{corrupt", b"dead", b""])
def test_nothing_is_rebased_onto_what_is_no_document(current: bytes) -> None:
    """A tombstone is never overwritten."""
    assert rebase(write({"a": 1}, {"a": 2}), current, codec, lifetime) is None


def test_a_touch_is_never_rebased() -> None:
    """One that loses its compare is dropped."""
    assert rebase(touch({"a": 1}, 1050), document({"a": 2}), codec, lifetime) is None


def test_a_rebase_that_does_not_fit_is_refused() -> None:
    """Together they exceed the limit, though each alone does not."""
    big = "x" * 120
    with pytest.raises(SessionTooLarge):
        rebase(write({}, {"a": big}), document({"b": big}), codec, lifetime)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [(True, Written(True, b"{new")), (False, Written(False, None)), (b"{other", Written(False, b"{other"))],
)
def test_how_the_reply_to_a_swap_is_read(reply: bool | bytes, expected: Written) -> None:
    """Done, gone, or something else there."""
    assert written(Swap(KEY, b"{old", b"{new", 5), reply) == expected


MONTH = 30 * 86400
REMEMBER = {"max_age": MONTH, "persistent": True}


def about_in(value: bytes) -> About | None:
    opened = codec.decode(value)
    assert opened is not None
    return opened.about


@pytest.mark.parametrize("remembering_first", [True, False])
def test_a_fold_keeps_a_lifetime_that_one_of_the_writes_asks_for(*, remembering_first: bool) -> None:
    """Whichever came first, and the time to live is the lifetime's."""
    writes = [write({"a": 1}, {"a": 1}, slide_to=1010, about=REMEMBER), write({"a": 1}, {"a": 1, "b": 2})]
    swap = swap_of(folded_of(writes if remembering_first else writes[::-1]))
    assert (about_in(swap.document), data_in(swap.document)) == (About(max_age=MONTH), {"a": 1, "b": 2})
    assert swap.ttl_ms == MONTH * 1000


def test_of_two_lifetimes_in_a_fold_the_later_one_holds() -> None:
    """As with the same key."""
    shorter = {"max_age": 5, "persistent": False}
    writes = [write({"a": 1}, {"a": 1}, slide_to=1010, about=about) for about in (REMEMBER, shorter)]
    assert about_in(swap_of(folded_of(writes)).document) == About(max_age=5, persistent=False)


def test_a_lifetime_of_a_write_that_does_not_fit_is_left_out() -> None:
    """It is refused as a whole."""
    too_large = write({"a": 1}, {"a": 1}, slide_to=1010, about=REMEMBER)
    too_large = replace(too_large, mine=encode_data({"a": "x" * LIMIT}))
    folded = folded_of([too_large, write({"a": 1}, {"a": 1, "b": 2})])
    assert about_in(swap_of(folded).document) is None
    assert isinstance(folded.losers[0], SessionTooLarge)


def remembered(data: dict[str, Any]) -> bytes:
    """Return the document that another request has given a month."""
    about = About(max_age=MONTH, user_agent="old")
    return codec.encode(created_at=SEEN, last_seen_at=SEEN, handle="h", data=encode_data(data), about=about)


def test_a_write_that_slides_is_rebased_onto_the_lifetime_that_stands() -> None:
    """What it loaded before said nothing of it; its own client is the one seen last."""
    own = write({"a": 1}, {"a": 2}, slide_to=1010, about={"user_agent": "new", "address": None})
    again = rebase(own, remembered({"a": 1}), codec, lifetime)
    assert again is not None
    assert about_in(again.swap.document) == About(max_age=MONTH, user_agent="new")
    assert again.swap.ttl_ms == MONTH * 1000


def test_a_write_that_does_not_slide_is_rebased_without_a_change_beside_the_data() -> None:
    """It leaves the time to live as it is, too."""
    again = rebase(write({"a": 1}, {"a": 2}), remembered({"a": 1}), codec, lifetime)
    assert again is not None
    assert about_in(again.swap.document) == About(max_age=MONTH, user_agent="old")
    assert again.swap.ttl_ms == KEEP_TTL
