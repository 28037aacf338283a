//! Members on other hosts: what their clocks are, and with whom they have a connection.
//!
//! Before a member on another host is told what it is part of, its clock is aligned: from then on every instant
//! that it says or writes down is one of the coordinator's clock, within an error that is known.
//! A member that is started again is aligned by what was known of its host: asking again would take the time
//! that a recovery is measured by.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::cluster::error::Error;
use crate::cluster::wire::ToAgent;
use crate::deployment::MemberName;
use crate::runtime::clock;
use crate::time::{Span, Time};

/// How long members are asked how far their clocks are off, beyond their round trips.
const ASKING_MAX: Span = Span::from_millis(2_000);

/// How long members are asked with whom they are connected.
const NAMING_MAX: Span = Span::from_millis(1_500);

impl Coordinator<'_> {
    /// A member has joined: it is told what it is part of, once its clock is known.
    pub(super) async fn greet(&mut self, name: MemberName) {
        let is_elsewhere = self.launcher.home(name).is_some();
        let Some(member) = self.members.get_mut(&name) else { return };
        member.is_assigned = false;
        if is_elsewhere && member.clock.shift().is_none() {
            member.clock.begin(clock::now());
            self.ask_clock(name).await;
        } else {
            self.assign(name).await;
        }
    }

    async fn ask_clock(&mut self, name: MemberName) {
        self.tell(name, &ToAgent::Clock { asked: clock::now() }).await;
    }

    /// Takes what the clock of a member's host read.
    pub(super) async fn hear_clock(&mut self, name: MemberName, asked: Time, own: Time) {
        let now = clock::now();
        let Some(member) = self.members.get_mut(&name) else { return };
        if !member.clock.is_asking() {
            return;
        }
        if member.clock.hear(asked, own, now) {
            self.ask_clock(name).await;
        } else if !member.is_assigned {
            self.assign(name).await;
        }
    }

    /// Asks all members on other hosts once more how far their clocks are off: they may have drifted.
    pub(super) async fn check_clocks(&mut self) -> Result<(), Error> {
        let names = self.expected(|member| member.clock.shift().is_some() && member.send.is_some());
        for name in &names {
            if let Some(member) = self.members.get_mut(name) {
                member.clock.begin(clock::now());
            }
            self.ask_clock(*name).await;
        }
        let deadline = clock::now() + ASKING_MAX + self.reach().times(4);
        let is_known = |all: &Self, name: &MemberName| !all.members[name].clock.is_asking();
        self.until(deadline, |all| names.iter().all(|name| is_known(all, name))).await?;
        Ok(())
    }

    /// The longest round trip to a member: an order may take half of it to arrive.
    pub(super) fn reach(&self) -> Span {
        let round_trips = self.members.values().map(|member| member.clock.round_trip());
        round_trips.max().unwrap_or(Span::ZERO)
    }

    /// How far off the clock of each member on another host may be.
    pub(super) fn clock_errors(&self) -> BTreeMap<MemberName, Span> {
        let now = clock::now();
        let errors = self
            .members
            .iter()
            .filter_map(|(name, member)| Some((*name, member.clock.error(now)?)));
        errors.collect()
    }

    /// How far apart the clocks of two members may be; `None` where both read one.
    pub(super) fn clocks_apart(&self, one: MemberName, other: MemberName) -> Option<Span> {
        if !self.crosses(one, other) {
            return None;
        }
        let now = clock::now();
        let error = |name| self.members[&name].clock.error(now).unwrap_or(Span::ZERO);
        Some(error(one) + error(other))
    }

    /// Whether two members run on different machines.
    pub(super) fn crosses(&self, one: MemberName, other: MemberName) -> bool {
        let host = |name| self.launcher.home(name).map(|home| home.host);
        host(one) != host(other)
    }

    /// The name of each member's host, of those that run elsewhere.
    pub(super) fn hosts(&self) -> BTreeMap<MemberName, String> {
        let names = self.members.keys();
        names.filter_map(|name| Some((*name, self.launcher.home(*name)?.host))).collect()
    }

    /// The cores of these hosts together; `None` where all members run on this machine.
    pub(super) fn core_count(&self) -> Option<usize> {
        let homes = self.members.keys().filter_map(|name| self.launcher.home(*name));
        let cores: BTreeMap<String, usize> =
            homes.filter_map(|home| Some((home.host, home.core_count?))).collect();
        (!cores.is_empty()).then(|| cores.values().sum())
    }

    /// The pairs of members that found no connection to one another, as sentences.
    pub(super) async fn unconnected(&mut self) -> Result<Vec<String>, Error> {
        let names = self.expected(|member| member.send.is_some());
        for name in &names {
            self.tell(*name, &ToAgent::NameConnected).await;
        }
        let deadline = clock::now() + NAMING_MAX + self.reach();
        let has_said = |all: &Self, name: &MemberName| all.members[name].connected.is_some();
        self.until(deadline, |all| names.iter().all(|name| has_said(all, name))).await?;
        let mut pairs = Vec::new();
        for (index, one) in names.iter().enumerate() {
            let peers = self.deployment.peers(*one);
            for other in names[index + 1..].iter().filter(|other| peers.contains(other)) {
                let sees = |own: MemberName, peer: MemberName| {
                    let connected = self.members[&own].connected.as_ref();
                    connected.is_none_or(|names| names.contains(&peer.to_string()))
                };
                if !sees(*one, *other) || !sees(*other, *one) {
                    pairs.push((*one, *other));
                }
            }
        }
        Ok(pairs.into_iter().map(|(one, other)| self.blocked(one, other)).collect())
    }

    /// What two members that cannot reach one another need.
    fn blocked(&self, one: MemberName, other: MemberName) -> String {
        let place = |name: MemberName| {
            let home = self.launcher.home(name);
            let address = self.members[&name]
                .address
                .map_or_else(String::new, |address| format!(" at {address}"));
            match home {
                Some(home) => format!("{name} on {}{address}", home.host),
                None => format!("{name}{address}"),
            }
        };
        let ports = [one, other].into_iter().filter_map(|name| self.launcher.home(name)?.ports);
        let (least, most) = ports
            .fold(None, |all: Option<(u16, u16)>, (least, most)| {
                Some(all.map_or((least, most), |(a, b)| (a.min(least), b.max(most))))
            })
            .unwrap_or((1024, u16::MAX));
        let said = format!("{} and {} cannot reach each other", place(one), place(other));
        if self.crosses(one, other) {
            format!("{said}: let UDP pass between the two, ports {least} to {most}")
        } else {
            said
        }
    }
}
