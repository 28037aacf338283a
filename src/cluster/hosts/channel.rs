//! What a launcher and the supervisor of one host tell each other, over the stdin and stdout of one ssh.
//!
//! Everything is frames, after one line that says that the supervisor speaks: a login shell may print what it
//! likes before.

use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::pings::{PingOrder, Pinged};
use super::report::HostReport;
use crate::deployment::MemberName;
use crate::runtime::net::Identity;
use crate::runtime::net::frame::{self, Decoder};
use crate::time::Span;

/// The line after which the supervisor's frames begin.
pub(super) const GREETING: &[u8] = b"flexpaxos supervisor\n";

/// Each side says something this often.
pub(super) const BEAT: Span = Span::from_millis(500);

/// A host that has said nothing for so long is lost.
///
/// The connection of its members to the coordinator finds that too; this also finds it for members that are
/// paused on purpose, or down.
pub(super) const HOST_SILENCE: Span = Span::from_millis(2_000);

/// A supervisor that has heard nothing for so long ends with all that it started.
pub(super) const COORDINATOR_SILENCE: Span = Span::from_millis(4_000);

/// To the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ToHost {
    /// Its number, which the answer names.
    pub number: u64,
    /// What to do.
    pub order: Order,
}

/// What a supervisor does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Starts a member.
    Start(Box<StartMember>),
    /// Kills it.
    Kill(MemberName),
    /// Stops it (SIGSTOP).
    Pause(MemberName),
    /// Lets it go on (SIGCONT).
    Resume(MemberName),
    /// Kills all, and removes what they kept unless that is to stay.
    StopAll,
    /// Opens a socket that answers the pings of this measurement.
    Echo(u64),
    /// Pings others from that socket.
    Ping(PingOrder),
    /// Nothing: the coordinator is there.
    Beat,
}

/// A member to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartMember {
    /// Who it is to be.
    pub member: MemberName,
    /// Where it dials the coordinator.
    pub coordinator: SocketAddr,
    /// Its certificate and key.
    pub identity: Identity,
    /// The folder of its trial, below the scratch folder: one name.
    pub trial: String,
    /// How long it may be paused.
    pub patience: Span,
    /// How long a side may be silent that is not paused.
    pub silence: Span,
}

/// From the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum FromHost {
    /// What the host is.
    Hello(Box<HostReport>),
    /// The order of this number is carried out.
    Done(u64),
    /// A member wrote this to its log.
    Log {
        /// Who.
        member: MemberName,
        /// What.
        text: String,
    },
    /// The socket that answers pings, or why there is none.
    Echoes(Result<SocketAddr, String>),
    /// What was measured since it last said so.
    Pinged(Vec<Pinged>),
    /// All pings of the order are answered or lost.
    PingsDone,
    /// A member ended by itself, or could not be started.
    Ended {
        /// Who.
        member: MemberName,
        /// The number of the order that started it.
        start: u64,
        /// How.
        status: String,
    },
    /// Nothing: the host is there.
    Beat,
}

/// What a supervisor needs to know of its host's place in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address of the coordinator, if it is not the one from which ssh comes.
    pub coordinator: Option<IpAddr>,
    /// The subnet in which members listen, if not on the address that reaches the coordinator.
    pub subnet: Option<super::subnet::Subnet>,
}

/// Why a channel is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The other side is gone.
    #[error("the connection ended")]
    Gone,
    /// What arrived is no message.
    #[error("what arrived is no message of this version")]
    Frame(#[from] frame::Error),
}

/// Sends one message.
pub(super) async fn send<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), Error> {
    let mut buffer = BytesMut::new();
    frame::encode(&mut buffer, message)?;
    to.write_all(&buffer).await.map_err(|_| Error::Gone)?;
    to.flush().await.map_err(|_| Error::Gone)
}

/// The receiving end of a channel.
#[derive(Debug)]
pub(super) struct Receiver<R> {
    from: R,
    decoder: Decoder,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, decoder: Decoder::default() }
    }

    /// Passes over everything up to the greeting.
    pub(super) async fn skip_to_greeting(&mut self) -> Result<(), Error> {
        let mut before = Vec::new();
        loop {
            let chunk = self.chunk().await?;
            before.extend_from_slice(&chunk);
            let found = before.windows(GREETING.len()).position(|bytes| bytes == GREETING);
            if let Some(at) = found {
                let rest = before.split_off(at + GREETING.len());
                if !rest.is_empty() {
                    self.decoder.push(rest.into());
                }
                return Ok(());
            }
            // What a shell prints is no more than this; the greeting may be cut anywhere.
            let excess = before.len().saturating_sub(GREETING.len() - 1);
            before.drain(..excess);
        }
    }

    /// The next message. A call that is dropped before it ends has lost nothing.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            let chunk = self.chunk().await?;
            self.decoder.push(chunk);
        }
    }

    async fn chunk(&mut self) -> Result<Bytes, Error> {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        match self.from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => Err(Error::Gone),
            Ok(_) => Ok(buffer.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn what_a_login_shell_prints_is_passed_over() {
        block_on(async {
            let (mut there, here) = tokio::io::duplex(7);
            let talk = async move {
                there.write_all(b"Welcome to n1!\nflexpaxos super").await.unwrap();
                there.write_all(b"visor\n").await.unwrap();
                send(&mut there, &FromHost::Done(7)).await.unwrap();
                send(&mut there, &FromHost::Beat).await.unwrap();
            };
            let listen = async move {
                let mut receiver = Receiver::new(here);
                receiver.skip_to_greeting().await.unwrap();
                assert!(matches!(receiver.next().await, Ok(FromHost::Done(7))));
                assert!(matches!(receiver.next().await, Ok(FromHost::Beat)));
                assert!(matches!(receiver.next::<FromHost>().await, Err(Error::Gone)));
            };
            tokio::join!(talk, listen);
        });
    }

    #[test]
    fn a_host_that_never_greets_is_gone_when_it_ends() {
        block_on(async {
            let (mut there, here) = tokio::io::duplex(1024);
            there.write_all(b"bash: flexpaxos: not found\n").await.unwrap();
            drop(there);
            let ended = Receiver::new(here).skip_to_greeting().await;
            assert!(matches!(ended, Err(Error::Gone)));
        });
    }
}
