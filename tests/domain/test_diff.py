"""A unified diff is read as git meant it, whatever its lines look like."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hyperhive.domain.diff import MAX_LINE, MAX_LINES, Change, Diff, FileDiff, Hunk, parse
from tests.examples import examples

Files = dict[str, bytes]


class Differ:
    """Real git, comparing files that are given as they are."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_DIR": str(folder / "git"),
            "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C",
        }  # fmt: skip
        self._run("init", "-q", "--bare")

    def _run(self, *arguments: str, data: bytes = b"") -> bytes:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", *arguments],
            input=data,
            env=self._environment,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def diff(self, old: Files, new: Files, *, executable: frozenset[str] = frozenset()) -> str:
        """What git says of ``new`` against ``old``; ``executable``: files that become so."""
        stream = b""
        for mark, side in enumerate((old, new)):
            stream += b"commit refs/heads/c%d\ncommitter a <a@b> 1 +0000\ndata 0\ndeleteall\n" % mark
            for path, content in side.items():
                mode = b"100755" if mark and path in executable else b"100644"
                name = b'"' + b"".join(b"\\%03o" % byte for byte in path.encode()) + b'"'
                stream += b"M %s inline %s\ndata %d\n%s\n" % (mode, name, len(content), content)
        self._run("fast-import", "--quiet", "--force", data=stream)
        return self._run("diff-tree", "-r", "-p", "-M", "--full-index", "c0", "c1").decode(errors="replace")


@pytest.fixture(scope="module")
def differ() -> Iterator[Differ]:
    with tempfile.TemporaryDirectory() as folder:
        yield Differ(Path(folder))


def read(text: str) -> Diff:
    return parse(text, base=None, sha=None)


def applied(file: FileDiff, old: bytes) -> str:
    """The new text, as the diff makes it of the old one."""
    rest = old.decode(errors="replace").split("\n")
    lines, made, at = rest, [], 0
    for hunk in file.hunks:
        begin = next((line.old for line in hunk.lines if line.old is not None), None)
        begin = at if begin is None else begin - 1
        made += lines[at:begin]
        at = begin
        for line in hunk.lines:
            if line.kind != "added":
                assert lines[at] == line.text
                at += 1
            if line.kind != "removed":
                made.append(line.text)
                assert line.new == len(made)
    last = file.hunks[-1].lines if file.hunks else ()
    if any(line.no_newline for line in last):
        ends = any(line.no_newline and line.kind != "removed" for line in last)
        return "\n".join(made) + ("" if ends or not made else "\n")
    return "\n".join(made + lines[at:])


# Lines that look like something else to who does not count them.
_LINES = st.one_of(
    st.sampled_from(
        [
            b"diff --git a/x b/x", b"--- a/x", b"+++ b/x", b"@@ -1,2 +1,2 @@", b"\\ No newline at end of file",
            b"-- a/x", b"++ b/x", b"rename from x", b"Binary files a/x and b/x differ", b"", b"\r", b"a\r",
            b"\xff\xfe", b"\xed\xa0\x80", "\u2028".encode(), b"\x0b\x0c\x1c", b"one", b"two", b"three",
        ]
    ),
    st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").replace(b"\0", b"")),
)  # fmt: skip
_CONTENT = st.builds(
    lambda lines, end: b"\n".join(lines) + end, st.lists(_LINES, max_size=25), st.sampled_from([b"\n", b""])
)
_PATHS = st.sampled_from(
    ["a", "b c", "ü/ö.toml", 'q"uote', "back\\slash", "tab\tname", "new\nline", "x b/x", "-n", "\x7f"]
)


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(old=st.dictionaries(_PATHS, _CONTENT, max_size=4), new=st.dictionaries(_PATHS, _CONTENT, max_size=4))
@example(old={"a": b"x"}, new={"a": b"x\n"})
@example(old={"a": b"x\n"}, new={"a": b"x"})
@example(old={"a": b""}, new={"b c": b""})
def test_what_is_read_makes_the_new_files_of_the_old_ones(differ: Differ, old: Files, new: Files) -> None:
    diff = read(differ.diff(old, new))
    left = dict(old)
    for file in diff.files:
        if file.change is not Change.ADDED:
            before = next(path for path in old if shown(path) == (file.old_path or file.path))
            left.pop(before, None)
    for file in diff.files:
        if file.change is Change.REMOVED:
            assert applied(file, old[unshown(file.path, old)]) == ""
            continue
        source = b"" if file.change is Change.ADDED else old[unshown(file.old_path or file.path, old)]
        path = unshown(file.path, new)
        assert applied(file, source) == new[path].decode(errors="replace")
        left[path] = new[path]
    assert left == new
    assert diff.cut == 0 and diff.whole


def shown(path: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)


def unshown(path: str, among: Files) -> str:
    return next(found for found in among if shown(found) == path)


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet=st.sampled_from('diff -git@+\\\n a/b"0123,'), max_size=200) | st.text(max_size=100))
def test_text_of_any_kind_is_read_to_its_end(text: str) -> None:
    assert isinstance(read(text), Diff)
    assert isinstance(read(f"diff --git a/x b/x\n{text}"), Diff)
    assert isinstance(read(f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n{text}"), Diff)


def test_a_line_that_looks_like_a_header_is_a_line(differ: Differ) -> None:
    diff = read(differ.diff({"a": b"-- a/x\n"}, {"a": b"++ b/y\ndiff --git a/z b/z\n"}))
    assert [file.path for file in diff.files] == ["a"]
    assert [line.text for line in diff.files[0].hunks[0].lines] == ["-- a/x", "++ b/y", "diff --git a/z b/z"]
    assert (diff.files[0].added, diff.files[0].removed) == (2, 1)


def test_a_new_file_a_removed_one_and_a_renamed_one_are_told_apart(differ: Differ) -> None:
    body = b"".join(b"line %d\n" % n for n in range(20))
    diff = read(
        differ.diff({"gone": b"x\n", "old name": body}, {"fresh": b"y\n", "new name": body + b"more\n"})
    )
    assert {file.path: (file.change, file.old_path) for file in diff.files} == {
        "fresh": (Change.ADDED, None),
        "gone": (Change.REMOVED, None),
        "new name": (Change.RENAMED, "old name"),
    }


def test_a_rename_without_another_change_has_no_hunks(differ: Differ) -> None:
    [file] = read(differ.diff({"a": b"x\ny\n"}, {'b"\t': b"x\ny\n"})).files
    assert (file.path, file.old_path, file.hunks) == ('b"\\t', "a", ())


def test_a_binary_file_is_noted_as_one(differ: Differ) -> None:
    added, changed = read(differ.diff({"b": b"\0\1"}, {"b": b"\0\2", "a b": b"\0"})).files
    assert (added.path, added.change, added.binary, added.hunks) == ("a b", Change.ADDED, True, ())
    assert (changed.path, changed.change, changed.binary) == ("b", Change.MODIFIED, True)


def test_a_change_of_mode_alone_is_shown(differ: Differ) -> None:
    [file] = read(differ.diff({"run me": b"x\n"}, {"run me": b"x\n"}, executable=frozenset({"run me"}))).files
    assert (file.path, file.change, file.old_mode, file.new_mode) == (
        "run me",
        Change.MODIFIED,
        "100644",
        "100755",
    )


def test_an_empty_file_is_shown(differ: Differ) -> None:
    [file] = read(differ.diff({}, {"a b/c": b""})).files
    assert (file.path, file.change, file.hunks) == ("a b/c", Change.ADDED, ())


def test_carriage_returns_stay_in_their_lines(differ: Differ) -> None:
    [file] = read(differ.diff({"a": b"x\n"}, {"a": b"x\r\n"})).files
    assert [(line.kind, line.text) for line in file.hunks[0].lines] == [("removed", "x"), ("added", "x\r")]


def test_a_missing_newline_is_noted_on_its_line(differ: Differ) -> None:
    [file] = read(differ.diff({"a": b"x\n"}, {"a": b"x"})).files
    assert [line.no_newline for line in file.hunks[0].lines] == [False, True]


def test_what_stands_behind_the_numbers_is_the_hunks_header(differ: Differ) -> None:
    body = [b"[section]\n", *(b"k%d = 1\n" % n for n in range(9))]
    [file] = read(differ.diff({"a": b"".join(body)}, {"a": b"".join([*body, b"new = 1\n"])})).files
    assert file.hunks[0].header == "[section]" or file.hunks[0].header.startswith("k")


def test_a_long_line_is_cut_and_says_by_how_much() -> None:
    text = f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{'é' * (MAX_LINE + 7)}\n"
    line = read(text).files[0].hunks[0].lines[0]
    assert (len(line.text), line.more) == (MAX_LINE, 7)


def test_lines_beyond_the_limit_are_counted_not_kept() -> None:
    body = "+x\n" * (MAX_LINES + 10)
    head = (
        f"diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1,{MAX_LINES + 10} @@\n"
    )
    after = "diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n"
    diff = read(head + body + after)
    assert sum(len(hunk.lines) for file in diff.files for hunk in file.hunks) == MAX_LINES
    assert diff.cut == 12
    assert [(file.path, file.added, file.removed) for file in diff.files] == [
        ("x", MAX_LINES + 10, 0),
        ("y", 1, 1),
    ]


def test_a_text_that_was_cut_off_says_so() -> None:
    text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,5 @@\n+one\n\\ The rest is cut off.\n"
    diff = read(text)
    assert not diff.whole
    assert diff.files[0].hunks == (Hunk(lines=diff.files[0].hunks[0].lines),)
    assert [line.text for line in diff.files[0].hunks[0].lines] == ["one"]


def test_no_text_is_no_change() -> None:
    assert read("").files == ()
