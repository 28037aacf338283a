//! The row of `trials.csv`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Flag, Note, option_thousandths};
use crate::seed::Seed;

/// One trial: one run of one variant at one point of the sweep in one world.
///
/// A trial that is not valid has no numbers: what the check of its histories counted stays, because it says
/// why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialRow {
    /// Which trial of the run, from 1, in the order in which they run.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// `live` or `sim`.
    pub backend: String,
    /// How the delays of the links are known: `measured` before the trial, `unverified`, or `exact`
    /// (simulated).
    pub network: String,
    /// The protocol's name.
    pub protocol: String,
    /// The number of replicas.
    pub n: u16,
    /// The least number of acceptors in a phase-1 quorum.
    pub q1: u16,
    /// The least number of acceptors in a phase-2 quorum.
    pub q2: u16,
    /// Which acceptors a proposer contacts first: `all` or `quorum`.
    pub send: String,
    /// What a read needs to be answered, in words; empty where nobody reads.
    #[serde(default)]
    pub reads_need: String,
    /// `fsync` or `memory`.
    pub durability: String,
    /// How messages travelled: `quic/one/fixed` is protocol, streams and congestion controller; empty where
    /// messages were simulated.
    pub transport: String,
    /// The load: `poisson:200` or `fixed:200` (operations a second over all clients) or `closed:64`
    /// (clients).
    pub arrival: String,
    /// The regions of the clients, separated by `;`.
    pub client_regions: String,
    /// The regions of the replicas in the order of their names, separated by `;`.
    pub replica_regions: String,
    /// The name of the intended leader: `r0`; empty where there is none.
    pub leader: String,
    /// The region of the intended leader; empty where there is none.
    pub leader_region: String,
    /// Which repeat of its variant, from 1: trials of one repeat run next to one another and have one seed.
    pub repetition: u32,
    /// The seed of the trial: the letter `s` and a number of 64 bits, which R and JavaScript would round.
    #[schemars(with = "String")]
    pub seed: Seed,
    /// The time before the window.
    pub warmup_ns: u64,
    /// The length of the window, in which operations are measured.
    pub duration_ns: u64,
    /// The histories passed, and nothing else makes the numbers unfit; without it there are no numbers.
    pub valid: bool,
    /// No member was lost that the experiment did not crash itself or place on an expendable host, and the
    /// histories show all that the check needs; else `notes` says what is missing.
    pub complete: bool,
    /// The trial did not keep up with its load, for the reason in `notes`; empty for a simulated closed
    /// loop.
    pub saturated: Option<bool>,
    /// Remarks about the trial as codes, separated by `;`.
    pub flag_codes: String,
    /// The same remarks as sentences, one for each code and in their order, separated by `;`.
    pub notes: String,
    /// Operations intended in the window, a second; empty for a closed loop.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub offered_per_s: Option<f64>,
    /// Operations that returned in the window, moved by the floor of their client, a second.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub achieved_per_s: Option<f64>,
    /// Operations issued in the whole trial.
    pub issued_count: Option<u64>,
    /// Operations that returned in the whole trial.
    pub acknowledged_count: Option<u64>,
    /// Operations that never returned.
    pub unknown_count: Option<u64>,
    /// Violations that the check of the histories found; empty if it did not run.
    pub violation_count: Option<u64>,
    /// Operations that the check could not judge because a member was killed.
    pub unverified_count: Option<u64>,
    /// Acknowledged operations that are in no replica's log.
    pub unlogged_count: Option<u64>,
    /// The verdict on the logs of replicas: `agree`, `violated`, `incomplete` or `unreadable`.
    pub logs_verdict: String,
    /// The verdict on what clients saw: `linearizable`, `stale-bounded` (but for reads that may miss what was
    /// acknowledged less than `reads_may_miss_ns` before), `violated`, `undecided`, `incomplete` or
    /// `unreadable`.
    pub clients_verdict: String,
    /// How far apart the clocks of two members may have been, so that an order in real time counts only where it
    /// is clear by more; empty where all members read one clock.
    pub clocks_apart_ns: Option<u64>,
    /// A read may miss a write that was acknowledged less than this before the read began, and the check allows for
    /// it; empty where reads are linearizable.
    pub reads_may_miss_ns: Option<u64>,
    /// Whether no read may miss what its own client was told before, and the check looks at it; empty where reads are
    /// linearizable.
    pub read_sessions: Option<bool>,
    /// How often an operation shows that a read missed what its own client was told before; only where that may be.
    pub session_break_count: Option<u64>,
    /// Reads without a slot of their own that missed a write of their key which was acknowledged before they began.
    pub stale_read_count: Option<u64>,
    /// How long before a read without a slot of its own began the first write of its key was acknowledged that it
    /// missed, zero if none was: the 99th percentile.
    pub staleness_ns_p99: Option<u64>,
    /// The same: the greatest.
    pub staleness_ns_max: Option<u64>,
    /// Processor time of all members, clients too, for an operation that returned in the window.
    pub cpu_ns_per_op: Option<u64>,
    /// The share of the processors of all hosts that all members used in the window.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub cpu_share: Option<f64>,
    /// The share of the window in which no core was idle, at the least, of the host where it was the greatest;
    /// empty where it was not measured.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub no_idle_core_share: Option<f64>,
    /// The greatest peak of resident memory of a member.
    pub memory_peak_bytes_max: Option<u64>,
    /// The most bytes that the acceptor log and the checkpoints of one replica had on disk; of those that ran
    /// to the end.
    pub disk_peak_bytes_max: Option<u64>,
    /// Datagrams that went through the link emulation.
    pub link_datagram_count: Option<u64>,
    /// Datagrams that the emulation dropped by mistake: its links held more than they should.
    pub link_drop_count: Option<u64>,
    /// Datagrams that the emulation lost, as the experiment asks.
    pub link_lost_count: Option<u64>,
    /// Datagrams for which the queue of a wire had no room, as the experiment asks.
    pub link_queue_drop_count: Option<u64>,
    /// Datagrams that the emulation sent twice, as the experiment asks.
    pub link_duplicate_count: Option<u64>,
    /// Datagrams that overtook another one, as the experiment asks.
    pub link_reorder_count: Option<u64>,
    /// How late the emulation released datagrams: the median, of the member with the greatest.
    pub link_late_ns_p50: Option<u64>,
    /// How late the emulation released datagrams: the 99th percentile, of the member with the greatest.
    pub link_late_ns_p99: Option<u64>,
    /// How late the emulation released datagrams: the greatest.
    pub link_late_ns_max: Option<u64>,
    /// Frames that did not decode, or came from a stranger.
    pub refused_frame_count: Option<u64>,
    /// How often another proposer took a slot.
    pub race_lost_count: Option<u64>,
    /// How often replicas sent messages again after a time-out.
    pub retransmitted_count: Option<u64>,
    /// Classic Paxos: one more than the races lost for each write that was chosen in the window, in the
    /// mean; empty where a leader proposes.
    #[serde(serialize_with = "option_thousandths")]
    #[schemars(with = "Option<f64>")]
    pub attempts_per_write: Option<f64>,
}

impl TrialRow {
    /// Adds a flag and its sentence; what separates sentences is taken out of it: it may quote the message
    /// of an error.
    pub fn add(&mut self, note: &Note) {
        if !self.flag_codes.is_empty() {
            self.flag_codes.push(';');
            self.notes.push(';');
        }
        self.flag_codes.push_str(note.flag.code());
        self.notes.push_str(&note.text.replace(';', ","));
    }

    /// Every flag with its sentence; codes of another version are passed over.
    pub fn remarks(&self) -> impl Iterator<Item = (Flag, &str)> {
        let pairs = self.flag_codes.split(';').zip(self.notes.split(';'));
        pairs.filter_map(|(code, text)| Some((Flag::from_code(code)?, text)))
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: Flag) -> bool {
        self.remarks().any(|(found, _)| found == flag)
    }

    /// Takes the numbers away, for this reason: a trial whose history fails has none.
    ///
    /// What the check counted stays.
    pub fn invalidate(&mut self, reason: &str) {
        self.add(&Flag::Invalid.note(format!("INVALID: {reason}")));
        let Self { saturated, offered_per_s, achieved_per_s, cpu_ns_per_op, .. } = self;
        (*saturated, *offered_per_s, *achieved_per_s, *cpu_ns_per_op) = (None, None, None, None);
        (self.issued_count, self.acknowledged_count, self.unknown_count) = (None, None, None);
        (self.session_break_count, self.stale_read_count) = (None, None);
        (self.staleness_ns_p99, self.staleness_ns_max) = (None, None);
        (self.cpu_share, self.no_idle_core_share) = (None, None);
        (self.memory_peak_bytes_max, self.disk_peak_bytes_max) = (None, None);
        (self.link_datagram_count, self.link_drop_count) = (None, None);
        (self.link_lost_count, self.link_queue_drop_count) = (None, None);
        (self.link_duplicate_count, self.link_reorder_count) = (None, None);
        self.link_late_ns_p50 = None;
        self.link_late_ns_p99 = None;
        self.link_late_ns_max = None;
        (self.refused_frame_count, self.race_lost_count) = (None, None);
        (self.retransmitted_count, self.attempts_per_write) = (None, None);
        self.valid = false;
    }
}
