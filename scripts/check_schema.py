#!/usr/bin/env python3
"""Tries docs/experiment.schema.json: it accepts every experiment that ships, and refuses what is wrong.

Run by scripts/check_loaders.sh, which installs the package jsonschema. Needs Python 3.11 for tomllib.
"""

import json
import pathlib
import sys
import tomllib

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What is replaced in the quickstart, and by what.
WRONG = [
    ("seed   = 1", "seed   = -1"),
    ("trials = 3", "trials = \"three\""),
    ("profile  =", "profil  ="),
    ("drain ", "drian "),
    ("duration    = \"5s\"", ""),
    ("{ poisson = { rate_per_s = 160 } }", "{ poison = { rate_per_s = 160 } }"),
    ("{ poisson = { rate_per_s = 160 } }", "{ poisson = { rate = 160 } }"),
    ("{ poisson = { rate_per_s = 160 } }", "{ poisson = {}, closed = { clients = 1 } }"),
    ("{ poisson = { rate_per_s = 160 } }", "\"poisson\""),
    ("{ uniform = { count = 1000 } }", "{ uniform = { count = 1000, exponent = 1 } }"),
    ("mode = \"fsync\"", "mode = \"sync\""),
    ("[\"us-east-1\", \"ca-central-1\"]", "[{ region = \"us-east-1\", weight = 0 }]"),
    ("[\"us-east-1\", \"ca-central-1\"]", "[{ weight = 1 }]"),
    ("[\"us-east-1\", \"ca-central-1\"]", "\"us-east-1\""),
    ("{ counts = { phase1 = 4, phase2 = 2 } }", "{ counts = { phase1 = 4 } }"),
    ("{ classic = {} }", "{ classic = { leader = \"r0\" } }"),
    ("receive = \"20us\"", "receive = 20"),
    ("[smoke]", "[somke]"),
    ("[smoke]", "[[fault]]\nat = 5\ncrash = \"r0\"\n[smoke]"),
    ("[smoke]", "[[fault]]\nkill = \"r0\"\n[smoke]"),
    ("[smoke]", "[transport]\nstreams = \"two\"\n[smoke]"),
    ("[smoke]", "sweep = 3\n[smoke]"),
]


def main():
    schema = json.loads((ROOT / "docs/experiment.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    files = sorted((ROOT / "experiments").rglob("*.toml"))
    if len(files) < 15:
        sys.exit(f"check_schema: {len(files)} experiments were found")
    for path in files:
        for error in validator.iter_errors(tomllib.loads(path.read_text(encoding="utf-8"))):
            sys.exit(f"check_schema: {path.name} is refused: {error.message}")
    good = (ROOT / "experiments/quickstart.toml").read_text(encoding="utf-8")
    for old, new in WRONG:
        if good.count(old) != 1:
            sys.exit(f"check_schema: {old!r} must occur once in the quickstart")
        if validator.is_valid(tomllib.loads(good.replace(old, new))):
            sys.exit(f"check_schema: {new!r} is accepted")
    print(f"the schema accepts {len(files)} experiments and refuses {len(WRONG)}", file=sys.stderr)


if __name__ == "__main__":
    main()
