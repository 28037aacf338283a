//! Small deployments whose every interleaving is worth seeing, as data: what explores them is above.

use super::Mode;
use crate::protocol::{Detector, Election, Order, Retention, SendPolicy};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::sabotage::Rule;
use crate::time::Span;

/// A small deployment with a name.
#[derive(Clone, Debug)]
pub struct Preset {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is about, in a line.
    pub about: &'static str,
    /// Its replicas and clients, and what may go wrong.
    pub setup: Setup,
}

/// A deployment, its clients, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which sets of replicas finish a phase.
    pub quorums: QuorumSystem,
    /// Which protocol runs, and how.
    pub mode: Mode,
    /// Who campaigns.
    pub election: Election,
    /// Whom a proposer contacts first.
    pub send: SendPolicy,
    /// What clients ask.
    pub clients: Vec<Script>,
    /// Whether all of them write the same key, else each its own.
    pub is_one_key: bool,
    /// How often something may go wrong.
    pub budgets: Budgets,
    /// Who may crash.
    pub crashable: NodeSet,
    /// Whether who crashed is started again.
    pub is_restarted: bool,
    /// Who may be told to lead.
    pub campaigners: NodeSet,
    /// What is kept of executed slots, and how much is sent at once.
    pub retention: Retention,
    /// What has happened already when the exploration begins.
    pub prelude: Prelude,
    /// The states from which progress is asked for.
    pub progress: ProgressFrom,
    /// Where the exploration is cut off, if it does not go to the end.
    pub depth: Option<usize>,
    /// What must be seen, or the check was idle.
    pub covers: &'static [Cover],
}

/// What one client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// Whom it asks first.
    pub home: NodeId,
    /// Whom it may ask again.
    pub retries_at: NodeSet,
    /// How many operations, one after the other.
    pub operation_count: u64,
    /// They read the key; else they write it.
    pub is_reader: bool,
}

/// What has happened already when the exploration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prelude {
    /// Every replica is started; what those gave their disks that may crash is not durable yet.
    Starting,
    /// Every replica is started, and its first records are durable.
    Started,
    /// Phase 1 of the leader is over, too; what it sent since is in flight.
    Elected,
    /// All that it sent has arrived, too.
    Led,
    /// It leads with its second ballot: the others have promised it, and its own promise waits for its disk.
    Renewed,
    /// The leader has crashed, was started again and leads: of those that it asked what it missed, the second
    /// replica has not heard of it yet. One of the crashes is used up.
    Rejoined,
    /// Every replica has executed the first write of the first client, too.
    Written,
    /// The same, but the last replica has heard nothing of that write.
    Missed,
    /// The same, and the second replica leads; what it sent since is in flight, or waits for its disk.
    Succeeded,
    /// Every replica has executed the first write, the leader has a checkpoint of that, and leads with its second
    /// ballot as in [`Self::Renewed`].
    Checkpointed,
}

/// The states from which progress is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressFrom {
    /// All of them.
    EveryState,
    /// Those with nothing in flight.
    QuietStates,
}

/// Something that a check which is not idle comes across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cover {
    /// A value is chosen.
    Chosen,
    /// A request is answered.
    Answered,
    /// A replica leads that was not the first to lead.
    LeaderChanged,
    /// A proposer adopts a value that its phase 1 reported.
    Adopted,
    /// A hole is filled with a no-op.
    HoleFilled,
    /// A ballot is refused.
    Refused,
    /// A proposer gives up.
    RaceLost,
    /// A message is sent again after a time-out.
    Retransmitted,
    /// A crash loses a record that was on its way to the disk.
    RecordLost,
    /// A crashed replica runs again.
    Recovered,
    /// A chosen value is taught to a replica that is behind.
    Taught,
    /// A request that was chosen twice executes once.
    Repeated,
    /// A replica that is behind takes the state of another one.
    Installed,
    /// A promise reports some of its votes only.
    ReportedInPart,
}

impl Cover {
    /// Every cover.
    pub const ALL: [Self; 14] = [
        Self::Chosen,
        Self::Answered,
        Self::LeaderChanged,
        Self::Adopted,
        Self::HoleFilled,
        Self::Refused,
        Self::RaceLost,
        Self::Retransmitted,
        Self::RecordLost,
        Self::Recovered,
        Self::Taught,
        Self::Repeated,
        Self::Installed,
        Self::ReportedInPart,
    ];

    /// The event in words; stateright uses it as the name.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Chosen => "a value is chosen",
            Self::Answered => "a request is answered",
            Self::LeaderChanged => "another replica leads",
            Self::Adopted => "a reported value is adopted",
            Self::HoleFilled => "a hole is filled with a no-op",
            Self::Refused => "a ballot is refused",
            Self::RaceLost => "a proposer loses a race",
            Self::Retransmitted => "a message is sent again",
            Self::RecordLost => "a crash loses a record",
            Self::Recovered => "a crashed replica runs again",
            Self::Taught => "a chosen value is taught",
            Self::Repeated => "a command chosen twice executes once",
            Self::Installed => "a state is installed",
            Self::ReportedInPart => "a promise comes in part",
        }
    }
}

/// How often something may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Budgets {
    /// Messages lost.
    pub drops: u8,
    /// Messages that arrive and stay in flight.
    pub duplicates: u8,
    /// Crashes.
    pub crashes: u8,
    /// Timers that run out.
    pub timers: u8,
    /// Replicas told to lead.
    pub campaigns: u8,
    /// Requests asked again, or elsewhere.
    pub retries: u8,
    /// Checkpoints made durable.
    pub checkpoints: u8,
    /// Time-outs in which a replica hears nothing; with none, nobody ever hears of a leader long enough.
    pub silences: u8,
}

/// The key that all clients touch, where they touch one; else the first of their keys.
pub const KEY: u64 = b'x' as u64;

impl Preset {
    /// Every preset of every protocol.
    pub fn all() -> Vec<Self> {
        super::presets()
    }

    /// The larger ones: a search of them takes minutes, and does not come to their end.
    pub fn deep() -> Vec<Self> {
        super::deep_presets()
    }

    /// The preset of this name, or the larger one.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().chain(Self::deep()).find(|preset| preset.name == name)
    }

    /// Whether this preset is a control of the rule: broken, it is found out.
    ///
    /// A preset finds a broken rule if something can happen in it at which the rule matters: a replica that
    /// forgets its promises is honest as long as nobody restarts. The pairs are those that
    /// `tests/it/check.rs` tries; others may find a rule, too.
    pub fn finds(&self, rule: Rule) -> bool {
        self.setup.mode.controls(rule).contains(&self.name)
    }
}

impl Setup {
    /// The deployment of a variant: its leader, or its first replica, is asked for a write, and so is a rival,
    /// which is the last replica that may lead; where there is a leader, the rival may be told to lead instead.
    /// Where reads do not go through the log, the rival is asked for one instead of a write.
    ///
    /// Links, times, load and faults of its experiment have no part in it: every order of events is tried, and
    /// `budgets` says how often something goes wrong. Witnesses do not crash.
    pub fn of_variant(
        (mode, quorums): (Mode, QuorumSystem),
        election: Election,
        send: SendPolicy,
        budgets: Budgets,
        is_restarted: bool,
    ) -> Self {
        let first = mode.asked().unwrap_or(NodeId(0));
        let candidates = quorums.candidates();
        let rival = candidates.iter().filter(|id| *id != first).last().unwrap_or(first);
        let once = |home| Script {
            home,
            retries_at: NodeSet::EMPTY,
            operation_count: 1,
            is_reader: false,
        };
        let is_led = mode.leader().is_some();
        let is_reader = mode.asks_quorum();
        let responders = mode.responders().unwrap_or_default().without(first);
        let other = responders.iter().last().unwrap_or(rival);
        // Time stands still: a time-out has no length, and which one runs out is a choice.
        let at_once = Detector { heartbeat: Span::ZERO, misses: 1, spread: Span::ZERO };
        Self {
            crashable: quorums.learners(),
            quorums,
            mode,
            election: match election {
                // A lease never ends here, and who is elected waits for those of the leader before it.
                _ if mode.responders().is_some() => Election::Fixed,
                Election::Fixed => Election::Fixed,
                Election::Timeout(_) => Election::Timeout(at_once),
            },
            send,
            clients: vec![once(first), Script { is_reader, ..once(other) }],
            is_one_key: mode.order() == Order::PerKey || is_reader,
            budgets,
            is_restarted,
            campaigners: if is_led { NodeSet::only(rival) } else { NodeSet::EMPTY },
            retention: Retention::ALL,
            prelude: if is_led { Prelude::Led } else { Prelude::Started },
            progress: ProgressFrom::QuietStates,
            depth: None,
            covers: if is_led && budgets.campaigns > 0 {
                &[Cover::Chosen, Cover::Answered, Cover::LeaderChanged]
            } else {
                &[Cover::Chosen, Cover::Answered]
            },
        }
    }

    /// The deployment, in words.
    pub fn describe(&self) -> String {
        let Self { quorums, mode, send, clients, budgets, .. } = self;
        let send = match send {
            SendPolicy::All => "",
            SendPolicy::Quorum => ", thrifty",
        };
        let count = |is_reader| -> u64 {
            let of_kind = clients.iter().filter(|client| client.is_reader == is_reader);
            of_kind.map(|client| client.operation_count).sum()
        };
        let budgets = [
            (budgets.drops, ["lost message", "lost messages"]),
            (budgets.duplicates, ["message twice", "messages twice"]),
            (budgets.crashes, ["crash", "crashes"]),
            (budgets.timers, ["timer", "timers"]),
            (budgets.campaigns, ["campaign", "campaigns"]),
            (budgets.retries, ["retry", "retries"]),
            (budgets.checkpoints, ["checkpoint", "checkpoints"]),
            (budgets.silences, ["silence", "silences"]),
        ];
        let budgets: Vec<String> = budgets
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| counted(*count, *what))
            .collect();
        let n = quorums.n();
        let asked = [(count(false), "write"), (count(true), "read")].into_iter();
        let asked = asked.filter(|(count, _)| *count > 0).map(|(count, what)| match count {
            1 => format!("a {what}"),
            _ => format!("{count} {what}s"),
        });
        let asked = asked.collect::<Vec<_>>().join(", ");
        let budgets = if budgets.is_empty() {
            "nothing goes wrong but the order".to_owned()
        } else {
            format!("at most {}", budgets.join(", "))
        };
        let depth = self.depth.map(|depth| format!("; to depth {depth}")).unwrap_or_default();
        format!("{mode}{send}, {n} replicas, {asked}; {budgets}{depth}")
    }
}

fn counted(count: u8, [one, many]: [&str; 2]) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
