//! Where the histories of a trial are kept in a results folder, and what they say.
//!
//! A run checks a trial from the files that its members left, and then moves them there; `verify` finds
//! them again. Both come to [`check`], which asks two judges that share only how a history is read: the logs of replicas
//! against what clients were told, and what clients saw by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::twins::Twins;
use crate::command::ClientId;
use crate::deployment::MemberName;
use crate::history::{Check, KeyCounts, Options, Seen, Verdict, oracle};
use crate::quorum::NodeId;
use crate::time::Span;
use crate::trial::Backend;

/// The folder of all histories within a results folder.
const FOLDER: &str = "histories";

/// What clients saw is judged some keys at a time where they began more operations than this: 40 bytes each are
/// held in memory.
const OPERATIONS_AT_ONCE: u64 = 1 << 20;

/// Beside the histories of a trial on several clocks: how far these may be apart, in nanoseconds.
///
/// It is written before the histories, and these before the row of the trial: a run that is cut between leaves no
/// row, but the bound.
const CLOCKS_APART: &str = "clocks_apart_ns";

/// The same, in nanoseconds, of how long before a read began a write may have been acknowledged that it misses.
const MAY_MISS: &str = "reads_may_miss_ns";

/// A file that is there where no read may miss what its client was told before.
const SESSIONS: &str = "read_sessions";

/// What the judges allow for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// The clocks of two members may be so far apart.
    pub clocks_apart: Span,
    /// A read may miss what was acknowledged less than this before it began.
    pub may_miss: Span,
    /// But nothing that its own client was told before.
    pub has_sessions: bool,
}

/// The files of each member: the logs of a replica, one a start; the history of a client.
pub type Files = BTreeMap<MemberName, Vec<PathBuf>>;

/// Why a history was not checked.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it holds cannot.
    #[error("{history}")]
    History {
        /// Why; of a log, whose it is.
        #[from]
        history: crate::history::Error,
    },
}

/// What the histories of a trial say.
#[derive(Debug)]
pub struct Checked {
    /// The logs of replicas against what clients were told.
    pub logs: Result<Verdict, Unreadable>,
    /// What clients saw by itself.
    pub seen: Result<oracle::Verdict, Unreadable>,
}

/// The files of one trial in a results folder.
#[derive(Debug)]
pub struct Kept {
    /// Which trial, from 1.
    pub trial: u32,
    /// Where it ran.
    pub backend: Backend,
    /// Of whom.
    pub files: Files,
}

/// Checks the histories of these members; one without a file was lost with all it had.
pub fn check(
    members: &[MemberName],
    files: &Files,
    twins: &Twins,
    allowance: Allowance,
) -> Checked {
    let logs = check_logs(members, files, twins, allowance);
    let is_small = logs.as_ref().is_ok_and(|logs| logs.operation_count <= OPERATIONS_AT_ONCE);
    let at_once = (!is_small).then_some(OPERATIONS_AT_ONCE);
    Checked { seen: check_seen(members, files, allowance, at_once), logs }
}

/// Of logs that say the same, one is read. Where it says anything but that all is well, all are: then it counts how
/// many of them say it, and who does.
fn check_logs(
    members: &[MemberName],
    files: &Files,
    twins: &Twins,
    allowance: Allowance,
) -> Result<Verdict, Unreadable> {
    let different: Vec<MemberName> =
        members.iter().filter(|member| twins.of(**member).is_none()).copied().collect();
    if different.len() < members.len() {
        let verdict = check_each(&different, files, allowance)?;
        if verdict.is_spotless() {
            return Ok(verdict);
        }
    }
    check_each(members, files, allowance)
}

fn check_each(
    members: &[MemberName],
    files: &Files,
    Allowance { clocks_apart, may_miss, has_sessions }: Allowance,
) -> Result<Verdict, Unreadable> {
    let options = Options { clocks_apart, may_miss, has_sessions, ..Options::default() };
    let mut check = Check::new(options);
    for member in members {
        // One that cannot be opened is named here.
        let opened = open(files, *member)?;
        match member {
            MemberName::Client(_) => {
                for place in 0..opened.len() {
                    check.add_client(move || open_again(files, *member, place))?;
                }
            }
            MemberName::Replica(_) => {
                opened.into_iter().try_for_each(|file| check.add_replica(file))?;
            }
        }
    }
    Ok(check.finish()?)
}

fn open_again(
    files: &Files,
    member: MemberName,
    place: usize,
) -> Result<Box<dyn Read>, crate::history::Error> {
    let Some(path) = files.get(&member).and_then(|paths| paths.get(place)) else {
        return Ok(Box::new(io::empty()));
    };
    let file = File::open(path);
    let file = file.map_err(|source| crate::history::Error::Read { offset: 0, source })?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

fn check_seen(
    members: &[MemberName],
    files: &Files,
    Allowance { clocks_apart, may_miss, .. }: Allowance,
    at_once: Option<u64>,
) -> Result<oracle::Verdict, Unreadable> {
    let options = oracle::Options { clocks_apart, may_miss, ..oracle::Options::default() };
    let Some(at_once) = at_once else {
        return Ok(oracle::judge_all(seen(members, files)?, options));
    };
    let mut counts = KeyCounts::default();
    for_each_client(members, files, |file| counts.add_client(file))?;
    let mut parts = counts.parts(at_once);
    if parts.is_empty() {
        // Nothing was begun; whether a history was cut off is still to be known.
        return Ok(oracle::judge_all(seen(members, files)?, options));
    }
    oracle::judge_parts(parts.drain(..).map(|part| read(members, files, Seen::of(part))), options)
}

/// What the clients among these members saw.
pub fn seen(members: &[MemberName], files: &Files) -> Result<Seen, Unreadable> {
    read(members, files, Seen::new())
}

fn read(members: &[MemberName], files: &Files, mut seen: Seen) -> Result<Seen, Unreadable> {
    for_each_client(members, files, |file| seen.add_client(file))?;
    Ok(seen)
}

fn for_each_client(
    members: &[MemberName],
    files: &Files,
    mut add: impl FnMut(Box<dyn Read>) -> Result<(), crate::history::Error>,
) -> Result<(), Unreadable> {
    for member in members.iter().filter(|member| matches!(member, MemberName::Client(_))) {
        for file in open(files, *member)? {
            add(file)?;
        }
    }
    Ok(())
}

/// The files of a member; an empty one if it has none, so that it is known that something is missing.
fn open(files: &Files, member: MemberName) -> Result<Vec<Box<dyn Read>>, Unreadable> {
    let paths = files.get(&member).map_or(&[][..], Vec::as_slice);
    let mut readers: Vec<Box<dyn Read>> = Vec::new();
    for path in paths {
        let file = File::open(path);
        let file = file.map_err(|source| Unreadable::File { path: path.clone(), source })?;
        readers.push(Box::new(BufReader::with_capacity(1 << 20, file)));
    }
    if readers.is_empty() {
        readers.push(Box::new(io::empty()));
    }
    Ok(readers)
}

/// The name of a member's history in a results folder.
pub fn name(trial: u32, backend: Backend, member: MemberName, start: usize) -> String {
    format!("{FOLDER}/{}/{}", backend.prefix(trial), base(member, start))
}

/// The name of a member's history in the folder of its trial.
pub(super) fn base(member: MemberName, start: usize) -> String {
    match member {
        MemberName::Client(_) => format!("history.{member}"),
        MemberName::Replica(_) => format!("chosen.{member}.{start}"),
    }
}

/// The folder of the histories of one trial.
pub fn folder(results: &Path, trial: u32, backend: Backend) -> PathBuf {
    results.join(FOLDER).join(backend.prefix(trial))
}

/// Where this trial ran, as far as its histories tell: live, unless only a simulated one has any.
pub fn backend_of(results: &Path, trial: u32) -> Backend {
    let ran = |backend: &Backend| folder(results, trial, *backend).is_dir();
    [Backend::Live, Backend::Sim].into_iter().find(ran).unwrap_or(Backend::Live)
}

/// The histories of one trial.
pub fn of_trial(results: &Path, trial: u32, backend: Backend) -> io::Result<Kept> {
    let mut files: BTreeMap<MemberName, Vec<(usize, PathBuf)>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder(results, trial, backend))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some((member, start)) = name.as_deref().and_then(parse) {
            files.entry(member).or_default().push((start, path));
        }
    }
    let in_order = |mut starts: Vec<(usize, PathBuf)>| {
        starts.sort();
        starts.into_iter().map(|(_, path)| path).collect()
    };
    let files = files.into_iter().map(|(member, starts)| (member, in_order(starts))).collect();
    Ok(Kept { trial, backend, files })
}

/// The name of the file in a results folder that says how far the clocks of a trial may be apart.
pub fn clocks_apart_name(trial: u32, backend: Backend) -> String {
    format!("{FOLDER}/{}/{CLOCKS_APART}", backend.prefix(trial))
}

/// The name of the file in a results folder that says what the reads of a trial may miss.
pub fn may_miss_name(trial: u32, backend: Backend) -> String {
    format!("{FOLDER}/{}/{MAY_MISS}", backend.prefix(trial))
}

/// The name of the file in a results folder that says that no read of a trial may miss what its client was told.
pub fn sessions_name(trial: u32, backend: Backend) -> String {
    format!("{FOLDER}/{}/{SESSIONS}", backend.prefix(trial))
}

/// What the judges of a trial allow for, as its run wrote before the histories; it wrote nothing of what is zero.
pub fn allowance(results: &Path, trial: u32, backend: Backend) -> io::Result<Allowance> {
    let written = |name: String| match std::fs::read_to_string(results.join(name)) {
        Ok(text) => text.trim().parse().map(Span).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Span::ZERO),
        Err(error) => Err(error),
    };
    Ok(Allowance {
        clocks_apart: written(clocks_apart_name(trial, backend))?,
        may_miss: written(may_miss_name(trial, backend))?,
        has_sessions: results.join(sessions_name(trial, backend)).exists(),
    })
}

/// Every trial that has histories, in order.
pub fn of_all(results: &Path) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(results.join(FOLDER))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        for backend in [Backend::Sim, Backend::Live] {
            let number = name.strip_prefix("trial-").and_then(|name| name.split('.').next());
            if let Some(trial) = number.and_then(|number| number.parse().ok())
                && backend.prefix(trial) == name
            {
                found.push(of_trial(results, trial, backend)?);
            }
        }
    }
    found.sort_by_key(|kept| (kept.backend, kept.trial));
    Ok(found)
}

/// Of which start of its writer a file in a results folder is.
pub(super) fn start_of(path: &Path) -> Option<usize> {
    parse(path.file_name()?.to_str()?).map(|(_, start)| start)
}

/// Whose history a file is, and of which start of its writer.
fn parse(name: &str) -> Option<(MemberName, usize)> {
    let (member, start) = match name.split('.').collect::<Vec<_>>()[..] {
        ["history", member] => (MemberName::parse(member)?, 0),
        ["chosen", member, start] => (MemberName::parse(member)?, start.parse().ok()?),
        _ => return None,
    };
    let is_client = matches!(member, MemberName::Client(_));
    (is_client == name.starts_with("history")).then_some((member, start))
}

impl Kept {
    /// The files, clients first.
    pub fn paths(&self) -> impl Iterator<Item = (MemberName, &PathBuf)> {
        let is_client = |member: &MemberName| matches!(member, MemberName::Client(_));
        let of = move |clients: bool| {
            let some = self.files.iter().filter(move |(member, _)| is_client(member) == clients);
            some.flat_map(|(member, paths)| paths.iter().map(move |path| (*member, path)))
        };
        of(true).chain(of(false))
    }

    /// Every member of the trial: those that left a file, and so many replicas and clients at least.
    pub fn members(&self, replica_count: usize, client_count: usize) -> Vec<MemberName> {
        let replicas = (0..=u8::MAX).take(replica_count).map(|id| MemberName::Replica(NodeId(id)));
        let clients = (0..=u32::MAX).take(client_count).map(|id| MemberName::Client(ClientId(id)));
        let mut members: Vec<MemberName> =
            self.files.keys().copied().chain(replicas).chain(clients).collect();
        members.sort_unstable();
        members.dedup();
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Operation, RequestId};
    use crate::history::{ChosenWriter, ClientWriter, Entry, Issued, Returned, facts};
    use crate::protocol::{Executed, Slot};
    use crate::time::Time;

    #[test]
    fn a_file_is_found_again_by_its_name_and_starts_are_in_order() {
        let root = tempfile::tempdir().unwrap();
        let r1 = MemberName::Replica(NodeId(1));
        let c0 = MemberName::Client(ClientId(0));
        let put = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        };
        for start in [10, 9, 0] {
            put(&name(3, Backend::Live, r1, start));
        }
        put(&name(3, Backend::Live, c0, 0));
        put(&name(1, Backend::Sim, c0, 0));
        put("histories/trial-003.live/notes.txt");
        put("histories/trial-003.live/history.r1");
        put("histories/trial-3.live/history.c0");
        put("histories/other/history.c0");
        let all = of_all(root.path()).unwrap();
        let found: Vec<_> = all.iter().map(|kept| (kept.trial, kept.backend)).collect();
        assert_eq!(found, [(1, Backend::Sim), (3, Backend::Live)]);
        let names: Vec<_> = all[1]
            .paths()
            .map(|(_, path)| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["history.c0", "chosen.r1.0", "chosen.r1.9", "chosen.r1.10"]);
        // A member without a file is one all the same.
        let members: Vec<_> = all[1].members(2, 1).iter().map(ToString::to_string).collect();
        assert_eq!(members, ["r0", "r1", "c0"]);
        assert_eq!(all[1].members(0, 0), [r1, c0]);
        assert!(of_trial(root.path(), 2, Backend::Live).is_err());
        assert!(of_all(&root.path().join("nowhere")).is_err());
    }

    /// Logs of two commands by these replicas, and the history of the client that issued them.
    fn two_commands(root: &Path, replicas: u8, stray: Option<u8>) -> (Vec<MemberName>, Files) {
        let put = |sequence, key| {
            let value = bytes::Bytes::from_static(b"one");
            let request = RequestId { client: ClientId(0), sequence };
            Command { request, settled_below: 0, operation: Operation::Put { key, value } }
        };
        let mut files = Files::new();
        let mut client = ClientWriter::new(ClientId(0));
        for sequence in 0..2 {
            let (kind, key, digest) = facts(&put(sequence, 5).operation);
            let intended_at = Time(sequence * 10);
            client.invoke(&Issued { sequence, intended_at, kind, key, digest });
            let (at, slot) = (Time(sequence * 10 + 5), Slot(sequence));
            client.returned(&Returned { sequence, at, slot, is_beside: false, digest: None });
        }
        let mut leave = |member: MemberName, bytes: Vec<u8>| {
            let path = root.join(member.to_string());
            std::fs::write(&path, bytes).unwrap();
            files.insert(member, vec![path]);
        };
        leave(MemberName::Client(ClientId(0)), client.finish());
        for id in 0..replicas {
            let mut writer = ChosenWriter::new(NodeId(id), Slot::ZERO);
            for sequence in 0..2 {
                let key = if stray == Some(id) { 6 } else { 5 };
                let command = Some(std::sync::Arc::new(put(sequence, key)));
                let executed = Executed { slot: Slot(sequence), command, applied: true };
                writer.entry(&Entry::of(&executed));
            }
            leave(MemberName::Replica(NodeId(id)), writer.finish());
        }
        (files.keys().copied().collect(), files)
    }

    #[test]
    fn logs_that_say_the_same_are_read_once_and_judged_as_all_would() {
        let root = tempfile::tempdir().unwrap();
        let name = |id| MemberName::Replica(NodeId(id));
        let of = |stray| {
            let (members, files) = two_commands(root.path(), 4, stray);
            let twins = Twins::find(&files);
            let by_twins = check_logs(&members, &files, &twins, Allowance::default()).unwrap();
            assert_eq!(by_twins, check_each(&members, &files, Allowance::default()).unwrap());
            let known = (0..4).filter_map(|id| Some((id, twins.of(name(id))?)));
            (by_twins.violation_count, known.collect::<Vec<_>>())
        };
        assert_eq!(of(None), (0, vec![(1, name(0)), (2, name(0)), (3, name(0))]));
        // Two slots in which one disagrees with each of three others, whose violations are those of all.
        let (violations, twins) = of(Some(2));
        assert_eq!(twins, [(1, name(0)), (3, name(0))]);
        assert_eq!(violations, 2);
        let (violations, twins) = of(Some(0));
        assert_eq!(twins, [(2, name(1)), (3, name(1))]);
        assert!(violations > 2 * 3, "{violations}");
    }
}
