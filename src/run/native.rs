//! The links of a run as they are, as a latency profile.
//!
//! An experiment with the profile [`NATIVE`] injects nothing. What its links take is measured before the first
//! trial, so that time-outs, the nearest replicas, floors and the simulator know them as those of any other
//! profile.
//! The profile is kept as `native.csv`: another run may take the file as its profile, and so may the simulator.
//!
//! A row (a, b) is twice the one-way time from a to b, which is a round trip where both directions are alike, and
//! the convention by which a profile's delays are its halves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::deploy;
use crate::cluster::{self, Interrupt, Launcher, Settings, Timeouts};
use crate::deployment::Deployment;
use crate::experiment::plan::Plan;
use crate::time::Span;
use crate::topology::{self, NATIVE, Profile};
use crate::trial::ProbedNetwork;

/// The profile in a results folder.
pub const FILE: &str = "native.csv";

/// Why links were not measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The members did not come that far.
    #[error("the links cannot be measured")]
    Cluster(#[from] cluster::Error),
    /// Some link lost what it was sent.
    #[error("the links cannot be measured: {0}")]
    Lossy(String),
    /// The file of the run that is resumed.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no profile.
    #[error(transparent)]
    Profile(#[from] topology::Error),
}

/// Measures the links of every point of the plan whose links are to be as they are; the text of the profile.
pub fn measure(
    plan: &Plan,
    launcher: &mut dyn Launcher,
    listen: SocketAddr,
    interrupt: &Interrupt,
    folder: &Path,
) -> Result<String, Error> {
    let mut measured = Vec::new();
    let mut known: Vec<Deployment> = Vec::new();
    for trial in &plan.trials {
        let deployment = deploy::deployment(plan, trial);
        let is_known = |other: &Deployment| {
            other.links.replica_regions == deployment.links.replica_regions
                && other.links.client_regions == deployment.links.client_regions
        };
        if !plan.point(trial).is_native() || known.iter().any(is_known) {
            continue;
        }
        // Faults of a trial do not begin while links are measured, but would be emulated.
        let deployment = Deployment { faults: Vec::new(), ..deployment };
        let settings = Settings {
            listen,
            folder,
            timeouts: Timeouts::default(),
            transport: plan.point(trial).transport.clone(),
            precision: plan.point(trial).precision,
            probe: Some(plan.point(trial).probe),
            broken: None,
            broken_disk: None,
        };
        let network = cluster::measure_links(&deployment, &settings, launcher, interrupt)?;
        measured.push(network);
        known.push(deployment);
    }
    csv(&measured)
}

/// The profile in a results folder, of a run that is resumed.
pub fn read(results: &Path) -> Result<String, Error> {
    let path = results.join(FILE);
    std::fs::read_to_string(&path).map_err(|source| Error::Unreadable { path, source })
}

/// The profile of this text.
pub fn profile(text: &str) -> Result<Profile, Error> {
    Ok(Profile::from_csv(NATIVE, text)?)
}

/// What was measured, as the text of a profile: the median over the members of two regions.
fn csv(measured: &[ProbedNetwork]) -> Result<String, Error> {
    let mut found: BTreeMap<(&str, &str), Vec<Span>> = BTreeMap::new();
    let mut is_half = false;
    for link in measured.iter().flat_map(ProbedNetwork::links) {
        let heard = link.heard.as_ref().filter(|heard| heard.heard_count > 0);
        let Some(heard) = heard else {
            return Err(Error::Lossy(format!("{} heard nothing of {}", link.to, link.from)));
        };
        is_half |= link.crossing.is_some_and(|crossing| crossing.is_half);
        found.entry((&link.from_region, &link.to_region)).or_default().push(heard.p50);
    }
    let how = if is_half {
        "one-way times of some are half of what both directions take, for want of better clocks"
    } else {
        "one-way times are as measured"
    };
    let mut text =
        format!("# measured by flexpaxos between the members of a run; {how}\nfrom,to,rtt_ms\n");
    for ((from, to), mut spans) in found {
        spans.sort_unstable();
        let median = spans[(spans.len() - 1) / 2];
        let round_trip_ms = median.times(2).as_millis_f64();
        writeln!(text, "{from},{to},{round_trip_ms:.6}").expect("text takes what is written to it");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::MemberName;
    use crate::runtime::probe::Heard;
    use crate::topology::{Jitter, Links};
    use crate::trial::ProbedLink;

    fn link(from: (&str, &str), to: (&str, &str), micros: u64) -> ProbedLink {
        let member = |name: &str| MemberName::parse(name).unwrap();
        let p50 = Span::from_micros(micros);
        let heard = Heard {
            from: member(from.0),
            sent_count: 120,
            heard_count: 120,
            early: Span::ZERO,
            p50,
            p99: p50,
            p99_low: p50,
            train_count: 0,
            overtaken_count: 0,
            lost_count: 0,
        };
        ProbedLink {
            from: member(from.0),
            to: member(to.0),
            from_region: from.1.into(),
            to_region: to.1.into(),
            asked_least: Span::ZERO,
            asked_p50: Span::ZERO,
            asked_p99: Span::ZERO,
            asked_p99_low: Span::ZERO,
            crossing: None,
            baseline: None,
            heard: Some(heard),
            tolerance: Span::ZERO,
        }
    }

    #[test]
    fn what_was_measured_is_a_profile_with_the_same_delays() {
        let (r0, r1, c0) = (("r0", "a"), ("r1", "b"), ("c0", "a"));
        let links = vec![
            link(r0, r1, 15_000),
            link(r1, r0, 16_000),
            link(c0, r1, 15_300),
            link(r1, c0, 16_100),
            link(c0, r0, 110),
            link(r0, c0, 130),
        ];
        let network = ProbedNetwork { attempts: vec![links], is_emulated: false };
        let profile = profile(&csv(&[network]).unwrap()).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let links =
            Links::new(&profile, &names(&["a", "b"]), &names(&["a"]), Jitter::None).unwrap();
        assert!(links.is_native());
        assert_eq!(profile.rtt("a", "b").unwrap(), Span::from_millis(30));
        assert_eq!(profile.rtt("b", "a").unwrap(), Span::from_millis(32));
        assert_eq!(profile.rtt("a", "a").unwrap(), Span::from_micros(220));
    }

    #[test]
    fn a_link_that_delivers_nothing_is_named() {
        let silent = ProbedLink { heard: None, ..link(("r0", "a"), ("r1", "b"), 0) };
        let network = ProbedNetwork { attempts: vec![vec![silent]], is_emulated: false };
        let said = csv(&[network]).unwrap_err().to_string();
        assert!(said.contains("r1 heard nothing of r0"), "{said}");
    }
}
