//! The parts of a point, each judged although others are wrong.
//!
//! What depends on a part that is wrong is not judged: it would be refused for what another one lacks.

use std::ops::RangeInclusive;

use super::control;
use super::election;
use super::emulation;
use super::faults;
use super::load::{self, Patient};
use super::network;
use super::places::{Places, Profiles};
use super::point::{DRAIN, Point, Variant, WARMUP, is_set};
use super::probe;
use super::simulated;
use super::transport;
use super::variants;
use crate::client;
use crate::deployment::{Durability, Network};
use crate::experiment::file::{self, Doubts, File, Length, Spanned};
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::Error;
use crate::protocol::Election;
use crate::runtime::net::Transport;
use crate::runtime::wan::Precision;
use crate::time::Span;
use crate::trial::Probe;
use crate::workload::{Control, Workload};

/// What is wrong, or cannot be known because something else is.
struct Wrong;

/// The parts of a point; none in the place of one that is wrong, or cannot be known for that reason.
pub(super) struct Parts {
    pub(super) places: Option<Places>,
    pub(super) network: Option<Network>,
    pub(super) workload: Option<Workload>,
    pub(super) election: Option<Election>,
    pub(super) durability: Option<Durability>,
    pub(super) variants: Vec<Option<Variant>>,
    /// Whether the faults of the variants are all that the file has.
    pub(super) has_all_faults: bool,
    duration: Option<Span>,
    /// The control operations; `None` in the first place if they are wrong.
    control: Result<Option<Control>, Wrong>,
    /// How far off the clocks of replicas are.
    clock_error: Span,
    retry_after: Option<Span>,
    interval: Option<Span>,
    transport: Transport,
    precision: Precision,
    probe: Option<Probe>,
}

impl Parts {
    /// Those of a file, whose sweep is not looked at.
    pub(super) fn of(
        file: &File,
        doubts: &Doubts,
        profiles: &mut Profiles<'_>,
        mistakes: &mut Mistakes<'_>,
    ) -> Self {
        let places = if doubts.of("topology") {
            None
        } else {
            Places::find(&file.topology, profiles, mistakes)
        };
        let links = places.as_ref().map(|places| &places.links);
        let network = network::network(file, links, !doubts.of("network"), mistakes);
        let weights = places.as_ref().map(|places| &places.weights[..]);
        let workload = load::workload(&file.workload, weights, mistakes);
        let workload = workload.filter(|_| !doubts.of("workload"));
        let transmission = (|| {
            let others = links?.replica_regions.len() - 1;
            Some(network?.capacity().takes(workload.as_ref()?.value_bytes, others))
        })();
        let election = election::election(&file.election, links, transmission, mistakes);
        let judge = variants::Judge {
            places: places.as_ref(),
            memory: network.map_or(Span::ZERO, |network| network.correlation),
            election: Some(file.election.mode()).filter(|_| !doubts.of("election")),
            workload: workload.as_ref(),
            clock_bound: file.clock.as_ref().map(|clock| Span::from(clock.get_ref().bound.0)),
            is_clock_known: !doubts.of("clock"),
        };
        let variants = variants::variants(file, doubts, &judge, mistakes);
        let clock_error = clock_error(file, mistakes);
        let duration = duration(file, mistakes).filter(|_| !doubts.of("workload"));
        let control = match (duration, doubts.of("control")) {
            (Some(duration), false) => {
                let control = control::control(file.control.as_ref(), duration);
                mistakes.note(control).ok_or(Wrong)
            }
            _ => Err(Wrong),
        };
        let parts = Self {
            duration,
            control,
            clock_error,
            retry_after: None,
            interval: None,
            transport: transport::transport(&file.transport, mistakes),
            precision: {
                simulated::check_host(file, mistakes);
                emulation::precision(file, mistakes)
            },
            probe: probe::probe(&file.probe, mistakes),
            durability: Some(file.durability.mode).filter(|_| !doubts.of("durability")),
            election: election.filter(|_| !doubts.of("election")),
            has_all_faults: true,
            places,
            network,
            workload,
            variants,
        };
        parts.with_patience(file, transmission, mistakes).with_faults(file, doubts, mistakes)
    }

    /// After how long clients ask again.
    fn with_patience(
        mut self,
        file: &File,
        transmission: Option<Span>,
        mistakes: &mut Mistakes<'_>,
    ) -> Self {
        let patient = (|| {
            let variants: Option<Vec<&Variant>> =
                self.variants.iter().map(Option::as_ref).collect();
            let of = |variant: &&Variant| [&variant.floors[..], &variant.read_floors[..]].concat();
            let floors = variants?.iter().flat_map(of).collect();
            let (links, election) = (&self.places.as_ref()?.links, self.election?);
            Some(Patient { links, election, floors, transmission: transmission? })
        })();
        let after = load::retry_after(&file.workload, patient.as_ref());
        self.retry_after = mistakes.note(after).flatten();
        self.interval = interval(file, mistakes);
        self
    }

    /// What goes wrong in each variant that is right.
    fn with_faults(mut self, file: &File, doubts: &Doubts, mistakes: &mut Mistakes<'_>) -> Self {
        let before = mistakes.count();
        let unsafe_restarts = is_set(file.durability.unsafe_restarts.as_ref());
        if let Some(places) = &self.places {
            for variant in self.variants.iter_mut().flatten() {
                let judge = faults::Judge {
                    places,
                    variant,
                    workload: self.workload.as_ref(),
                    duration: self.duration,
                    durability: self.durability,
                    unsafe_restarts,
                };
                variant.faults = faults::faults(file, doubts, &judge, mistakes);
            }
        }
        let is_doubtful = (0..file.faults.len()).any(|index| doubts.of_fault(index));
        self.has_all_faults = mistakes.count() == before && !is_doubtful && !doubts.of("fault");
        self
    }

    /// The variants, if all of them are right.
    pub(super) fn all_variants(&self) -> Option<Vec<&Variant>> {
        self.variants.iter().map(Option::as_ref).collect()
    }

    /// The point, if every part is there.
    pub(super) fn into_point(self, file: &File) -> Option<Point> {
        let length = |typed: &Option<Spanned<Length>>, default| {
            typed.as_ref().map_or(default, |typed| typed.get_ref().0.into())
        };
        let (places, workload) = (self.places?, self.workload?);
        Some(Point {
            label: String::new(),
            settings: Vec::new(),
            profile: places.profile,
            profile_file: places.profile_file,
            misses: places.misses,
            links: places.links,
            sim: simulated::settings(file, &self.transport),
            transport: self.transport,
            precision: self.precision,
            probe: self.probe?,
            variants: self.variants.into_iter().collect::<Option<_>>()?,
            retention: file.log.retention(workload.value_bytes),
            workload,
            control: self.control.ok()?,
            clock_error: self.clock_error,
            durability: self.durability?,
            simulated: faults::simulated(file),
            election: self.election?,
            network: self.network?,
            has_service: file.service.is_some(),
            has_host_costs: file.host.as_ref().is_some_and(file::Host::has_costs),
            warmup: length(&file.workload.warmup, WARMUP),
            duration: self.duration?,
            drain: length(&file.workload.drain, DRAIN),
            interval: self.interval?,
            retry_after: self.retry_after?,
        })
    }
}

/// Shorter intervals say little and take much room, longer ones are no timeline.
const INTERVALS: RangeInclusive<Span> = Span::from_millis(10)..=Span::from_millis(60_000);

/// The length of an interval of the timeline.
fn interval(file: &File, mistakes: &mut Mistakes<'_>) -> Option<Span> {
    let Some(typed) = &file.workload.interval else { return Some(client::INTERVAL) };
    let interval = Span::from(typed.get_ref().0);
    let is_possible = INTERVALS.contains(&interval);
    if !is_possible {
        let typed_as = humantime::format_duration(typed.get_ref().0).to_string();
        mistakes.refuse_at(typed.span(), Error::Interval { interval: typed_as });
    }
    is_possible.then_some(interval)
}

/// The time that is measured.
fn duration(file: &File, mistakes: &mut Mistakes<'_>) -> Option<Span> {
    let typed = &file.workload.duration;
    let duration = Span::from(typed.get_ref().0);
    if duration == Span::ZERO {
        mistakes.refuse_at(typed.span(), Error::Zero { key: "workload.duration" });
        return None;
    }
    Some(duration)
}

/// How far off the clocks of replicas are, where anybody looks at them.
fn clock_error(file: &File, mistakes: &mut Mistakes<'_>) -> Span {
    let Some(typed) = &file.clock else { return Span::ZERO };
    let has_clocks = |variant: &file::Variant| {
        let file::Protocol::Multi { reads, commit_wait, .. } = &variant.protocol else {
            return false;
        };
        let of_clocks = |reads: &Spanned<file::Reads>| {
            !matches!(reads.get_ref(), file::Reads::Log | file::Reads::Quorum)
        };
        is_set(commit_wait.as_ref()) || reads.as_ref().is_some_and(of_clocks)
    };
    let [bound, error] = [typed.get_ref().bound, typed.get_ref().error].map(|it| Span::from(it.0));
    if !file.variants.iter().any(has_clocks) {
        mistakes.refuse_at(typed.span(), Error::NobodyLooksAtClocks);
    } else if error > bound {
        mistakes.refuse_at(typed.span(), Error::ClockBound { error, bound });
    }
    error
}
