#!/usr/bin/env python3
"""Holds documents against a JSON Schema (draft 2020-12).

Standard input: {"schema": <schema>, "documents": [<YAML text>, ...]}. Standard output: a list with "" for each document
that the schema admits, and what is wrong with each other one. The documents are YAML 1.2: `0644` is a number, `yes` and
`2026-11-21` are text. Ends with 1, and says why, when the schema itself is no schema.
"""
import json
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2's core schema; PyYAML's own is that of 1.1."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(true|false)$", list("tf")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    Loader.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(pattern), first)
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node), 10))


def main():
    order = json.load(sys.stdin)
    validator = jsonschema.Draft202012Validator
    try:
        validator.check_schema(order["schema"])
    except jsonschema.exceptions.SchemaError as error:
        sys.exit(f"the schema is no schema: {error.message}")
    check = validator(order["schema"])
    answers = []
    for text in order["documents"]:
        try:
            document = yaml.load(text, Loader)
        except yaml.YAMLError as error:
            answers.append(f"not YAML: {error}")
            continue
        errors = sorted(check.iter_errors(document), key=lambda one: list(map(str, one.path)))
        answers.append("; ".join(f"{error.json_path}: {error.message[:200]}" for error in errors))
    json.dump(answers, sys.stdout)


main()
