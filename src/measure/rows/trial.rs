//! The row of one trial.

use serde::{Deserialize, Serialize};

use super::{Flag, Note, option_thousandths, thousandths};

/// One trial: a row of `trials.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// Which trial of the run, from 0.
    pub trial: u32,
    /// The variant's name.
    pub variant: String,
    /// `live` or `sim`.
    pub backend: String,
    /// How the delays of the links are known: `measured` before the trial, `unverified`, or `exact`.
    pub network: String,
    /// What is swept, and its values here: `clients=16 mode=fsync`; empty if nothing is.
    pub point: String,
    /// The protocol's name.
    pub protocol: String,
    /// The number of replicas.
    pub n: u16,
    /// The least number of acceptors in a phase-1 quorum.
    pub q1: u16,
    /// The least number of acceptors in a phase-2 quorum.
    pub q2: u16,
    /// Whom a proposer contacts first: `all` or `quorum`.
    pub send: String,
    /// `fsync` or `memory`.
    pub durability: String,
    /// What carried the messages: `quic/one/fixed`, that is protocol, streams and congestion
    /// controller; empty where messages were simulated.
    pub transport: String,
    /// `poisson:200`, `fixed:200` (operations a second over all clients) or `closed:64` (clients).
    pub arrival: String,
    /// The regions of the clients, separated by `;`.
    pub clients: String,
    /// The regions of the replicas in their order, separated by `;`.
    pub replicas: String,
    /// The region of the intended leader; empty where there is none.
    pub leader: String,
    /// Which repeat of the variant, from 0: trials of one repeat ran side by side in time.
    pub repeat: u32,
    /// The seed of the trial.
    pub seed: u64,
    /// The time before the window.
    #[serde(serialize_with = "thousandths")]
    pub warmup_s: f64,
    /// The length of the window.
    #[serde(serialize_with = "thousandths")]
    pub duration_s: f64,
    /// The history passed, and nothing else makes the numbers unfit; without it there are none.
    pub valid: bool,
    /// No member was lost that the experiment did not crash itself, and the histories show all that the
    /// check needs; else `notes` says what is missing.
    pub complete: bool,
    /// It did not keep up with its load, for the reason in `notes`; empty for a closed loop in virtual
    /// time.
    pub saturated: Option<bool>,
    /// What else to know about the trial: the codes of [`Flag`], separated by `;`.
    pub flags: String,
    /// The same as sentences, one for each flag and in their order, separated by `;`.
    pub notes: String,
    /// Operations intended in the window, a second; empty for a closed loop.
    #[serde(serialize_with = "option_thousandths")]
    pub offered_per_s: Option<f64>,
    /// Operations that returned in the window, moved by the floor of their client, a second.
    #[serde(serialize_with = "option_thousandths")]
    pub achieved_per_s: Option<f64>,
    /// Operations issued in the whole trial.
    pub issued_count: Option<u64>,
    /// Operations that returned in the whole trial.
    pub acknowledged_count: Option<u64>,
    /// Operations that never returned.
    pub unknown_count: Option<u64>,
    /// What the check of the history found wrong; empty when it was not checked.
    pub violation_count: Option<u64>,
    /// What the check could not judge because a member was killed.
    pub unverified_count: Option<u64>,
    /// Acknowledged operations that are in no replica's log.
    pub unlogged_count: Option<u64>,
    /// What the logs of replicas say: `agree`, `violated`, `incomplete` or `unreadable`.
    pub logs_verdict: String,
    /// What clients saw: `linearizable`, `violated`, `undecided`, `incomplete` or `unreadable`.
    pub clients_verdict: String,
    /// Processor time of all members, clients too, for an operation, in microseconds.
    #[serde(serialize_with = "option_thousandths")]
    pub cpu_us_per_op: Option<f64>,
    /// The share of the host's cores that all members used in the window.
    #[serde(serialize_with = "option_thousandths")]
    pub cpu_utilisation: Option<f64>,
    /// The greatest peak of resident memory of a replica.
    pub memory_peak_bytes_max: Option<u64>,
    /// Datagrams that went through the link emulation.
    pub link_datagram_count: Option<u64>,
    /// Datagrams that it dropped by mistake: its links held more than they should.
    pub link_drop_count: Option<u64>,
    /// Datagrams that it lost as was asked for.
    pub link_lost_count: Option<u64>,
    /// Datagrams for which the queue of a wire had no room, as was asked for.
    pub link_queue_drop_count: Option<u64>,
    /// Datagrams that it sent twice, as was asked for.
    pub link_duplicate_count: Option<u64>,
    /// Datagrams that overtook another one, as was asked for.
    pub link_reorder_count: Option<u64>,
    /// How late it released them: the median.
    pub link_late_ns_p50: Option<u64>,
    /// The 99th percentile of that.
    pub link_late_ns_p99: Option<u64>,
    /// The greatest of that.
    pub link_late_ns_max: Option<u64>,
    /// Frames that did not decode, or were of a stranger.
    pub refused_frame_count: Option<u64>,
    /// How often another proposer took a slot.
    pub race_lost_count: Option<u64>,
    /// How often replicas sent messages again after a time-out.
    pub retransmitted_count: Option<u64>,
    /// Classic Paxos: one more than the races lost for each write that was chosen in the window, in the
    /// mean; empty where a leader proposes.
    #[serde(serialize_with = "option_thousandths")]
    pub attempts_per_write: Option<f64>,
}

impl TrialRow {
    /// Adds a flag and its sentence; what separates sentences is taken out of it: it may quote the message
    /// of an error.
    pub fn add(&mut self, note: &Note) {
        if !self.flags.is_empty() {
            self.flags.push(';');
            self.notes.push(';');
        }
        self.flags.push_str(note.flag.code());
        self.notes.push_str(&note.text.replace(';', ","));
    }

    /// Every flag with its sentence; codes of another version are passed over.
    pub fn remarks(&self) -> impl Iterator<Item = (Flag, &str)> {
        let pairs = self.flags.split(';').zip(self.notes.split(';'));
        pairs.filter_map(|(code, text)| Some((Flag::from_code(code)?, text)))
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: Flag) -> bool {
        self.remarks().any(|(found, _)| found == flag)
    }

    /// Takes the numbers away: a trial whose history fails has none.
    ///
    /// What the check counted stays, because it says why.
    pub fn invalidate(&mut self) {
        self.add(&Flag::Invalid.note("INVALID"));
        let Self { saturated, offered_per_s, achieved_per_s, cpu_us_per_op, .. } = self;
        (*saturated, *offered_per_s, *achieved_per_s, *cpu_us_per_op) = (None, None, None, None);
        (self.issued_count, self.acknowledged_count, self.unknown_count) = (None, None, None);
        (self.cpu_utilisation, self.memory_peak_bytes_max) = (None, None);
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
