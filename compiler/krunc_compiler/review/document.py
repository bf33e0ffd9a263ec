"""The JSON of a review; schema/krunc_schema/review.schema.json describes it."""

from __future__ import annotations

from typing import Any

from krunc_compiler.review.fact import Fact
from krunc_compiler.review.summary import Review

FORMAT = 1


def review_document(review: Review) -> dict[str, Any]:
    """Return REVIEW as a JSON value. Texts are as they are shown; the plan's own values are in
    `plan`."""
    return {
        "krunc_review": FORMAT,
        "box": review.value["box"],
        "digest": review.digest,
        "machine": [fact_document(fact) for fact in review.machine],
        "host_access": [fact_document(fact) for fact in review.exposure],
        "isolation": [fact_document(fact) for fact in review.isolation],
        "plan": review.value,
    }


def fact_document(fact: Fact) -> dict[str, Any]:
    """Return one fact. Operations count from 0, as in the plan's list."""
    document: dict[str, Any] = {
        "kind": fact.kind,
        "subject": list(fact.subject),
        "text": fact.text,
        "from": fact.origin or None,
        "operation": fact.operation,
        "reach": [
            {"verb": reach.verb, "noun": reach.noun, "target": reach.target}
            for reach in sorted(fact.reach, key=repr)
        ],
    }
    if fact.held is not None:
        document["held"] = fact.held
    return document
