//! Probing: the links are measured, and the baseline of the path taken off, before a trial begins.
//!
//! Every attempt measures the baseline of all links, under the delays as asked for, and then all links
//! with the baseline taken off.
//! The first attempt that finds every link as asked ends the probe, and the trial runs on what it set.
//! A trial of which every attempt found a link that is not as asked does not run, nor one of
//! which a link is found wrong each time by more than noise explains.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::wire::{Baselines, ToAgent};
use crate::deployment::{MemberName, site};
use crate::runtime::clock;
use crate::runtime::probe::{Heard, Order};
use crate::time::Span;
use crate::trial::probe::BASELINE_SHARE;
use crate::trial::probed::directions;
use crate::trial::{Probe, ProbedLink, ProbedNetwork};

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
        let is_emulated = deployment.is_emulated();
        let asked = directions(deployment).into_iter();
        let asked: Vec<ProbedLink> =
            asked.map(|link| ProbedLink::asked(deployment, &probe, link)).collect();
        let (period, rounds) = probe.rounds(asked.len());
        let mut network = ProbedNetwork { attempts: Vec::new(), is_emulated };
        // Where nothing is delayed there is nothing to take a baseline off.
        let attempts = if is_emulated { probe.attempts } else { 1 };
        for _ in 0..attempts {
            let mut links = asked.clone();
            if is_emulated {
                self.take_baselines(period, rounds / BASELINE_SHARE, &mut links).await?;
            }
            let mut measured = self.measure(period, rounds).await?;
            for link in &mut links {
                link.heard = measured.remove(&(link.from, link.to));
            }
            network.attempts.push(links);
            if network.is_accepted() || network.is_hopeless() {
                break;
            }
        }
        Ok(network)
    }

    /// Measures what the path of each link takes by itself, and takes it off from now on.
    async fn take_baselines(
        &mut self,
        period: Span,
        rounds: u64,
        links: &mut [ProbedLink],
    ) -> Result<(), Error> {
        self.baselines.clear();
        let measured = self.measure(period, rounds).await?;
        for link in links {
            let heard = measured.get(&(link.from, link.to));
            link.baseline = heard.and_then(|heard| link.baseline_of(heard));
            let baseline = link.baseline.unwrap_or(Span::ZERO);
            self.baselines.entry(link.from).or_default().push((link.to, baseline));
        }
        Ok(())
    }

    /// Measures every directed link at once, under the delays asked for less their baselines.
    async fn measure(&mut self, period: Span, rounds: u64) -> Result<Measured, Error> {
        let order = self.order(period, rounds);
        self.probe_run = order.run;
        self.heard.clear();
        let names: Vec<MemberName> = self.members.keys().copied().collect();
        for name in &names {
            let baselines = self.baselines_of(*name);
            self.tell(*name, &ToAgent::Probe { order, baselines }).await;
        }
        // Members give up by themselves at the deadline, and say so.
        let deadline = order.deadline + self.timeouts.mesh;
        self.until(deadline, |all| all.heard.len() == names.len()).await?;
        self.fail_early()?;
        let mut measured = Measured::new();
        for (to, heard) in std::mem::take(&mut self.heard) {
            measured.extend(heard.into_iter().map(|heard| ((heard.from, to), heard)));
        }
        Ok(measured)
    }

    fn order(&self, period: Span, rounds: u64) -> Order {
        let deployment = self.deployment;
        let links = directions(deployment);
        let longest = links.iter().map(|(from, to)| {
            let delay = deployment.links.between(site(*from), site(*to));
            delay.quantile(0.999)
        });
        let patience = longest.max().unwrap_or(Span::ZERO).times(2) + PATIENCE;
        let from = clock::now() + START_DELAY;
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        let order = Order { run: self.probe_run + 1, from, period, rounds, deadline: from };
        Order { deadline: order.until() + patience, ..order }
    }

    /// What the links from a member are shortened by.
    pub(super) fn baselines_of(&self, name: MemberName) -> Baselines {
        self.baselines.get(&name).cloned().unwrap_or_default()
    }
}
