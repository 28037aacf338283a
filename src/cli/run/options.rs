//! Options of `run` that would have no effect: each is refused before anything starts, with what would
//! have one.

use super::{Choice, Run};
use crate::cli::{Exit, Failure};
use crate::deployment::Durability;
use crate::experiment::plan::{Plan, Point};
use crate::runtime::storage::{Break, Defect};

impl Run {
    /// Refuses an option that no trial of this plan would heed.
    pub(super) fn check_options(&self, plan: &Plan) -> Result<(), Failure> {
        self.check_worlds()?;
        self.check_repeats(plan)?;
        for point in &plan.points {
            self.check_broken_disk(point)?;
            self.check_broken_network(point)?;
        }
        Ok(())
    }

    /// Repeats until something is known that nobody can know, or for a time that nobody heeds.
    fn check_repeats(&self, plan: &Plan) -> Result<(), Failure> {
        if self.time.is_some() && self.until().is_none() {
            return Err(Failure::request(
                "--for has no effect without `--trials until=...`",
                "the number of repeats is fixed: leave it out, or write `--trials until=2%`",
            ));
        }
        if self.until().is_some() && plan.points[0].variants.len() < 2 {
            return Err(Failure::request(
                "--trials until=... needs two variants to compare, and there is one",
                "give the number of repeats instead",
            ));
        }
        Ok(())
    }

    /// Options about a world in which no trial runs.
    fn check_worlds(&self) -> Result<(), Failure> {
        let of_controls = [
            ("--break-network", self.break_network.is_some()),
            ("--break-disk", self.break_disk.is_some()),
        ];
        let given = |options: &[(&'static str, bool)]| {
            options.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name)
        };
        if let (Choice::Sim, Some(name)) = (self.backend, self.venue.of_live()) {
            return Err(Failure::request(
                format!("{name} has no effect with `--backend sim`"),
                "it is about live trials: leave it out, or choose `--backend live` or `both`",
            ));
        }
        if let (Choice::Sim | Choice::Both, Some(name)) = (self.backend, given(&of_controls)) {
            return Err(Failure::request(
                format!("{name} breaks live trials alone, and this run simulates"),
                "leave it out, or choose `--backend live`; `flexpaxos fuzz --break` and `flexpaxos check \
                 --break` break simulated replicas",
            ));
        }
        if let (Choice::Live, Some(name)) = (self.backend, self.venue.of_simulated()) {
            return Err(Failure::request(
                format!("{name} has no effect with `--backend live`"),
                "live trials run one after the other: leave it out, or choose `--backend sim` or `both`",
            ));
        }
        Ok(())
    }

    /// A disk that no trial at this point has.
    fn check_broken_disk(&self, point: &Point) -> Result<(), Failure> {
        let Some(broken) = self.break_disk else { return Ok(()) };
        let n = point.links.replica_regions.len();
        if let Some(replica) = broken.replica.filter(|replica| usize::from(replica.0) >= n) {
            let message =
                format!("--break-disk names {replica}, which does not exist{}", at(point));
            return Err(Failure::request(message, format!("the replicas are r0 to r{}", n - 1)));
        }
        if point.durability == Durability::Memory {
            return Err(Failure::request(
                format!("--break-disk breaks nothing{}: replicas use no disk", at(point)),
                "set `durability.mode = \"fsync\"`, or leave `--break-disk` out",
            ));
        }
        Ok(())
    }

    /// A network without a delay, whose emulation can delay nothing wrongly.
    fn check_broken_network(&self, point: &Point) -> Result<(), Failure> {
        let Some(rule) = self.break_network.filter(|_| !point.links.has_delay()) else {
            return Ok(());
        };
        Err(Failure::request(
            format!("--break-network {rule} breaks nothing{}: no link has a delay", at(point)),
            "choose a profile with delays, such as `uniform:20ms`, or leave `--break-network` out",
        ))
    }

    /// Refuses a run that ended as if nothing had been broken, when a disk was to be broken.
    pub(super) fn check_disk_broke(&self, exit: Exit) -> Result<(), Failure> {
        let Some(Break { replica, defect: Defect::Fails(rule) }) = self.break_disk else {
            // What is not synced is lost with every process that ends.
            return Ok(());
        };
        if exit != Exit::Done {
            return Ok(());
        }
        let whose =
            replica.map_or_else(|| "no replica ever".to_owned(), |it| format!("{it} never"));
        Err(Failure::request(
            format!("--break-disk had no effect: {whose} made call {} of that kind", rule.nth),
            "lower the number, or let the trial last longer",
        ))
    }
}

/// ` at clients=16`; nothing where nothing is swept.
fn at(point: &Point) -> String {
    match point.label.as_str() {
        "" => String::new(),
        label => format!(" at {label}"),
    }
}
