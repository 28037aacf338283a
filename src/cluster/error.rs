//! Why a trial came to nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::launcher;
use crate::deployment::MemberName;
use crate::runtime::net::{endpoint, identity};
use crate::time::Span;

/// Why a trial came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificates.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The coordinator's own socket.
    #[error("the coordinator cannot listen; choose another address with --listen")]
    Listen(#[source] endpoint::Error),
    /// An agent could not be started.
    #[error(transparent)]
    Launch(#[from] launcher::Error),
    /// Members that never dialled, or ended before they were ready.
    #[error(
        "{} never joined (waited {:.1} s); their logs are in {}{hint}",
        list(members, ends), seconds(*waited), folder.display()
    )]
    NeverJoined {
        /// Which.
        members: Vec<MemberName>,
        /// How those ended that are known to have ended.
        ends: BTreeMap<MemberName, String>,
        /// How long they were waited for.
        waited: Span,
        /// The folder of the trial.
        folder: PathBuf,
        /// What members on other hosts need, if there are any.
        hint: String,
    },
    /// Members that found no way to the others.
    #[error(
        "{} found no connection to all peers (waited {:.1} s){}; their logs are in {}",
        list(members, ends), seconds(*waited), listed(pairs), folder.display()
    )]
    NeverMeshed {
        /// Which.
        members: Vec<MemberName>,
        /// The pairs without a connection, as sentences.
        pairs: Vec<String>,
        /// How those ended that are known to have ended.
        ends: BTreeMap<MemberName, String>,
        /// How long they were waited for.
        waited: Span,
        /// The folder of the trial.
        folder: PathBuf,
    },
    /// A member failed before the trial began.
    #[error("{member} failed before the trial began: {message}")]
    Failed {
        /// Which.
        member: MemberName,
        /// What it said.
        message: String,
    },
    /// A process that is killed leaves what it leaves.
    #[error("what a killed replica had not yet synced can be chosen in virtual time only")]
    Unsynced,
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
    /// There is no runtime to run in.
    #[error("cannot start the event loop: raise the limit of open files (ulimit -n)")]
    Runtime(#[source] std::io::Error),
    /// A file of a member could not be kept.
    #[error("cannot write {}: make room or choose another folder with --out", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn list(members: &[MemberName], ends: &BTreeMap<MemberName, String>) -> String {
    let name = |member: &MemberName| match ends.get(member) {
        None => member.to_string(),
        Some(end) => format!("{member} (ended: {end})"),
    };
    members.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn listed(sentences: &[String]) -> String {
    sentences.iter().flat_map(|sentence| ["; ", sentence]).collect()
}

fn seconds(span: Span) -> f64 {
    span.as_millis_f64() / 1e3
}
