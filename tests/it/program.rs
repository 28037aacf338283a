//! What the program says of itself: the sources that it was built from, wherever it was built.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flexpaxos::run::provenance::Code;

#[expect(dead_code, reason = "its parts are tested, and cargo runs the whole")]
#[path = "../../build.rs"]
mod build;

use build::{Sources, origin, sources};

/// Runs git as somebody, in this folder.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
    let output = command.current_dir(folder).args(who).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A package of two files, in a repository of its own if so asked; and its commit.
fn package(root: &Path, is_repository: bool) -> String {
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(root.join("Cargo.toml"), "[package]").unwrap();
    fs::write(root.join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(root.join("README.md"), "read me").unwrap();
    if !is_repository {
        return String::new();
    }
    git(root, &["init", "-q"]);
    git(root, &["add", "."]);
    git(root, &["commit", "-qm", "one"]);
    git(root, &["rev-parse", "HEAD"])
}

#[test]
fn the_commit_is_that_of_the_sources_and_says_whether_they_differ() {
    let root = tempfile::tempdir().unwrap();
    let commit = package(root.path(), true);
    let found = |is_dirty| Sources { commit: commit.clone(), is_dirty };
    assert_eq!(sources(root.path()), found("false"));
    // What is no source makes no other program.
    fs::write(root.path().join("README.md"), "read me again").unwrap();
    assert_eq!(sources(root.path()), found("false"));
    // A new file may be one.
    fs::write(root.path().join("src/more.rs"), "").unwrap();
    assert_eq!(sources(root.path()), found("true"));
}

#[test]
fn a_clone_without_history_has_its_commit() {
    let root = tempfile::tempdir().unwrap();
    let [origin, clone] = ["origin", "clone"].map(|name| root.path().join(name));
    let commit = package(&origin, true);
    let from = format!("file://{}", origin.display());
    git(root.path(), &["clone", "-q", "--depth", "1", &from, "clone"]);
    assert_eq!(sources(&clone), Sources { commit, is_dirty: "false" });
}

#[test]
fn sources_without_a_repository_have_no_commit_and_never_that_of_another() {
    let root = tempfile::tempdir().unwrap();
    package(&root.path().join("unpacked"), false);
    assert_eq!(sources(&root.path().join("unpacked")), Sources::default());
    // In a folder of a repository, as a vendored dependency is.
    package(root.path(), true);
    package(&root.path().join("vendor/flexpaxos"), false);
    assert_eq!(sources(&root.path().join("vendor/flexpaxos")), Sources::default());
}

#[test]
fn a_published_crate_has_the_commit_that_it_was_packed_from() {
    let root = tempfile::tempdir().unwrap();
    // It lies in the repository of whoever uses it.
    package(root.path(), true);
    let packed = |dirty: &str| {
        let sha1 = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("{{\n  \"git\": {{\n    \"sha1\": \"{sha1}\"{dirty}\n  }}\n}}");
        fs::write(root.path().join(".cargo_vcs_info.json"), text).unwrap();
        sources(root.path())
    };
    let found = |is_dirty| {
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        Sources { commit, is_dirty }
    };
    assert_eq!(packed(""), found("false"));
    assert_eq!(packed(",\n    \"dirty\": true"), found("true"));
}

#[test]
fn sources_that_differ_have_another_hash() {
    let root = tempfile::tempdir().unwrap();
    package(root.path(), false);
    let before = build::hash(root.path());
    assert_eq!(build::hash(root.path()), before);
    fs::write(root.path().join("README.md"), "read me again").unwrap();
    assert_eq!(build::hash(root.path()), before);
    fs::write(root.path().join("src/main.rs"), "fn main() { }").unwrap();
    assert_ne!(build::hash(root.path()), before);
}

#[test]
fn sources_are_named_by_their_commit_or_their_hash() {
    let commit = "0123456789abcdef0123";
    assert_eq!(origin(commit, "false", "77"), "0123456789ab");
    assert_eq!(origin(commit, "true", "77"), "0123456789ab, modified");
    assert_eq!(origin("", "", "77"), "commit unknown, sources 77");
}

#[test]
fn the_version_says_which_sources_the_program_is_built_from() {
    let said = |flag| {
        let output = Command::new(env!("CARGO_BIN_EXE_flexpaxos")).arg(flag).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let code = Code::built();
    let short = said("-V");
    assert_eq!(short.lines().count(), 1);
    assert!(short.starts_with(&format!("flexpaxos {} (", code.version)), "{short}");
    let long = said("--version");
    assert!(long.starts_with(short.trim_end()) && long.contains(&code.source_hash), "{long}");
}
