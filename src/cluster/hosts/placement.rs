//! Which member of a deployment runs on which host.
//!
//! A member goes to a host whose line names its region and takes its role; where no line names the region, to
//! one that names no region.
//! Of several, the host with the fewest members takes it, then one that has a member of its region, then the
//! first; a client goes where the fewest replicas are before that.
//! So five bare hosts take one replica each, and a sixth all clients.
//!
//! An expendable host takes no client: what a client measured would be lost with it.

use std::collections::BTreeMap;

use super::file::{Hosts, Line, Mistake};
use crate::deployment::MemberName;
use crate::nearest::resembling;

/// On which host each member runs: its place in [`Hosts::names`].
pub type Placement = BTreeMap<MemberName, usize>;

/// Places members, each with its region; all that have no host are named at once.
pub fn place(hosts: &Hosts, members: &[(MemberName, &str)]) -> Result<Placement, Vec<Mistake>> {
    let (placed, mistakes) = try_to_place(hosts, members);
    if mistakes.is_empty() { Ok(placed) } else { Err(mistakes) }
}

/// Places the members that have a host; with the mistakes, in the order of the file.
pub fn try_to_place(hosts: &Hosts, members: &[(MemberName, &str)]) -> (Placement, Vec<Mistake>) {
    let names = hosts.names();
    let index = |line: &Line| {
        names.iter().position(|name| *name == line.host).expect("each line is of a host")
    };
    let mut placed = Placement::new();
    let mut missing: BTreeMap<(&str, &str), Vec<MemberName>> = BTreeMap::new();
    for (member, region) in members {
        let takes = |line: &&Line| line.role.is_none_or(|role| role.takes(*member));
        let names_region = |line: &&Line| line.regions.iter().any(|name| name == region);
        let is_named = hosts.lines.iter().any(|line| names_region(&line));
        let candidates = hosts
            .lines
            .iter()
            .filter(takes)
            .filter(|line| if is_named { names_region(line) } else { line.regions.is_empty() });
        let rank = |line: &&Line| {
            let host = index(line);
            let there = || placed.iter().filter(|(_, other)| **other == host);
            let is_near = |(other, _): (&MemberName, &usize)| {
                members.iter().any(|(name, at)| name == other && at == region)
            };
            let is_replica = |other: &MemberName| matches!(other, MemberName::Replica(_));
            let disturbed = match member {
                MemberName::Client(_) => there().filter(|(other, _)| is_replica(other)).count(),
                MemberName::Replica(_) => 0,
            };
            (disturbed, there().count(), !there().any(is_near), host)
        };
        match candidates.min_by_key(rank) {
            Some(line) => {
                let host = index(line);
                placed.insert(*member, host);
            }
            None => missing.entry((*region, role(*member))).or_default().push(*member),
        }
    }
    let homeless = missing.iter().map(|((region, role), lost)| homeless(hosts, region, role, lost));
    let mut mistakes: Vec<(usize, Mistake)> =
        homeless.chain(expendable_clients(hosts, &placed)).collect();
    // Those of no line come last.
    mistakes.sort_by_key(|(line, _)| *line);
    (placed, mistakes.into_iter().map(|(_, mistake)| mistake).collect())
}

/// Clients that an expendable host was given, each with the line that says so.
fn expendable_clients(hosts: &Hosts, placed: &Placement) -> Vec<(usize, Mistake)> {
    let names = hosts.names();
    let is_client = |member: &MemberName| matches!(member, MemberName::Client(_));
    let clients = placed.iter().filter(|(member, _)| is_client(member));
    let found = clients.filter_map(|(member, host)| {
        let line = hosts.lines.iter().find(|line| line.host == names[*host] && line.is_expendable)?;
        let what = format!("{} is expendable, and {member} runs there", line.host);
        let help = "a client's measurements would be lost with it: add role=replica, and another host for clients \
                    of that region";
        let place = format!("{}:{}", hosts.file, line.number);
        Some((line.number, Mistake { place, what, help: help.to_owned() }))
    });
    found.collect()
}

fn role(member: MemberName) -> &'static str {
    match member {
        MemberName::Replica(_) => "replica",
        MemberName::Client(_) => "client",
    }
}

/// No host takes these members; the line that seems to mean them comes first, if there is one.
fn homeless(hosts: &Hosts, region: &str, role: &str, members: &[MemberName]) -> (usize, Mistake) {
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    let of_region = |line: &&Line| line.regions.iter().any(|name| name == region);
    let refusing: Vec<String> = hosts
        .lines
        .iter()
        .filter(of_region)
        .filter_map(|line| Some(format!("line {} is role={}", line.number, line.role?)))
        .collect();
    let mut meant = hosts.lines.iter().find(|line| of_region(line) && line.role.is_some());
    let reason = if refusing.is_empty() {
        let known = hosts.lines.iter().flat_map(|line| line.regions.iter().map(String::as_str));
        let near = resembling(region, known);
        let names_near = |line: &&Line| {
            near.first().is_some_and(|near| line.regions.iter().any(|it| it == near))
        };
        meant = hosts.lines.iter().find(names_near);
        match &near[..] {
            [] => String::new(),
            near => format!(" (the file has {})", near.join(", ")),
        }
    } else {
        format!(" ({})", refusing.join(", "))
    };
    let place = match meant {
        Some(line) => format!("{}:{}", hosts.file, line.number),
        None => hosts.file.clone(),
    };
    let mistake = Mistake {
        place,
        what: format!("no host takes {} in region {region}{reason}", names.join(", ")),
        help: format!(
            "add a line `user@host region={region}`, add role={role} or leave the role out, or name a host \
             without a region"
        ),
    };
    (meant.map_or(usize::MAX, |line| line.number), mistake)
}

/// What to know of a placement: hosts that several members share.
pub fn shared(hosts: &Hosts, placed: &Placement) -> Vec<String> {
    let names = hosts.names();
    let on = |host: usize| {
        let members = placed.iter().filter(move |(_, at)| **at == host);
        members.map(|(member, _)| member.to_string()).collect::<Vec<_>>()
    };
    let crowded = (0..names.len()).map(|host| (names[host], on(host)));
    crowded
        .filter(|(_, members)| members.len() > 1)
        .map(|(name, members)| format!("{name} runs {}: they share its cores", members.join(", ")))
        .collect()
}

/// Lines that take nobody.
pub fn idle(hosts: &Hosts, placed: &[Placement]) -> Vec<String> {
    let names = hosts.names();
    let is_idle =
        |host: &usize| placed.iter().all(|placement| placement.values().all(|at| at != host));
    (0..names.len()).filter(is_idle).map(|host| names[host].to_owned()).collect()
}

/// Regions that lines name and in which no member is, each with its line; `regions` are those of all members.
pub fn empty_regions(hosts: &Hosts, regions: &[&str]) -> Vec<String> {
    let named = hosts.lines.iter().flat_map(|line| line.regions.iter().map(move |it| (line, it)));
    let empty = named.filter(|(_, region)| !regions.contains(&region.as_str()));
    let said = empty.map(|(line, region)| {
        let near = match &resembling(region, regions.iter().copied())[..] {
            [] => String::new(),
            near => format!(" (there are some in {})", near.join(", ")),
        };
        format!("{}:{}: no member is in region {region}{near}", hosts.file, line.number)
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> MemberName {
        MemberName::parse(name).unwrap()
    }

    /// `r0=a c0=a`: where each is.
    fn placed(text: &str, members: &str) -> Result<String, Vec<String>> {
        let hosts = Hosts::parse("hosts.txt", text).unwrap();
        let members: Vec<(MemberName, &str)> = members
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .map(|(name, region)| (member(name), region))
            .collect();
        let placement = place(&hosts, &members)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let names = hosts.names();
        let words: Vec<String> =
            placement.iter().map(|(name, host)| format!("{name}={}", names[*host])).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn a_region_goes_to_its_hosts_by_role() {
        let text = "n1 region=a role=replica\nn2 region=a role=client\nn3 region=b,c\n";
        let found = placed(text, "r0=a r1=b r2=c c0=a c1=b").unwrap();
        assert_eq!(found, "r0=n1 r1=n3 r2=n3 c0=n2 c1=n3");
    }

    #[test]
    fn bare_hosts_are_filled_evenly_and_clients_stay_near() {
        let members = "r0=a r1=b r2=c c0=c c1=a";
        assert_eq!(placed("n1\nn2\nn3\n", members).unwrap(), "r0=n1 r1=n2 r2=n3 c0=n3 c1=n1");
        assert_eq!(placed("n1\n", members).unwrap(), "r0=n1 r1=n1 r2=n1 c0=n1 c1=n1");
        let spare = placed("n1\nn2\nn3\nn4\n", members).unwrap();
        assert_eq!(spare, "r0=n1 r1=n2 r2=n3 c0=n4 c1=n4");
    }

    #[test]
    fn a_region_without_a_host_is_named_with_what_to_add() {
        let text = "n1 region=eu-west-1 role=replica\nn2 region=us-east-1\n";
        let found = placed(text, "r0=eu-west-1 r1=eu-west-2 c0=eu-west-1").unwrap_err();
        assert_eq!(found.len(), 2, "{found:?}");
        let client = "hosts.txt:1: no host takes c0 in region eu-west-1 (line 1 is role=replica)";
        assert_eq!(found[0], client);
        assert!(found[1].starts_with(
            "hosts.txt:1: no host takes r1 in region eu-west-2 (the file has eu-west-1"
        ));
    }

    #[test]
    fn mistakes_stand_in_the_order_of_the_file() {
        let text = "n1 region=zz-est-1\nn2 region=aa-west-3\nn3 region=b expendable=true\n";
        let members = "r0=aa-west-1 r1=mars r2=zz-east-1 r3=b c0=b";
        let found = placed(text, members).unwrap_err();
        let places: Vec<&str> = found.iter().filter_map(|said| said.split(": ").next()).collect();
        assert_eq!(
            places,
            ["hosts.txt:1", "hosts.txt:2", "hosts.txt:3", "hosts.txt"],
            "{found:#?}"
        );
        assert!(found[2].contains("n3 is expendable, and c0 runs there"), "{found:#?}");
        assert!(placed("n1\nn2 expendable=true role=replica\n", "r0=a r1=b c0=a").is_ok());
    }

    #[test]
    fn who_shares_a_host_and_who_takes_nobody_is_known() {
        let hosts = Hosts::parse("h", "n1 region=a\nn2 region=b\nn3 region=z\n").unwrap();
        let placement =
            place(&hosts, &[(member("r0"), "a"), (member("r1"), "b"), (member("c0"), "b")])
                .unwrap();
        assert_eq!(shared(&hosts, &placement), ["n2 runs r1, c0: they share its cores"]);
        assert_eq!(idle(&hosts, &[placement]), ["n3"]);
    }

    #[test]
    fn a_region_that_no_member_is_in_is_named_with_its_line() {
        let hosts = Hosts::parse("hosts.txt", "n1 region=us-east-1\nn2 region=us-esat-2,mars\n");
        let said = empty_regions(&hosts.unwrap(), &["us-east-1", "us-east-2"]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0]
                .starts_with("hosts.txt:2: no member is in region us-esat-2 (there are some in ")
        );
        assert_eq!(said[1], "hosts.txt:2: no member is in region mars");
    }
}
