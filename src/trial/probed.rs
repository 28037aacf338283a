//! The network that a trial was asked for, and the one that its probe found: the verdict.
//!
//! Asked is what the deployment's links say, never what the emulator was told.
//! A path takes time by itself: wake-ups, QUIC, encryption, and the delay line's own lateness.
//! What a first short probe finds above the median asked for is this *baseline* of each directed
//! link; the emulation then delays by so much less, and a second probe measures what came of it.
//! So a client sees the profile's delay, and not the profile's plus ours.
//! A link that is faster than its baseline cannot be had; it is marked, and judged by its path instead.
//! Some hundred frames tell a 99th percentile by its interval only: a link is refused when even the lower
//! end is too late.
//! A noisy moment passes: all links are measured again, some times.
//! A network is accepted only if one attempt found every link as asked: of five attempts that each had
//! another link wrong, none saw the network that the trial would run on.
//! Every attempt is kept.
//!
//! Between two hosts there is a real link, which takes time before anything is injected: its *path* is measured
//! first, with as little injected as can be, and is the baseline's greater part.
//! A link whose path is slower than its target cannot be had by injecting anything: the trial is refused.
//! Where the clocks of two hosts are not known better than the tolerance of the link between them, no one knows
//! what each direction took: each is then given half of the round trip beyond what was injected, and is marked.
//!
//! The baseline is that of a path whose event loops sleep between messages.
//! Under load they are awake already, which is quicker, or busy, which is slower: neither belongs to
//! the network, so it is not taken off the delay but stands in what a latency has beyond its floor.

use super::Probe;
use crate::deployment::{Deployment, MemberName, site};
use crate::runtime::probe::Heard;
use crate::time::Span;

/// More than this is no path but a machine that is busy with something else, or a broken delay
/// line: neither is made up for.
const BASELINE_MAX: Span = Span::from_millis(1);

/// A link that is first in, first out, may show this share of a train out of order or lost: the
/// kernel's own doing, when a thread changes its processor.
const DISORDER_MAX: f64 = 0.01;

/// A link that is wrong in so many attempts is wrong in the next one, too.
const HOPELESS: usize = 3;

/// The links of a trial, as asked for and as measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbedNetwork {
    /// What each attempt found, the last one last: every directed link, in the order of the members.
    pub attempts: Vec<Vec<ProbedLink>>,
    /// Whether any delay was asked for; if none was, nothing can be wrong.
    pub is_emulated: bool,
}

/// One directed link.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbedLink {
    /// The sender.
    pub from: MemberName,
    /// The receiver.
    pub to: MemberName,
    /// Where the sender is.
    pub from_region: String,
    /// Where the receiver is.
    pub to_region: String,
    /// The least delay asked for.
    pub asked_least: Span,
    /// The median delay asked for.
    pub asked_p50: Span,
    /// Its 99th percentile.
    pub asked_p99: Span,
    /// What the 99th percentile of a probe may be mistaken for, as its rounds are few.
    pub asked_p99_low: Span,
    /// Between two hosts: what is known of the real link.
    pub crossing: Option<Crossing>,
    /// What the path takes by itself; `None` where that was not measured.
    pub baseline: Option<Span>,
    /// What was measured with the baseline taken off; `None` if the receiver said nothing.
    pub heard: Option<Heard>,
    /// How far off it may be.
    pub tolerance: Span,
}

/// What is known of the real link between two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossing {
    /// What it takes at the median, with as little injected as can be.
    pub path: Option<Span>,
    /// Its times are half of what both directions took, for want of better clocks.
    pub is_half: bool,
}

/// How far the 99th percentile of the least probe may lie below its place: a rank of 120 is a step of 1/120,
/// and the rounds of a link fill all but one period of the time in which its delay goes through its
/// distribution.
const RESOLUTION: f64 = 2.0 / 120.0;

/// Every directed link of a deployment, in the order of its members.
pub fn directions(deployment: &Deployment) -> Vec<(MemberName, MemberName)> {
    let members = deployment.members().into_iter();
    members.flat_map(|from| deployment.peers(from).into_iter().map(move |to| (from, to))).collect()
}

impl ProbedLink {
    /// What is asked of the link between two members.
    pub fn asked(
        deployment: &Deployment,
        probe: &Probe,
        (from, to): (MemberName, MemberName),
    ) -> Self {
        let links = &deployment.links;
        let delay = links.between(site(from), site(to));
        let region = |member| deployment.region(member).to_owned();
        Self {
            from,
            to,
            from_region: region(from),
            to_region: region(to),
            asked_least: delay.least(),
            asked_p50: delay.median(),
            asked_p99: delay.quantile(0.99),
            asked_p99_low: delay.quantile(0.99 - RESOLUTION),
            crossing: None,
            baseline: None,
            heard: None,
            tolerance: probe.tolerance_of(links.round_trip(site(from), site(to))),
        }
    }

    /// What this path takes by itself, after a probe under the delay as asked, less that of the real link.
    pub fn baseline_of(&self, heard: &Heard) -> Option<Span> {
        let path = self.crossing.and_then(|crossing| crossing.path);
        let Some(path) = path.filter(|_| heard.is_whole()) else {
            return heard.is_whole().then(|| (heard.p50 - self.asked_p50).min(BASELINE_MAX));
        };
        // Nothing can be injected into a link that is slower than asked, so nothing is left to correct.
        if path > self.asked_least {
            return Some(path);
        }
        let (late, early) = (heard.p50 - self.asked_p50, self.asked_p50 - heard.p50);
        Some((path + late.min(BASELINE_MAX)) - early.min(BASELINE_MAX))
    }

    /// What is injected into it at the median.
    pub fn injected_p50(&self, baseline: Span) -> Span {
        self.asked_p50 - baseline.min(self.asked_least)
    }

    /// Whether its real link takes longer than what is asked of it.
    ///
    /// Between two members of one region a profile asks for nothing, and two hosts of that region have what they
    /// have.
    pub fn is_too_slow(&self) -> bool {
        self.crossing.is_some() && self.asked_p50 > Span::ZERO && self.excess() > self.tolerance
    }

    /// By how much it is asked to be faster than its path is.
    pub fn excess(&self) -> Span {
        self.baseline.unwrap_or(Span::ZERO) - self.asked_least
    }

    /// Whether it is asked to be faster than its path is.
    pub fn is_floored(&self) -> bool {
        self.excess() > Span::ZERO
    }

    /// Measured less asked, at the median and at the 99th percentile, in nanoseconds.
    pub fn errors_ns(&self) -> Option<(i64, i64)> {
        let heard = self.heard.as_ref().filter(|heard| heard.heard_count > 0)?;
        let error = |measured: Span, asked: Span| {
            let nanoseconds = i128::from(measured.0) - i128::from(asked.0);
            i64::try_from(nanoseconds).unwrap_or(i64::MAX)
        };
        Some((error(heard.p50, self.asked_p50), error(heard.p99, self.asked_p99)))
    }

    /// Whether it is the link that was asked for.
    pub fn is_within(&self) -> bool {
        self.badness() <= 1.0
    }

    /// Whether it is wrong by more than a noisy moment explains: that moves the end of a distribution and
    /// neither its median nor the order, and takes no frame away.
    fn is_wrong(&self) -> bool {
        let Some(heard) = self.heard.as_ref().filter(|heard| heard.is_whole()) else {
            return true;
        };
        self.is_too_slow()
            || self.faults(heard).0 > self.tolerance
            || share(heard.overtaken_count, heard) > DISORDER_MAX
            || share(heard.lost_count, heard) > DISORDER_MAX
    }

    /// Its greatest error, as a multiple of what is allowed.
    fn badness(&self) -> f64 {
        let Some(heard) = self.heard.as_ref().filter(|heard| heard.is_whole()) else {
            return f64::INFINITY;
        };
        if self.is_too_slow() {
            return self.excess().0 as f64 / self.tolerance.0.max(1) as f64;
        }
        let (p50, p99) = self.faults(heard);
        let late = p50.max(p99).0 as f64 / self.tolerance.0.max(1) as f64;
        late.max(share(heard.overtaken_count, heard) / DISORDER_MAX)
            .max(share(heard.lost_count, heard) / DISORDER_MAX)
    }

    /// How far off it is at the median, and how far at least at the 99th percentile, from the delay asked
    /// for or, where that cannot be had, from its path.
    fn faults(&self, heard: &Heard) -> (Span, Span) {
        let with_excess = |asked: Span| asked + self.excess();
        let (p50, p99) = (with_excess(self.asked_p50), with_excess(self.asked_p99));
        let p99_low = with_excess(self.asked_p99_low);
        // The difference of spans is never below zero.
        (heard.p50 - p50 + (p50 - heard.p50), heard.p99_low - p99 + (p99_low - heard.p99))
    }

    /// What is wrong with it, as a sentence.
    fn complaint(&self) -> String {
        let Self { from, to, from_region, to_region, .. } = self;
        let link = format!("{from} ({from_region}) → {to} ({to_region})");
        let Some(heard) = &self.heard else { return format!("{link} was not measured") };
        if !heard.is_whole() {
            let Heard { heard_count, sent_count, .. } = heard;
            return format!("{link} delivered {heard_count} of {sent_count} frames in time");
        }
        if self.is_too_slow() {
            return format!(
                "{link} takes {} ms by itself, and {} ms are asked for",
                self.baseline.unwrap_or(Span::ZERO).milliseconds(),
                self.asked_p50.milliseconds()
            );
        }
        let Heard { train_count, overtaken_count, lost_count, .. } = *heard;
        if share(overtaken_count, heard) > DISORDER_MAX {
            return format!(
                "{link} delivered {overtaken_count} of {train_count} datagrams after one that was \
                 sent later, where first in first out was asked"
            );
        }
        if share(lost_count, heard) > DISORDER_MAX {
            return format!(
                "{link} lost {lost_count} of {train_count} datagrams, where none was to be lost"
            );
        }
        let (p50, p99) = self.faults(heard);
        let (which, measured, asked) = if p99 > p50 {
            ("p99", heard.p99, self.asked_p99)
        } else {
            ("p50", heard.p50, self.asked_p50)
        };
        format!(
            "{link} took {} ms at {which} where {} was asked (tolerance {} ms)",
            measured.milliseconds(),
            asked.milliseconds(),
            self.tolerance.milliseconds()
        )
    }
}

impl ProbedNetwork {
    /// Every directed link as the last attempt found it: the trial runs on these.
    pub fn links(&self) -> &[ProbedLink] {
        self.attempts.last().map_or(&[], Vec::as_slice)
    }

    /// Whether a trial may run on it: the last attempt found every link as asked.
    pub fn is_accepted(&self) -> bool {
        !self.is_emulated || is_good(self.links())
    }

    /// Whether no further attempt can be good: some link was wrong in each of at least three.
    pub fn is_hopeless(&self) -> bool {
        let is_wrong = |index: usize| {
            self.attempts.iter().all(|links| links.get(index).is_some_and(ProbedLink::is_wrong))
        };
        let is_too_slow = self.links().iter().any(ProbedLink::is_too_slow);
        is_too_slow || self.attempts.len() >= HOPELESS && (0..self.links().len()).any(is_wrong)
    }

    /// How many attempts found every link as asked, and how many there were; `None` where no delay was
    /// asked for.
    pub fn good_attempts(&self) -> Option<(u32, u32)> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let good_count = self.attempts.iter().filter(|links| is_good(links)).count();
        self.is_emulated.then(|| (count(good_count), count(self.attempts.len())))
    }

    /// Why a trial must not run on it, with the worst link of the last attempt, and what to do next.
    pub fn refusal(&self) -> Option<String> {
        if self.is_accepted() {
            return None;
        }
        let links = self.links();
        let slow: Vec<String> =
            links.iter().filter(|link| link.is_too_slow()).map(ProbedLink::complaint).collect();
        if !slow.is_empty() {
            return Some(format!(
                "refused: {}: choose hosts that are nearer, a profile with longer delays, or `profile = \
                 \"native\"`, which injects nothing",
                slow.join(", ")
            ));
        }
        let worst = links.iter().max_by(|a, b| a.badness().total_cmp(&b.badness()))?;
        let count = links.iter().filter(|link| !link.is_within()).count();
        Some(format!(
            "refused: {}; {count} of {} directed links are not as asked in the last of {} attempts, none \
             of which found all links as asked, see links.csv; leave the machine to the run, raise \
             `probe.tolerance`, or run with --no-probe",
            worst.complaint(),
            links.len(),
            self.attempts.len()
        ))
    }

    /// The links whose 99th percentile itself is further off than they may be, in words: too few frames to
    /// refuse the trial for it, and no network to be proud of.
    pub fn noisy(&self) -> Option<String> {
        let is_noisy = |link: &&ProbedLink| {
            let p99 = link.heard.as_ref().map(|heard| heard.p99);
            p99.is_some_and(|p99| p99 > link.asked_p99 + link.excess() + link.tolerance)
        };
        let count = self.links().iter().filter(is_noisy).count();
        (self.is_emulated && count > 0).then(|| {
            format!(
                "noisy links: {count} of {} directed links were later than their tolerance at p99 when \
                 they were probed, though not beyond its interval, see links.csv",
                self.links().len()
            )
        })
    }

    /// The links that are asked to delay by less than their paths do, in words; nobody who asks for
    /// nothing between two neighbours expects nothing.
    pub fn floored(&self) -> Option<String> {
        let is_asked = |link: &&ProbedLink| link.is_floored() && link.asked_p50 > Span::ZERO;
        let floored: Vec<&ProbedLink> = self.links().iter().filter(is_asked).collect();
        let most = |link: &&ProbedLink| link.excess();
        let worst = floored.iter().copied().max_by_key(most)?;
        Some(format!(
            "floored: {} directed links are asked to be faster than their path, at worst {} → {} by {} ms",
            floored.len(),
            worst.from,
            worst.to,
            most(&worst).milliseconds()
        ))
    }
}

/// Whether every link is the one that was asked for.
fn is_good(links: &[ProbedLink]) -> bool {
    links.iter().all(ProbedLink::is_within)
}

/// The share of a train that this count is.
fn share(count: u32, heard: &Heard) -> f64 {
    f64::from(count) / f64::from(heard.train_count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::NodeId;

    const MS: Span = Span::from_millis(1);

    fn heard(p50: Span, p99: Span) -> Heard {
        Heard {
            from: MemberName::Replica(NodeId(0)),
            sent_count: 225,
            heard_count: 225,
            early: Span::ZERO,
            p50,
            p99,
            p99_low: p99,
            train_count: 52,
            overtaken_count: 0,
            lost_count: 0,
        }
    }

    /// 20 ms within half a millisecond.
    fn link(heard: Option<Heard>) -> ProbedLink {
        ProbedLink {
            from: MemberName::Replica(NodeId(0)),
            to: MemberName::Replica(NodeId(2)),
            from_region: "us-east-1".into(),
            to_region: "eu-west-1".into(),
            asked_least: MS.times(20),
            asked_p50: MS.times(20),
            asked_p99: MS.times(20),
            asked_p99_low: MS.times(20),
            crossing: None,
            baseline: None,
            heard,
            tolerance: Span::from_micros(500),
        }
    }

    fn network(links: Vec<ProbedLink>) -> ProbedNetwork {
        ProbedNetwork { attempts: vec![links], is_emulated: true }
    }

    fn micros(micros: u64) -> Span {
        Span::from_micros(micros)
    }

    #[test]
    fn a_link_within_its_tolerance_is_accepted_on_both_sides_of_it() {
        for (p50, p99) in [(20_000, 20_400), (19_600, 20_500), (19_500, 19_500)] {
            let link = link(Some(heard(micros(p50), micros(p99))));
            assert!(link.is_within(), "{link:?}");
            assert_eq!(network(vec![link]).refusal(), None);
        }
    }

    #[test]
    fn every_way_to_be_another_link_is_refused_with_its_name() {
        let good = heard(micros(20_000), micros(20_100));
        let cases = [
            (None, "r0 (us-east-1) → r2 (eu-west-1) was not measured"),
            (Some(Heard { heard_count: 224, ..good }), "delivered 224 of 225 frames in time"),
            (Some(heard(micros(20_100), micros(36_900))), "took 36.90 ms at p99 where 20.00 was"),
            (Some(heard(micros(100), micros(300))), "took 0.100 ms at p50 where 20.00 was asked"),
            (
                Some(Heard { overtaken_count: 1, ..good }),
                "1 of 52 datagrams after one that was sent",
            ),
            (Some(Heard { lost_count: 2, ..good }), "lost 2 of 52 datagrams"),
        ];
        for (heard, said) in cases {
            let refusal = network(vec![link(Some(good)), link(heard)]).refusal().unwrap();
            assert!(refusal.starts_with("refused: r0 (us-east-1) → r2 (eu-west-1)"), "{refusal}");
            for phrase in [said, "1 of 2 directed links", "last of 1 attempts", "--no-probe"] {
                assert!(refusal.contains(phrase), "{phrase:?} is missing in {refusal}");
            }
        }
    }

    #[test]
    fn a_tail_that_one_bad_moment_explains_is_accepted_and_a_long_one_is_not() {
        let one = Heard { p99_low: micros(20_400), ..heard(micros(20_000), micros(29_000)) };
        assert!(link(Some(one)).is_within());
        let said = network(vec![link(Some(one)), link(None)]).noisy().unwrap();
        assert!(said.contains("1 of 2 directed links"), "{said}");
        let quiet = link(Some(heard(micros(20_000), micros(20_400))));
        assert_eq!(network(vec![quiet]).noisy(), None);
        let many = Heard { p99_low: micros(20_600), ..one };
        assert!(!link(Some(many)).is_within());
        let early = Heard { p99_low: micros(15_000), ..heard(micros(20_000), micros(15_100)) };
        assert!(!link(Some(early)).is_within());
    }

    #[test]
    fn the_worst_link_is_the_one_that_is_named() {
        let mut worst = link(Some(heard(micros(28_000), micros(28_000))));
        worst.to = MemberName::Replica(NodeId(1));
        let late = || link(Some(heard(micros(20_600), micros(20_600))));
        let refusal = network(vec![late(), worst, late()]).refusal().unwrap();
        assert!(refusal.contains("→ r1") && refusal.contains("3 of 3"), "{refusal}");
    }

    /// Each link was as asked once, and never both at once.
    #[test]
    fn an_attempt_is_judged_whole_without_links_of_earlier_ones() {
        let good = || link(Some(heard(micros(20_000), micros(20_100))));
        let late = || link(Some(heard(micros(20_600), micros(20_700))));
        let attempts = vec![vec![good(), late()], vec![late(), good()]];
        let apart = ProbedNetwork { attempts, is_emulated: true };
        assert!(!apart.is_accepted());
        assert_eq!(apart.good_attempts(), Some((0, 2)));
        let refusal = apart.refusal().unwrap();
        for phrase in ["1 of 2 directed links", "last of 2 attempts"] {
            assert!(refusal.contains(phrase), "{phrase:?} is missing in {refusal}");
        }
        let mut together = apart.clone();
        together.attempts.push(vec![good(), good()]);
        assert!(together.is_accepted() && together.refusal().is_none());
        assert_eq!(together.good_attempts(), Some((1, 3)));
        // A good attempt counts only if the trial ran on it.
        together.attempts.push(vec![good(), late()]);
        assert!(!together.is_accepted());
    }

    #[test]
    fn a_link_that_is_wrong_each_time_leaves_no_hope_and_noise_does() {
        let good: fn() -> ProbedLink = || link(Some(heard(micros(20_000), micros(20_100))));
        let noisy: fn() -> ProbedLink = || link(Some(heard(micros(20_100), micros(29_000))));
        let wrong: fn() -> ProbedLink = || link(Some(heard(micros(40_000), micros(40_100))));
        let after = |attempts: &[fn() -> ProbedLink]| {
            let attempts = attempts.iter().map(|one| vec![good(), one()]).collect();
            ProbedNetwork { attempts, is_emulated: true }.is_hopeless()
        };
        let cut: fn() -> ProbedLink = || link(None);
        assert!(after(&[wrong, wrong, cut]));
        assert!(!after(&[wrong, wrong]) && !after(&[wrong, wrong, noisy]));
        assert!(!after(&[noisy, noisy, noisy]) && !after(&[wrong, good, wrong]));
    }

    #[test]
    fn a_network_that_nothing_was_asked_of_cannot_be_wrong() {
        let network = ProbedNetwork { is_emulated: false, ..network(vec![link(None)]) };
        assert!(network.is_accepted() && network.refusal().is_none());
        assert_eq!(network.good_attempts(), None);
    }

    #[test]
    fn a_baseline_is_what_the_path_adds_and_never_repairs_a_delay_line() {
        let link = link(None);
        let baseline = |p50: Span| link.baseline_of(&heard(p50, p50));
        assert_eq!(baseline(micros(20_080)), Some(micros(80)));
        assert_eq!(baseline(micros(19_900)), Some(Span::ZERO));
        assert_eq!(baseline(micros(40_000)), Some(BASELINE_MAX));
        let cut = Heard { heard_count: 3, ..heard(micros(20_080), micros(20_080)) };
        assert_eq!(link.baseline_of(&cut), None);
    }

    /// Between two hosts whose link takes this by itself.
    fn crossing(path: Span) -> ProbedLink {
        let crossing = Some(Crossing { path: Some(path), is_half: false });
        ProbedLink {
            crossing,
            baseline: Some(path),
            ..link(Some(heard(MS.times(20), MS.times(20))))
        }
    }

    #[test]
    fn the_path_of_a_real_link_is_taken_off_whole_and_corrected_a_little() {
        let link = crossing(MS.times(12));
        let baseline = |p50: Span| link.baseline_of(&heard(p50, p50));
        assert_eq!(baseline(micros(20_080)), Some(micros(12_080)));
        assert_eq!(baseline(micros(19_900)), Some(micros(11_900)));
        // A delay line that is wrong by more is not made up for.
        assert_eq!(baseline(micros(40_000)), Some(MS.times(12) + BASELINE_MAX));
        assert_eq!(link.injected_p50(MS.times(12)), MS.times(8));
        assert_eq!(
            crossing(MS.times(25)).baseline_of(&heard(MS.times(25), MS.times(25))),
            Some(MS.times(25))
        );
    }

    #[test]
    fn a_real_link_that_is_slower_than_asked_is_refused_at_once_by_name() {
        let slow = || crossing(MS.times(25));
        assert!(
            slow().is_too_slow() && !slow().is_within() && !crossing(micros(20_400)).is_too_slow()
        );
        let network = network(vec![crossing(MS), slow()]);
        assert!(network.is_hopeless() && !network.is_accepted());
        let said = network.refusal().unwrap();
        for phrase in [
            "r0 (us-east-1) → r2 (eu-west-1) takes 25.00 ms by itself",
            "20.00 ms are asked",
            "native",
        ] {
            assert!(said.contains(phrase), "{phrase:?} is missing in {said}");
        }
        // On one host the same is a mark, and so is a neighbour of which nothing is asked.
        assert!(!ProbedLink { crossing: None, ..slow() }.is_too_slow());
        let near = ProbedLink { asked_least: Span::ZERO, asked_p50: Span::ZERO, ..slow() };
        assert!(near.is_floored() && !near.is_too_slow());
    }

    #[test]
    fn a_link_that_is_asked_to_be_faster_than_its_path_is_marked() {
        let (least, p50) = (micros(20), micros(20));
        let fast = ProbedLink {
            asked_least: least,
            asked_p50: p50,
            asked_p99: p50,
            asked_p99_low: p50,
            ..link(None)
        };
        let fast = ProbedLink { baseline: Some(micros(80)), ..fast };
        assert!(fast.is_floored());
        // Its path is what it can be, and no more.
        let heard = |p50| Some(heard(micros(p50), micros(p50)));
        assert!(ProbedLink { heard: heard(560), ..fast.clone() }.is_within());
        assert!(!ProbedLink { heard: heard(600), ..fast.clone() }.is_within());
        let said = network(vec![link(None), fast]).floored().unwrap();
        assert!(said.contains("1 directed links") && said.contains("by 0.060 ms"), "{said}");
        assert_eq!(network(vec![link(None)]).floored(), None);
    }
}
