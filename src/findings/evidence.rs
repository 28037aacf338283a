//! Whether all histories of a trial are there, and whole.
//!
//! A check of histories that are not there finds nothing wrong.
//! So the run keeps the length and the SHA-256 of every history in `histories.csv`, beside the folder
//! of histories; `verify` and `history` compare the files with it, and name what is missing, cut or
//! changed. A member that ended by itself must have finished its last history; one that a fault
//! killed leaves a history that is cut off, and then the check of the logs counts the acknowledged
//! operations that no other log holds.
//!
//! It knows nothing of what a history says.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::histories::{self, Files, Kept};
use super::twins::Twins;
use crate::deployment::MemberName;
use crate::history::{ChosenReader, ClientReader, Verdict};
use crate::measure::rows::{HistoryRow, TrialKey};
use crate::measure::store;
use crate::trial::{Backend, Outcome};

/// The table within a results folder.
pub(super) const TABLE: &str = "histories.csv";

/// So many files are named in one sentence.
const NAMED: usize = 3;

/// One history as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Who wrote it.
    pub member: MemberName,
    /// In which start of this member, from 0.
    pub start: usize,
    /// The length of the file, in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its writer finished it.
    pub is_whole: bool,
}

/// What cannot be known, as sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Of the logs of replicas.
    pub logs: Vec<String>,
    /// Of the histories of clients.
    pub clients: Vec<String>,
}

impl Piece {
    /// The name of the file in the folder of its trial.
    fn base(&self) -> String {
        histories::base(self.member, self.start)
    }
}

impl Gaps {
    /// Whether everything is known.
    pub const fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.clients.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.clients.iter().chain(&self.logs)
    }

    /// Adds what is wrong with files, in one sentence for replicas and one for clients.
    fn add_files(&mut self, found: &[(MemberName, String)]) {
        let of = |of_clients: bool| {
            let files = found.iter().filter(move |(member, _)| is_client(*member) == of_clients);
            named(&files.map(|(_, sentence)| sentence.as_str()).collect::<Vec<_>>())
        };
        self.clients.extend(of(true));
        self.logs.extend(of(false));
    }
}

const fn is_client(member: MemberName) -> bool {
    matches!(member, MemberName::Client(_))
}

/// The first of these, and how many more there are; `None` if there is nothing.
fn named(sentences: &[&str]) -> Option<String> {
    let shown = sentences.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = sentences.len().saturating_sub(NAMED);
    match sentences.len() {
        0 => None,
        _ if more == 0 => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}

/// Reads every file through; of a log that says the same as another one, only how long it is and its hash.
pub fn read(files: &Files, twins: &Twins) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (member, paths) in files {
        let original = twins.of(*member);
        let original = original.and_then(|it| pieces.iter().find(|piece| piece.member == it));
        let is_whole = original.map(|piece| piece.is_whole);
        for (index, path) in paths.iter().enumerate() {
            // In a results folder a file may be missing before this one: there its name counts.
            let start = histories::start_of(path).unwrap_or(index);
            let found = read_one(path, *member, is_whole);
            let (bytes, sha256, is_whole) = found.unwrap_or_else(|_| (0, String::new(), false));
            pieces.push(Piece { member: *member, start, bytes, sha256, is_whole });
        }
    }
    pieces
}

/// The length of a file, its hash, and whether its writer finished it, unless that is known.
fn read_one(
    path: &Path,
    member: MemberName,
    is_whole: Option<bool>,
) -> io::Result<(u64, String, bool)> {
    let file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut hashed = Hashed { read: file, hash: Sha256::new(), bytes: 0 };
    let is_whole = match (is_whole, member) {
        (Some(is_whole), _) => is_whole,
        (None, MemberName::Client(_)) => {
            ClientReader::new(&mut hashed).is_ok_and(|mut reader| reader.all(|event| event.is_ok()))
        }
        (None, MemberName::Replica(_)) => ChosenReader::new(&mut hashed).is_ok_and(|mut reader| {
            let is_read = reader.all(|record| record.is_ok());
            is_read && !reader.is_cut()
        }),
    };
    // A reader ends at the first fault, and the hash is that of the whole file.
    io::copy(&mut hashed, &mut io::sink())?;
    let mut sha256 = String::new();
    for byte in hashed.hash.finalize() {
        write!(sha256, "{byte:02x}").expect("a string takes every character");
    }
    Ok((hashed.bytes, sha256, is_whole))
}

/// Hashes what is read.
struct Hashed<R> {
    read: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// The rows of one trial in `histories.csv`.
pub(super) fn rows(key: &TrialKey, backend: Backend, files: &[Piece]) -> Vec<HistoryRow> {
    let row = |piece: &Piece| HistoryRow {
        trial: key.trial,
        variant: key.variant.clone(),
        point: key.point.clone(),
        backend: key.backend.clone(),
        member: piece.member.to_string(),
        start: u32::try_from(piece.start).unwrap_or(u32::MAX),
        file: histories::name(key.trial, backend, piece.member, piece.start),
        file_bytes: piece.bytes,
        sha256: piece.sha256.clone(),
        whole: piece.is_whole,
    };
    files.iter().map(row).collect()
}

/// What the logs of replicas do not show, though clients were told of it.
pub(super) fn unlogged(verdict: &Verdict, files: &[Piece]) -> Option<String> {
    let Verdict { unlogged_count, uncovered_count, acknowledged_count, .. } = verdict;
    let said = match (unlogged_count, uncovered_count) {
        (0, 0) => return None,
        (0, slots) => format!("{slots} slots are in no replica's log, but later ones are"),
        (count, _) => {
            format!(
                "{count} of {acknowledged_count} acknowledged operations are in no replica's log"
            )
        }
    };
    let is_cut = |piece: &&Piece| !piece.is_whole && !is_client(piece.member);
    let cut: Vec<String> = files.iter().filter(is_cut).map(Piece::base).collect();
    let cut = named(&cut.iter().map(String::as_str).collect::<Vec<_>>());
    Some(cut.map_or_else(|| said.clone(), |cut| format!("{said} (cut off: {cut})")))
}

/// What members that ended by themselves did not write down.
pub(super) fn unfinished(members: &[MemberName], outcome: &Outcome, files: &[Piece]) -> Gaps {
    let mut found = Vec::new();
    for member in members.iter().filter(|member| outcome.reports.contains_key(member)) {
        match files.iter().rfind(|piece| piece.member == *member) {
            None => found.push((*member, format!("{member} left no history"))),
            Some(last) if !last.is_whole => {
                found.push((*member, format!("{member} did not finish its history")));
            }
            Some(_) => {}
        }
    }
    let mut gaps = Gaps::default();
    gaps.add_files(&found);
    gaps
}

/// What `histories.csv` of a results folder says.
#[derive(Debug)]
pub struct Table {
    /// `None` if there is no such table.
    rows: Option<Vec<HistoryRow>>,
}

impl Table {
    /// The table of a results folder.
    pub fn open(results: &Path) -> Result<Self, store::Error> {
        let path = results.join(TABLE);
        let rows = path.exists().then(|| store::read_csv(&path)).transpose()?;
        Ok(Self { rows })
    }

    /// What differs between the files of a trial and what the run left.
    pub fn gaps(&self, kept: &Kept, files: &[Piece]) -> Gaps {
        let is_of =
            |row: &&HistoryRow| row.trial == kept.trial && row.backend == kept.backend.name();
        let rows: Vec<&HistoryRow> = self.rows.iter().flatten().filter(is_of).collect();
        let mut gaps = Gaps::default();
        if rows.is_empty() {
            gaps.logs.push(match (&self.rows, kept.files.is_empty()) {
                (_, true) => "the trial left no histories: it did not run".to_owned(),
                (None, false) => {
                    format!("{TABLE} is missing, so nobody knows whether these are all histories, and whole")
                }
                (Some(_), false) => {
                    format!("{TABLE} has no row of this trial: the run was cut short before it wrote one")
                }
            });
            return gaps;
        }
        if kept.files.is_empty() {
            let count = rows.len();
            gaps.logs.push(format!("all {count} histories that {TABLE} lists are missing"));
            return gaps;
        }
        gaps.add_files(&differences(&rows, files));
        gaps
    }
}

/// The files that are not as the run left them.
fn differences(rows: &[&HistoryRow], files: &[Piece]) -> Vec<(MemberName, String)> {
    let is_of = |row: &HistoryRow, piece: &Piece| {
        row.member == piece.member.to_string() && row.start as usize == piece.start
    };
    let mut found = Vec::new();
    for row in rows {
        let Some(member) = MemberName::parse(&row.member) else { continue };
        let base = row.file.rsplit('/').next().unwrap_or(&row.file);
        let said = match files.iter().find(|piece| is_of(row, piece)) {
            Some(piece) if piece.sha256 == row.sha256 => continue,
            None => "is missing".to_owned(),
            Some(piece) if piece.sha256.is_empty() => "cannot be read".to_owned(),
            Some(piece) if piece.bytes < row.file_bytes => {
                format!("is cut: {} of {} bytes are left", piece.bytes, row.file_bytes)
            }
            Some(_) => "was changed after the run".to_owned(),
        };
        found.push((member, format!("{base} {said}")));
    }
    for piece in files.iter().filter(|piece| !rows.iter().any(|row| is_of(row, piece))) {
        found.push((piece.member, format!("{} is no file of the run", piece.base())));
    }
    found
}

/// What differs between the files of a trial and what the run left in this folder.
pub fn gaps(results: &Path, kept: &Kept) -> Result<Gaps, store::Error> {
    Ok(Table::open(results)?.gaps(kept, &read(&kept.files, &Twins::find(&kept.files))))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::command::ClientId;
    use crate::history::{ChosenWriter, ClientWriter};
    use crate::protocol::Slot;
    use crate::quorum::NodeId;

    const R0: MemberName = MemberName::Replica(NodeId(0));
    const C0: MemberName = MemberName::Client(ClientId(0));

    /// A results folder with one trial: a replica that was killed once, and a client.
    struct Results(tempfile::TempDir);

    impl Results {
        fn new() -> Self {
            let results = Self(tempfile::tempdir().unwrap());
            let log = ChosenWriter::new(NodeId(0), Slot::ZERO).finish();
            std::fs::create_dir_all(results.folder()).unwrap();
            results.write(R0, 0, &log[..log.len() - 3]);
            results.write(R0, 1, &log);
            results.write(C0, 0, &ClientWriter::new(ClientId(0)).finish());
            let key = TrialKey {
                trial: 1,
                variant: "multi".into(),
                backend: "sim".into(),
                ..TrialKey::default()
            };
            let rows = rows(&key, Backend::Sim, &read(&results.kept().files, &Twins::default()));
            let store = crate::measure::Store::reopen(results.0.path()).unwrap();
            store.write_csv(TABLE, &rows).unwrap();
            results
        }

        fn folder(&self) -> PathBuf {
            histories::folder(self.0.path(), 1, Backend::Sim)
        }

        fn write(&self, member: MemberName, start: usize, bytes: &[u8]) {
            std::fs::write(self.folder().join(histories::base(member, start)), bytes).unwrap();
        }

        fn remove(&self, member: MemberName, start: usize) {
            std::fs::remove_file(self.folder().join(histories::base(member, start))).unwrap();
        }

        fn kept(&self) -> Kept {
            histories::of_trial(self.0.path(), 1, Backend::Sim).unwrap()
        }

        fn gaps(&self) -> Vec<String> {
            gaps(self.0.path(), &self.kept()).unwrap().iter().cloned().collect()
        }
    }

    #[test]
    fn histories_as_the_run_left_them_have_no_gap() {
        let results = Results::new();
        assert_eq!(results.gaps(), [""; 0]);
        let piece = read(&results.kept().files, &Twins::default());
        let whole: Vec<bool> = piece.iter().map(|piece| piece.is_whole).collect();
        assert_eq!(whole, [false, true, true], "{piece:?}");
        assert_eq!(piece[0].sha256.len(), 64);
    }

    #[test]
    fn a_file_that_is_missing_or_cut_or_changed_is_named() {
        let results = Results::new();
        results.remove(R0, 0);
        results.write(R0, 1, b"");
        results.write(C0, 0, &[b"more".as_slice(), &[0; 100]].concat());
        let log = std::fs::metadata(results.folder().join("chosen.r0.1")).unwrap().len();
        assert_eq!(log, 0);
        let said = results.gaps();
        assert_eq!(said[0], "history.c0 was changed after the run");
        assert!(
            said[1].starts_with("chosen.r0.0 is missing, chosen.r0.1 is cut: 0 of "),
            "{said:?}"
        );
        let results = Results::new();
        results.write(R0, 2, b"one more");
        assert_eq!(results.gaps(), ["chosen.r0.2 is no file of the run"]);
    }

    #[test]
    fn a_table_that_is_missing_or_has_no_row_leaves_a_gap() {
        let results = Results::new();
        let kept = Kept { files: Files::new(), ..results.kept() };
        let said = gaps(results.0.path(), &kept).unwrap().logs;
        assert_eq!(said, ["all 3 histories that histories.csv lists are missing"]);
        let table = std::fs::read_to_string(results.0.path().join(TABLE)).unwrap();
        let header = table.lines().next().unwrap();
        std::fs::write(results.0.path().join(TABLE), format!("{header}\n")).unwrap();
        assert!(results.gaps()[0].contains("has no row of this trial"), "{:?}", results.gaps());
        let said = gaps(results.0.path(), &kept).unwrap().logs;
        assert_eq!(said, ["the trial left no histories: it did not run"]);
        std::fs::remove_file(results.0.path().join(TABLE)).unwrap();
        assert!(results.gaps()[0].starts_with("histories.csv is missing"), "{:?}", results.gaps());
    }

    #[test]
    fn many_files_are_counted_in_one_sentence() {
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["a", "b", "c"]).unwrap(), "a, b, c");
        assert_eq!(named(&["a", "b", "c", "d", "e"]).unwrap(), "a, b, c and 2 more");
    }
}
