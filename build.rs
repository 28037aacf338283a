//! Says which sources the program is built from: the commit, whether they differ from it, and their hash.
//!
//! It needs no git: a published crate brings the commit it was packed from, and where neither is there,
//! the hash of the sources still tells two programs apart.
//! A build with optimisation looks at the commit again whenever another one is checked out.
//! A debug build looks only when the sources change, so that a commit of what is built already builds
//! nothing again; what it says is true of the moment in which it was built.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of, from the root of the package.
const SOURCES: [&str; 4] = ["src", "Cargo.toml", "Cargo.lock", "build.rs"];

/// Where cargo says which commit a published crate was packed from.
const PACKED: &str = ".cargo_vcs_info.json";

/// What is known of the sources.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The commit; empty if nobody knows.
    pub(crate) commit: String,
    /// Whether the sources differ from it: `true`, `false`, or empty if nobody knows.
    pub(crate) is_dirty: &'static str,
}

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    for name in SOURCES.iter().chain(&[PACKED]) {
        watch(&root.join(name));
    }
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        for name in ["HEAD", "logs/HEAD"] {
            if let Some(path) = git(&root, &["rev-parse", "--git-path", name]) {
                watch(&root.join(path));
            }
        }
    }
    let Sources { commit, is_dirty } = sources(&root);
    println!("cargo::rustc-env=FLEXPAXOS_COMMIT={commit}");
    println!("cargo::rustc-env=FLEXPAXOS_IS_DIRTY={is_dirty}");
    let hash = format!("{:016x}", hash(&root));
    println!("cargo::rustc-env=FLEXPAXOS_SOURCE_HASH={hash}");
    println!("cargo::rustc-env=FLEXPAXOS_ORIGIN={}", origin(&commit, is_dirty, &hash));
    println!("cargo::rustc-env=FLEXPAXOS_RUSTC={}", compiler().unwrap_or_default());
}

/// Cargo runs this again when the file or folder changes; one that is not there would run it every time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// The commit of the package at `root`, from what it was packed from or else from its own repository.
pub(crate) fn sources(root: &Path) -> Sources {
    if let Ok(text) = fs::read_to_string(root.join(PACKED)) {
        let commit = field(&text, "sha1").unwrap_or_default();
        let is_dirty = if text.contains("\"dirty\": true") { "true" } else { "false" };
        return Sources { commit, is_dirty };
    }
    // A package within another's repository has not been committed there by its own history.
    if git(root, &["rev-parse", "--show-prefix"]).as_deref() != Some("") {
        return Sources::default();
    }
    let Some(commit) = git(root, &["rev-parse", "HEAD"]) else { return Sources::default() };
    let status = [&["status", "--porcelain", "--"][..], &SOURCES].concat();
    let is_dirty = match git(root, &status) {
        Some(changes) if changes.is_empty() => "false",
        Some(_) => "true",
        None => "",
    };
    Sources { commit, is_dirty }
}

/// The sources in a few words.
pub(crate) fn origin(commit: &str, is_dirty: &str, hash: &str) -> String {
    match commit.get(..12) {
        Some(short) if is_dirty == "true" => format!("{short}, modified"),
        Some(short) => short.to_owned(),
        None => format!("commit unknown, sources {hash}"),
    }
}

/// The string that follows `"name": "` in a JSON text.
fn field(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("\"{name}\""))?;
    after.split('"').nth(1).map(str::to_owned)
}

/// What git answers in this folder; `None` without git or a repository.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A build that a hook of git starts is told of the hook's repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    // The index belongs to whoever works here.
    command.env("GIT_OPTIONAL_LOCKS", "0");
    let output = command.arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The version of the compiler.
fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}

/// A hash of the names and contents of all sources: FNV-1a, which needs no dependency and is the same on
/// every machine. It tells sources apart, and protects against nobody.
pub(crate) fn hash(root: &Path) -> u64 {
    let mut files = Vec::new();
    for name in SOURCES {
        collect(root, Path::new(name), &mut files);
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for path in files {
        let contents = fs::read(root.join(&path)).unwrap_or_default();
        let name = path.to_string_lossy();
        let length = contents.len() as u64;
        for byte in name.bytes().chain(length.to_le_bytes()).chain(contents) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// The files at and below a path of the package.
fn collect(root: &Path, path: &Path, files: &mut Vec<PathBuf>) {
    let whole = root.join(path);
    if whole.is_file() {
        files.push(path.to_owned());
        return;
    }
    let Ok(entries) = fs::read_dir(whole) else { return };
    for entry in entries.flatten() {
        collect(root, &path.join(entry.file_name()), files);
    }
}
