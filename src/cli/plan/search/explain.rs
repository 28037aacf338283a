//! A row of a front in words: why it is there, what its figures are made of, and what its neighbours trade.

use std::fmt::Write;

use super::words::grouped;
use crate::planner::row::slowest_takeover;
use crate::planner::{Found, Objective, Row, Search};
use crate::report::table::fold;
use crate::time::Span;
use crate::topology::worth::{Leader, Loss, losses};
use crate::topology::{Jitter, Links, Site, nearest_replica, quorum_span};

/// The row of this number, from 1.
pub(super) fn row(search: &Search<'_>, found: &Found, number: usize) -> String {
    let row = &found.rows[number - 1];
    let mut paragraphs = vec![what(row, number), why(search, found, row)];
    let space = search.space;
    // Figures of medians, which links with jitter do not have.
    let links = Links::new(space.profile(), row.replicas(), space.client_regions(), Jitter::None);
    if let Ok(links) = links {
        paragraphs.push(commit(search, row, &links));
        let losses = losses(&links, &row.system);
        paragraphs.extend(search.proposers.are_led.then(|| takeover(row, &losses)));
    }
    let others =
        [(number > 1).then(|| number - 1), (number < found.rows.len()).then(|| number + 1)];
    for other in others.into_iter().flatten() {
        paragraphs.push(neighbour(search, [number, other], row, &found.rows[other - 1]));
    }
    let folded: Vec<String> = paragraphs.iter().map(|text| fold(text, 0)).collect();
    folded.join("\n\n") + "\n"
}

fn what(row: &Row, number: usize) -> String {
    let proposer = match row.leader {
        Some(leader) => format!("The leader is in {}", row.name(leader)),
        None => "Each client has a proposer, the replica nearest to it".to_owned(),
    };
    format!(
        "Row {number} has replicas in {}. {proposer}. The quorum system is {}.",
        row.replicas().join(", "),
        row.described
    )
}

fn why(search: &Search<'_>, found: &Found, row: &Row) -> String {
    let figure = |objective: &Objective| {
        format!("{} {}", objective.name(), objective.words(row.costs[objective.place()]))
    };
    let figures: Vec<String> = search.rules.objectives.iter().map(figure).collect();
    let points = grouped(found.points);
    let is_best = match &figures[..] {
        [figure] => format!(
            "It has {figure}. Of the {points} points searched, none within the limits is better."
        ),
        _ => format!(
            "It has {}. Of the {points} points searched, none within the limits is better by one of these \
             without being worse by another.",
            figures.join(" and "),
        ),
    };
    let alike = match row.count {
        1 => "No other point has the same values.".to_owned(),
        count => format!(
            "{} points have the same values; the row shows the one that survives the most losses.",
            grouped(count.into())
        ),
    };
    format!("{is_best} {alike}")
}

fn ms(span: Span) -> String {
    format!("{} ms", span.milliseconds())
}

fn commit(search: &Search<'_>, row: &Row, links: &Links) -> String {
    let of_client = |(client, region): (usize, &String)| {
        let asked = row.mode.asked().unwrap_or_else(|| nearest_replica(links, client));
        let to = links.round_trip(Site::Client(client), Site::Replica(asked));
        let phases = row.mode.phases(&row.system);
        let waits = phases.iter().map(|it| quorum_span(links, asked, it));
        let parts: Vec<Span> = std::iter::once(to).chain(waits).collect();
        let sum = parts.iter().fold(Span::ZERO, |sum, part| sum + *part);
        let parts: Vec<String> = parts.iter().map(|it| it.milliseconds()).collect();
        let whom =
            if row.leader.is_some() { String::new() } else { format!(" at {}", row.name(asked)) };
        format!("{region}{whom}: {} = {}.", parts.join(" + "), ms(sum))
    };
    let clients: Vec<String> = links.client_regions.iter().enumerate().map(of_client).collect();
    let parts = match row.leader {
        Some(_) => "the round trip to the leader + the leader's wait for a phase-2 quorum",
        None => {
            "the round trip to its proposer + the proposer's waits for a phase-1 and for a phase-2 quorum"
        }
    };
    let mean = Objective::Commit.words(row.costs[Objective::Commit.place()]);
    let mean = match clients.len() {
        1 => String::new(),
        _ if search.space.is_even() => format!(" The mean over the clients is {mean}."),
        _ => format!(" The mean over the clients, by their weights, is {mean}."),
    };
    format!("The commit latency of a client is {parts}. {}{mean}", clients.join(" "))
}

fn takeover(row: &Row, losses: &[Loss]) -> String {
    let Some((worst, last)) = slowest_takeover(losses) else {
        let lost = losses.iter().find(|loss| loss.next.is_empty());
        let lost = lost.map_or("a region", |loss| &loss.region);
        return format!(
            "No replica can take over when {lost} is lost: no phase 1 ends without it."
        );
    };
    let takes = |leader: &Leader| leader.takeover.map_or_else(String::new, ms);
    let best = |loss: &Loss| match (loss.next.first(), loss.next.last()) {
        (Some(first), Some(last)) if first.node != last.node => format!(
            "phase 1 takes {} if {} leads next, the fastest, and {} if {} does, the slowest",
            takes(first),
            row.name(first.node),
            takes(last),
            row.name(last.node),
        ),
        (Some(only), _) => format!("only {} can lead next ({})", row.name(only.node), takes(only)),
        _ => "no replica can lead".to_owned(),
    };
    let mut text = format!(
        "The takeover figure, {}, is phase 1 of {} after the loss of {}: no other next leader and no other \
         lost region take longer. After that loss {}.",
        takes(last),
        row.name(last.node),
        worst.region,
        best(worst),
    );
    let own = row.leader.map(|leader| &row.replicas()[usize::from(leader.0)]);
    if let Some(own) = losses.iter().find(|loss| Some(&loss.region) == own && *loss != worst) {
        write!(text, " After the loss of the leader's own region, {}, {}.", own.region, best(own))
            .expect("a String takes all");
    }
    text
}

/// What another row has instead.
fn neighbour(search: &Search<'_>, [own, number]: [usize; 2], row: &Row, other: &Row) -> String {
    let change = |objective: &Objective| {
        let [own, theirs] = [row, other].map(|it| it.costs[objective.place()]);
        if own == theirs {
            return format!("the same {}", objective.name());
        }
        let better = if theirs < own { "a better" } else { "a worse" };
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
        (true, false) => how.push(format!("also {}", new.join(", "))),
        (false, true) => how.push(format!("no replica in {}", gone.join(", "))),
    }
    if other.described.to_string() != row.described.to_string() {
        how.push(format!("{} instead of {}", other.described, row.described));
    }
    let leader = |of: &Row| of.leader.map(|leader| of.name(leader));
    if let (Some(own), Some(theirs)) = (leader(row), leader(other))
        && own != theirs
    {
        how.push(format!("the leader in {theirs}"));
    }
    let how = if how.is_empty() {
        "other replicas have the same roles in the quorum system".to_owned()
    } else {
        how.join("; ")
    };
    format!(
        "Compared with row {own}, row {number} has {}. The difference: {how}.",
        changes.join(" and ")
    )
}
