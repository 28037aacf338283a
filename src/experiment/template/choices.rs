//! What a new experiment compares, and where; and what is usual where nobody chose.

use std::time::Duration;

use crate::quorum::majority;
use crate::topology::Profile;

/// The usual latency profile.
pub const PROFILE: &str = "aws-2025-07";

/// The usual regions of the replicas: those of the quickstart.
pub const REGIONS: [&str; 5] =
    ["us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"];

/// Instead of a leader: the replica with the least predicted latency.
pub const BEST: &str = "best";

/// With less measured time than this a crashed leader is back before another one leads.
pub const CRASH_DURATION_MIN: Duration = Duration::from_secs(4);

/// What a new experiment compares, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// The latency profile: its name, or the path of a CSV file.
    pub profile: String,
    /// The region of every replica.
    pub replicas: Vec<String>,
    /// The regions of the clients; the usual ones if empty: see [`Self::client_regions`].
    pub clients: Vec<String>,
    /// The leader: its region, its number as `r2`, or [`BEST`].
    pub leader: String,
    /// The quorums that are compared with majorities.
    pub flexible: Vec<Counts>,
    /// Whether classic Paxos is compared, too.
    pub has_classic: bool,
    /// What clients ask for.
    pub load: Load,
    /// How often every variant is repeated.
    pub trials: u32,
    /// The time that is measured.
    pub duration: Duration,
    /// Whether the leader crashes and comes back.
    pub has_leader_crash: bool,
}

/// The sizes of the quorums of a variant: any set of so many replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// For phase 1.
    pub phase1: usize,
    /// For phase 2.
    pub phase2: usize,
}

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Operations begin at random moments, whether or not earlier ones were answered.
    Open {
        /// Operations a second of all client regions together.
        rate_per_s: f64,
    },
    /// An operation begins when the one before was answered.
    Closed {
        /// Operations outstanding at once in all client regions together.
        clients: u32,
    },
}

impl Choices {
    /// The usual choices for replicas in these regions: the first one leads.
    pub fn new(profile: &str, replicas: Vec<String>) -> Self {
        Self {
            profile: profile.to_owned(),
            clients: Vec::new(),
            leader: replicas.first().cloned().unwrap_or_default(),
            flexible: Counts::usual(replicas.len()).into_iter().collect(),
            replicas,
            has_classic: false,
            load: Load::Open { rate_per_s: 100.0 },
            trials: 5,
            duration: Duration::from_secs(10),
            has_leader_crash: false,
        }
    }

    /// Refuses choices that leave nothing to compare: a lone replica, or the quorums of the first variant again.
    pub fn check(&self) -> Result<(), String> {
        let count = self.replicas.len();
        if count == 1 {
            let why = "one replica has one quorum, so nothing can be compared: name two or more";
            return Err(why.to_owned());
        }
        let majority = majority(count);
        let majorities = Counts { phase1: majority, phase2: majority };
        if self.flexible.contains(&majorities) {
            return Err(format!(
                "quorums of {majority} and {majority} are the majorities of {count} replicas, which the first \
                 variant has: choose other sizes"
            ));
        }
        Ok(())
    }

    /// The regions of the clients.
    ///
    /// If none were chosen it is the region of the leader, and the regions of all replicas where the best
    /// leader is looked for.
    pub fn client_regions(&self) -> Vec<String> {
        if !self.clients.is_empty() {
            return self.clients.clone();
        }
        if self.leader == BEST {
            let mut regions: Vec<String> = Vec::new();
            for region in &self.replicas {
                if !regions.contains(region) {
                    regions.push(region.clone());
                }
            }
            return regions;
        }
        let in_region = self.replicas.iter().find(|region| **region == self.leader);
        let of_number = || {
            let mut numbered = self.replicas.iter().enumerate();
            let found = numbered.find(|(index, _)| format!("r{index}") == self.leader);
            found.map(|(_, region)| region)
        };
        // The plan refuses a leader that is no replica; a region that exists lets it say so.
        let region = in_region.or_else(of_number).or(self.replicas.first());
        region.into_iter().cloned().collect()
    }

    /// When the leader crashes, from the start of the measured time.
    pub fn crash_at(&self) -> Duration {
        self.duration / 4
    }

    /// How long after its crash the leader is started again.
    pub fn restart_after(&self) -> Duration {
        self.duration / 2
    }
}

impl Counts {
    /// A smaller phase-2 quorum than the majority of `n` replicas, if there is one, with the smallest phase-1
    /// quorum that meets it.
    pub const fn usual(n: usize) -> Option<Self> {
        match n {
            0 | 1 => None,
            2 | 3 => Some(Self { phase1: n, phase2: 1 }),
            _ => Some(Self { phase1: n - 1, phase2: 2 }),
        }
    }

    /// The name of the variant with these quorums.
    pub fn name(self) -> String {
        format!("flex-{}-{}", self.phase1, self.phase2)
    }
}

/// The usual regions of replicas in a profile; none if it lacks one of them.
pub fn usual_replicas(profile: &Profile) -> Option<Vec<String>> {
    if profile.accepts_any_region() {
        return Some((0..REGIONS.len()).map(|index| format!("r{index}")).collect());
    }
    let has_all = REGIONS.iter().all(|region| profile.has_region(region));
    has_all.then(|| REGIONS.map(str::to_owned).to_vec())
}
