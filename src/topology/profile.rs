//! A latency profile: round trips between regions, and where they come from.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::nearest::resembling;
use crate::time::Span;

use super::built_in;
use super::delay::Delay;
use super::error::{Error, UnknownRegion};
use super::fit::Fit;
use super::matrix::Matrix;
use super::pair::Pair;

/// Round trips between regions, with their source.
///
/// Asymmetric and non-metric tables are taken as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    name: String,
    source: String,
    statistic: String,
    measured: String,
    /// The file that it was read from.
    path: Option<PathBuf>,
    table: Table,
}

/// Whether delays vary from packet to packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// Every packet of a link takes the same time: half of `rtt_ms`.
    #[default]
    None,
    /// Delays are such that round trips have the profile's percentiles: see [`Fit`].
    ///
    /// A profile without percentiles has no jitter to follow.
    /// Where only a minimum and a mean are known (`gcp-2019-09`), the mean stands for the median, and
    /// what is above it follows from the default shape.
    Profile,
}

/// The round trips.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Table {
    /// The same between any two different nodes, whatever their regions are called.
    Uniform(Span),
    /// One row a direction of a pair of regions.
    Matrix(Matrix),
}

impl Profile {
    /// The built-in profile of this name, or else the CSV file at this path.
    pub fn load(name_or_path: &str) -> Result<Self, Error> {
        Self::load_beside(Path::new(""), name_or_path)
    }

    /// The built-in profile of this name, or else the CSV file at this path from `folder`, whatever its
    /// name ends in.
    ///
    /// A built-in name wins over a file of that name.
    pub fn load_beside(folder: &Path, name_or_path: &str) -> Result<Self, Error> {
        if let Some(profile) = built_in::find(name_or_path)? {
            return Ok(profile);
        }
        let path = folder.join(name_or_path);
        let name = path.to_string_lossy().into_owned();
        match std::fs::read(&path) {
            Ok(bytes) => {
                let profile = Self::from_csv(&name, &utf8(&name, bytes)?)?;
                Ok(Self { path: Some(path), ..profile })
            }
            Err(source)
                if source.kind() == io::ErrorKind::NotFound && !looks_like_a_path(name_or_path) =>
            {
                Err(built_in::unknown(name_or_path))
            }
            Err(source) => Err(Error::Unreadable { path: name, source }),
        }
    }

    /// The profile in the text of a CSV file; `name` is its path, for messages.
    pub fn from_csv(name: &str, text: &str) -> Result<Self, Error> {
        Ok(Self::of_matrix(name, Matrix::parse(name, text)?))
    }

    /// The profile of a table that somebody gave.
    pub(super) fn of_matrix(name: &str, matrix: Matrix) -> Self {
        let mut statistic = matrix.columns().join(", ");
        if !matrix.unused().is_empty() {
            statistic = format!("{statistic}; not used: {}", matrix.unused().join(", "));
        }
        Self::new(name, name, &statistic, "not stated", Table::Matrix(matrix))
    }

    /// Every profile that ships with flexpaxos, and `uniform:20ms` as the example of its kind.
    pub fn built_in() -> Vec<Self> {
        built_in::all()
    }

    pub(super) fn new(
        name: &str,
        source: &str,
        statistic: &str,
        measured: &str,
        table: Table,
    ) -> Self {
        Self {
            name: name.to_owned(),
            source: source.to_owned(),
            statistic: statistic.to_owned(),
            measured: measured.to_owned(),
            path: None,
            table,
        }
    }

    /// The name that [`Self::load`] takes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it was read from, if it was.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Who measured it, and where it was read.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the figures are: medians, means, which percentiles.
    pub fn statistic(&self) -> &str {
        &self.statistic
    }

    /// When it was measured.
    pub fn measured(&self) -> &str {
        &self.measured
    }

    /// The regions, sorted; empty when any name is accepted.
    pub fn regions(&self) -> Vec<&str> {
        match &self.table {
            Table::Uniform(_) => Vec::new(),
            Table::Matrix(matrix) => matrix.regions().iter().map(String::as_str).collect(),
        }
    }

    /// Whether regions may have any name.
    pub const fn accepts_any_region(&self) -> bool {
        matches!(self.table, Table::Uniform(_))
    }

    /// Whether a node may be in this region.
    pub fn has_region(&self, region: &str) -> bool {
        match &self.table {
            Table::Uniform(_) => true,
            Table::Matrix(matrix) => matrix.has_region(region),
        }
    }

    /// The rows as the text of a CSV file, from one region alone if it is named; nothing where there is
    /// no table.
    ///
    /// [`Self::from_csv`] reads it as an equal table.
    pub fn to_csv(&self, from: Option<&str>) -> Option<String> {
        match &self.table {
            Table::Uniform(_) => None,
            Table::Matrix(matrix) => Some(matrix.to_csv(from)),
        }
    }

    #[cfg(test)]
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    /// Whether two nodes may be in this region, with a round trip between them that is known.
    pub fn has_round_trip_within(&self, region: &str) -> bool {
        match &self.table {
            Table::Uniform(_) => true,
            Table::Matrix(matrix) => matrix.row(region, region).is_some(),
        }
    }

    /// The published round trip of the row (from, to).
    pub fn rtt(&self, from: &str, to: &str) -> Result<Span, Error> {
        self.check_regions([from, to])?;
        match &self.table {
            Table::Uniform(rtt) => Ok(*rtt),
            Table::Matrix(matrix) => match matrix.row(from, to) {
                Some(row) => Ok(row.rtt),
                None => Err(self.missing(from, to)),
            },
        }
    }

    /// The delay from a node in `from` to another node in `to`: half of the row (from, to).
    ///
    /// Two nodes of one region use the row of the region with itself where there is one, else there is
    /// no delay between them.
    /// The AWS profiles leave out the rows of their source, which include the service end point, and
    /// Azure has none.
    pub fn one_way(&self, from: &str, to: &str, jitter: Jitter) -> Result<Delay, Error> {
        self.check_regions([from, to])?;
        self.delay(from, to, jitter).ok_or_else(|| self.missing(from, to))
    }

    /// As [`Self::one_way`], of known regions; `None` if the row is missing.
    pub(super) fn delay(&self, from: &str, to: &str, jitter: Jitter) -> Option<Delay> {
        let matrix = match &self.table {
            Table::Uniform(rtt) => return Some(Delay::constant(half(*rtt))),
            Table::Matrix(matrix) => matrix,
        };
        let Some(row) = matrix.row(from, to) else {
            return (from == to).then(Delay::zero);
        };
        Some(match jitter {
            Jitter::None => Delay::constant(half(row.rtt)),
            Jitter::Profile => Fit::of(&row.quantiles).leg(),
        })
    }

    /// The published (probability, round trip) of the row (from, to), ascending; empty where there is
    /// no such row.
    pub(super) fn quantiles(&self, from: &str, to: &str) -> &[(f64, Span)] {
        match &self.table {
            Table::Uniform(_) => &[],
            Table::Matrix(matrix) => {
                matrix.row(from, to).map_or(&[], |row| row.quantiles.as_slice())
            }
        }
    }

    /// The fit of every row between two regions; none where the same round trip is everywhere.
    pub fn fits(&self) -> Vec<Pair> {
        let Table::Matrix(matrix) = &self.table else { return Vec::new() };
        let pairs = matrix.rows().filter(|(from, to, _)| from != to);
        pairs.map(|(from, to, row)| Pair::new(from, to, &row.quantiles)).collect()
    }

    /// The fit of the row (from, to).
    pub fn fit(&self, from: &str, to: &str) -> Result<Pair, Error> {
        self.check_regions([from, to])?;
        match &self.table {
            Table::Uniform(rtt) => Ok(Pair::new(from, to, &[(0.5, *rtt)])),
            Table::Matrix(matrix) => match matrix.row(from, to) {
                Some(row) => Ok(Pair::new(from, to, &row.quantiles)),
                None => Err(self.missing(from, to)),
            },
        }
    }

    /// Refuses regions that the profile does not have, all in one error.
    pub(super) fn check_regions<'a>(
        &self,
        regions: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let mut unknown: Vec<UnknownRegion> = Vec::new();
        for region in regions {
            let is_said = unknown.iter().any(|said| said.region == region);
            if !is_said && !self.has_region(region) {
                let near = resembling(region, self.regions());
                unknown.push(UnknownRegion { region: region.to_owned(), near });
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::UnknownRegions {
            profile: self.name.clone(),
            regions: unknown,
            known_count: self.regions().len(),
        })
    }

    fn missing(&self, from: &str, to: &str) -> Error {
        let pairs = vec![(from.to_owned(), to.to_owned())];
        Error::MissingPairs { profile: self.name.clone(), pairs }
    }
}

/// The text of a file, with the place where it is none.
pub(super) fn utf8(path: &str, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        Error::Encoding { path: path.to_owned(), line }
    })
}

/// A word is meant as a name; anything with a separator or the ending of a file is meant as a path.
fn looks_like_a_path(text: &str) -> bool {
    text.contains(std::path::is_separator)
        || Path::new(text).extension().is_some_and(|extension| extension == "csv")
}

/// Of an odd number of nanoseconds the last is dropped.
const fn half(rtt: Span) -> Span {
    Span(rtt.0 / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(name: &str) -> Profile {
        Profile::load(name).unwrap()
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().to_string()
    }

    fn one_way(profile: &str, from: &str, to: &str) -> Span {
        load(profile).one_way(from, to, Jitter::None).unwrap().median()
    }

    #[test]
    fn a_row_is_a_round_trip_and_a_link_is_half_of_it_in_each_direction() {
        let aws = load("aws-2025-07");
        assert_eq!(aws.rtt("us-east-1", "us-west-2").unwrap(), Span(64_419_000));
        assert_eq!(aws.rtt("us-west-2", "us-east-1").unwrap(), Span(64_031_000));
        assert_eq!(one_way("aws-2025-07", "us-east-1", "us-west-2"), Span(32_209_500));
        assert_eq!(one_way("aws-2025-07", "us-west-2", "us-east-1"), Span(32_015_500));
    }

    #[test]
    fn two_nodes_of_one_region_use_the_diagonal_only_where_it_is_a_round_trip() {
        assert!(refused(load("aws-2025-07").rtt("us-east-1", "us-east-1")).contains("no row"));
        assert_eq!(one_way("aws-2025-07", "us-east-1", "us-east-1"), Span::ZERO);
        assert_eq!(one_way("aws-2024-04", "us-east-1", "us-east-1"), Span::ZERO);
        assert_eq!(one_way("azure-2026-07", "eastus", "eastus"), Span::ZERO);
        assert_eq!(one_way("gcp-2019-09", "asia-east1", "asia-east1"), Span(169_000));
        assert_eq!(one_way("ibm-2026-08", "us-south-dal10-a", "us-south-dal10-a"), Span(40_000));
        let mine = Profile::from_csv("t.csv", "from,to,rtt_ms\na,a,1\na,b,9\nb,a,9\n").unwrap();
        assert!(mine.has_round_trip_within("a") && !mine.has_round_trip_within("b"));
        assert!(!load("aws-2025-07").has_round_trip_within("us-east-1"));
        assert!(load("gcp-2019-09").has_round_trip_within("asia-east1"));
        let within = |region: &str| mine.one_way(region, region, Jitter::None).unwrap().median();
        assert_eq!((within("a"), within("b")), (Span::from_micros(500), Span::ZERO));
    }

    #[test]
    fn with_jitter_legs_are_those_of_the_fitted_round_trip() {
        let aws = load("aws-2024-04");
        let calm = aws.one_way("af-south-1", "ap-east-1", Jitter::None).unwrap();
        assert_eq!(calm, Delay::constant(Span(123_705_000)));
        let jittered = aws.one_way("af-south-1", "ap-east-1", Jitter::Profile).unwrap();
        let pair = aws.fit("af-south-1", "ap-east-1").unwrap();
        assert_eq!(jittered, pair.fit.leg());
        assert_eq!(pair.fit.round_trip(0.5), Span(247_410_000));
        assert!(!jittered.is_constant() && jittered.median() < calm.median());
    }

    #[test]
    fn of_gcp_the_least_is_the_minimum_and_the_middle_the_mean() {
        let gcp = load("gcp-2019-09");
        let delay = gcp.one_way("asia-east1", "asia-east2", Jitter::Profile).unwrap();
        assert_eq!(delay.quantile(0.0), Span(6_383_000));
        assert_eq!(gcp.fit("asia-east1", "asia-east2").unwrap().fit.round_trip(0.5).0, 18_908_000);
    }

    #[test]
    fn made_up_profiles_accept_any_region() {
        for (name, expected) in [
            ("loopback", Span::ZERO),
            ("lan", Span::from_micros(100)),
            ("uniform:20ms", Span::from_millis(10)),
            ("uniform:250us", Span::from_micros(125)),
        ] {
            let profile = load(name);
            assert!(profile.accepts_any_region() && profile.has_region("anywhere"));
            assert!(profile.regions().is_empty());
            assert_eq!(one_way(name, "here", "there"), expected, "{name}");
            assert_eq!(one_way(name, "here", "here"), expected, "{name}: two nodes of one region");
        }
        assert!(load("loopback").one_way("a", "b", Jitter::Profile).unwrap().is_zero());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = refused(Profile::load("aws-2025-7"));
        assert!(message.contains("did you mean aws-2025-07 or"), "{message}");
        assert!(
            message.contains(
                "gcp-2019-09, azure-2026-07, ibm-2026-08, loopback, native, lan, uniform:"
            )
        );
        assert!(refused(Profile::load("lann")).contains("did you mean lan?"));
        assert!(refused(Profile::load("uniform")).contains("did you mean uniform:20ms?"));
        assert!(!refused(Profile::load("mars")).contains("did you mean"));
        assert!(refused(Profile::load("uniform:fast")).contains("like `uniform:20ms`"));
        assert!(refused(Profile::load("absent/file.csv")).contains("cannot read"));
        assert!(refused(Profile::load("absent.csv")).contains("absent.csv"));
        assert!(refused(Profile::load("src")).contains("cannot read"), "a folder is no word");
        assert!(refused(Profile::load("uniform:500years")).contains("more than an hour"));
        assert!(load("uniform:1h").accepts_any_region());
    }

    #[test]
    fn an_unknown_region_is_answered_with_near_ones() {
        let aws = load("aws-2025-07");
        let message = refused(aws.one_way("us-eats-1", "Eu-West-1", Jitter::None));
        assert!(message.contains("\"us-eats-1\" (did you mean us-east-1"), "{message}");
        assert!(message.contains("no region \"Eu-West-1\" (did you mean eu-west-1"), "{message}");
        assert!(message.contains("`flexpaxos profiles aws-2025-07` lists its 33"), "{message}");
        assert!(!aws.has_region("us-eats-1") && aws.has_region("us-east-1"));
    }

    #[test]
    fn a_missing_direction_is_named_and_not_made_up_from_the_other_one() {
        let mine = Profile::from_csv("t.csv", "from,to,rtt_ms\na,b,9\n").unwrap();
        assert_eq!(mine.rtt("a", "b").unwrap(), Span::from_millis(9));
        assert!(refused(mine.rtt("b", "a")).contains("no row b -> a"));
        assert!(refused(mine.one_way("b", "a", Jitter::None)).contains("no row b -> a"));
    }

    #[test]
    fn a_csv_file_is_a_profile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.csv");
        std::fs::write(&path, "from,to,rtt_ms,p90_ms,avg_ms\na,b,9,10,9.5\n").unwrap();
        let profile = load(path.to_str().unwrap());
        assert_eq!(profile.statistic(), "rtt_ms, p90_ms; not used: avg_ms");
        assert_eq!(profile.regions(), ["a", "b"]);
        std::fs::write(&path, "from,to,rtt_ms\na,b,far\n").unwrap();
        assert!(refused(Profile::load(path.to_str().unwrap())).contains("mine.csv:2: rtt_ms"));
    }

    #[test]
    fn a_file_is_read_from_a_folder_whatever_its_name_ends_in() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mine", "mine.txt", "mine.csv", "lan"] {
            std::fs::write(folder.path().join(name), "from,to,rtt_ms\na,b,9\n").unwrap();
        }
        for name in ["mine", "mine.txt", "mine.csv"] {
            let profile = Profile::load_beside(folder.path(), name).unwrap();
            assert_eq!(profile.regions(), ["a", "b"], "{name}");
            assert!(profile.name().ends_with(name));
        }
        let built_in = Profile::load_beside(folder.path(), "lan").unwrap();
        assert!(built_in.accepts_any_region(), "a built-in name wins");
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_said_to_be_that() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["latin1", "latin1.csv"] {
            let path = folder.path().join(name);
            std::fs::write(&path, b"from,to,rtt_ms\nb,c,1\nS\xe3o Paulo,b,81.5\n").unwrap();
            let message = refused(Profile::load_beside(folder.path(), name));
            assert!(message.contains(&format!("{name}:3: this is not UTF-8")), "{message}");
            assert!(message.contains("iconv"), "{message}");
        }
    }

    #[test]
    fn jitter_is_written_in_lower_case_and_is_off_by_default() {
        assert_eq!(serde_json::to_string(&Jitter::Profile).unwrap(), "\"profile\"");
        assert_eq!(serde_json::from_str::<Jitter>("\"none\"").unwrap(), Jitter::default());
    }
}
