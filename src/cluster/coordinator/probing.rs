//! Probing: the links are measured, and the baseline of the path taken off, before a trial begins.
//!
//! Every attempt measures the baseline of all links, under the delays as asked for, and then all links
//! with the baseline taken off.
//! The first attempt that finds every link as asked ends the probe, and the trial runs on what it set.
//! A trial of which every attempt found a link that is not as asked does not run, nor one of
//! which a link is found wrong each time by more than noise explains.
//!
//! Links that are to be as they are ([`NATIVE`](crate::topology::NATIVE)) are measured once and not judged.
//!
//! Between hosts the real links are measured first, with as little injected as can be.
//! What a member heard of one on another host is as good as the clocks of the two: where those are not known
//! within the tolerance of the link, the two directions are [made equal](halved) in what was not injected.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::member::Presence;
use crate::cluster::wire::{Baselines, ToAgent};
use crate::deployment::{MemberName, site};
use crate::runtime::clock;
use crate::runtime::probe::{Heard, Order};
use crate::time::Span;
use crate::trial::probe::BASELINE_SHARE;
use crate::trial::probed::directions;
use crate::trial::{Crossing, Probe, ProbedLink, ProbedNetwork};

/// From the order to the first round: the order must reach everybody.
const START_DELAY: Span = Span::from_millis(50);

/// A frame that is later than this beyond its delay is not waited for.
const PATIENCE: Span = Span::from_millis(1_000);

/// What was heard on each directed link.
pub(super) type Measured = BTreeMap<(MemberName, MemberName), Heard>;

impl Coordinator<'_> {
    /// Measures the links until they are as asked, or too often.
    pub(super) async fn probe(&mut self, probe: Probe) -> Result<ProbedNetwork, Error> {
        let deployment = self.deployment;
        // Real links are what they are.
        let is_emulated = deployment.is_emulated() && !deployment.links.is_native();
        let asked = directions(deployment).into_iter();
        let mut asked: Vec<ProbedLink> = asked
            .map(|link| {
                let crossing = self.crosses(link.0, link.1).then(Crossing::default);
                ProbedLink { crossing, ..ProbedLink::asked(deployment, &probe, link) }
            })
            .collect();
        let (period, rounds) = probe.rounds(asked.len());
        let mut network = ProbedNetwork { attempts: Vec::new(), is_emulated };
        // Where nothing is delayed there is nothing to take a baseline off.
        let attempts = if is_emulated { probe.attempts } else { 1 };
        if is_emulated && asked.iter().any(|link| link.crossing.is_some()) {
            self.take_paths(period, rounds / BASELINE_SHARE, &mut asked).await?;
        }
        for _ in 0..attempts {
            let mut links = asked.clone();
            if is_emulated {
                self.take_baselines(period, rounds / BASELINE_SHARE, &mut links).await?;
            }
            let mut measured = self.measure(period, rounds, &mut links).await?;
            for link in &mut links {
                link.heard = measured.remove(&(link.from, link.to));
            }
            links.retain(|link| self.has_ends(link));
            network.attempts.push(links);
            if network.is_accepted() || network.is_hopeless() {
                break;
            }
        }
        Ok(network)
    }

    /// Whether both ends of a link are there: an expendable host takes its links with it.
    fn has_ends(&self, link: &ProbedLink) -> bool {
        [link.from, link.to].iter().all(|name| self.members[name].presence != Presence::Lost)
    }

    /// Measures what the real links between hosts take by themselves.
    async fn take_paths(
        &mut self,
        period: Span,
        rounds: u64,
        links: &mut [ProbedLink],
    ) -> Result<(), Error> {
        // Links on one host are as asked meanwhile.
        let all = |link: &ProbedLink| link.crossing.map(|_| link.asked_least);
        self.set_baselines(links, all);
        let measured = self.measure(period, rounds, links).await?;
        for link in links {
            let Some(crossing) = &mut link.crossing else { continue };
            let heard = measured.get(&(link.from, link.to)).filter(|heard| heard.is_whole());
            let injected = link.asked_p50 - link.asked_least;
            crossing.path = heard.map(|heard| heard.p50 - injected);
        }
        Ok(())
    }

    /// Measures what the path of each link takes by itself, and takes it off from now on.
    async fn take_baselines(
        &mut self,
        period: Span,
        rounds: u64,
        links: &mut [ProbedLink],
    ) -> Result<(), Error> {
        self.set_baselines(links, |link| link.crossing.and_then(|crossing| crossing.path));
        let measured = self.measure(period, rounds, links).await?;
        for link in links.iter_mut() {
            let heard = measured.get(&(link.from, link.to));
            link.baseline = heard.and_then(|heard| link.baseline_of(heard));
        }
        self.set_baselines(links, |link| link.baseline);
        Ok(())
    }

    /// Shortens links by so much from the next measurement on.
    fn set_baselines(
        &mut self,
        links: &[ProbedLink],
        baseline: impl Fn(&ProbedLink) -> Option<Span>,
    ) {
        self.baselines.clear();
        for link in links {
            let baseline = baseline(link).unwrap_or(Span::ZERO);
            self.baselines.entry(link.from).or_default().push((link.to, baseline));
        }
    }

    /// Measures every directed link at once, under the delays asked for less their baselines.
    async fn measure(
        &mut self,
        period: Span,
        rounds: u64,
        links: &mut [ProbedLink],
    ) -> Result<Measured, Error> {
        self.check_clocks().await?;
        let order = self.order(period, rounds);
        self.probe_run = order.run;
        self.heard.clear();
        for name in self.expected(|_| true) {
            let baselines = self.baselines_of(name);
            self.tell(name, &ToAgent::Probe { order, baselines }).await;
        }
        // Members give up by themselves at the deadline, and say so.
        let deadline = order.deadline + self.timeouts.mesh;
        let has_answered = |all: &Self, name: &MemberName| all.heard.contains_key(name);
        self.until(deadline, |all| {
            all.expected(|_| true).iter().all(|name| has_answered(all, name))
        })
        .await?;
        self.fail_early()?;
        // What has been measured is better than what drift might have done meanwhile.
        self.check_clocks().await?;
        let mut measured = Measured::new();
        for (to, heard) in std::mem::take(&mut self.heard) {
            measured.extend(heard.into_iter().map(|heard| ((heard.from, to), heard)));
        }
        self.make_comparable(&mut measured, links);
        Ok(measured)
    }

    /// Makes equal what was heard on the two directions between hosts whose clocks are not known well enough.
    fn make_comparable(&self, measured: &mut Measured, links: &mut [ProbedLink]) {
        let is_native = self.deployment.links.is_native();
        let injected = |link: &ProbedLink| {
            if is_native {
                return Span::ZERO;
            }
            let baselines = self.baselines.get(&link.from);
            let found = baselines.and_then(|all| all.iter().find(|(to, _)| *to == link.to));
            link.injected_p50(found.map_or(Span::ZERO, |(_, baseline)| *baseline))
        };
        let injected: BTreeMap<_, _> =
            links.iter().map(|link| ((link.from, link.to), injected(link))).collect();
        for link in links {
            let Some(crossing) = &mut link.crossing else { continue };
            let (there, back) = ((link.from, link.to), (link.to, link.from));
            let apart = self.clocks_apart(link.from, link.to).unwrap_or(Span::ZERO);
            crossing.is_half = apart > link.tolerance;
            if link.from > link.to {
                continue;
            }
            let [one, other] = [there, back].map(|way| measured.get(&way).copied());
            let by = match (one, other, crossing.is_half) {
                (Some(one), Some(other), true) => {
                    halved((one, injected[&there]), (other, injected[&back]))
                }
                _ => 0,
            };
            for (way, heard, by) in [(there, one, -by), (back, other, by)] {
                measured.extend(heard.map(|heard| (way, heard.moved(by))));
            }
        }
    }

    fn order(&self, period: Span, rounds: u64) -> Order {
        let deployment = self.deployment;
        let links = directions(deployment);
        let longest = links.iter().map(|(from, to)| {
            let delay = deployment.links.between(site(*from), site(*to));
            delay.quantile(0.999)
        });
        let patience = longest.max().unwrap_or(Span::ZERO).times(2) + PATIENCE;
        let from = clock::now() + START_DELAY + self.reach();
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        let order = Order { run: self.probe_run + 1, from, period, rounds, deadline: from };
        Order { deadline: order.until() + patience, ..order }
    }

    /// What the links from a member are shortened by.
    pub(super) fn baselines_of(&self, name: MemberName) -> Baselines {
        self.baselines.get(&name).cloned().unwrap_or_default()
    }
}

/// By how much the first of two directions seems to take longer than half of what both take beyond what was
/// injected, in nanoseconds.
///
/// However far apart two clocks are, the sum of both directions is a round trip by one of them.
fn halved((one, injected_one): (Heard, Span), (other, injected_other): (Heard, Span)) -> i64 {
    let beyond = |heard: &Heard, injected: Span| {
        heard.median_ns() - i64::try_from(injected.0).unwrap_or(i64::MAX)
    };
    (beyond(&one, injected_one) - beyond(&other, injected_other)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::NodeId;

    /// What a receiver hears of a link that takes `took` while its clock is `ahead` of the sender's.
    fn heard(took: i64, ahead: i64) -> Heard {
        let age = took + ahead;
        let early = Span(age.min(0).unsigned_abs());
        let p50 = Span(u64::try_from(age.max(0)).unwrap());
        let tail = p50 + Span(500);
        Heard {
            from: MemberName::Replica(NodeId(0)),
            sent_count: 225,
            heard_count: 225,
            early,
            p50,
            p99: tail,
            p99_low: tail,
            train_count: 0,
            overtaken_count: 0,
            lost_count: 0,
        }
    }

    #[test]
    fn both_directions_are_equal_whatever_the_clocks_say() {
        for ahead in [0, 700, -700, 90_000, -90_000] {
            let (there, back) = (heard(10_000, ahead), heard(12_000, -ahead));
            let by = halved((there, Span::ZERO), (back, Span::ZERO));
            let (there, back) = (there.moved(-by), back.moved(by));
            assert_eq!((there.p50, back.p50), (Span(11_000), Span(11_000)), "ahead by {ahead}");
            assert_eq!((there.p99, there.early), (Span(11_500), Span::ZERO));
        }
    }

    #[test]
    fn what_was_injected_stays_where_it_was_injected() {
        let (there, back) = (heard(10_000 + 30_000, -50_000), heard(12_000 + 5_000, 50_000));
        let by = halved((there, Span(30_000)), (back, Span(5_000)));
        assert_eq!(there.moved(-by).p50, Span(41_000));
        assert_eq!(back.moved(by).p50, Span(16_000));
    }
}
