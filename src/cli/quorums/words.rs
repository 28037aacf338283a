//! What is printed of quorum systems.

use super::Judged;
use crate::quorum::{Layout, NodeSet, QuorumSystem};
use crate::report::table::{Column, Table, Width, fold, legend, milliseconds, table};
use crate::time::Span;
use crate::topology::Links;
use crate::topology::worth::{Leader, Lost, Worth, leaders as wait, losses as left};

impl Judged {
    /// What it is called in a picture: what was typed, or whose it is.
    pub(super) fn title(&self) -> String {
        self.users.first().cloned().unwrap_or_else(|| self.name.clone())
    }
}

/// What a system without a name is called.
pub(super) fn name(system: &QuorumSystem) -> String {
    let of = |family: &crate::quorum::Family| family.threshold().map(|size| size.to_string());
    match (of(system.phase1()), of(system.phase2())) {
        (Some(q1), Some(q2)) => format!("counts {q1}, {q2} of {}", system.n()),
        _ => "explicit sets".to_owned(),
    }
}

/// Whether the system is safe, with the proof or the counterexample.
pub(super) fn verdict(judged: &Judged) -> String {
    let system = &judged.system;
    if let Some(disjoint) = system.disjoint() {
        let named =
            |set: NodeSet| system.layout().describe(system.n(), set, &|node| judged.replica(node));
        let said = format!(
            "UNSAFE: phase-1 quorum {} and phase-2 quorum {} have no replica in common",
            named(disjoint.phase1),
            named(disjoint.phase2),
        );
        return fold(&said, 8);
    }
    let proof = system.proof().expect("no two quorums of it are disjoint");
    match proof.cost {
        None => fold(&proof.safe, 6),
        Some(cost) => format!("{}\n{}", fold(&proof.safe, 6), fold(&cost, 6)),
    }
}

/// The quorums of each phase.
pub(super) fn phases(system: &QuorumSystem, worth: &Worth) -> Table {
    let rows: Vec<Vec<String>> = [("phase 1", system.phase1()), ("phase 2", system.phase2())]
        .iter()
        .zip(&worth.phases)
        .map(|((phase, family), worth)| {
            let least = family.min_size().to_string();
            vec![(*phase).to_owned(), least, or_unknown(worth.minimal), or_unknown(worth.survived)]
        })
        .collect();
    table(&["", "least size", "minimal quorums", "crashes survived"], &[1, 2, 3], &rows)
}

/// Load, availability and messages.
pub(super) fn worth(judged: &Judged, worth: &Worth, up: f64) -> String {
    let row = |phase: &str, index: usize| {
        let phase_worth = &worth.phases[index];
        let sizes = sizes(phase_worth.sizes);
        let capacity = phase_worth.load.map(|load| 1.0 / load);
        vec![
            phase.to_owned(),
            sizes,
            load(phase_worth.load),
            load(capacity),
            share(phase_worth.available),
        ]
    };
    let rows = [row("phase 1", 0), row("phase 2", 1)];
    let available = format!("available at {up}");
    let phases = table(&["", "sizes", "load", "capacity", &available], &[1, 2, 3, 4], &rows);
    let [thrifty, all] = worth.messages;
    let meaning = "load: the share of all operations in which the busiest replica takes part, if quorums are chosen \
                   so that this is least; capacity: 1 / load, so many operations are answered in the time in which a \
                   replica takes part in one; sizes: of the minimal quorums";
    let both = format!(
        "both phases are available with {}; a write takes {all} messages, and {thrifty} if the leader asks the \
         least quorum",
        share(worth.available)
    );
    let idle = NodeSet::all(judged.system.n()).difference(worth.voters);
    let names: Vec<String> = idle.iter().map(|node| judged.replica(node)).collect();
    let idle = if names.is_empty() {
        String::new()
    } else {
        format!("\nwithout a vote: {}", names.join(", "))
    };
    let witnesses: Vec<String> =
        judged.system.witnesses().iter().map(|node| judged.replica(node)).collect();
    let idle = match witnesses.join(", ") {
        names if names.is_empty() => idle,
        names => format!("{idle}\nwitnesses, which keep no state machine and never lead: {names}"),
    };
    format!("{phases}\n{}\n\n{}{idle}", fold(meaning, 0), fold(&both, 0))
}

/// How long each replica waits as the leader.
pub(super) fn leaders(judged: &Judged, links: &Links, width: Width) -> String {
    let row = |leader: &Leader| {
        let [takeover, commit] =
            [leader.takeover, leader.commit].map(|it| milliseconds(it.map(|it| it.0)));
        vec![judged.replica(leader.node), takeover, commit]
    };
    let rows = wait(links, &judged.system).iter().map(row).collect();
    let columns =
        vec![Column::name("leader"), Column::number("takeover ms"), Column::number("commit ms")];
    Table::new(columns, rows).fit(width)
}

/// Who may lead when a region is lost.
pub(super) fn losses(judged: &Judged, links: &Links, width: Width) -> String {
    let rows = left(links, &judged.system).into_iter().map(|loss| {
        let ms = |span: Option<Span>| milliseconds(span.map(|span| span.0));
        let best = loss.next.first();
        let commits = if loss.has_phase2 { "yes" } else { "no" };
        vec![
            loss.region,
            commits.to_owned(),
            loss.next.len().to_string(),
            best.map_or_else(|| "nobody".to_owned(), |leader| judged.replica(leader.node)),
            ms(best.and_then(|leader| leader.takeover)),
            ms(best.and_then(|leader| leader.commit)),
            ms(loss.next.last().and_then(|leader| leader.takeover)),
        ]
    });
    let columns = vec![
        Column::name("lost region"),
        Column::text("phase 2"),
        Column::number("may lead").rank(1),
        Column::name("best next"),
        Column::number("takeover ms"),
        Column::number("commit ms"),
        Column::number("worst ms").rank(2),
    ];
    let said = "phase 2: whether a leader elsewhere still commits; worst ms: the slowest takeover";
    format!("{}\n{}", Table::new(columns, rows.collect()).fit(width), legend(said, width))
}

/// All systems in one table.
pub(super) fn side_by_side(all: &[Judged], worth: &[Worth], up: f64, width: Width) -> String {
    let row = |(judged, worth): (&Judged, &Worth)| {
        let [first, second] = &worth.phases;
        let is_safe = judged.system.disjoint().is_none();
        vec![
            judged.name.clone(),
            if is_safe { "yes" } else { "NO" }.to_owned(),
            sizes(first.sizes),
            sizes(second.sizes),
            or_unknown(first.survived),
            or_unknown(second.survived),
            load(second.load),
            load(second.load.map(|load| 1.0 / load)),
            format!("{}-{}", worth.messages[0], worth.messages[1]),
            share(worth.available),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().zip(worth).map(row).collect();
    let columns = vec![
        Column::name("system"),
        Column::text("safe"),
        Column::number("q1"),
        Column::number("q2"),
        Column::number("f1"),
        Column::number("f2"),
        Column::number("load"),
        Column::number("capacity").rank(1),
        Column::number("messages"),
        Column::number("available"),
    ];
    let said = format!(
        "q1, q2: the sizes of the minimal quorums; f1, f2: the crashes that each phase survives; load: that of \
         the busiest replica in phase 2; messages: of a write, to the least quorum and to all; available: \
         both phases, when each replica is up with {up}"
    );
    format!("{}\n{}", Table::new(columns, rows).fit(width), legend(&said, width))
}

/// What the loss of any one region leaves of each system, where they are on links.
pub(super) fn regions(all: &[Judged], width: Width) -> String {
    let row = |judged: &Judged| {
        let lost = Lost::new(judged.links.as_ref()?, &judged.system);
        let ms = |span: Option<Span>| milliseconds(span.map(|span| span.0));
        let worst = if lost.survived == lost.regions { ms(lost.worst) } else { "never".to_owned() };
        Some(vec![
            judged.name.clone(),
            ms(lost.commit),
            format!("{} of {}", lost.survived, lost.regions),
            ms(lost.best),
            worst,
        ])
    };
    let columns = vec![
        Column::name("system"),
        Column::number("commit ms"),
        Column::number("regions survived"),
        Column::number("best next, least ms"),
        Column::number("most ms"),
    ];
    let said = "commit ms: phase 2 of the best leader; regions survived: how many may be lost, each alone, and another \
                leader commits; best next, least ms, most ms: phase 1 of the best next leader, for the region whose \
                loss costs least and for the one whose loss costs most (the slowest next leader is told with each \
                system); never: the loss of some region stops it";
    let rows = all.iter().filter_map(row).collect();
    format!("{}\n{}", Table::new(columns, rows).fit(width), legend(said, width))
}

/// The kind of a system in exports.
pub(super) const fn kind(system: &QuorumSystem) -> &'static str {
    match system.layout() {
        Layout::Plain => "plain",
        Layout::Grid { .. } => "grid",
        Layout::Groups(_) => "groups",
        Layout::Hierarchy { .. } => "hierarchical",
        Layout::Weights(_) => "weighted",
        Layout::Wall(_) => "wall",
        Layout::Tree { .. } => "tree",
    }
}

fn sizes((least, most): (usize, usize)) -> String {
    if least == most { least.to_string() } else { format!("{least}-{most}") }
}

fn or_unknown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

fn load(value: Option<f64>) -> String {
    or_unknown(value.map(|value| format!("{value:.3}")))
}

/// A probability with as many nines as it has.
fn share(value: Option<f64>) -> String {
    or_unknown(value.map(|value| format!("{value:.6}")))
}
