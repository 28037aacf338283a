//! The protocols that the harness can run, one line each: the only place that names them all.
//!
//! What a protocol is to the rest of the harness it says as [`Registration`]: how a replica is made, which
//! modes it has, what breaks its rules ([`Breakable`]), and small deployments of it that are worth
//! exploring ([`Preset`]).
//! Whoever runs replicas is written against that trait, and learns which one it is from a [`Visitor`].

mod caspaxos;
mod paxos;
mod preset;

use std::borrow::Cow;
use std::fmt::{self, Debug};

use serde::{Deserialize, Serialize};

use crate::protocol::{Assignment, Config, Order, Protocol, SnapshotTerms};
use crate::quorum::{Family, NodeId, NodeSet, QuorumSystem};
use crate::sabotage::{Breakable, Rule};
use crate::time::Span;

pub use preset::{Budgets, Cover, KEY, Prelude, Preset, ProgressFrom, Script, Setup};

/// A protocol that the harness can run, break and explore.
pub trait Registration: Breakable {
    /// How it may run.
    type Mode: Copy + Debug + Send + Sync + 'static;

    /// A replica that has never run.
    fn new(mode: Self::Mode, config: Config) -> Self;

    /// The mode in which all clients ask this replica first, or else each the one nearest to it.
    fn mode(asked: Option<NodeId>) -> Self::Mode;

    /// Whether its replicas can be witnesses or observers.
    const HAS_ROLES: bool;

    /// Small deployments whose every interleaving is worth seeing.
    fn presets() -> Vec<Preset>;

    /// Larger ones, for a search of minutes that does not come to their end.
    fn deep_presets() -> Vec<Preset>;

    /// The names of the presets that are negative controls of a rule.
    fn controls(rule: Rule) -> &'static [&'static str];
}

/// Something to do with replicas, whichever protocol it is.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it with replicas of `P` in this mode.
    fn visit<P: Registration>(self, mode: P::Mode) -> Self::Output;
}

macro_rules! protocols {
    ($($(#[$doc:meta])* $name:ident($mode:ty, $replica:ty),)*) => {
        /// Which protocol runs, and how.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Mode {
            $($(#[$doc])* $name($mode),)*
        }

        $(impl From<$mode> for Mode {
            fn from(mode: $mode) -> Self {
                Self::$name(mode)
            }
        })*

        impl Mode {
            /// Every mode: with this replica for all clients to ask first, and without one.
            pub fn all(asked: NodeId) -> Vec<Self> {
                let modes = [None, Some(asked)].into_iter();
                modes
                    .flat_map(|asked| {
                        [$(Self::$name(<$replica as Registration>::mode(asked)),)*]
                    })
                    .collect()
            }

            /// The names of all modes.
            pub fn names() -> Vec<&'static str> {
                let mut names: Vec<_> = Self::all(NodeId(0)).into_iter().map(Self::name).collect();
                names.sort_unstable();
                names.dedup();
                names
            }

            /// The name in experiment files and tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name(mode) => mode.name(),)*
                }
            }

            /// The replica that campaigns when it starts; `None` where no replica leads.
            pub const fn leader(self) -> Option<NodeId> {
                match self {
                    $(Self::$name(mode) => mode.leader(),)*
                }
            }

            /// The replica that every client asks first; `None` where each asks the nearest one.
            pub const fn asked(self) -> Option<NodeId> {
                match self {
                    $(Self::$name(mode) => mode.asked(),)*
                }
            }

            /// The quorums that answer each write, phase by phase.
            pub fn phases(self, quorums: &QuorumSystem) -> Vec<Cow<'_, Family>> {
                match self {
                    $(Self::$name(mode) => mode.phases(quorums),)*
                }
            }

            /// The same with leases of these terms, where anybody holds one: how long it lasts, and by how much
            /// clocks are off at most.
            #[must_use]
            pub const fn with_lease(self, length: Span, bound: Span) -> Self {
                match self {
                    $(Self::$name(mode) => Self::$name(mode.with_lease(length, bound)),)*
                }
            }

            /// The same with these responders, where there are any.
            #[must_use]
            pub const fn with_responders(self, at: Assignment) -> Self {
                match self {
                    $(Self::$name(mode) => Self::$name(mode.with_responders(at)),)*
                }
            }

            /// Which replicas answer reads of which key alone, where several do.
            pub const fn assignment(self) -> Option<Assignment> {
                match self {
                    $(Self::$name(mode) => mode.assignment(),)*
                }
            }

            /// The keys from which on commands may take another way, in order; the first is 0.
            pub fn sections(self) -> Vec<u64> {
                match self {
                    $(Self::$name(mode) => mode.sections(),)*
                }
            }

            /// What commands of this key meet, as if all keys were like it.
            #[must_use]
            pub fn at_key(self, key: u64) -> Self {
                match self {
                    $(Self::$name(mode) => Self::$name(mode.at_key(key)),)*
                }
            }

            /// The replicas that answer reads of any key alone, where several do.
            pub const fn responders(self) -> Option<NodeSet> {
                match self {
                    $(Self::$name(mode) => mode.responders(),)*
                }
            }

            /// The same with snapshot reads, and with a commit wait or without; `None` where there are none.
            pub fn with_snapshots(self, terms: SnapshotTerms, waits: bool) -> Option<Self> {
                match self {
                    $(Self::$name(mode) => mode.with_snapshots(terms, waits).map(Self::from),)*
                }
            }

            /// The terms of snapshot reads, where there are any.
            pub const fn snapshot(self) -> Option<SnapshotTerms> {
                match self {
                    $(Self::$name(mode) => mode.snapshot(),)*
                }
            }

            /// A leader tells a client of a write when its clock surely passed the stamp of the entry: no clock is
            /// off by more than this.
            pub const fn commit_wait(self) -> Option<Span> {
                match self {
                    $(Self::$name(mode) => mode.commit_wait(),)*
                }
            }

            /// The same with reads through the log.
            #[must_use]
            pub const fn reading_through_log(self) -> Self {
                match self {
                    $(Self::$name(mode) => Self::$name(mode.reading_through_log()),)*
                }
            }

            /// Whether entries carry commit timestamps.
            pub const fn has_stamps(self) -> bool {
                self.snapshot().is_some() || self.commit_wait().is_some()
            }

            /// How long a client may wait for a clock beside all else: from its own bound to another's, twice over.
            pub fn waits_most(self) -> Span {
                let stale = self.snapshot().map(|terms| terms.advance.unwrap_or_default());
                let bound = self.clock_bound().filter(|_| self.has_stamps());
                stale.unwrap_or_default() + bound.unwrap_or_default().times(4)
            }

            /// Whether leaders hold leases.
            pub const fn holds_lease(self) -> bool {
                match self {
                    $(Self::$name(mode) => mode.holds_lease(),)*
                }
            }

            /// Whether no read misses what its own client was told before.
            pub fn has_sessions(self) -> bool {
                match self {
                    $(Self::$name(mode) => mode.has_sessions(),)*
                }
            }

            /// A read may miss a write that was acknowledged less than this before the read began.
            pub fn may_miss(self) -> Span {
                match self {
                    $(Self::$name(mode) => mode.may_miss(),)*
                }
            }

            /// The same with another leader, where one leads.
            #[must_use]
            pub const fn led_by(self, leader: NodeId) -> Self {
                match self {
                    $(Self::$name(mode) => Self::$name(mode.led_by(leader)),)*
                }
            }

            /// What a read needs to be answered, in words.
            pub fn reads_need(self) -> String {
                match self {
                    $(Self::$name(mode) => mode.reads_need(),)*
                }
            }

            /// Whether a read asks a quorum by itself.
            pub const fn asks_quorum(self) -> bool {
                match self {
                    $(Self::$name(mode) => mode.asks_quorum(),)*
                }
            }

            /// What replicas are told of their clocks, where they look at them: none is off by more.
            pub const fn clock_bound(self) -> Option<Span> {
                match self {
                    $(Self::$name(mode) => mode.clock_bound(),)*
                }
            }

            /// Whether a read is answered without a slot of its own.
            pub const fn reads_beside(self) -> bool {
                match self {
                    $(Self::$name(mode) => mode.reads_beside(),)*
                }
            }

            /// Whether a client asks the nearest of several replicas for its reads, whomever it asks for its writes.
            pub const fn reads_nearby(self) -> bool {
                match self {
                    $(Self::$name(mode) => mode.reads_nearby(),)*
                }
            }

            /// The replicas of which a client asks the nearest for its reads, if it does that.
            pub fn readers(self, quorums: &QuorumSystem) -> NodeSet {
                match self {
                    $(Self::$name(mode) => mode.readers(quorums),)*
                }
            }

            /// The same with every way of answering reads.
            pub fn with_all_reads(self) -> Vec<Self> {
                match self {
                    $(Self::$name(mode) => {
                        mode.with_all_reads().into_iter().map(Self::from).collect()
                    })*
                }
            }

            /// The quorums that answer each read, phase by phase.
            pub fn read_phases(self, quorums: &QuorumSystem) -> Vec<Cow<'_, Family>> {
                match self {
                    $(Self::$name(mode) => mode.read_phases(quorums),)*
                }
            }

            /// Whether it is of a protocol that is not the first one registered.
            pub fn is_later(self) -> bool {
                let modules = [$(stringify!($name),)*];
                let own = match self {
                    $(Self::$name(_) => stringify!($name),)*
                };
                modules.first() != Some(&own)
            }

            /// Which order its replicas must agree on.
            pub const fn order(self) -> Order {
                match self {
                    $(Self::$name(_) => <$replica as Protocol>::ORDER,)*
                }
            }

            /// Whether its replicas can be witnesses or observers.
            pub const fn has_roles(self) -> bool {
                match self {
                    $(Self::$name(_) => <$replica as Registration>::HAS_ROLES,)*
                }
            }

            /// Whether its replicas can break a rule, if they answer reads in the way that it is about.
            pub fn can_break(self, rule: Rule) -> bool {
                let own = match self {
                    $(Self::$name(_) => <$replica as Breakable>::RULES,)*
                };
                let is_of_reads = rule.is_of_reads();
                let has_choice = !is_of_reads || self.with_all_reads().len() > 1;
                Rule::COMMON.contains(&rule) || own.contains(&rule) && has_choice
            }

            /// The names of the presets that are negative controls of a rule.
            pub fn controls(self, rule: Rule) -> &'static [&'static str] {
                match self {
                    $(Self::$name(_) => <$replica as Registration>::controls(rule),)*
                }
            }

            /// Does something with replicas of this protocol.
            pub fn visit<V: Visitor>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$name(mode) => visitor.visit::<$replica>(mode),)*
                }
            }
        }

        impl fmt::Display for Mode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(mode) => fmt::Display::fmt(mode, f),)*
                }
            }
        }

        fn presets() -> Vec<Preset> {
            let all = [$(<$replica as Registration>::presets(),)*];
            all.into_iter().flatten().collect()
        }

        fn deep_presets() -> Vec<Preset> {
            let all = [$(<$replica as Registration>::deep_presets(),)*];
            all.into_iter().flatten().collect()
        }
    };
}

protocols! {
    /// Classic Paxos, Multi-Paxos and Flexible Paxos: one log.
    Paxos(crate::paxos::Mode, crate::paxos::Replica),
    /// CASPaxos: a register for each key, and no log.
    CasPaxos(crate::caspaxos::Mode, crate::caspaxos::Replica),
}
