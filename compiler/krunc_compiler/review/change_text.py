"""The sentence about one changed fact: `old -> new`, `removed: old`, or the new fact alone.

A fact has no arrow of its own outside of quotes, and no word of a plan ends in a colon there
(words.word), so a plan cannot fake either.
"""

from krunc_compiler.review.fact import Fact

# What an isolation is called that a plan has, or has not.
_STATES = {True: "isolated", False: "exposed"}


def removed(was: Fact) -> str:
    """Return what is gone with the fact WAS."""
    return f"removed: {was.text}"


def changed(was: Fact | None, now: Fact) -> str:
    """Return what is new in the fact NOW, with the old value before an arrow."""
    topic = f"{now.subject[0]}: " if now.kind == "isolation" else ""
    if topic and (was is None or was.held != now.held):
        states = [_STATES[bool(fact.held)] for fact in (was, now) if fact is not None]
        return f"{topic}{' -> '.join(states)}: {now.text}"
    if was is None or (was.kind, was.text) == (now.kind, now.text):
        return topic + now.text
    if was.kind == now.kind:
        return f"{topic}{was.text} -> {now.text}"
    if was.text == now.text:
        return f"{now.text}: {was.kind} -> {now.kind}"
    return f"{was.kind} {was.text} -> {now.kind} {now.text}"
