//! The sections of an experiment file, as typed.
//!
//! Every value that can be wrong carries its place in the text, so that whoever finds it wrong can
//! point at it.
//! Enums are externally tagged: the other forms that serde offers lose the place of an error.
//! Nothing is judged here but the spelling: whether a region exists or quorums meet is the plan's business.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::control::Control;
use super::election::Election;
use super::emulation::Emulation;
use super::expect::Expect;
use super::fault::Fault;
use super::forms::{Client, Length, Replicas, Sweep};
use super::host::Host;
use super::log::Log;
use super::quorums::Quorums;
use super::spanned::Spanned;
use super::transport::Transport;
use crate::deployment::Durability;

/// An experiment, as typed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What the experiment is to find out.
    pub question: Spanned<String>,
    /// What is expected, and what would refute it.
    pub prediction: Spanned<String>,
    /// Where all chance comes from.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// How often every variant is repeated; once if absent.
    pub trials: Option<Spanned<u32>>,
    /// Who stands where.
    pub topology: Topology,
    /// What clients ask for, and when.
    pub workload: Workload,
    /// What they ask beside it that takes no quorum.
    pub control: Option<Control>,
    /// What a replica keeps through a crash.
    #[serde(default)]
    pub durability: Durable,
    /// Who campaigns.
    #[serde(default)]
    pub election: Election,
    /// How much of the log is kept.
    #[serde(default)]
    pub log: Log,
    /// How members send to one another.
    #[serde(default)]
    pub transport: Transport,
    /// How the links are measured before a live trial.
    #[serde(default)]
    pub probe: Probe,
    /// How precisely live links delay.
    #[serde(default)]
    pub emulation: Emulation,
    /// How long a simulated replica takes for its work; a calibration may say it where absent.
    pub service: Option<Service>,
    /// The machine that simulated members share.
    pub host: Option<Host>,
    /// The clocks of replicas, where anybody compares them.
    pub clock: Option<Spanned<Clock>>,
    /// What links do besides delaying.
    #[serde(default)]
    pub network: Network,
    /// Lists of values for any of the other keys; every combination of them runs.
    #[serde(default)]
    #[schemars(with = "Sweep")]
    pub sweep: IgnoredAny,
    /// What is compared.
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
    /// What goes wrong, in every variant alike.
    #[serde(rename = "fault", default)]
    pub faults: Vec<Spanned<Fault>>,
    /// Predictions that are judged.
    #[serde(rename = "expect", default)]
    pub expectations: Vec<Expect>,
    /// A smaller size of the same experiment, for tests.
    #[serde(default)]
    pub smoke: Smoke,
}

/// `[topology]`: who stands where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The latency data: the name of a profile, or the path of a CSV file from the experiment's folder.
    pub profile: Spanned<String>,
    /// The region of every replica, in the order of their numbers.
    pub replicas: Spanned<Replicas>,
    /// The region of every load generator, with its weight if the load is not shared equally.
    ///
    /// Where names are free, one with the name of exactly one replica stands beside it.
    pub clients: Spanned<Vec<Spanned<Client>>>,
    /// Whether delays vary.
    #[serde(default = "no_jitter")]
    pub jitter: Spanned<Jitter>,
    /// How long the delay of a link is remembered where delays vary; if absent 1 s, or thirty times the
    /// longest tail if that is more. With `0s` every message draws its own.
    pub correlation: Option<Spanned<Length>>,
}

fn no_jitter() -> Spanned<Jitter> {
    Spanned::new(0..0, Jitter::None)
}

/// Whether the delay of a link varies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Every datagram takes half of the median round trip.
    #[default]
    None,
    /// Round trips have the percentiles of the profile.
    Profile,
}

/// `[workload]`: what clients ask for, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// When operations start.
    pub arrival: Arrival,
    /// The time before the measurement; 2 s if absent.
    pub warmup: Option<Spanned<Length>>,
    /// The time that is measured.
    pub duration: Spanned<Length>,
    /// The time that outstanding operations are given after it; 5 s if absent.
    pub drain: Option<Spanned<Length>>,
    /// The length of an interval of the timeline and of the interval logs; 1 s if absent.
    pub interval: Option<Spanned<Length>>,
    /// A client asks again after so long without an answer; if absent, after the time-out of the
    /// election (1 s without one), and at least four times the longest floor at p99.
    pub retry_after: Option<Spanned<Length>>,
    /// Which keys are touched; 1000 keys alike if absent.
    pub keys: Option<Keys>,
    /// The share of operations that touch the one key that all client regions share, 0 to 1; each other operation
    /// touches a key of its own region. If absent, all regions share all keys.
    pub conflicts: Option<Spanned<f64>>,
    /// The size of a written value; 128 if absent.
    pub value_bytes: Option<Spanned<usize>>,
    /// The share of operations that read, 0 to 1; 0 if absent.
    pub reads: Option<Spanned<f64>>,
}

/// When operations start.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// At random moments, whether or not earlier operations have returned.
    Poisson {
        /// Operations a second of all client regions together.
        rate_per_s: Spanned<f64>,
    },
    /// At even distances, whether or not earlier operations have returned.
    Fixed {
        /// Operations a second of all client regions together.
        rate_per_s: Spanned<f64>,
    },
    /// When the one before has returned; the clients start at random moments of the warm-up.
    Closed {
        /// Operations outstanding at once in all client regions together.
        clients: Spanned<u32>,
    },
}

/// Which keys are touched.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Keys {
    /// All alike.
    Uniform {
        /// How many there are.
        count: Spanned<u64>,
    },
    /// The k-th most popular in proportion to 1 / k^exponent.
    Zipf {
        /// How many there are.
        count: Spanned<u64>,
        /// How uneven, above 0.
        exponent: Spanned<f64>,
    },
}

impl Keys {
    /// Where the number of keys stands.
    pub fn count_at(&self) -> Range<usize> {
        let (Self::Uniform { count } | Self::Zipf { count, .. }) = self;
        count.span()
    }
}

/// `[durability]`: what a replica keeps through a crash.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Durable {
    /// How.
    #[serde(default = "fsync")]
    pub mode: Durability,
    /// A replica that forgot everything may come back: only to see the check find what that costs.
    pub unsafe_restarts: Option<Spanned<bool>>,
}

impl Default for Durable {
    fn default() -> Self {
        Self { mode: fsync(), unsafe_restarts: None }
    }
}

const fn fsync() -> Durability {
    Durability::Fsync
}

/// `[probe]`: how the links are measured before a live trial, and how far off they may be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// A link may be off by this in one direction; 300 us if absent.
    pub tolerance: Option<Spanned<Length>>,
    /// Or by this share of its round trip, where that is more; 0.01 if absent.
    pub tolerance_share: Option<Spanned<f64>>,
    /// How long it is measured; 2 s if absent.
    pub time: Option<Spanned<Length>>,
    /// How often it is measured before the trial is refused, at most; 10 if absent.
    pub attempts: Option<Spanned<u32>>,
}

/// `[service]`: how long a simulated replica takes for its work; nothing where absent.
///
/// Live replicas take the time that they take.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// Processor time for a message that arrives.
    pub receive: Length,
    /// Processor time for a message that leaves, for each receiver.
    pub send: Length,
    /// One sync of the disk.
    pub sync: Length,
    /// Processor time for 2^20 bytes, at each of the two ends of a message, beside that of the message.
    pub mebibyte: Length,
    /// One checkpoint, written beside the log.
    pub checkpoint: Length,
}

/// `[clock]`: how far off the clocks of replicas may be, and how far off they are.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What replicas are told: no clock is off by more.
    pub bound: Length,
    /// What is true: the error of each clock is drawn from this range on either side; none if absent.
    #[serde(default)]
    pub error: Length,
}

/// `[network]`: what links do besides delaying: simulated ones to messages, live ones to datagrams.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Of each directed link; unlimited if absent.
    pub bandwidth_mbit_per_s: Option<Spanned<f64>>,
    /// Of everything that one replica sends; unlimited if absent.
    pub uplink_mbit_per_s: Option<Spanned<f64>>,
    /// How many bytes may wait for a link or an uplink before more are dropped; unlimited if absent.
    pub queue_bytes: Option<Spanned<u64>>,
    /// The share that is lost.
    pub loss: Option<Spanned<f64>>,
    /// How many are lost in a row in the mean; 1, independent losses, if absent.
    pub loss_burst: Option<Spanned<f64>>,
    /// The share that arrives twice.
    pub duplication: Option<Spanned<f64>>,
    /// Each is delayed by up to this much more, and they overtake one another.
    pub reordering: Option<Spanned<Length>>,
}

/// `[[variant]]`: one of the things compared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What it is called in tables and figures.
    pub name: Spanned<String>,
    /// Who may propose.
    pub protocol: Protocol,
    /// Which sets of replicas finish a phase.
    pub quorums: Spanned<Quorums>,
    /// Replicas that vote and keep no state machine.
    pub witnesses: Option<Roles>,
    /// Replicas that keep a state machine and hold no vote: the quorums are of the others.
    pub observers: Option<Roles>,
    /// Whom a proposer contacts.
    #[serde(default)]
    pub send: Send,
    /// Runs although a phase-1 and a phase-2 quorum are disjoint.
    pub unsafe_quorums: Option<Spanned<bool>>,
}

/// Replicas of one role, as regions or numbers.
pub type Roles = Spanned<Vec<Spanned<String>>>;

/// Who may propose.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Protocol {
    /// Whoever a client asks, with both phases for every command.
    Classic {},
    /// A leader, with phase 1 once.
    Multi {
        /// Its region, its number as `r2`, or `best`: where the closed form promises the least mean
        /// latency.
        leader: Spanned<String>,
        /// How reads are answered; through the log if absent.
        reads: Option<Spanned<Reads>>,
        /// Whether the leader tells a client of a write only when its clock has surely passed the entry's commit
        /// timestamp; not if absent.
        commit_wait: Option<Spanned<bool>>,
    },
    /// Each key by itself, without a log; any replica proposes.
    #[serde(rename = "caspaxos")]
    CasPaxos {
        /// The replica that all clients ask, as a region, its number as `r2`, or `best`; then each command takes
        /// one round trip. If absent each client asks the nearest replica, and a command takes two.
        proposer: Option<Spanned<String>>,
    },
}

/// How reads are answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reads {
    /// Through the log, as writes are.
    Log,
    /// By the nearest replica with a state machine, which asks a phase-1 quorum.
    Quorum,
    /// By the leader alone, which holds a lease.
    LeaderLease {
        /// How long an entry is a lease, from the moment at which it was proposed.
        length: Spanned<Length>,
    },
    /// By each of these replicas alone, without whose votes no write of their keys is answered.
    Responders {
        /// Their regions, or their numbers as `r2`, if they answer for all keys; each votes and keeps a state machine.
        at: Option<Roles>,
        /// Instead of `at`: responders of their own for ranges of keys.
        ranges: Option<KeyRanges>,
        /// How long a grant of an acceptor to a responder lasts, from the moment at which it was made.
        length: Spanned<Length>,
    },
    /// By the nearest replica with a state machine alone, from its state at a time in the past.
    Snapshot {
        /// A read is of the state so long before it arrives; `0s` is now.
        staleness: Spanned<Length>,
        /// A leader that has proposed nothing for so long proposes a no-op, so that replicas know that nothing is
        /// missing; 50 ms if absent.
        advance: Option<Spanned<Length>>,
        /// Whether a client says how much it has seen, so that no read misses any of that; not if absent.
        session: Option<Spanned<bool>>,
    },
}

/// Ranges of keys, each with responders of its own.
pub type KeyRanges = Spanned<Vec<Spanned<KeyRange>>>;

/// Keys with responders of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRange {
    /// The first and the last of them.
    #[schemars(extend("minItems" = 2, "maxItems" = 2))]
    pub keys: Spanned<Vec<u64>>,
    /// Who answers for them, as in `responders.at`.
    pub at: Roles,
}

/// Whom a proposer contacts in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Send {
    /// Every replica.
    #[default]
    All,
    /// The nearest quorum; after a time-out, more.
    Quorum,
}

/// `[smoke]`: what a test changes to run the file in little time.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// Instead of `trials`.
    pub trials: Option<Spanned<u32>>,
    /// Instead of `workload.warmup`.
    pub warmup: Option<Spanned<Length>>,
    /// Instead of `workload.duration`.
    pub duration: Option<Spanned<Length>>,
    /// Instead of `workload.drain`.
    pub drain: Option<Spanned<Length>>,
    /// Instead of `[sweep]`.
    #[serde(default)]
    #[schemars(with = "Sweep")]
    pub sweep: IgnoredAny,
}

/// The seed of a file that names none.
const fn default_seed() -> u64 {
    1
}
