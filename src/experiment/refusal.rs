//! What is wrong with the meaning of an experiment file, where, and what to change.

pub mod sweep;

use std::ops::Range;

use miette::Diagnostic;

use crate::causes::chain;
use crate::quorum;
use crate::runtime::net::transport;
use crate::time::Span;
use crate::topology;
use crate::workload;

/// An error and its place in the text of the file.
#[derive(Debug)]
pub struct Refused {
    /// The place, in bytes.
    pub at: Range<usize>,
    /// What is wrong there.
    pub error: Error,
}

impl Refused {
    /// An error at a place.
    pub fn new(at: Range<usize>, error: Error) -> Self {
        Self { at, error }
    }
}

/// What is wrong with the meaning of a file.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A prediction that nobody could judge.
    #[error("{message}")]
    Expectation {
        /// What is wrong.
        message: String,
        /// What to change.
        #[help]
        remedy: String,
    },
    /// A text that must say something says nothing.
    #[error("`{key}` is empty")]
    #[diagnostic(help("{}", empty_help(.key)))]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// Nothing would run.
    #[error("`{key}` is zero")]
    #[diagnostic(help("nothing would run: give at least one, or a positive time"))]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A tolerance that no link keeps.
    #[error("`probe.tolerance` is zero")]
    #[diagnostic(help("no link is exact to the nanosecond: say what it may be off by"))]
    NoTolerance,
    /// A time-out within which no follower can be heard.
    #[error(
        "a leader is suspected after {:.1} ms, but to hear from every replica takes it {:.1} ms",
        timeout.as_millis_f64(),
        least.as_millis_f64()
    )]
    #[diagnostic(help("raise `election.misses` or `election.heartbeat`"))]
    Impatient {
        /// The time-out.
        timeout: Span,
        /// The longest round trip, a heartbeat, and a value on its way to all others.
        least: Span,
    },
    /// Phase-2 quorums that would be announced once, with nobody to announce another.
    #[error("a phase-2 quorum per ballot needs Multi-Paxos with elections")]
    #[diagnostic(help(
        "it is a leader that announces one: give the variant the protocol `multi`, and set \
         `election.mode = \"timeout\"`, so that a new ballot announces another when a member is lost"
    ))]
    NeverAnnouncedAgain,
    /// A way of reading, where nobody reads.
    #[error("the variant says how reads are answered, and no operation reads")]
    #[diagnostic(help(
        "set `workload.reads` to the share of operations that read, above 0, or leave `reads` out of the protocol"
    ))]
    NobodyReads,
    /// A lease, a commit wait or a snapshot read by clocks of which nothing is said.
    #[error("this rests on a bound of the error of clocks, and there is none")]
    #[diagnostic(help(
        "add `[clock]` with `bound`, such as `bound = \"1ms\"`: no clock is off by more than this"
    ))]
    NoClockBound,
    /// Clocks that nobody looks at.
    #[error(
        "no variant has leases, responders, a commit wait or snapshot reads, so nobody looks at a clock"
    )]
    #[diagnostic(help(
        "leave `[clock]` out, or give a variant `commit_wait = true` or `reads = {{ leader-lease = {{ length = \"1s\" }} }}`"
    ))]
    NobodyLooksAtClocks,
    /// Two uses of the stamps of entries.
    #[error("replicas that hold leases wait for no commit timestamp")]
    #[diagnostic(help(
        "leave `commit_wait` out, or read in another way: what they answer alone is linearizable without it"
    ))]
    LeaseAndCommitWait,
    /// More of the past than a replica should keep.
    #[error("a staleness of {:.0} s is more than {:.0} s", staleness.as_millis_f64() / 1e3, most.as_millis_f64() / 1e3)]
    #[diagnostic(help("lower `staleness`: replicas keep all that is overwritten for so long"))]
    LongStaleness {
        /// How stale.
        staleness: Span,
        /// The most.
        most: Span,
    },
    /// A load of no-ops, or reads that wait for none.
    #[error("a no-op each {:.3} ms is not between one each millisecond and two a second", advance.as_millis_f64())]
    #[diagnostic(help(
        "choose `advance` between 1ms and 500ms: a no-op costs what a write costs, and reads of now wait for one"
    ))]
    Advance {
        /// How often.
        advance: Span,
    },
    /// Clocks that are worse than replicas are told.
    #[error("clocks are off by up to {:.3} ms, and replicas are told {:.3} ms", error.as_millis_f64(), bound.as_millis_f64())]
    #[diagnostic(help(
        "raise `bound` or lower `error`: with clocks like these nothing that rests on them holds"
    ))]
    ClockBound {
        /// How far off they are.
        error: Span,
        /// What replicas are told.
        bound: Span,
    },
    /// A lease that is over before it is won.
    #[error(
        "a lease of {:.1} ms is over before it is renewed: a phase 2 takes {:.1} ms, and two clocks may be {:.1} ms apart",
        length.as_millis_f64(), phase2.as_millis_f64(), apart.as_millis_f64()
    )]
    #[diagnostic(help("make it longer than {:.1} ms, twice the sum of both", least.as_millis_f64()))]
    ShortLease {
        /// How long it is.
        length: Span,
        /// From the leader of the variant.
        phase2: Span,
        /// Twice the bound of clocks.
        apart: Span,
        /// What it must be longer than.
        least: Span,
    },
    /// A grant that is over before the next one comes.
    #[error(
        "a grant of {:.1} ms is over before the next one comes: the longest round trip between replicas takes {:.1} ms, and a clock may be {:.1} ms off",
        length.as_millis_f64(), round_trip.as_millis_f64(), bound.as_millis_f64()
    )]
    #[diagnostic(help("make it longer than {:.1} ms, twice the sum of both", least.as_millis_f64()))]
    ShortGrant {
        /// How long it is.
        length: Span,
        /// The longest between two replicas.
        round_trip: Span,
        /// That of clocks.
        bound: Span,
        /// What it must be longer than.
        least: Span,
    },
    /// A responder that cannot respond.
    #[error("{name} is {role}, and a responder votes and keeps a state machine")]
    #[diagnostic(help("leave it out of `at`, or make it a full replica"))]
    UnfitResponder {
        /// What it is called.
        name: String,
        /// What it is.
        role: &'static str,
    },
    /// Responders of all keys and of some, or of none.
    #[error("the responders are those of all keys, `at`, or those of each range of keys, `ranges`")]
    #[diagnostic(help("give exactly one of `at` and `ranges`"))]
    RespondersOnce,
    /// More ranges of keys than a replica keeps.
    #[error("{count} ranges of keys have responders of their own")]
    #[diagnostic(help("give at most {most}: keys in no range have no responder"))]
    ManyRanges {
        /// How many.
        count: usize,
        /// The most.
        most: usize,
    },
    /// A range that is no pair.
    #[error("a range of keys is its first and its last key")]
    #[diagnostic(help("give two numbers, as `keys = [0, 499]`"))]
    NoKeyPair,
    /// A range that ends before it begins.
    #[error("no key is from {first} to {last}")]
    #[diagnostic(help("give the first and the last key of the range, as `keys = [0, 499]`"))]
    NoKeyInRange {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A key beyond those of the workload.
    #[error("there is no key {key}")]
    #[diagnostic(help("{}", keys_help(*count, *sharing)))]
    NoSuchKey {
        /// The last key of the range.
        key: u64,
        /// How many keys there are.
        count: u64,
        /// How many client regions share one of them and have the others for themselves, if the workload has conflicts.
        sharing: Option<usize>,
    },
    /// Two ranges with a key in common.
    #[error("key {key} is in an earlier range too")]
    #[diagnostic(help("let the ranges have no key in common: each key has its responders once"))]
    KeyTwice {
        /// The least key that is in both.
        key: u64,
    },
    /// A retry that comes before the answer can.
    #[error(
        "clients ask again after {:.1} ms, but an answer takes {:.1} ms",
        after.as_millis_f64(),
        least.as_millis_f64()
    )]
    #[diagnostic(help("raise `workload.retry_after`: every write would be sent twice"))]
    Hasty {
        /// When they ask again.
        after: Span,
        /// The longest of their round trips and least latencies.
        least: Span,
    },
    /// A list without an item.
    #[error("`{key}` has no item")]
    #[diagnostic(help("give at least one"))]
    NoItem {
        /// The key.
        key: &'static str,
    },
    /// A figure of the workload is none.
    #[error(transparent)]
    #[diagnostic(help("{}", workload_help(.0)))]
    Workload(#[from] workload::Error),
    /// Fewer closed clients than client regions.
    #[error("these clients do not reach each of the {regions} client regions")]
    #[diagnostic(help(
        "each region has one at least, whatever its weight: give at least {regions}"
    ))]
    IdleRegion {
        /// The number of client regions.
        regions: usize,
    },
    /// A conflict rate, where no two regions can conflict.
    #[error("`workload.conflicts` needs two client regions, and there is one")]
    #[diagnostic(help(
        "add a region to `topology.clients`, or leave `workload.conflicts` out: then `workload.keys` alone says which \
         keys are touched"
    ))]
    OneClientRegion,
    /// More keys than can be numbered.
    #[error(
        "{count} keys for each of the {regions} client regions are more keys than 64 bits can number"
    )]
    #[diagnostic(help(
        "with `workload.conflicts` each region has so many keys of its own: give at most {}, or leave \
         `workload.conflicts` out",
        (u64::MAX - 1) / (*regions as u64).max(1)
    ))]
    TooManyKeys {
        /// How many each has.
        count: u64,
        /// The number of client regions.
        regions: usize,
    },
    /// A client region with no load, or with all of it.
    #[error("{weight} is no weight")]
    #[diagnostic(help(
        "give a number above 0: regions share the load in proportion to their weights, which are 1 where \
         they are absent"
    ))]
    Weight {
        /// The value.
        weight: f64,
    },
    /// The profile cannot be used.
    #[error("{}", chain(.0))]
    #[diagnostic(help("`flexpaxos profiles` lists the profiles"))]
    Profile(#[source] topology::Error),
    /// A region that the profile does not have, or that has no row.
    #[error("{}", chain(.0))]
    #[diagnostic(help("choose a region of the profile for it, or another profile"))]
    Region(#[source] topology::Error),
    /// A region whose name some table or program would lose.
    #[error("the region {name:?} cannot be called that: {problem}")]
    #[diagnostic(help("give it another name, in the profile too if it is a file"))]
    RegionName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: topology::NameProblem,
    },
    /// Delays that are to vary, of which nothing is known but one figure.
    #[error("profile {profile} does not say how these delays vary: it has no percentiles for them")]
    #[diagnostic(help(
        "leave out `jitter`, or give the profile columns such as p90_ms and p99_ms"
    ))]
    NoSpread {
        /// The profile.
        profile: String,
    },
    /// Too many replicas.
    #[error("{count} replicas are more than the 64 that a set of replicas holds")]
    #[diagnostic(help("leave some of them out"))]
    TooManyReplicas {
        /// How many there are.
        count: usize,
    },
    /// Two replicas in a region between whose nodes no round trip was measured.
    #[error("two replicas in {region}: profile {profile} has no round trip within it")]
    #[diagnostic(help(
        "choose another region for one of them, a profile with a row {region},{region}, or \
         `lan`, where names are free"
    ))]
    RegionTaken {
        /// The region.
        region: String,
        /// The profile.
        profile: String,
    },
    /// Two load generators whose rows could not be told apart.
    #[error("two client regions are called {region}")]
    #[diagnostic(help(
        "leave one out, and raise `rate_per_s` or `clients` for more load from there"
    ))]
    ClientTwice {
        /// The region.
        region: String,
    },
    /// A name that no replica has.
    #[error("{what} {name} is no replica's region")]
    #[diagnostic(help("{}", replicas_help(.near.as_deref(), .known)))]
    NoReplica {
        /// What the name was given for.
        what: &'static str,
        /// The name.
        name: String,
        /// The nearest region, if one is near.
        near: Option<String>,
        /// The regions of the replicas.
        known: Vec<String>,
    },
    /// A name that several replicas have.
    #[error("{what} {name} may be any of several replicas")]
    #[diagnostic(help(
        "name one of them: {}; in an expression `{}` means all of them, and `{}` any",
        .names.join(", "),
        .names.join(" * "),
        .names.join(" + ")
    ))]
    Ambiguous {
        /// What the name was given for.
        what: &'static str,
        /// The name.
        name: String,
        /// The names of the replicas.
        names: Vec<String>,
    },
    /// A region whose name stands for something else as well.
    #[error("the name {name} means two things: the region of replica {index}, and {other}")]
    #[diagnostic(help(
        "give the region another name in the latency data; one that is called after a number, as \
         `r2`, may stand at that position of `topology.replicas`"
    ))]
    TwoMeanings {
        /// The name.
        name: String,
        /// The replica in the region, from 0.
        index: usize,
        /// What else it means.
        other: String,
    },
    /// A key that changes nothing at any point.
    #[error("`{key}` has no effect: {because}")]
    Idle {
        /// The key.
        key: &'static str,
        /// Why it changes nothing.
        because: &'static str,
        /// What to change.
        #[help]
        remedy: &'static str,
    },
    /// No quorum system at all.
    #[error(transparent)]
    #[diagnostic(help("`flexpaxos quorums --help` shows how to try a quorum system"))]
    Quorum(#[from] quorum::Error),
    /// A text that is no expression.
    #[error("{what}")]
    #[diagnostic(help(
        "an expression is such as `choose(2, a, b * c, d + e)`: `*` is and, `+` is or"
    ))]
    Expression {
        /// What is wrong.
        what: String,
    },
    /// Weights that are not one for each replica.
    #[error("there are {found} weights, but {n} replicas that vote")]
    #[diagnostic(help(
        "give each replica a weight, in the order of `topology.replicas`; 0 holds no vote"
    ))]
    Weights {
        /// How many there are.
        found: usize,
        /// The number of replicas.
        n: usize,
    },
    /// A quorum system that loses writes.
    #[error("phase-1 quorum {phase1} and phase-2 quorum {phase2} have no replica in common")]
    Disjoint {
        /// The regions of the one.
        phase1: String,
        /// The regions of the other.
        phase2: String,
        /// What to change.
        #[help]
        remedy: String,
    },
    /// A leader, or the target of a campaign, that cannot lead.
    #[error("{name} is a{} {role}, and cannot lead", if *role == "observer" { "n" } else { "" })]
    #[diagnostic(help(
        "choose a full replica: a leader answers clients from its state machine, which a witness does not keep, \
         and an observer holds no vote"
    ))]
    Unfit {
        /// The replica.
        name: String,
        /// `witness` or `observer`.
        role: &'static str,
    },
    /// A replica that is a witness and an observer.
    #[error("{name} is both a witness and an observer")]
    #[diagnostic(help(
        "a witness votes and keeps no state machine, an observer does the opposite: choose one"
    ))]
    BothRoles {
        /// The replica.
        name: String,
    },
    /// No replica that could lead.
    #[error("every replica that votes is {role}: nobody can lead, and nobody answers clients")]
    #[diagnostic(help("leave one replica out of the list"))]
    NobodyFull {
        /// `a witness` or `an observer`.
        role: &'static str,
    },
    /// A member of a quorum that holds no vote.
    #[error("{name} is an observer, and in no quorum")]
    #[diagnostic(help("name replicas that vote, or leave it out of `observers`"))]
    HoldsNoVote {
        /// The replica.
        name: String,
    },
    /// Announced quorums that are never forgotten.
    #[error("the witnesses leave no phase-1 quorum of full replicas")]
    #[diagnostic(help(
        "what a ballot announced is forgotten when a phase-1 quorum has executed what it chose, and a witness \
         executes nothing: list fewer witnesses, or take quorums that are not per ballot"
    ))]
    NeverSettled,
    /// A protocol without witnesses and observers.
    #[error("{protocol} has no {key}")]
    #[diagnostic(help(
        "its acceptors store the value of each register themselves, so a vote without the state is not possible: \
         leave `{key}` out, or take the protocol `multi` or `classic`"
    ))]
    NoRoles {
        /// `witnesses` or `observers`.
        key: &'static str,
        /// The protocol.
        protocol: &'static str,
    },
    /// Two variants that tables and figures could not tell apart.
    #[error("two variants are called `{name}`")]
    #[diagnostic(help("give every variant a name of its own"))]
    VariantTwice {
        /// The name.
        name: String,
    },
    /// A name that cannot be part of a file's name.
    #[error("the variant name `{name}` has a character other than letters, digits and `-_.+`")]
    #[diagnostic(help("the name becomes part of file names: leave that out"))]
    VariantName {
        /// The name.
        name: String,
    },
    /// A sweep that cannot be run.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sweep(#[from] sweep::Error),
    /// A fault that would come too late to be seen.
    #[error("the {what} at {at} is not within the {duration} that are measured")]
    #[diagnostic(help(
        "times of faults count from the end of the warm-up: lower them, or raise `duration`"
    ))]
    FaultTooLate {
        /// The kind of fault or the restart.
        what: &'static str,
        /// When, from the start of the measured time.
        at: String,
        /// The measured time.
        duration: String,
    },
    /// A fault without a kind.
    #[error("this fault does no harm")]
    #[diagnostic(help(
        "add one of `crash`, `pause`, `partition`, `cut`, `slow`, `lose`, `duplicate`, \
         `reorder`, `slow_disk`, `full_disk` and `campaign`"
    ))]
    NoFaultKind,
    /// A fault with more than one kind.
    #[error("a fault has one harm, and this one has `{one}` and `{other}`")]
    #[diagnostic(help("write a second `[[fault]]` with the same `at`"))]
    TwoFaultKinds {
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A key that belongs to another kind of fault.
    #[error("`{key}` does not belong to `{kind}`")]
    #[diagnostic(help("{}", not_of_kind_help(.key, .kind)))]
    NotOfFaultKind {
        /// The key.
        key: &'static str,
        /// The kind given.
        kind: &'static str,
    },
    /// A fault that never begins.
    #[error("this fault has neither `at` nor `after_writes`")]
    #[diagnostic(help(
        "give one of the two: `at = \"5s\"` into the measured time, or `after_writes = 1000`"
    ))]
    NoTrigger,
    /// A fault that begins twice.
    #[error("a fault strikes once, and this one has both `at` and `after_writes`")]
    #[diagnostic(help(
        "give one of the two: `at = \"5s\"` into the measured time, or `after_writes = 1000`"
    ))]
    TwoTriggers,
    /// A fault that waits for more than is asked for.
    #[error(
        "{count} writes are not fewer than the {asked} that are asked for in the measured time"
    )]
    #[diagnostic(help("lower it, or raise the rate or `workload.duration`"))]
    TooFewWrites {
        /// What the fault waits for.
        count: u64,
        /// The writes of the measured time, in the mean.
        asked: f64,
    },
    /// A part that nobody has.
    #[error("in variant `{variant}` the leader alone is its phase-2 quorum: there is no follower")]
    #[diagnostic(help(
        "name `phase2-quorum` or a region, or leave out the variants with a quorum of one"
    ))]
    NoFollower {
        /// The variant.
        variant: String,
    },
    /// A disk that is not there.
    #[error("with durability \"memory\" there is no disk that could be slow or full")]
    #[diagnostic(help("leave it out, or set `durability.mode = \"fsync\"`"))]
    NoDisk,
    /// A fault of no replica.
    #[error("this fault concerns no replica")]
    #[diagnostic(help(
        "name at least one region, a replica such as `r2`, `leader`, `phase2-follower`, \
         `phase1-quorum` or `phase2-quorum`"
    ))]
    Nobody,
    /// A partition with nobody on the other side.
    #[error("this partition has every replica on one side")]
    #[diagnostic(help("name one side: the other replicas are the other side"))]
    Everybody,
    /// A direction from a replica to itself.
    #[error("a replica has no link to itself")]
    #[diagnostic(help("name another replica as the receiver, or as the sender"))]
    NoLink,
    /// A timeline of no use.
    #[error("`workload.interval = \"{interval}\"` is no interval of a timeline")]
    #[diagnostic(help("give a length from 10 ms to 1 min"))]
    Interval {
        /// The value.
        interval: String,
    },
    /// A thread that would do nothing but spin.
    #[error("`emulation.spin = \"{spin}\"` is more than a millisecond")]
    #[diagnostic(help(
        "a wake-up takes 20 to 100 us, and longer spinning takes the processor from the members"
    ))]
    Spin {
        /// The value.
        spin: String,
    },
    /// Links that are late by more than what is measured can bear.
    #[error("`emulation.quantum = \"{quantum}\"` is more than 256 us")]
    #[diagnostic(help(
        "a datagram that leaves more than 300 us late was not given the latency asked for"
    ))]
    Quantum {
        /// The value.
        quantum: String,
    },
    /// No share.
    #[error("`{key} = {share}` is no share")]
    #[diagnostic(help("give a number from 0, none, to 1, all"))]
    Share {
        /// The key.
        key: &'static str,
        /// The value.
        share: f64,
    },
    /// No bandwidth.
    #[error("{mbit_per_s} Mbit/s is no bandwidth")]
    #[diagnostic(help("give a number above 0, or leave it out for no limit"))]
    Bandwidth {
        /// The value.
        mbit_per_s: f64,
    },
    /// No length of a run of losses.
    #[error("`network.loss_burst = {burst}` is no length of a burst")]
    #[diagnostic(help(
        "give how many are lost in a row in the mean, at least 1: then losses are independent"
    ))]
    Burst {
        /// The value.
        burst: f64,
    },
    /// Bursts of nothing.
    #[error("`network.loss_burst` without `network.loss`: nothing is lost")]
    #[diagnostic(help("add `loss`, the share that is lost, or leave that out"))]
    NoLoss,
    /// A queue for a wire that takes everything at once.
    #[error("`network.queue_bytes` without a bandwidth: nothing waits")]
    #[diagnostic(help("add `bandwidth_mbit_per_s` or `uplink_mbit_per_s`, or leave that out"))]
    NoWire,
    /// A setting of the transport makes no sense.
    #[error(transparent)]
    #[diagnostic(help("{}", transport_help(.0)))]
    Transport(#[from] transport::Error),
    /// A setting that the transport asked for does not have.
    #[error("`{key}` does not go with `{with}`")]
    #[diagnostic(help("leave one of the two out"))]
    NotOfTransport {
        /// The key.
        key: &'static str,
        /// What it does not go with.
        with: &'static str,
    },
    /// Something for the simulator alone.
    #[error("the live backend cannot {what}")]
    #[diagnostic(help("run with `--backend sim`, or leave it out"))]
    NotLive {
        /// What it cannot do.
        what: &'static str,
    },
    /// Replicas without names, where names say where they are.
    #[error("{count} replicas have no regions, and profile {profile} has no distance without them")]
    #[diagnostic(help(
        "list their regions, or take a profile where names are free: `uniform:20ms`, `lan`"
    ))]
    Nameless {
        /// How many there are.
        count: usize,
        /// The profile.
        profile: String,
    },
    /// A fault of the leader of a variant that has none.
    #[error("the fault is about the leader, but variant `{variant}` has none")]
    #[diagnostic(help(
        "name a region instead of `leader`, or leave out the variants without a leader"
    ))]
    NoLeader {
        /// The variant.
        variant: String,
    },
    /// A replica that would come back without its promises.
    #[error("a replica with durability \"memory\" has lost its promises and must not come back")]
    #[diagnostic(help(
        "leave out `restart_after`, or set `durability.mode = \"fsync\"`; to see the check find \
         what is lost, set `durability.unsafe_restarts = true`"
    ))]
    Amnesia,
}

fn empty_help(key: &str) -> &'static str {
    match key {
        "prediction" => {
            "say what you expect and what would refute it: `flexpaxos plan` shows the closed form"
        }
        _ => "say it in a sentence",
    }
}

fn workload_help(error: &workload::Error) -> &'static str {
    match error {
        workload::Error::Rate { .. } | workload::Error::NoClient => {
            "rates and clients are totals, shared by the client regions"
        }
        workload::Error::Conflicts { .. } => {
            "leave it out if the client regions are to share all keys of `workload.keys`"
        }
        _ => "`flexpaxos plan` reads the file again without starting anything",
    }
}

fn keys_help(count: u64, sharing: Option<usize>) -> String {
    let last = count.saturating_sub(1);
    match sharing {
        None => format!("the {count} keys of `workload.keys` are 0 to {last}"),
        Some(regions) => format!(
            "with `workload.conflicts` the keys are 0 to {last}: key 0 is shared, and then each of the {regions} client \
             regions has {} of its own",
            last / (regions as u64).max(1)
        ),
    }
}

fn replicas_help(near: Option<&str>, known: &[String]) -> String {
    let guess = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let last = known.len().saturating_sub(1);
    format!("{guess}the replicas are in {}; by number they are r0 to r{last}", known.join(", "))
}

fn not_of_kind_help(key: &str, kind: &str) -> &'static str {
    match (key, kind) {
        ("lasts", "crash") => "say when the replica comes back with `restart_after`",
        ("lasts", _) => "it happens at once: leave that out",
        ("restart_after", _) => "say how long it lasts with `lasts`",
        _ => "only a crash loses records: leave that out",
    }
}

fn transport_help(error: &transport::Error) -> &'static str {
    match error {
        transport::Error::NotOfTcp { setting: "congestion", .. } => {
            "the kernel has `cubic`, `new-reno` and `bbr`: name one, or leave it out for cubic"
        }
        transport::Error::NotOfTcp { .. } => {
            "TCP is one stream: leave it out, or set `transport.protocol = \"quic\"`"
        }
        transport::Error::KeepAlive { .. } => {
            "lower `keep_alive`, or raise `idle_timeout`: one lost word must not lose a peer"
        }
        transport::Error::Range { .. } => {
            "leave it out for the default, which is for consensus over a wide area"
        }
    }
}
