//! Which member of an experiment would run on which host.

use std::io::{self, Write};

use super::engine::members;
use crate::cluster::hosts::file::Hosts;
use crate::cluster::hosts::placement::{Placement, try_to_place};
use crate::experiment::plan::{Plan, Point};
use crate::report::table::{Column, Table, Width};

/// Prints a table for each placement that the plan has; a member without a host has a dash.
pub(super) fn print(
    hosts: &Hosts,
    plan: &Plan,
    width: Width,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut printed: Vec<Vec<Vec<String>>> = Vec::new();
    for point in &plan.points {
        let rows = rows(hosts, point);
        if printed.contains(&rows) {
            continue;
        }
        if !printed.is_empty() {
            writeln!(out)?;
        }
        if !point.label.is_empty() {
            writeln!(out, "{}:", point.label)?;
        }
        let columns = ["member", "region", "host", "line", "beside"].map(Column::text).to_vec();
        writeln!(out, "{}", Table::new(columns, rows.clone()).fit(width))?;
        printed.push(rows);
    }
    writeln!(out, "\nnothing was started, and no host was reached")
}

/// A row a member: its region, its host with the first line that names it, and who else runs there.
fn rows(hosts: &Hosts, point: &Point) -> Vec<Vec<String>> {
    let names = hosts.names();
    let members = members(point);
    let (placed, _): (Placement, _) = try_to_place(hosts, &members);
    let row = |(member, region): &(_, &str)| {
        let dash = || "-".to_owned();
        let Some(host) = placed.get(member) else {
            return vec![member.to_string(), (*region).to_owned(), dash(), dash(), String::new()];
        };
        let line = hosts.lines.iter().find(|line| line.host == names[*host]);
        let others = placed.iter().filter(|(other, at)| *at == host && *other != member);
        let others: Vec<String> = others.map(|(other, _)| other.to_string()).collect();
        vec![
            member.to_string(),
            (*region).to_owned(),
            names[*host].to_owned(),
            line.map_or_else(dash, |line| line.number.to_string()),
            others.join(", "),
        ]
    };
    members.iter().map(row).collect()
}
