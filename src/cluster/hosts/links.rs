//! The links between hosts, measured by themselves: each supervisor pings all others, and what they hear is a
//! latency profile.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use super::channel::Order;
use super::file::Hosts;
use super::launcher::RemoteHosts;
use super::pings::{LOST_AFTER, PingOrder, Pinged};
use crate::measure::{Figure, Latencies};
use crate::runtime::clock;
use crate::runtime::interrupt::Interrupt;
use crate::time::Span;

/// A host pings each other one this often,
const PERIOD_MIN: Span = Span::from_millis(20);

/// and all others together no more often than this.
const GAP_MIN: Span = Span::from_millis(1);

/// A host may take so long to open a socket.
const OPEN_MAX: Span = Span::from_millis(10_000);

/// Beyond the last ping and its loss, a host has said so by then.
const REPORT_MAX: Span = Span::from_millis(3_000);

/// How often the hosts are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What was measured between two regions, in one direction.
#[derive(Clone, Debug)]
pub struct LinkSamples {
    /// The round trips that were answered.
    pub round_trips: Latencies,
    /// The least of them.
    pub least: Span,
    /// Pings without an answer within two seconds.
    pub lost_count: u64,
}

/// What was measured between hosts.
#[derive(Clone, Debug, Default)]
pub struct MeasuredLinks {
    /// Of each pair of regions.
    pub links: BTreeMap<(String, String), LinkSamples>,
    /// How long it was measured.
    pub lasted: Span,
    /// The user ended it before its time.
    pub is_cut: bool,
    /// Hosts that were lost meanwhile, with the reason.
    pub lost_hosts: Vec<String>,
}

impl Default for LinkSamples {
    fn default() -> Self {
        Self { round_trips: Latencies::new(), least: Latencies::MAX, lost_count: 0 }
    }
}

impl LinkSamples {
    fn add(&mut self, other: &Self) {
        self.round_trips.merge(&other.round_trips);
        self.least = self.least.min(other.least);
        self.lost_count += other.lost_count;
    }

    fn hear(&mut self, pinged: &Pinged) {
        for round_trip in &pinged.round_trips {
            self.round_trips.record(*round_trip);
            self.least = self.least.min(*round_trip);
        }
        self.lost_count += pinged.lost_count;
    }

    /// The round trip that this share does not exceed; `None` with fewer than ten beyond it.
    pub fn percentile(&self, share: f64) -> Option<Span> {
        self.round_trips.percentile(share).and_then(Figure::known)
    }

    /// The share of all pings that were lost.
    pub fn lost_share(&self) -> f64 {
        let all = self.round_trips.count() + self.lost_count;
        self.lost_count as f64 / all.max(1) as f64
    }
}

/// The regions of a host: those that its lines name, or its own name.
fn regions(hosts: &Hosts, host: &str) -> Vec<String> {
    let lines = hosts.lines.iter().filter(|line| line.host == host);
    let mut names: Vec<String> = lines.flat_map(|line| line.regions.iter().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        names.push(host.rsplit('@').next().unwrap_or(host).to_owned());
    }
    names
}

impl MeasuredLinks {
    /// What each pair of hosts measured, as what their regions did.
    fn of(hosts: &Hosts, samples: &BTreeMap<(usize, usize), LinkSamples>) -> Self {
        let all: Vec<Vec<String>> =
            hosts.names().into_iter().map(|host| regions(hosts, host)).collect();
        let mut links: BTreeMap<(String, String), LinkSamples> = BTreeMap::new();
        for ((from, to), measured) in samples {
            for one in &all[*from] {
                for other in &all[*to] {
                    // A host knows no link between two members in one region of its own.
                    if from != to || one != other {
                        links.entry((one.clone(), other.clone())).or_default().add(measured);
                    }
                }
            }
        }
        Self { links, ..Self::default() }
    }

    /// Whether something is missing: time, a host, or a link of which nothing was heard.
    pub fn is_partial(&self) -> bool {
        let is_silent = |link: &LinkSamples| link.round_trips.is_empty();
        self.is_cut || !self.lost_hosts.is_empty() || self.links.values().any(is_silent)
    }

    /// The text of a latency profile; a link of which nothing was heard has no row, and is named.
    pub fn csv(&self) -> String {
        const TAKES: &str = "text takes what is written to it";
        let mut text =
            "# round trips of UDP datagrams between hosts, measured by flexpaxos\n".to_owned();
        let seconds = self.lasted.as_millis_f64() / 1e3;
        let cut = if self.is_cut { ", then interrupted" } else { "" };
        writeln!(text, "# measured for {seconds:.1} s{cut}").expect(TAKES);
        for lost in &self.lost_hosts {
            writeln!(text, "# partial: {}", lost.replace(['\n', '\r'], " ")).expect(TAKES);
        }
        let quoted = |region: &str| {
            let is_plain = !region.contains([',', '"']) && !region.starts_with('#');
            if is_plain {
                region.to_owned()
            } else {
                format!("\"{}\"", region.replace('"', "\"\""))
            }
        };
        for ((from, to), link) in &self.links {
            let (count, lost) = (link.round_trips.count(), link.lost_count);
            let share = link.lost_share() * 100.0;
            writeln!(text, "# {from} to {to}: {count} answered, {lost} lost ({share:.3} %)")
                .expect(TAKES);
        }
        text.push_str("from,to,rtt_ms,min_ms,p90_ms,p99_ms\n");
        for ((from, to), link) in &self.links {
            let Some(median) = link.percentile(0.5) else { continue };
            let figures =
                [Some(median), Some(link.least), link.percentile(0.9), link.percentile(0.99)];
            let cells = figures.map(|figure| {
                figure.map_or_else(String::new, |span| format!("{:.6}", span.as_millis_f64()))
            });
            writeln!(text, "{},{},{}", quoted(from), quoted(to), cells.join(",")).expect(TAKES);
        }
        text
    }
}

impl RemoteHosts {
    /// Lets every host ping every other one for so long, or until the user has enough; `tell` hears how long it
    /// has been going on, how many pings were answered, and how many were lost.
    #[expect(clippy::disallowed_methods, reason = "what hosts have sent is looked at now and then")]
    pub fn measure_links(
        &self,
        lasts: Span,
        interrupt: &Interrupt,
        tell: &dyn Fn(Span, u64, u64),
    ) -> Result<MeasuredLinks, String> {
        let sockets = self.open_sockets(interrupt)?;
        let hosts = self.host_file();
        let names = hosts.names();
        // A host with several regions also pings itself: members in them are on a link within this host.
        let peers: Vec<Vec<usize>> = (0..names.len())
            .map(|from| {
                let is_peer = |to: &usize| *to != from || regions(hosts, names[from]).len() > 1;
                (0..names.len()).filter(is_peer).collect()
            })
            .collect();
        let most = peers.iter().map(Vec::len).max().unwrap_or(0) as u64;
        let period = PERIOD_MIN.max(GAP_MIN.times(most));
        let rounds = lasts.0.div_ceil(period.0).max(1);
        for (from, peers) in peers.iter().enumerate() {
            let peers = peers.iter().map(|to| sockets[*to]).collect();
            self.order_host(from, Order::Ping(PingOrder { peers, period, rounds }));
        }
        let begun = clock::now();
        let deadline = begun + period.times(rounds) + LOST_AFTER + REPORT_MAX;
        let mut samples: BTreeMap<(usize, usize), LinkSamples> = peers
            .iter()
            .enumerate()
            .flat_map(|(from, peers)| {
                peers.iter().map(move |to| ((from, *to), LinkSamples::default()))
            })
            .collect();
        let mut lost: BTreeMap<usize, String> = BTreeMap::new();
        let (mut answered, mut unanswered) = (0, 0);
        let is_cut = loop {
            std::thread::sleep(LOOK);
            let is_cut = interrupt.is_asked();
            let mut is_done = true;
            for (from, peers) in peers.iter().enumerate() {
                let (pinged, has_ended) = self.take_pinged(from);
                is_done &= has_ended || lost.contains_key(&from);
                for pinged in pinged {
                    let Some(to) = peers.get(pinged.peer as usize).copied() else { continue };
                    // Who is known to be lost answers nobody: that says nothing of the link.
                    let known = Pinged {
                        lost_count: if lost.contains_key(&to) { 0 } else { pinged.lost_count },
                        ..pinged
                    };
                    answered += known.round_trips.len() as u64;
                    unanswered += known.lost_count;
                    samples.entry((from, to)).or_default().hear(&known);
                }
                if let Some(loss) = self.loss_of(from) {
                    lost.entry(from).or_insert(loss);
                }
            }
            tell(clock::now().since(begun).min(lasts), answered, unanswered);
            if is_cut || is_done || clock::now() >= deadline {
                break is_cut;
            }
        };
        let lasted = clock::now().since(begun).min(lasts);
        let lost_hosts = lost.into_values().collect();
        Ok(MeasuredLinks { lasted, is_cut, lost_hosts, ..MeasuredLinks::of(hosts, &samples) })
    }

    /// Lets each host open a socket; their addresses.
    #[expect(clippy::disallowed_methods, reason = "what hosts have sent is looked at now and then")]
    fn open_sockets(&self, interrupt: &Interrupt) -> Result<Vec<SocketAddr>, String> {
        // The keys of a hasher are random: nobody guesses the token.
        let token = RandomState::new().build_hasher().finish();
        let names = self.host_file().names();
        for host in 0..names.len() {
            self.order_host(host, Order::Echo(token));
        }
        let deadline = clock::now() + OPEN_MAX;
        loop {
            let opened: Option<Vec<_>> =
                (0..names.len()).map(|host| self.socket_of(host)).collect();
            if let Some(opened) = opened {
                let sockets = opened.into_iter().zip(&names);
                return sockets
                    .map(|(socket, name)| {
                        socket.map_err(|why| format!("{name} has no socket: {why}"))
                    })
                    .collect();
            }
            if let Some(loss) = (0..names.len()).find_map(|host| self.loss_of(host)) {
                return Err(loss);
            }
            if interrupt.is_asked() {
                return Err("interrupted before the first ping".to_owned());
            }
            if clock::now() >= deadline {
                return Err(format!("some host opened no socket within {OPEN_MAX}"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Jitter, Profile};

    fn samples(millis: u64, count: u64, lost_count: u64) -> LinkSamples {
        let mut samples = LinkSamples::default();
        let round_trips = (0..count).map(|more| Span(millis * 1_000_000 + more * 100)).collect();
        samples.hear(&Pinged { peer: 0, round_trips, lost_count });
        samples
    }

    #[test]
    fn measured_links_are_a_profile_with_percentiles() {
        let hosts = Hosts::parse("h", "u@n1 region=a\nu@n2 region=b\nu@n3\nn4 region=a\n").unwrap();
        let measured = [
            ((0, 1), samples(30, 2_000, 2)),
            ((1, 0), samples(32, 200, 0)),
            ((0, 2), samples(5, 200, 0)),
            ((2, 0), samples(5, 200, 0)),
            ((3, 1), samples(40, 500, 0)),
            ((0, 3), samples(1, 200, 0)),
        ];
        let links = MeasuredLinks::of(&hosts, &measured.into());
        assert!(!links.is_partial());
        let text = links.csv();
        let profile = Profile::from_csv("links.csv", &text).unwrap();
        assert_eq!(profile.regions(), ["a", "b", "n3"]);
        // Two hosts are in region a: their round trips to b count alike.
        assert!(text.contains("# a to b: 2500 answered, 2 lost (0.080 %)\n"), "{text}");
        let rtt = |from: &str, to: &str| profile.rtt(from, to).unwrap().as_millis_f64();
        assert!((30.0..31.0).contains(&rtt("a", "b")), "{text}");
        assert!((32.0..33.0).contains(&rtt("b", "a")) && (1.0..2.0).contains(&rtt("a", "a")));
        // 200 round trips have no 99th percentile.
        let row = text.lines().find(|line| line.starts_with("b,a,")).unwrap();
        assert!(row.contains(",32.000000,32.0") && row.ends_with(','), "{row}");
        assert!(!profile.one_way("a", "b", Jitter::Profile).unwrap().is_constant());
    }

    #[test]
    fn regions_of_one_host_have_the_link_within_it() {
        let hosts = Hosts::parse("h", "n1 region=b,a\nn2 region=c\n").unwrap();
        let measured = [((0, 0), samples(1, 20, 0)), ((0, 1), samples(9, 20, 0))];
        let links = MeasuredLinks::of(&hosts, &measured.into()).links;
        let pairs: Vec<(&str, &str)> =
            links.keys().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        assert_eq!(pairs, [("a", "b"), ("a", "c"), ("b", "a"), ("b", "c")]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let hosts = Hosts::parse("h", "n1\nn2\n").unwrap();
        let measured = [((0, 1), samples(9, 20, 0)), ((1, 0), samples(9, 0, 20))];
        let silent = MeasuredLinks::of(&hosts, &measured.into());
        assert!(silent.is_partial());
        let text = silent.csv();
        assert!(text.contains("# n2 to n1: 0 answered, 20 lost (100.000 %)\n"), "{text}");
        assert!(!text.contains("\nn2,n1"), "{text}");
        let measured = [((0, 1), samples(9, 20, 0))];
        let links = MeasuredLinks::of(&hosts, &measured.into());
        let cut = MeasuredLinks { is_cut: true, lasted: Span::from_millis(1_500), ..links.clone() };
        assert!(cut.is_partial() && cut.csv().contains("# measured for 1.5 s, then interrupted\n"));
        let lost_hosts = vec!["host n2 is lost: it has said nothing".to_owned()];
        let lost = MeasuredLinks { lost_hosts, ..links };
        assert!(lost.is_partial() && lost.csv().contains("# partial: host n2 is lost: it"));
    }
}
