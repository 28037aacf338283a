//! A row of a front in words: why it is there, what its figures are made of, and what its neighbours trade.

use super::words::grouped;
use crate::planner::{Found, Objective, Row, Search};
use crate::report::table::fold;
use crate::time::Span;
use crate::topology::worth::{Loss, losses};
use crate::topology::{Jitter, Links, Site, nearest_replica, quorum_span};

/// The row of this number, from 1.
pub(super) fn row(search: &Search<'_>, found: &Found, number: usize) -> String {
    let row = &found.rows[number - 1];
    let mut paragraphs = vec![what(row, number), why(search, found, row)];
    let space = search.space;
    // Figures of medians, which links with jitter do not have.
    let links = Links::new(space.profile(), row.replicas(), space.client_regions(), Jitter::None);
    if let Ok(links) = links {
        paragraphs.push(commit(row, &links));
        paragraphs.extend(search.proposers.are_led.then(|| takeover(row, &links)));
    }
    let others =
        [(number > 1).then(|| number - 1), (number < found.rows.len()).then(|| number + 1)];
    for other in others.into_iter().flatten() {
        paragraphs.push(neighbour(search, row, &found.rows[other - 1], other));
    }
    let folded: Vec<String> = paragraphs.iter().map(|text| fold(text, 0)).collect();
    folded.join("\n\n") + "\n"
}

fn what(row: &Row, number: usize) -> String {
    let proposer = match row.leader {
        Some(leader) => format!("led from {}", row.name(leader)),
        None => "with one proposer for each client".to_owned(),
    };
    format!("Row {number} is {} {proposer}, on {}.", row.described, row.replicas().join(", "))
}

fn why(search: &Search<'_>, found: &Found, row: &Row) -> String {
    let figure = |objective: &Objective| {
        format!("{} {}", objective.name(), objective.words(row.costs[objective.place()]))
    };
    let figures: Vec<String> = search.rules.objectives.iter().map(figure).collect();
    let alike = match row.count {
        1 => "No other point has the same value".to_owned(),
        count => {
            format!("{} points have this value, and the first is shown", grouped(count.into()))
        }
    };
    format!(
        "It is on the front because none of the {} points within the limits is at least as good by every \
         objective ({}) and better by one. {alike}.",
        grouped(found.points),
        figures.join(", "),
    )
}

fn ms(span: Span) -> String {
    format!("{} ms", span.milliseconds())
}

fn commit(row: &Row, links: &Links) -> String {
    let of_client = |(client, region): (usize, &String)| {
        let asked = row.mode.asked().unwrap_or_else(|| nearest_replica(links, client));
        let to = links.round_trip(Site::Client(client), Site::Replica(asked));
        let phases = row.mode.phases(&row.system);
        let waits: Vec<Span> = phases.iter().map(|it| quorum_span(links, asked, it)).collect();
        let sum = waits.iter().fold(to, |sum, wait| sum + *wait);
        let waits: Vec<String> = waits.into_iter().map(ms).collect();
        let whom =
            if row.leader.is_some() { String::new() } else { format!(" at {}", row.name(asked)) };
        format!("{region} {} = {} there and back + {}{whom}", ms(sum), ms(to), waits.join(" + "))
    };
    let clients: Vec<String> = links.client_regions.iter().enumerate().map(of_client).collect();
    let phases = match row.leader {
        Some(_) => "the wait for a phase-2 quorum",
        None => "the waits for a phase-1 and a phase-2 quorum",
    };
    format!("A commit is the way to the proposer and back, and {phases}: {}.", clients.join("; "))
}

fn takeover(row: &Row, links: &Links) -> String {
    let losses: Vec<Loss> = losses(links, &row.system);
    let slowest = |loss: &Loss| loss.next.last().and_then(|leader| leader.takeover);
    let fastest = |loss: &Loss| loss.next.first().and_then(|leader| leader.takeover);
    let is_over = losses.iter().all(|loss| !loss.next.is_empty());
    let Some(worst) = losses.iter().max_by_key(|loss| slowest(loss)).filter(|_| is_over) else {
        let lost = losses.iter().find(|loss| loss.next.is_empty());
        let lost = lost.map_or_else(String::new, |loss| loss.region.clone());
        return format!("Nobody can take over when {lost} is lost: no phase 1 ends without it.");
    };
    let mut sentences: Vec<String> = Vec::new();
    if let (Some(last), Some(takes)) = (worst.next.last(), slowest(worst)) {
        sentences.push(format!(
            "The takeover is longest when {} is lost and {} leads next: its phase 1 takes {}.",
            worst.region,
            row.name(last.node),
            ms(takes)
        ));
    }
    if let (Some(first), Some(takes)) = (worst.next.first(), fastest(worst)) {
        sentences.push(format!("There {} would need {}.", row.name(first.node), ms(takes)));
    }
    let own = row.leader.map(|leader| &links.replica_regions[usize::from(leader.0)]);
    let own = losses.iter().find(|loss| Some(&loss.region) == own);
    if let Some((first, last)) = own.and_then(|own| Some((own.next.first()?, own.next.last()?)))
        && let (Some(least), Some(most)) = (first.takeover, last.takeover)
    {
        sentences.push(format!(
            "When the leader's own region is lost, the next leader is {} with {} at best, and {} with {} at worst.",
            row.name(first.node),
            ms(least),
            row.name(last.node),
            ms(most)
        ));
    }
    sentences.join(" ")
}

/// What another row has instead.
fn neighbour(search: &Search<'_>, row: &Row, other: &Row, number: usize) -> String {
    let change = |objective: &Objective| {
        let [own, theirs] = [row, other].map(|it| it.costs[objective.place()]);
        if own == theirs {
            return format!("the same {}", objective.name());
        }
        let better = if theirs < own { "better" } else { "worse" };
        let [own, theirs] = [row, other].map(|it| it.value(*objective));
        let share = if own > 0.0 && theirs.is_finite() && own.is_finite() && objective.is_time() {
            format!(", {:+.1} %", (theirs / own - 1.0) * 100.0)
        } else {
            String::new()
        };
        format!(
            "{better} {} ({}{share})",
            objective.name(),
            objective.words(other.costs[objective.place()])
        )
    };
    let changes: Vec<String> = search.rules.objectives.iter().map(change).collect();
    let mut how: Vec<String> = Vec::new();
    let missing = |of: &Row, from: &Row| -> Vec<String> {
        of.replicas().iter().filter(|it| !from.replicas().contains(it)).cloned().collect()
    };
    let (gone, new) = (missing(row, other), missing(other, row));
    match (gone.is_empty(), new.is_empty()) {
        (true, true) => {}
        (false, false) => how.push(format!("{} instead of {}", new.join(", "), gone.join(", "))),
        (true, false) => how.push(format!("{} in addition", new.join(", "))),
        (false, true) => how.push(format!("no replica in {}", gone.join(", "))),
    }
    if other.described.to_string() != row.described.to_string() {
        how.push(format!("{} instead of {}", other.described, row.described));
    }
    let leader = |of: &Row| of.leader.map(|leader| of.name(leader));
    if let (Some(own), Some(theirs)) = (leader(row), leader(other))
        && own != theirs
    {
        how.push(format!("{theirs} as the leader"));
    }
    let how =
        if how.is_empty() { "another arrangement of the same".to_owned() } else { how.join(", ") };
    format!("Row {number} has {}. It takes {how}.", changes.join(" and "))
}
