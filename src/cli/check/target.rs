//! What `flexpaxos check` explores: a preset, or the variants of an experiment.

use std::path::Path;
use std::str::FromStr;

use super::{Check, Failure};
use crate::deployment::Durability;
use crate::experiment::plan::{Point, Variant};
use crate::nearest::nearest;
use crate::protocol::SendPolicy;
use crate::quorum::Family;
use crate::registry::{Budgets, Preset, Setup};
use crate::sabotage::Rule;
use crate::time::Span;

/// More replicas have more states than anybody waits for.
const REPLICAS_MAX: usize = 5;

/// Of a variant so many states are generated at most, unless more are asked for.
const STATES: usize = 10_000_000;

/// The same of a deep preset: some ten seconds on two cores, and five gigabytes.
const DEEP_STATES: usize = 18_000_000;

/// A deployment to explore.
pub(super) struct Target {
    /// The name of the preset or variant, with the point of the experiment if that has several.
    pub(super) name: String,
    /// The variant, or the preset.
    variant: String,
    /// A line that says what the deployment is for.
    pub(super) about: String,
    /// Its replicas and clients, and what may go wrong.
    pub(super) setup: Setup,
    /// How many states are generated at most.
    pub(super) state_count_max: Option<usize>,
}

impl Target {
    /// Whether it is the same variant with the same quorums, leader and budgets.
    fn is_same(&self, other: &Self) -> bool {
        let of = |it: &Self| {
            let Setup { quorums, mode, election, send, budgets, is_restarted, .. } = &it.setup;
            (it.variant.clone(), quorums.clone(), *mode, *election, *send, *budgets, *is_restarted)
        };
        of(self) == of(other)
    }
}

impl From<Preset> for Target {
    fn from(Preset { name, about, setup }: Preset) -> Self {
        let (name, about) = (name.to_owned(), about.to_owned());
        Self { variant: name.clone(), name, about, setup, state_count_max: None }
    }
}

impl Target {
    /// Whether clocks that go on by themselves are compared: the leases of responders do not end in a search.
    pub(super) fn compares_clocks(&self) -> bool {
        let mode = self.setup.mode;
        let has_bound = mode.clock_bound().is_some_and(|bound| bound > Span::ZERO);
        mode.commit_wait().is_some() || has_bound && mode.responders().is_none()
    }

    /// A deep preset, whose end is out of reach.
    fn deep(preset: Preset) -> Self {
        Self { state_count_max: Some(DEEP_STATES), ..preset.into() }
    }
}

/// How often one kind of thing may go wrong: `crashes=1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    of: Of,
    count: u8,
}

/// Finds one kind among all.
type Of = fn(&mut Budgets) -> &mut u8;

/// Each kind by its name.
const KINDS: [(&str, Of); 6] = [
    ("campaigns", |budgets| &mut budgets.campaigns),
    ("checkpoints", |budgets| &mut budgets.checkpoints),
    ("crashes", |budgets| &mut budgets.crashes),
    ("drops", |budgets| &mut budgets.drops),
    ("duplicates", |budgets| &mut budgets.duplicates),
    ("timers", |budgets| &mut budgets.timers),
];

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = KINDS.map(|(name, _)| name);
        let all = || format!("write KIND=COUNT with one of {}", names.join(", "));
        let (name, count) = text.split_once('=').ok_or_else(all)?;
        let kind = KINDS.iter().find(|(known, _)| *known == name);
        let (_, of) = kind.ok_or_else(|| match nearest(name, &names) {
            Some(near) => format!("there is no `{name}`; `{near}` is the nearest"),
            None => all(),
        })?;
        let count = count.parse().map_err(|_| format!("`{count}` is no number up to 255"))?;
        Ok(Self { of: *of, count })
    }
}

impl Check {
    /// The deployments to explore; `run` tells of several of them in a table.
    pub(super) fn targets(&self) -> Result<Vec<Target>, Failure> {
        let Some(name) = &self.target else {
            self.check_options("every preset")?;
            let is_asked = |preset: &Preset| self.rule.is_none_or(|rule| preset.finds(rule));
            if self.deep {
                let asked: Vec<Target> =
                    Preset::deep().into_iter().filter(is_asked).map(Target::deep).collect();
                return match self.rule.filter(|_| asked.is_empty()) {
                    Some(rule) => Err(Failure::request(
                        format!("no deep preset is a control of {rule}"),
                        "leave out --deep",
                    )),
                    None => Ok(asked),
                };
            }
            return Ok(Preset::all().into_iter().filter(is_asked).map(Target::from).collect());
        };
        if let Some(preset) = Preset::named(name) {
            self.check_options("a preset")?;
            self.check_findable(&preset)?;
            let is_deep = Preset::deep().iter().any(|deep| deep.name == preset.name);
            return Ok(vec![if is_deep { Target::deep(preset) } else { preset.into() }]);
        }
        let path = Path::new(name);
        if path.extension().is_none() && !path.exists() {
            let presets = Preset::all().into_iter().chain(Preset::deep());
            let names: Vec<&str> = presets.map(|preset| preset.name).collect();
            let help = match nearest(name, &names) {
                Some(near) => format!("'{near}' is the nearest; `flexpaxos check --list` has all"),
                None => {
                    "`flexpaxos check --list` has the presets; an experiment is a file".to_owned()
                }
            };
            return Err(Failure::request(format!("there is no preset '{name}'"), help));
        }
        self.variants(path)
    }

    /// The variants of an experiment that were asked for.
    fn variants(&self, path: &Path) -> Result<Vec<Target>, Failure> {
        let (_, plan) = super::super::open(path, None, false, &self.overrides)?;
        // The points of a sweep have the same variants in the same order.
        let point = &plan.points[0];
        let names: Vec<&str> = point.variants.iter().map(|it| it.name.as_str()).collect();
        if let Some(asked) = self.variant.as_deref().filter(|asked| !names.contains(asked)) {
            let help = nearest(asked, &names).map_or_else(
                || format!("it has {}", names.join(", ")),
                |near| format!("'{near}' is the nearest; it has {}", names.join(", ")),
            );
            let message = format!("{} has no variant '{asked}'", path.display());
            return Err(Failure::request(message, help));
        }
        let is_asked = |it: &&Variant| self.variant.as_ref().is_none_or(|asked| *asked == it.name);
        let mut targets: Vec<Target> = Vec::new();
        for point in &plan.points {
            for variant in point.variants.iter().filter(is_asked) {
                let target = self.of_variant(point, variant)?;
                // Most points differ in their load, which has no part in a check.
                if !targets.iter().any(|known| known.is_same(&target)) {
                    targets.push(target);
                }
            }
        }
        Ok(targets)
    }

    fn of_variant(&self, point: &Point, variant: &Variant) -> Result<Target, Failure> {
        let of =
            if point.label.is_empty() { String::new() } else { format!(" at {}", point.label) };
        let Variant { name, mode, quorums, send, .. } = variant;
        let n = quorums.n();
        if n > REPLICAS_MAX {
            return Err(Failure::request(
                format!(
                    "variant '{name}' has {n} replicas, and at most {REPLICAS_MAX} can be checked"
                ),
                "give it fewer with --set topology.replicas=…, or look for faults by chance: flexpaxos fuzz",
            ));
        }
        let has_rule = |rule: Rule| {
            let is_of_others = Rule::QUORUM_READS.contains(&rule) && !mode.asks_quorum()
                || Rule::RESPONDERS.contains(&rule) && mode.responders().is_none();
            mode.can_break(rule) && !is_of_others
        };
        if let Some(rule) = self.rule.filter(|rule| !has_rule(*rule)) {
            return Err(Failure::request(
                format!("variant '{name}' runs {mode}, which has no rule {rule}"),
                "break another rule, or choose another variant",
            ));
        }
        let is_led = mode.leader().is_some();
        let mut budgets = Budgets { campaigns: u8::from(is_led), ..Budgets::default() };
        if *send == SendPolicy::Quorum {
            budgets.timers = 1;
        }
        for budget in &self.budgets {
            *(budget.of)(&mut budgets) = budget.count;
        }
        if !is_led && budgets.campaigns > 0 {
            if self.variant.is_some() {
                return Err(Failure::request(
                    format!("variant '{name}' runs {mode}: no replica leads, and none is told to"),
                    "leave `campaigns` out of --budget",
                ));
            }
            // It is meant for the other variants.
            budgets.campaigns = 0;
        }
        let has_disk = point.durability == Durability::Fsync;
        let setup =
            Setup::of_variant((*mode, quorums.clone()), point.election, *send, budgets, has_disk);
        let crashed = match (budgets.crashes, has_disk) {
            (0, _) => "",
            (_, true) => "; who crashed starts again with what was durable",
            (_, false) => "; who crashed stays away: it has no disk",
        };
        let spared = if budgets.crashes > 0 && !quorums.witnesses().is_empty() {
            "; witnesses do not crash"
        } else {
            ""
        };
        let [q1, q2] = [quorums.phase1(), quorums.phase2()].map(Family::min_size);
        let about = format!(
            "phase-1 quorums from {q1} and phase-2 quorums from {q2} replicas{crashed}{spared}"
        );
        Ok(Target {
            name: format!("{name}{of}"),
            variant: name.clone(),
            about,
            setup,
            state_count_max: Some(STATES),
        })
    }

    /// Refuses options of experiments where there is none.
    fn check_options(&self, what: &str) -> Result<(), Failure> {
        let given = [
            ("--variant", self.variant.is_some()),
            ("--budget", !self.budgets.is_empty()),
            ("--set or --seed", !self.overrides.is_empty()),
        ];
        let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) else {
            return Ok(());
        };
        Err(Failure::request(
            format!("{name} has no effect on {what}"),
            "leave it out, or name an experiment file instead",
        ))
    }

    /// Refuses a preset that is no control of the broken rule.
    fn check_findable(&self, preset: &Preset) -> Result<(), Failure> {
        let Some(rule) = self.rule.filter(|rule| !preset.finds(*rule)) else { return Ok(()) };
        let finds = |it: &Preset| it.finds(rule);
        let finders: Vec<&str> =
            Preset::all().iter().filter(|it| finds(it)).map(|it| it.name).collect();
        Err(Failure::request(
            format!("the preset {} is no control of {rule}: it may find nothing", preset.name),
            format!("these presets find it: {}", finders.join(", ")),
        ))
    }
}
