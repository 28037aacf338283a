//! `report`: the page, its numbers beside the CSV files, figures and exports; and what the README shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use flate2::read::GzDecoder;

/// A row of a CSV file or of a table of the page, by the names of its columns.
type Row = BTreeMap<String, String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn reference(name: &str) -> PathBuf {
    root().join("results").join(name).join("reference")
}

fn flexpaxos(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flexpaxos"));
    command.args(arguments).current_dir(root()).env("NO_COLOR", "1").output().unwrap()
}

#[track_caller]
fn said(arguments: &[&str], code: i32) -> (String, String) {
    let output = flexpaxos(arguments);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn page(name: &str) -> String {
    said(&["report", reference(name).to_str().unwrap(), "-o", "-"], 0).0
}

/// The page of an experiment with faults on both backends.
static FAILOVER: LazyLock<String> = LazyLock::new(|| page("failover"));

fn csv(folder: &Path, table: &str) -> Vec<Row> {
    let path = folder.join(format!("{table}.csv"));
    let text = if path.exists() {
        fs::read_to_string(path).unwrap()
    } else {
        let mut text = String::new();
        let file = fs::File::open(folder.join(format!("{table}.csv.gz"))).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

/// The texts between the tags of this name.
fn cells(html: &str, tag: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find(&format!("<{tag}")) {
        let inner = &rest[start..];
        let (_, inner) = inner.split_once('>').unwrap();
        let (inner, after) = inner.split_once(&format!("</{tag}>")).unwrap();
        found.push(text(inner));
        rest = after;
    }
    found
}

/// HTML without its tags.
fn text(html: &str) -> String {
    let mut out = String::new();
    let mut is_tag = false;
    for char in html.chars() {
        match char {
            '<' => is_tag = true,
            '>' => is_tag = false,
            other if !is_tag => out.push(other),
            _ => {}
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The rows of a table of the page.
fn table(page: &str, id: &str) -> Vec<Row> {
    let start = page.find(&format!("id=\"table-{id}\"")).unwrap_or_else(|| panic!("no table {id}"));
    let (head, body) = page[start..].split_once("<tbody>").unwrap();
    let headers = cells(head.split_once("<tr>").unwrap().1, "button");
    let (body, _) = body.split_once("</tbody>").unwrap();
    let rows = body.split("<tr").skip(1).map(|row| cells(row, "td"));
    rows.map(|row| headers.iter().cloned().zip(row).collect()).collect()
}

/// Milliseconds as the page writes them.
fn ms(ns: f64) -> String {
    let value = ns / 1e6;
    match ns.abs() {
        ns if (0.5..1e7).contains(&ns) => format!("{value:.3}"),
        ns if ns < 1e9 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

fn ms_of(cell: &str) -> String {
    if cell.is_empty() { String::new() } else { ms(cell.parse().unwrap()) }
}

fn mean_of_five(values: &[f64]) -> String {
    assert_eq!(values.len(), 5);
    mean_with_interval(values)
}

/// The geometric mean and its 95 % interval by Student's t.
fn mean_with_interval(values: &[f64]) -> String {
    // The 97.5 % quantiles of Student's t with two and four degrees of freedom.
    let t = match values.len() {
        3 => 4.302_652_730,
        5 => 2.776_445_105,
        other => panic!("no quantile for {other} values"),
    };
    let count = values.len() as f64;
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = t * (variance / count).sqrt();
    let [mean, low, high] = [mean, mean - half, mean + half].map(|log| ms(log.exp()));
    if low == high { mean } else { format!("{mean} ({low} to {high})") }
}

#[test]
fn costs_of_a_page_follow_from_the_tables_of_trials() {
    let folder = reference("failover");
    let recovery = csv(&folder, "recovery");
    let costs = table(&FAILOVER, "costs");
    assert_eq!(costs.len(), 4);
    for row in &costs {
        let variant = &row["variant"];
        let is_of = |other: &&Row| other["variant"] == *variant && other["backend"] == "live";
        for region in ["us-east-1", "ca-central-1"] {
            let rows = recovery.iter().filter(is_of).filter(|row| row["client_region"] == region);
            let medians: Vec<f64> = rows.map(|row| row["before_ns_p50"].parse().unwrap()).collect();
            let column = format!("p50 before the fault, {region} (ms)");
            assert_eq!(row[&column], mean_of_five(&medians), "{variant}");
            let rows = recovery.iter().filter(is_of).filter(|row| row["client_region"] == region);
            let away: Vec<f64> = rows.map(|row| row["unavailable_ns"].parse().unwrap()).collect();
            assert_eq!(
                row[&format!("without a write, {region} (ms)")],
                mean_of_five(&away),
                "{variant}"
            );
        }
        let rows = recovery.iter().filter(is_of).filter(|row| row["client_region"] == "us-east-1");
        let phase1: Vec<f64> = rows.map(|row| row["phase1_ns"].parse().unwrap()).collect();
        assert_eq!(row["phase 1 of the new leader (ms)"], mean_of_five(&phase1), "{variant}");
    }
}

/// Where a sentence would name many variants it counts them, as the table of differences has them.
#[test]
fn verdict_over_many_variants_counts_them() {
    let away = |row: &&Row| row["quantity"] == "away" && row["client_region"] == "europe-west1";
    let judged: Vec<Row> = csv(&reference("tradeoff-9-zones"), "comparison");
    let judged: Vec<&Row> = judged.iter().filter(away).collect();
    let count = |verdict: &str| judged.iter().filter(|row| row["verdict"] == verdict).count();
    let numbers = format!(
        "of {} others {} better, {} worse and {} inside the noise",
        judged.len(),
        count("better"),
        count("worse"),
        count("inside-noise")
    );
    assert!(judged.len() > 8 && count("worse") > 0, "{numbers}");
    let words = text(&page("tradeoff-9-zones"));
    let what = "Longest time without an acknowledged write in europe-west1";
    let told = words.split(what).nth(1).unwrap();
    assert!(told.contains(&numbers), "{numbers}\n{}", &told[..300]);
}

/// Where reads take another way than writes they have columns and sentences of their own.
#[test]
fn reads_of_a_page_follow_from_the_table_of_faults() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("lease");
    let to = results.to_str().unwrap();
    let run = ["run", "experiments/lease.toml", "--backend", "sim", "--smoke", "--out", to];
    let rate = "workload.arrival.poisson.rate_per_s=40";
    said(&[&run[..], &["--trials", "3", "--set", rate]].concat(), 0);
    let recovery = csv(&results, "recovery");
    let page = said(&["report", to, "-o", "-"], 0).0;
    let costs = table(&page, "costs");
    assert_eq!(costs.len(), 4);
    let needs: Vec<&str> = costs.iter().map(|row| row["a read needs"].as_str()).collect();
    let lease = "the leader; leases of 4000 ms, clocks within 1 ms";
    assert_eq!(needs, ["the leader and a phase-2 quorum", "a phase-1 quorum", lease, lease]);
    for row in &costs {
        for region in ["us-east-1", "eu-west-1"] {
            let is_of = |other: &&Row| {
                other["variant"] == row["variant"] && other["client_region"] == region
            };
            let rows: Vec<&Row> = recovery.iter().filter(is_of).collect();
            let of = |column: &str| -> Vec<f64> {
                rows.iter().map(|row| row[column].parse().unwrap()).collect()
            };
            let shown = |column: &str| &row[&format!("{column}, {region} (ms)")];
            let away = mean_with_interval(&of("reads_unavailable_ns"));
            assert_eq!(*shown("without a read"), away, "{row:?}");
            let medians = of("reads_before_ns_p50");
            // A read beside a leader that holds a lease takes no time where nothing but the network does.
            if medians.iter().all(|median| *median > 0.0) {
                assert_eq!(*shown("p50 of reads before the fault"), mean_with_interval(&medians));
            }
        }
    }
    let judged = csv(&results, "expectations").into_iter();
    let judged: Vec<Row> =
        judged.filter(|row| row["that"] == "lease.read.away < lease.away").collect();
    assert_eq!(judged.len(), 2);
    assert!(judged.iter().all(|row| row["ruling"] != "not-judged"), "{judged:?}");
    let words = text(&page);
    for what in ["Median of reads in us-east-1 before", "without an acknowledged read in us-east-1"]
    {
        assert!(words.contains(what), "{what}");
    }
    // A read beside the leader of this baseline takes no time: a percentage of that would be of the resolution.
    let page = said(&["report", to, "--baseline", "lease", "-o", "-"], 0).0;
    let words = text(&page);
    assert!(words.contains("Median of reads in us-east-1 before"), "{words}");
    let words: Vec<&str> = words.split_whitespace().collect();
    let percent = |pair: &&[&str]| pair[1].starts_with('%');
    let numbers = words.windows(2).filter(percent).filter_map(|pair| pair[0].parse::<f64>().ok());
    assert!(numbers.fold(0.0, f64::max) < 100_000.0);
}

#[test]
fn summary_of_a_page_is_that_of_the_run() {
    let rows = csv(&reference("failover"), "summary");
    let shown = table(&FAILOVER, "summary");
    assert_eq!(shown.len(), rows.len());
    for (shown, row) in shown.iter().zip(&rows) {
        for (column, of) in
            [("variant", "variant"), ("client", "client_region"), ("answered", "answered_count")]
        {
            assert_eq!(shown[column], row[of]);
        }
        for (column, of) in [
            ("floor p50", "floor_ns_p50"),
            ("p50", "latency_ns_p50"),
            ("p90", "latency_ns_p90"),
            ("floor p99", "floor_ns_p99"),
            ("p99", "latency_ns_p99"),
        ] {
            assert_eq!(shown[column], ms_of(&row[of]), "{column} of {row:?}");
        }
        assert_eq!(shown["Q1/Q2"], format!("{}/{}", row["q1"], row["q2"]));
    }
}

#[test]
fn differences_of_a_page_are_those_of_the_comparison() {
    let all = csv(&reference("failover"), "comparison");
    let mut count = 0;
    for number in 1..=4 {
        if !FAILOVER.contains(&format!("id=\"table-differences-{number}\"")) {
            continue;
        }
        for shown in table(&FAILOVER, &format!("differences-{number}")) {
            let fits = |row: &&Row| {
                let ratio: f64 = row["ratio"].parse().unwrap_or(f64::NAN);
                let percent = (ratio - 1.0) * 100.0;
                let percent = if percent.abs() < 10.0 {
                    format!("{percent:+.2}")
                } else {
                    format!("{percent:+.1}")
                };
                let region = shown["client"].trim_matches('-');
                row["variant"] == shown["variant"]
                    && (row["client_region"] == shown["client"] || region.is_empty())
                    && row["quantity"] == shown["what"]
                    && percent == shown["diff %"]
                    && row["verdict"].replace("inside-noise", "inside the noise")
                        == shown["verdict"]
            };
            assert!(all.iter().any(|row| fits(&row)), "{shown:?}");
            count += 1;
        }
    }
    let told = all.iter().filter(|row| row["verdict"] != "not-comparable").count();
    assert_eq!(count, told);
}

#[test]
fn rulings_of_a_page_are_those_of_the_predictions() {
    let rows = csv(&reference("failover"), "expectations");
    let shown = table(&FAILOVER, "predictions");
    assert_eq!(shown.len(), rows.len());
    for (shown, row) in shown.iter().zip(&rows) {
        assert_eq!(shown["prediction"], row["that"]);
        let ruling = row["ruling"].replace("inside-noise", "inside the noise").replace('-', " ");
        assert_eq!(shown["ruling"], ruling);
    }
    let held = rows.iter().filter(|row| row["ruling"] == "held").count();
    assert!(text(&FAILOVER).contains(&format!("Of {} predictions, {held} held", rows.len())));
}

/// Without a fault the commit is the median of the window.
#[test]
fn medians_of_a_page_follow_from_the_table_of_latencies() {
    let latency = csv(&reference("wan-hops"), "latency");
    let page = page("wan-hops");
    let costs = table(&page, "costs");
    for row in &costs {
        for region in ["us-east-1", "ca-central-1"] {
            let rows = latency.iter().filter(|it| {
                it["variant"] == row["variant"]
                    && it["backend"] == "live"
                    && it["client_region"] == region
                    && it["operation"] == "write"
            });
            let medians: Vec<f64> =
                rows.map(|row| row["latency_ns_p50"].parse().unwrap()).collect();
            let shown = &row[&format!("p50, {region} (ms)")];
            assert_eq!(*shown, mean_with_interval(&medians), "{}", row["variant"]);
        }
    }
    assert!(!costs.is_empty());
}

/// The words of the points of a figure say what the tables say.
#[test]
fn points_of_a_figure_have_the_values_of_the_tables() {
    let start = FAILOVER.find("id=\"figure-trade-off\"").unwrap();
    let (figure, _) = FAILOVER[start..].split_once("</figure>").unwrap();
    for row in table(&FAILOVER, "costs") {
        let commit = &row["p50 before the fault, us-east-1 (ms)"];
        let words = format!("commit {}", commit.replacen(" (", " ms (", 1));
        assert!(figure.contains(&words), "{words}");
    }
}

#[test]
fn a_page_asks_the_network_for_nothing() {
    for name in ["failover", "quickstart", "paper-fig-n8"] {
        let page = page(name);
        assert!(page.len() < 2_000_000, "{name} has {} bytes", page.len());
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["http://", "https://", "src=", "@import", "url(", " style=\"", "onclick"]
        {
            assert!(!elsewhere.contains(forbidden), "{name} has {forbidden}");
        }
        assert!(page.contains("default-src 'none'"));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        if name == "paper-fig-n8" {
            // The page of a sweep has a heat map.
            assert!(page.contains("id=\"figure-heat-map\""));
            assert!(page.contains("differences of the median from all over"), "the verdict counts");
        }
    }
}

#[test]
fn an_export_has_every_figure_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("figures");
    let (out, _) = said(
        &["report", reference("quickstart").to_str().unwrap(), "--export", to.to_str().unwrap()],
        0,
    );
    let described = fs::read_to_string(to.join("figures.json")).unwrap();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let figures = described["figures"].as_array().unwrap();
    assert!(figures.len() >= 7, "{}", figures.len());
    for figure in figures {
        let name = figure["name"].as_str().unwrap();
        for ending in ["svg", "pdf", "csv"] {
            assert!(out.contains(&format!("{name}.{ending}")), "{name}.{ending}");
        }
        let rows = csv(&to, name);
        assert!(!rows.is_empty(), "{name}");
        let panels = figure["panels"].as_array().unwrap().len();
        let last = rows.iter().map(|row| row["panel"].parse::<usize>().unwrap()).max();
        assert_eq!(last, Some(panels), "{name}");
        let pdf = fs::read(to.join(format!("{name}.pdf"))).unwrap();
        assert!(String::from_utf8_lossy(&pdf).contains("/FontFile"), "{name} embeds its font");
    }
    assert!(to.join("figures.py").exists() && to.join("figures.tex").exists());
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let folder = reference("quickstart");
    let folder = folder.to_str().unwrap();
    let (_, error) = said(&["report", folder, "--figure", "cake", "-o", "cake.svg"], 2);
    assert!(error.contains("no figure cake") && error.contains("cdf"), "{error}");
    let (_, error) = said(&["report", folder, "--figure", "cdf", "-o", "cdf.png"], 2);
    assert!(error.contains("SVG or PDF"), "{error}");
    let (_, error) = said(&["report", "no/such/folder"], 2);
    assert!(error.contains("no folder no/such/folder"), "{error}");
    let (_, error) = said(&["report", folder, "--baseline", "cake", "-o", "-"], 2);
    assert!(error.contains("has no variant `cake`"), "{error}");
    // A sweep of one variant has points, and none of them is a baseline by name.
    let sweep = reference("commit-path");
    let (_, error) = said(&["compare", sweep.to_str().unwrap(), "--baseline", "cake"], 2);
    assert!(error.contains("`cake` cannot be the baseline"), "{error}");
    let (_, error) = said(&["report", folder, folder, "-o", "-"], 2);
    assert!(error.contains("several folders"), "{error}");
    let (_, error) = said(&["report", "src"], 2);
    assert!(error.contains("results folder"), "{error}");
}

#[test]
fn a_log_that_is_cut_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(reference("lan")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    said(&["report", path, "-o", "-"], 0);
    let log = folder.path().join("trial-003.live.hlog");
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&log, format!("{}\n", lines[..lines.len() / 2].join("\n"))).unwrap();
    let (_, error) = said(&["report", path, "-o", "-"], 2);
    assert!(error.contains("trial 3") && error.contains("latency.csv"), "{error}");
}

#[test]
fn a_run_names_the_page_that_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let to = folder.path().join(name);
        let fixed = ["run", "experiments/quickstart.toml", "--backend", "sim", "--smoke", "--out"];
        let arguments = [&fixed[..], &[to.to_str().unwrap()], more].concat();
        (said(&arguments, 0).0, to.join("report.html"))
    };
    let (out, page) = run("with", &[]);
    assert!(out.contains(&format!("page in {}", page.display())), "{out}");
    assert!(fs::read_to_string(page).unwrap().contains("needs 3"), "one repeat has no verdict");
    let (out, page) = run("without", &["--no-report"]);
    assert!(!out.contains("page in") && !page.exists(), "{out}");
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The lines of the code blocks of this language.
fn code(language: &str) -> Vec<String> {
    let readme = readme();
    let blocks = readme.split("```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n")));
    of_language.map(str::to_owned).collect()
}

#[test]
fn the_readme_is_short() {
    let count = readme().split_whitespace().count();
    assert!(count <= 900, "{count} words");
}

#[test]
fn commands_of_the_readme_run() {
    let mut count = 0;
    for line in code("sh").iter().flat_map(|block| block.lines()) {
        let line = line.split('#').next().unwrap().trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        let arguments = match words[..] {
            ["flexpaxos", ref rest @ ..] | ["cargo", "run", "--release", "--", ref rest @ ..] => {
                rest.to_vec()
            }
            _ => continue,
        };
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        // At its smallest size, and never on the network of the machine that tests.
        let mut arguments = arguments;
        if arguments[0] == "run" {
            arguments.extend(["--smoke", "--out", out.to_str().unwrap()]);
            if !arguments.contains(&"--backend") {
                arguments.extend(["--backend", "sim"]);
            }
        }
        said(&arguments, 0);
        count += 1;
    }
    assert!(count >= 2, "{count}");
}

#[test]
fn the_experiment_of_the_readme_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = code("toml");
    let path = folder.path().join("my.toml");
    fs::write(&path, &blocks[0]).unwrap();
    let (out, _) = said(&["plan", path.to_str().unwrap()], 0);
    assert!(out.contains("flex-4-2"), "{out}");
    assert!(blocks[0].lines().count() <= 15);
}

#[test]
fn the_figure_of_the_readme_is_that_of_the_committed_results() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("trade-off.svg");
    said(
        &[
            "report",
            "results/failover/reference",
            "--figure",
            "trade-off",
            "-o",
            to.to_str().unwrap(),
        ],
        0,
    );
    let command =
        "flexpaxos report results/failover/reference --figure trade-off -o docs/trade-off.svg";
    assert!(readme().contains(command));
    let (committed, drawn) =
        (fs::read(root().join("docs/trade-off.svg")).unwrap(), fs::read(to).unwrap());
    assert!(committed == drawn, "run `{command}`");
}

/// Every difference stands beside the baseline that is asked for.
#[test]
fn a_page_has_the_baseline_that_is_asked_for() {
    let folder = reference("quickstart");
    let page = said(&["report", folder.to_str().unwrap(), "--baseline", "multi", "-o", "-"], 0).0;
    assert!(page.contains("The difference from the baseline (multi)"));
    assert!(page.contains("The difference from multi at each percentile"));
    let words = text(&page);
    assert!(words.contains("in us-east-1 (live, 3 repeats): multi 7"), "{}", &words[..3000]);
}
