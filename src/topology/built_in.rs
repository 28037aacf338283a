//! The profiles that ship with flexpaxos; `data/SOURCES.md` says where the measured ones come from.

use crate::nearest::resembling;
use crate::time::Span;

use super::error::Error;
use super::matrix::{MAX_MS, Matrix};
use super::profile::{Profile, Table};

/// A measured profile.
struct Entry {
    name: &'static str,
    source: &'static str,
    statistic: &'static str,
    measured: &'static str,
    /// Whether the row of a region with itself is the round trip between two nodes in it; else the
    /// profile leaves it out.
    has_diagonal: bool,
    text: &'static str,
}

/// `loopback`: no delay at all.
const LOOPBACK: &str = "loopback";

/// `native`: nothing is injected, and the links are what they are; a live run measures them first.
pub const NATIVE: &str = "native";

/// `lan`: one data centre.
const LAN: &str = "lan";

/// The middle of what the IBM and GCP sets say of two nodes in one zone, 0.1 to 0.3 ms.
const LAN_RTT: Span = Span::from_micros(200);

/// `uniform:` and a round trip.
const UNIFORM: &str = "uniform:";

/// The example of a uniform profile that lists show.
const UNIFORM_EXAMPLE: &str = "uniform:20ms";

const MEASURED: [Entry; 5] = [
    Entry {
        name: "aws-2025-07",
        source: "cloudping.co, read from commonwarexyz/monorepo @ dc41a895",
        statistic: "TCP connect: median, p90; spread over days, not within a second",
        measured: "committed 2025-07-17",
        has_diagonal: false,
        text: include_str!("data/aws_cloudping_2025-07_33regions_p50_p90.csv"),
    },
    Entry {
        name: "aws-2024-04",
        source: "cloudping.co, read from rupc/aws-cross-region-latency @ 2deb93b2",
        statistic: "TCP connect: p10, p25, median, p75, p90, p99; spread over days, not within a second",
        measured: "2024-04-19",
        has_diagonal: false,
        text: include_str!("data/aws_cloudping_2024-04-19_21regions_percentiles.csv"),
    },
    Entry {
        name: "gcp-2019-09",
        source: "fantoch's authors, vitorenesduarte/fantoch @ aea6e324",
        statistic: "ping between virtual machines over about 1 h: mean, min; no percentiles",
        measured: "committed 2019-09-18",
        has_diagonal: true,
        text: include_str!("data/gcp_fantoch_20regions.csv"),
    },
    Entry {
        name: "azure-2026-07",
        source: "Microsoft (CC-BY-4.0), MicrosoftDocs/azure-docs, azure-network-latency.md",
        statistic: "backbone probes each minute: median, p95, in whole milliseconds",
        measured: "30 days ending 2026-07-30",
        has_diagonal: false,
        text: include_str!("data/azure_docs_2026-07-30_54regions_p50_p95.csv"),
    },
    Entry {
        name: "ibm-2026-08",
        source: "IBM, ibm-cloud-docs/vpc @ 3fdff6f6, network-latency.md",
        statistic: "TCP_RR between virtual machines: 30-day mean; zones of one region only",
        measured: "2026-07-18 to 2026-08-16",
        has_diagonal: true,
        text: include_str!("data/ibm_vpc_2026-08-16_interzone_avg.csv"),
    },
];

/// All of them, and one uniform profile as an example.
pub(super) fn all() -> Vec<Profile> {
    MEASURED.iter().map(Entry::profile).chain([loopback(), native(), lan(), example()]).collect()
}

/// The built-in profile of this name; `None` if there is none.
pub(super) fn find(name: &str) -> Result<Option<Profile>, Error> {
    if let Some(span) = name.strip_prefix(UNIFORM) {
        let rtt: Span = humantime::parse_duration(span)
            .map_err(|source| Error::Uniform { name: name.to_owned(), source })?
            .into();
        if rtt > Span::from_millis_f64(MAX_MS) {
            return Err(Error::TooLong { name: name.to_owned() });
        }
        return Ok(Some(uniform(name, rtt)));
    }
    Ok(match name {
        LOOPBACK => Some(loopback()),
        NATIVE => Some(native()),
        LAN => Some(lan()),
        _ => MEASURED.iter().find(|entry| entry.name == name).map(Entry::profile),
    })
}

/// The error for a name that is nothing.
pub(super) fn unknown(name: &str) -> Error {
    let names = || MEASURED.iter().map(|entry| entry.name).chain([LOOPBACK, NATIVE, LAN]);
    Error::UnknownProfile {
        name: name.to_owned(),
        near: resembling(name, names().chain([UNIFORM_EXAMPLE])),
        known: format!(
            "{}, {UNIFORM_EXAMPLE} (any round trip)",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

impl Entry {
    fn matrix(&self) -> Matrix {
        let matrix = Matrix::parse(self.name, self.text)
            .expect("the embedded tables are well formed: a test reads every one");
        if self.has_diagonal { matrix } else { matrix.without_diagonal() }
    }

    fn profile(&self) -> Profile {
        let table = Table::Matrix(self.matrix());
        Profile::new(self.name, self.source, self.statistic, self.measured, table)
    }
}

fn loopback() -> Profile {
    let statistic = "no delay between any two nodes";
    Profile::new(LOOPBACK, "made up", statistic, "never", Table::Uniform(Span::ZERO))
}

fn native() -> Profile {
    let statistic = "nothing is injected: a live run measures its links, and injects no delay";
    Profile::new(
        NATIVE,
        "the links of the run",
        statistic,
        "by each run",
        Table::Uniform(Span::ZERO),
    )
}

fn lan() -> Profile {
    let source =
        "made up: the middle of the 0.1 to 0.3 ms within a zone of ibm-2026-08 and gcp-2019-09";
    let statistic = "the same round trip of 0.2 ms between any two nodes";
    Profile::new(LAN, source, statistic, "never", Table::Uniform(LAN_RTT))
}

fn example() -> Profile {
    uniform(UNIFORM_EXAMPLE, Span::from_millis(20))
}

fn uniform(name: &str, rtt: Span) -> Profile {
    let statistic = format!("the same round trip of {rtt} between any two nodes");
    Profile::new(name, "made up", &statistic, "never", Table::Uniform(rtt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Jitter, Links};

    /// Rows, regions, rows whose other direction differs.
    fn shape(name: &str) -> (usize, usize, usize) {
        let entry = MEASURED.iter().find(|entry| entry.name == name).unwrap();
        let matrix = entry.matrix();
        let asymmetric = matrix
            .rows()
            .filter(|(from, to, row)| matrix.row(to, from).is_some_and(|back| back.rtt != row.rtt))
            .count();
        (matrix.rows().count(), matrix.regions().len(), asymmetric)
    }

    #[test]
    fn every_table_is_complete_and_nothing_in_it_was_made_symmetric() {
        assert_eq!(shape("aws-2025-07"), (33 * 32, 33, 1056));
        assert_eq!(shape("aws-2024-04"), (21 * 20, 21, 418));
        assert_eq!(shape("gcp-2019-09"), (20 * 20, 20, 370));
        assert_eq!(shape("azure-2026-07"), (54 * 53, 54, 1538));
        assert_eq!(shape("ibm-2026-08"), (124, 40, 0));
    }

    #[test]
    fn percentiles_ascend_in_every_row_and_contain_the_published_figure() {
        for entry in &MEASURED {
            let matrix = Matrix::parse(entry.name, entry.text).unwrap();
            for (from, to, row) in matrix.rows() {
                let ascends = row
                    .quantiles
                    .windows(2)
                    .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
                assert!(ascends, "{} {from} {to}: {:?}", entry.name, row.quantiles);
                assert!(row.quantiles.contains(&(0.5, row.rtt)), "{} {from} {to}", entry.name);
            }
        }
    }

    #[test]
    fn the_columns_used_are_those_published() {
        let columns = |name: &str| {
            let entry = MEASURED.iter().find(|entry| entry.name == name).unwrap();
            Matrix::parse(name, entry.text).unwrap().columns().join(" ")
        };
        assert_eq!(columns("aws-2025-07"), "rtt_ms p90_ms");
        assert_eq!(columns("aws-2024-04"), "p10_ms p25_ms rtt_ms p75_ms p90_ms p99_ms");
        assert_eq!(columns("gcp-2019-09"), "min_ms rtt_ms max_ms");
        assert_eq!(columns("azure-2026-07"), "rtt_ms p95_ms");
        assert_eq!(columns("ibm-2026-08"), "rtt_ms");
    }

    /// A copy has the same pairs, percentiles, links and fits, for every profile that has pairs.
    #[test]
    fn a_copy_of_every_table_is_the_same_profile() {
        for entry in &MEASURED {
            let profile = entry.profile();
            let copy = Profile::from_csv("copy.csv", &profile.to_csv(None).unwrap()).unwrap();
            assert_eq!(copy.table(), profile.table(), "{}", entry.name);
            let regions: Vec<String> =
                profile.regions().iter().take(3).map(ToString::to_string).collect();
            for jitter in [Jitter::None, Jitter::Profile] {
                // Two replicas in one region too, so that the diagonal counts where there is one.
                let replicas = [&regions[..], &regions[..1]].concat();
                let [mine, theirs] = [&copy, &profile]
                    .map(|profile| Links::new(profile, &replicas, &regions, jitter));
                match (mine, theirs) {
                    (Ok(mine), Ok(theirs)) => assert_eq!(mine, theirs, "{}", entry.name),
                    // IBM has pairs within a region only.
                    (Err(_), Err(_)) => assert_eq!(entry.name, "ibm-2026-08"),
                    different => panic!("{}: {different:?}", entry.name),
                }
            }
        }
        for made_up in [loopback(), lan(), example()] {
            assert_eq!(made_up.to_csv(None), None);
        }
    }

    #[test]
    fn regions_are_lower_case() {
        for profile in all() {
            assert!(profile.regions().iter().all(|region| *region == region.to_lowercase()));
        }
    }

    #[test]
    fn every_listed_profile_loads_by_its_name() {
        for profile in all() {
            assert_eq!(find(profile.name()).unwrap().as_ref(), Some(&profile));
        }
        assert_eq!(all().len(), 9);
    }
}
