//! The coordinator's door: members that dial, what each says, and the files that it hands over.
//!
//! Everything becomes an [`Event`] in one queue; what it means is decided by the coordinator.

use std::path::{Path, PathBuf};

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::error::Error;
use super::wire::{Receiver, ToCoordinator};
use crate::deployment::MemberName;
use crate::runtime::net::Endpoint;

/// One connection of a member: a member that was restarted has another, and what an earlier one
/// still has to say counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session(u64);

/// What happens to the coordinator.
#[derive(Debug)]
pub(super) struct Event {
    /// Through whom.
    pub(super) member: MemberName,
    /// On which of its connections.
    pub(super) session: Session,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    /// The member dialled.
    Joined(SendStream, Connection),
    /// It said something.
    Said(ToCoordinator),
    /// It handed over a file, or the file could not be kept.
    Handed(Result<PathBuf, Error>),
    /// The connection ended.
    Lost,
}

/// Events that may wait for the coordinator; with more, whoever has something to say waits.
pub(super) const EVENTS_MAX: usize = 1024;

/// The application's error code for the end of a control connection.
const OVER: VarInt = VarInt::from_u32(0);

/// Takes members that dial, and reads what each says and hands over.
pub(super) async fn accept(endpoint: Endpoint, events: Sender<Event>, folder: PathBuf) {
    let mut readers = JoinSet::new();
    let mut next_session = 0;
    while let Some(handshake) = endpoint.accept().await {
        let (events, folder) = (events.clone(), folder.clone());
        let session = Session(next_session);
        next_session += 1;
        readers.spawn(async move {
            // A stranger is refused by its certificate, and the endpoint counts it.
            let Ok(peer) = handshake.finish().await else { return };
            let Some(member) = MemberName::parse(&peer.member) else { return };
            let ear = Ear { events, member, session };
            read(&peer.connection, &folder, &ear).await;
        });
    }
}

/// Where what one connection says goes.
struct Ear {
    events: Sender<Event>,
    member: MemberName,
    session: Session,
}

impl Ear {
    /// Hands something over, as soon as there is room; false if nobody listens any more.
    async fn hear(&self, what: What) -> bool {
        let Self { events, member, session } = self;
        events.send(Event { member: *member, session: *session, what }).await.is_ok()
    }
}

/// Reads one connection to its end.
async fn read(connection: &Connection, folder: &Path, ear: &Ear) {
    let Ok((control, receive)) = connection.accept_bi().await else { return };
    if !ear.hear(What::Joined(control, connection.clone())).await {
        return;
    }
    let talk = async {
        let mut receiver = Receiver::new(receive);
        while let Ok(message) = receiver.next::<ToCoordinator>().await {
            let is_last = matches!(message, ToCoordinator::Failed { .. });
            if !ear.hear(What::Said(message)).await || is_last {
                break;
            }
        }
    };
    let folder = folder.join(ear.member.to_string());
    tokio::select! {
        () = talk => {}
        () = take_files(connection, &folder, ear) => {}
    }
    // It said its last word, or what it says makes no sense: it is to know that nobody listens.
    connection.close(OVER, b"heard");
    ear.hear(What::Lost).await;
}

/// Keeps the files that a member hands over, each on a stream of its own.
async fn take_files(connection: &Connection, folder: &Path, ear: &Ear) {
    let mut index = 0;
    while let Ok(mut stream) = connection.accept_uni().await {
        let path = folder.join(format!("collected.{index}"));
        index += 1;
        let handed = match keep(&mut stream, &path).await {
            Ok(true) => Ok(path),
            // The member was lost in the middle.
            Ok(false) => return,
            Err(source) => Err(Error::File { path, source }),
        };
        if !ear.hear(What::Handed(handed)).await {
            return;
        }
    }
}

/// Writes a stream to a file; whether it came to its end.
async fn keep(stream: &mut RecvStream, path: &Path) -> std::io::Result<bool> {
    let mut file = tokio::fs::File::create(path).await?;
    loop {
        match stream.read_chunk(usize::MAX, true).await {
            Ok(Some(chunk)) => file.write_all(&chunk.bytes).await?,
            Ok(None) => break,
            Err(_) => return Ok(false),
        }
    }
    file.flush().await?;
    Ok(true)
}
