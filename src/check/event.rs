//! What comes of an action, for who reads along.

use std::fmt;

use super::state::Action;
use crate::monitor::Invariant;
use crate::protocol::{Executed, Installed, Note, Protocol, Reply};
use crate::quorum::{NodeId, NodeSet};

/// Something that came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event<P: Protocol> {
    /// A message left.
    Sent {
        /// The sender.
        from: NodeId,
        /// The receivers, without the sender.
        to: NodeSet,
        /// What was sent.
        message: P::Message,
    },
    /// A record is on stable storage.
    Durable {
        /// Whose.
        replica: NodeId,
        /// Which.
        record: P::Record,
    },
    /// A slot was executed.
    Executed {
        /// By whom.
        replica: NodeId,
        /// What.
        entry: Executed,
    },
    /// The state of another replica was installed.
    Installed {
        /// By whom.
        replica: NodeId,
        /// Which.
        state: Installed,
    },
    /// A client was answered.
    Replied {
        /// By whom.
        replica: NodeId,
        /// What; it names the client.
        reply: Reply,
    },
    /// A replica had something to say about its work.
    Noted {
        /// Which.
        replica: NodeId,
        /// What.
        note: Note,
    },
    /// Something turned out false.
    Violated {
        /// What should hold.
        invariant: Invariant,
        /// How it does not.
        how: String,
    },
}

/// An action and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happening<P: Protocol> {
    /// What was done.
    pub(super) action: Action<P>,
    /// What came of it, in order.
    pub(super) events: Vec<Event<P>>,
}

/// The action on a line of its own, and below it, indented, what came of it.
impl<P: Protocol> fmt::Display for Happening<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        let is_told = |event: &&Event<P>| {
            !matches!(
                event,
                Event::Noted {
                    note: Note::Committed { .. } | Note::Waited { .. } | Note::Retransmitted,
                    ..
                }
            )
        };
        self.events.iter().filter(is_told).try_for_each(|event| write!(f, "\n        {event}"))
    }
}

impl<P: Protocol> fmt::Display for Action<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver(packet) => write!(f, "{packet}"),
            Self::Drop(packet) => write!(f, "{packet} (lost)"),
            Self::Duplicate(packet) => write!(f, "{packet} (and again later)"),
            Self::Persist(id) => write!(f, "{id} syncs its disk"),
            Self::Checkpoint(id) => write!(f, "{id} makes a checkpoint"),
            Self::FinishCheckpoint(id) => write!(f, "{id} has written its checkpoint"),
            Self::CrashLosing(id) => write!(f, "{id} crashes, and loses what it had not synced"),
            Self::CrashKeeping(id) => {
                write!(f, "{id} crashes just after its sync, before it sends")
            }
            Self::Restart(id) => write!(f, "{id} restarts"),
            Self::Timer(id, timer) => write!(f, "{id} timer {} runs out", timer.0),
            Self::Silence(id) => write!(f, "{id} hears nothing for a time-out"),
            Self::Campaign(id) => write!(f, "{id} is told to lead"),
            Self::Ask(id, command) => {
                write!(f, "c{} => {id}  {command}", command.request.client.0)
            }
        }
    }
}

/// `r2 -> r0  phase1a (2.r2) from slot 0`.
impl<P: Protocol> fmt::Display for super::state::Packet<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}  {}", self.from, self.to, self.message)
    }
}

impl<P: Protocol> fmt::Display for Event<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { from, to, message } => {
                write!(f, "{from} sends")?;
                to.iter().try_for_each(|to| write!(f, " {to}"))?;
                write!(f, "  {message}")
            }
            Self::Durable { replica, record } => write!(f, "{replica} keeps {record}"),
            Self::Executed { replica, entry } => {
                let command = entry.command.as_ref().map(ToString::to_string);
                let command = command.as_deref().unwrap_or("no-op");
                let again = if entry.command.is_some() && !entry.applied { " (again)" } else { "" };
                let position = P::ORDER.position(entry.slot, entry.command.as_deref());
                write!(f, "{replica} executes {position}: {command}{again}")
            }
            Self::Installed { replica, state } => {
                write!(f, "{replica} installs a state executed below {}", state.below.0)
            }
            Self::Replied { replica, reply } => {
                write!(f, "{replica} => c{}  {reply}", reply.request().client.0)
            }
            Self::Noted { replica, note } => match note {
                Note::Leading { adopted_count, filled_count, .. } => write!(
                    f,
                    "{replica} leads: {adopted_count} adopted, {filled_count} filled with no-ops"
                ),
                Note::Suspected { .. } => write!(f, "{replica} hears of no leader"),
                Note::Campaigning => write!(f, "{replica} campaigns"),
                Note::Following { leader } => write!(f, "{replica} follows {leader}"),
                Note::Recovered { .. } => write!(f, "{replica} has executed what it adopted"),
                Note::Resigned => write!(f, "{replica} resigns"),
                Note::SnapshotSent => write!(f, "{replica} sends its state"),
                Note::SnapshotInstalled { slots, .. } => {
                    write!(f, "{replica} passes over {slots} slots")
                }
                Note::RaceLost => write!(f, "{replica} loses a race"),
                Note::Retransmitted => write!(f, "{replica} has waited long enough"),
                Note::Committed { .. } => write!(f, "{replica} committed a command of its own"),
                Note::Waited { .. } => write!(f, "{replica} has waited for its clock"),
            },
            Self::Violated { invariant, how } => write!(f, "VIOLATED {invariant}: {how}"),
        }
    }
}
