"""The sentence about one changed fact: `old -> new`, `removed: old`, or the new fact alone. Also
about an operation of which no fact tells.

A fact has no arrow of its own outside of quotes, and no word of a plan ends in a colon there
(words.word), so a plan cannot fake either.
"""

from krunc_compiler.review.fact import Fact
from krunc_compiler.review.words import word

# What an isolation is called that a plan has, or has not.
_STATES = {True: "isolated", False: "exposed"}


def removed(was: Fact) -> str:
    """Return what is gone with the fact WAS."""
    return f"removed: {was.sentence}"


def changed(was: Fact | None, now: Fact) -> str:
    """Return what is new in the fact NOW, with the old value before an arrow."""
    topic = f"{now.subject[0]}: " if now.kind == "isolation" else ""
    if topic and (was is None or was.held != now.held):
        states = [_STATES[bool(fact.held)] for fact in (was, now) if fact is not None]
        return f"{topic}{' -> '.join(states)}: {now.sentence}"
    if was is None:
        return topic + now.sentence
    if (was.kind, was.text) == (now.kind, now.text):
        return topic + now.sentence + _of_another_reach(was, now)
    if was.kind == now.kind:
        return f"{topic}{was.sentence} -> {now.sentence}"
    if was.text == now.text:
        return f"{now.sentence}: {was.kind} -> {now.kind}"
    return f"{was.kind} {was.sentence} -> {now.kind} {now.sentence}"


def _of_another_reach(was: Fact, now: Fact) -> str:
    """Tell what NOW reaches that WAS did not, where the same words tell both."""
    gone = {reach.noun for reach in was.reach - now.reach}
    come = {reach.noun for reach in now.reach - was.reach}
    nouns = {"another": gone & come, "now also": come - gone, "no longer": gone - come}
    said = [f"{how} {', '.join(map(word, sorted(found)))}" for how, found in nouns.items() if found]
    return "".join(f"; {one}" for one in said)
