#!/usr/bin/env python3
"""Mutation testing: which single faults of the core do unit tests, `check` and `fuzz` find?

A mutant is one changed place. All of them are compiled into one program, in a copy of the tree: each place becomes
a `match` on a number that the program reads once from an environment variable. So one build serves every mutant.

    scripts/mutants.py                     every mutant; the table, the score and the survivors on stdout
    scripts/mutants.py --list              the mutants, without a build
    scripts/mutants.py --sample 100        so many, the same ones each time
    scripts/mutants.py --only paxos/multi  whose name contains this; may be repeated
    scripts/mutants.py --fuzz 0..2000      fewer seeds
    scripts/mutants.py --again --only X     some of the mutants built last, without a build

`scripts/mutants.toml` holds the mutants written by hand; the others are generated from the text of the source:
comparisons, conditions, sums, `max` and `min`, statements and early returns.
A mutant of which the compiler complains is left out and counted.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["paxos", "caspaxos", "quorum", "driver", "history"]
# Release code without link-time optimisation.
QUICK = ["inherits='release'", "lto=false", "codegen-units=32", "incremental=true", "debug=1"]
# Our own code is built often and runs for seconds.
QUICK += ["opt-level=1", 'package."*".opt-level=3']
SWITCH = """

/// The number of the mutant that runs; none, if it is 0.
pub fn mutant() -> u32 {
    static NUMBER: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *NUMBER.get_or_init(|| std::env::var("MUTANT").map_or(0, |text| text.parse().expect("a number")))
}
"""
FLIPS = {">=": ">", ">": ">=", "<": "<=", "<=": "<", "==": "!=", "!=": "=="}
COMPARISON = re.compile(r" (>=|<=|==|!=|<|>) ")


class Mutant:
    def __init__(self, path, start, end, becomes, is_statement, kind):
        self.path, self.start, self.end = path, start, end
        self.becomes, self.is_statement, self.kind = becomes, is_statement, kind
        self.number, self.name = 0, ""


def is_balanced(text):
    depth = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0:
            return False
    return depth == 0


def pieces(text, start):
    """The parts of a condition between its outermost `&&`: each with its place."""
    if '"' in text or "'" in text:
        return []
    depth, begin, found = 0, 0, []
    for index, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and text.startswith(" && ", index):
            found.append((text[begin:index], start + begin))
            begin = index + 4
    found.append((text[begin:], start + begin))
    return found


def changes(text):
    """What an expression may become: each comparison, sum, maximum and minimum turned round."""
    for match in COMPARISON.finditer(text):
        operator = match.group(1)
        # A `>` or `<` between blanks compares; `->`, `=>` and type arguments have none on one side.
        yield text[: match.start(1)] + FLIPS[operator] + text[match.end(1) :], operator + " turned"
    for old, new in [(" + 1", ""), (" - 1", ""), (".max(", ".min("), (".min(", ".max("), (" || ", " && ")]:
        for match in re.finditer(re.escape(old), text):
            if old in (".max(", ".min(") and text[match.end()] == ")":
                continue
            yield text[: match.start()] + new + text[match.end() :], old.strip() + " changed"


def generated(path, source):
    """The mutants of one file, by the shape of its lines."""
    cut = source.find("\n#[cfg(test)]\nmod ")
    lines = (source if cut < 0 else source[: cut + 1]).splitlines()
    offset, const_end, before, in_assert = 0, None, "", False
    for number, line in enumerate(lines):
        start, offset = offset, offset + len(line) + 1
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        following = lines[number + 1].strip() if number + 1 < len(lines) else "}"
        previous, before = before, text if text and not text.startswith("//") else before
        if const_end is not None:
            const_end = None if line.startswith(const_end) else const_end
            continue
        if re.match(r"\s*(pub(\(.*\))? )?const fn", line):
            const_end = " " * indent + "}"
            continue
        if in_assert or re.match(r"(debug_)?assert(_eq|_ne)?!\(", text):
            in_assert = not text.endswith(");")
            continue
        if not text or text.startswith(("//", "#", "use ", "pub use", "const ", "pub const", "static ")):
            continue
        at = start + indent
        condition = (
            re.match(r"(\} else )?(if|while) (?P<it>.+) \{$", text)
            or re.match(r"(&&|\|\|) (?P<it>.+?)( \{)?$", text)
            or re.match(r".+ if (?P<it>[^{]+) => .*$", text)
        )
        if condition and is_balanced(condition.group("it")):
            parts = pieces(condition.group("it"), at + condition.start("it"))
            for part, place in parts:
                if part.startswith("let ") or not is_balanced(part) or "|" in part.split("||")[0]:
                    continue
                found = list(changes(part))
                found += [(f"!({part})", "negated")] if not found else []
                found += [("true", "left out")] if len(parts) > 1 or text.startswith("&&") else []
                for becomes, kind in found:
                    yield Mutant(path, place, place + len(part), becomes, False, kind)
            continue
        is_first = previous.endswith((";", "{", "}")) or previous == ""
        value = re.match(r"(let (mut )?\w+(: [^=]+)? = |return |[\w.*]+ [|&+]?= )(?P<it>[^{}]+);$", text)
        tail = is_first and following.startswith("}") and not text.endswith((",", ";", "{", "}"))
        if value or (tail and is_balanced(text)):
            it, place = (value.group("it"), at + value.start("it")) if value else (text, at)
            if is_balanced(it) and not it.startswith(("if ", "match ", ".", "&mut")) and '"' not in it:
                found = list(changes(it))
                if not found and tail and re.match(r"!?[\w.]*\b(is|has|may|contains)\w*", it):
                    found = [(f"!({it})", "negated")]
                for becomes, kind in found:
                    yield Mutant(path, place, place + len(it), becomes, False, kind)
        if re.search(r"\belse \{$", previous) and "if" not in previous.split() and following.startswith("}"):
            # What follows `let … else` must leave.
            continue
        if is_first and is_balanced(text) and indent >= 8 and re.match(r"return\b.*;$", text):
            yield Mutant(path, at, at + len(text), "", True, "early return left out")
        elif is_first and is_balanced(text) and indent >= 8 and re.match(r"[a-z_*(][^!]*;$", text):
            if not re.match(r"(let|break|continue|drop|type|mod|pub|fn|impl)\b", text):
                yield Mutant(path, at, at + len(text), "", True, "statement left out")


def listed():
    """The mutants written by hand; the place of each must be there exactly once."""
    for entry in tomllib.loads((ROOT / "scripts/mutants.toml").read_text())["mutant"]:
        path = ROOT / "src" / entry["file"]
        source = path.read_text()
        if source.count(entry["find"]) != 1:
            sys.exit(f"mutants.toml: {entry['name']}: its text is {source.count(entry['find'])} times in {path}")
        start = source.index(entry["find"])
        is_statement = entry["find"].rstrip().endswith((";", "}"))
        mutant = Mutant(path, start, start + len(entry["find"]), entry["becomes"], is_statement, entry["why"])
        mutant.name = f"{entry['file']}: {entry['name']}"
        yield mutant


def all_mutants():
    by_hand = list(listed())
    taken = {}
    for mutant in by_hand:
        taken.setdefault(mutant.path, []).append((mutant.start, mutant.end))
    mutants = by_hand
    for folder in FOLDERS:
        for path in sorted((ROOT / "src" / folder).rglob("*.rs")):
            if "tests" in path.stem or "tests" in path.parts or "testdata" in path.parts:
                continue
            source = path.read_text()
            counts = {}
            for mutant in generated(path, source):
                if any(mutant.start < end and start < mutant.end for start, end in taken.get(path, [])):
                    continue
                old = source[mutant.start : mutant.end]
                if (old, mutant.becomes) == ("", "") or old == mutant.becomes:
                    continue
                short = path.relative_to(ROOT / "src")
                # By text, not by line: a name outlives changes elsewhere in the file.
                name = f"{short}: {mutant.kind}: `{old}`" + (f" → `{mutant.becomes}`" if mutant.becomes else "")
                counts[name] = counts.get(name, 0) + 1
                mutant.name = name + (f" #{counts[name]}" if counts[name] > 1 else "")
                mutants.append(mutant)
    return mutants


def chosen(mutants, options):
    if options.only:
        mutants = [it for it in mutants if any(word in it.name for word in options.only)]
    if options.sample and options.sample < len(mutants):
        by_hand = [it for it in mutants if "`" not in it.name]
        rest = [it for it in mutants if "`" in it.name]
        rest.sort(key=lambda it: hashlib.sha256(it.name.encode()).digest())
        mutants = by_hand + rest[: max(0, options.sample - len(by_hand))]
    for number, mutant in enumerate(mutants, 1):
        mutant.number = number
    return mutants


def rewritten(source, mutants):
    """The text of a file with a switch at every place, one in another where places lie so; and what found no place."""
    places = {}
    for mutant in mutants:
        places.setdefault((mutant.start, mutant.end, mutant.is_statement), []).append(mutant)
    in_order = sorted(places.items(), key=lambda it: (it[0][0], -it[0][1], not it[0][2]))
    left_over = []

    def text_of(start, end, inside):
        out, done = "", start
        for index, (place, here) in enumerate(inside):
            if place[0] < done:
                # It lies in the one before, which took it in, or across its end.
                left_over.extend(here if place[1] > done else [])
                continue
            within = [it for it in inside[index + 1 :] if it[0][1] <= place[1]]
            old = text_of(place[0], place[1], within)
            arms = "".join(f"{it.number}u32 => {{ {it.becomes} }} " for it in here)
            switch = f"match crate::mutant() {{ {arms}_ => {{ {old} }} }}"
            out += source[done : place[0]] + (switch if place[2] else f"({switch})")
            done = place[1]
        return out + source[done:end]

    return text_of(0, len(source), in_order), left_over


def at_lines(text, first, last):
    """The numbers of the mutants at these lines of a rewritten file, or else just before them."""
    lines = text.splitlines()
    for begin in range(first, max(0, first - 12), -1):
        found = {int(it) for line in lines[begin - 1 : last] for it in re.findall(r"\b(\d+)u32 => ", line)}
        if found:
            return found
    return set()


def copy_tree(tree):
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    for name in names.stdout.decode().splitlines():
        if (ROOT / name).is_file() and not name.startswith("results/"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def cargo(tree, options, *arguments, profile=False):
    command = options.cargo.split() + list(arguments)
    if profile:
        command += ["--profile", "quick"]
        for setting in QUICK:
            command += ["--config", f"profile.quick.{setting}"]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(options.target))
    return subprocess.run(command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def artifacts(ran):
    for line in ran.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def build(mutants, tree, options):
    """Compiles what compiles; the mutants left, the test program and the binary."""
    copy_tree(tree)
    library = tree / "src/lib.rs"
    library.write_text(library.read_text().replace("\npub mod", "\n#![allow(warnings)]\npub mod", 1) + SWITCH)
    refused = []
    while True:
        texts = {}
        for path in sorted({it.path for it in mutants}):
            text, left_over = rewritten(path.read_text(), [it for it in mutants if it.path == path])
            refused += left_over
            mutants = [it for it in mutants if it not in left_over]
            texts[str(path.relative_to(ROOT))] = text
            (tree / path.relative_to(ROOT)).write_text(text)
        print(f"{len(mutants)} mutants to compile", file=sys.stderr, flush=True)
        ran = cargo(tree, options, "check", "--locked", "--lib", "--message-format", "json")
        if ran.returncode == 0:
            break
        blamed = set()
        for message in artifacts(ran):
            if message.get("reason") == "compiler-message" and message["message"]["level"] == "error":
                for span in sorted(message["message"]["spans"], key=lambda span: not span["is_primary"]):
                    text = texts.get(span["file_name"], "")
                    numbers = at_lines(text, span["line_start"], span["line_end"])
                    if numbers:
                        blamed |= numbers
                        break
        if not blamed:
            sys.exit(f"the copy does not compile, for no mutant's sake:\n{ran.stderr[-3000:]}")
        for mutant in (it for it in mutants if it.number in blamed):
            print(f"does not compile: {mutant.name}", file=sys.stderr)
        refused += [it for it in mutants if it.number in blamed]
        # A file whose mutants are all refused is as it was.
        for path in {it.path for it in mutants if it.number in blamed}:
            shutil.copy2(path, tree / path.relative_to(ROOT))
        mutants = [it for it in mutants if it.number not in blamed]
    programs = []
    tests = ["test", "--locked", "--lib", "--no-run", "--message-format", "json"]
    binary = ["build", "--locked", "--bin", "flexpaxos", "--message-format", "json"]
    for arguments, is_quick in ((tests, False), (binary, True)):
        ran = cargo(tree, options, *arguments, profile=is_quick)
        built = [it["executable"] for it in artifacts(ran) if it.get("executable")]
        if ran.returncode != 0 or not built:
            sys.exit(f"the copy does not build:\n{ran.stderr[-3000:]}")
        # Kept apart at once: where the target folder is shared, another build writes over them.
        program = tree / f"program-{len(programs)}"
        shutil.copy2(built[-1], program)
        programs.append(program)
    numbers = {it.name: it.number for it in mutants}
    (tree / "built.json").write_text(json.dumps({"numbers": numbers, "refused": [it.name for it in refused]}))
    return mutants, refused, programs


def built_before(mutants, tree):
    """Those of the mutants that the programs built last hold."""
    built = json.loads((tree / "built.json").read_text())
    refused = [it for it in mutants if it.name in built["refused"]]
    mutants = [it for it in mutants if it.name in built["numbers"]]
    for mutant in mutants:
        mutant.number = built["numbers"][mutant.name]
    return mutants, refused, [tree / "program-0", tree / "program-1"]


def run(command, number, tree, limit_s):
    """How it ended: `None` if nothing was found."""
    environment = dict(os.environ, MUTANT=str(number), RUST_BACKTRACE="0")
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        code = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "hangs"
    return {0: None, 5: "violation"}.get(code, "fails" if code > 0 else "crashes")


def judges(folder, tests, binary, options):
    """Cheap ones first; each with its name, command and time limit."""
    skip = ["--skip", "caspaxos"] if folder == "paxos" else []
    first, last = (int(end) for end in options.fuzz.split(".."))
    few, more = min(last, first + 300), min(last, first + 3000)
    fuzz = [str(binary), "fuzz", "--quiet", "--threads", "1", "--seeds"]
    yield "unit tests", [str(tests), f"{folder}::", *skip, "--test-threads", "1"], 120
    yield "fuzz", [*fuzz, f"{first}..{few}"], 120
    if few < more:
        yield "fuzz", [*fuzz, f"{few}..{more}"], 600
    yield "check", [str(binary), "check", *options.check.split()], 600
    if more < last:
        yield "fuzz", [*fuzz, f"{more}..{last}"], 1800


def judge(mutant, tests, binary, tree, options):
    folder = mutant.path.relative_to(ROOT / "src").parts[0]
    for name, command, limit_s in judges(folder, tests, binary, options):
        how = run(command, mutant.number, tree, limit_s)
        if how:
            return name, how
    return None, None


def table(results, refused, reasons):
    print("| folder | mutants | unit tests | check | fuzz | survive | of these equivalent | score |")
    print("|---|---|---|---|---|---|---|---|")
    total = [0] * 6
    for folder in FOLDERS + ["all"]:
        here = [(it, by) for it, by, _ in results if it.path.relative_to(ROOT / "src").parts[0] == folder]
        survive = [it for it, by in here if by is None]
        row = [len(here)] + [sum(by == name for _, by in here) for name in ("unit tests", "check", "fuzz")]
        row += [len(survive), sum(it.name in reasons for it in survive)]
        if folder == "all":
            row = total
        else:
            total = [a + b for a, b in zip(total, row)]
        if row[0]:
            score = (row[0] - row[4]) / max(1, row[0] - row[5])
            print(f"| {folder} | " + " | ".join(map(str, row)) + f" | {score:.1%} |")
    print(f"\n{len(refused)} more do not compile.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    parser.add_argument("--only", action="append", help="whose name contains this")
    parser.add_argument("--sample", type=int, help="so many: those written by hand, and others by their hash")
    parser.add_argument("--fuzz", default="0..20000", help="the seeds")
    parser.add_argument("--check", default="", help="arguments of check, as `--threads 1`")
    parser.add_argument("--again", action="store_true", help="with the programs built last, whose numbers are kept")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--cargo", default="cargo", help="the command that stands for cargo")
    parser.add_argument("--target", type=pathlib.Path, default=ROOT / "target/mutants/target")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no mutant after so long")
    options = parser.parse_args()
    mutants = all_mutants()
    reasons = tomllib.loads((ROOT / "scripts/mutants.toml").read_text()).get("equivalent", {})
    unknown = set(reasons) - {it.name for it in mutants}
    if unknown:
        sys.exit("mutants.toml: no mutant has this name any more:\n" + "\n".join(sorted(unknown)))
    mutants = chosen(mutants, options)
    if options.list:
        for mutant in mutants:
            print(mutant.number, mutant.name)
        return
    begun = time.monotonic()
    tree = ROOT / "target/mutants/tree"
    make = built_before if options.again else lambda mutants, tree: build(mutants, tree, options)
    mutants, refused, (tests, binary) = make(mutants, tree)
    for folder in FOLDERS:
        for name, command, limit_s in judges(folder, tests, binary, options):
            if name == "unit tests" and run(command, 0, tree, limit_s):
                sys.exit(f"without a mutant the unit tests of {folder} fail")
    for program in (tests, binary):
        if b"MUTANT" not in program.read_bytes():
            sys.exit(f"{program} holds no mutants")
    print(f"built and tried after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    results, begun = [], time.monotonic()

    def one(mutant):
        if time.monotonic() - begun > options.minutes * 60:
            return mutant, "not run", None
        since = time.monotonic()
        by, how = judge(mutant, tests, binary, tree, options)
        took = time.monotonic() - since
        print(f"{took:6.1f} s  {by or 'SURVIVES':10} {how or '':9} {mutant.name}", file=sys.stderr, flush=True)
        return mutant, by, how

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(one, mutants))
    not_run = sum(by == "not run" for _, by, _ in results)
    results = [it for it in results if it[1] != "not run"]
    table(results, refused, reasons)
    if not_run:
        print(f"{not_run} were not run, for want of time.")
    hangs = sum(how in ("hangs", "crashes") for _, _, how in results)
    print(f"{hangs} of the killed hang or crash.\n\nSurvivors:")
    for mutant, by, _ in results:
        if by is None:
            reason = f" — equivalent: {reasons[mutant.name]}" if mutant.name in reasons else ""
            print(f"- {mutant.name}{reason}")


if __name__ == "__main__":
    main()
