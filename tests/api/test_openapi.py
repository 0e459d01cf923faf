from __future__ import annotations

import json
from pathlib import Path

import pytest

import api.app

DOCUMENT = json.loads(api.app.openapi_text())
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_the_checked_in_copy_is_up_to_date():
    checked_in = Path(api.app.__file__).with_name("openapi.json").read_text(encoding="utf-8")
    assert checked_in == api.app.openapi_text(), "make openapi"


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_operation_is_complete(name, operation):
    assert operation["operationId"]
    assert operation["summary"]
    assert operation["description"]
    assert len(operation["tags"]) == 1
    errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
    assert errors
    for answer in errors.values():
        if answer.get("content"):
            assert set(answer["content"]) == {"application/problem+json"}
    if "security" not in operation or operation["security"]:
        assert "401" in operation["responses"]


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(ids) == len(set(ids)) >= 14


def test_every_reference_leads_somewhere():
    text = json.dumps(DOCUMENT)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(DOCUMENT["components"]["schemas"])


def test_bodies_have_examples():
    for name, operation in OPERATIONS:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None and "redrive" not in name:
            assert "example" in body or body.get("examples"), name


def test_the_examples_are_valid():
    from api.routes.dispatch import EXAMPLE_CALLBACK
    from api.routes.reports import EXAMPLE_END, EXAMPLE_REPORT
    from api.services import Callback
    from ingest.report import CaseReport, EventEnd

    CaseReport.model_validate(EXAMPLE_REPORT)
    EventEnd.model_validate(EXAMPLE_END)
    Callback.model_validate(EXAMPLE_CALLBACK)


def test_tags_are_described():
    described = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {operation["tags"][0] for _, operation in OPERATIONS} == described
