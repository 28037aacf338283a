//! One page with everything that a results folder says, for a browser without a network.
//!
//! The page loads nothing: its style and its script are in it, and its policy allows these two by their hashes and
//! nothing else. Its figures are those of [`crate::report::figure`].
//!
//! | file | content |
//! |---|---|
//! | [`words`] | the verdict in sentences, written from the numbers |
//! | [`grid`] | tables that sort, filter and copy |
//! | [`evidence`] | why the numbers of each variant can be believed, or not |
//! | [`provenance`] | what ran, where, and how to repeat it |

pub mod evidence;
pub mod grid;
pub mod provenance;
pub mod words;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::capacity;
use super::figure::{self, Data, Figure, Scale, Styles, draw, style};
use provenance::Provenance;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Figures that are below one another at the end: they are evidence, and not the answer.
const EVIDENCE: [&str; 2] = ["links", "map"];

/// The page of one results folder.
pub fn html(data: &Data<'_>, provenance: &Provenance) -> String {
    let variants = data.variants();
    let styles = Styles::new(variants.clone());
    let figures = figure::all(data);
    let (evidence, answers): (Vec<&Figure>, Vec<&Figure>) =
        figures.iter().partition(|figure| EVIDENCE.contains(&figure.name));
    // The trade-off is above everything else, beside its table.
    let (first, others): (Vec<&Figure>, Vec<&Figure>) =
        answers.into_iter().partition(|figure| figure.name == "trade-off");
    let style = sheet();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&style));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "flexpaxos " (env!("CARGO_PKG_VERSION")) };
                title { (provenance.title()) }
                style { (PreEscaped(&style)) }
            }
            body {
                (header(data, provenance))
                main {
                    (legend(&variants, &styles))
                    section id="verdict" aria-label="Verdict" {
                        h2 { "Verdict" }
                        (verdict(data))
                    }
                    @if !data.searched.knees.is_empty() {
                        section id="capacity" {
                            h2 { "The highest rate that each variant holds" }
                            (grid::knees(data).html("knees"))
                            @for text in capacity::remarks(&data.searched.steps, &data.searched.knees) {
                                p.quiet { (text) }
                            }
                        }
                    }
                    section id="cost" {
                        h2 { "What each quorum system costs and buys" }
                        (grid::costs(data).html("costs"))
                        @if first.is_empty() { p.quiet { (no_trade_off(data)) } }
                        @for one in &first { (shown(one, &styles)) }
                    }
                    @if !data.conclusions.judgements.is_empty() {
                        section id="predictions" {
                            h2 { "Predictions" }
                            (grid::predictions(data).html("predictions"))
                        }
                    }
                    section id="figures" {
                        h2 { "Figures" }
                        @for one in &others { (shown(one, &styles)) }
                    }
                    section id="evidence" {
                        h2 { "Evidence" }
                        (evidence::evidence(data))
                        @for one in &evidence { (shown(one, &styles)) }
                    }
                    section id="tables" {
                        h2 { "Tables" }
                        @for (id, one) in grid::tables(data) { (one.html(id)) }
                    }
                    section id="provenance" {
                        h2 { "How to repeat it" }
                        (provenance.html())
                    }
                }
                footer { p.quiet { "flexpaxos " (env!("CARGO_PKG_VERSION")) ". This page is one file and loads nothing." } }
                div id="tip" role="status" aria-live="polite" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The style sheet with the colours of both themes.
fn sheet() -> String {
    let ground = |paper: &str, raised: &str| format!("--paper:{paper};--raised:{raised};");
    let light = format!("{}{}", ground("#ffffff", "#f6f8fa"), style::variables(false));
    let dark = format!("{}{}", ground("#0d1117", "#161b22"), style::variables(true));
    // Paper is white in both themes.
    format!(
        ":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{STYLE}"
    )
}

/// Nothing but this style and this script, by their hashes.
fn policy(style: &str) -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}

fn header(data: &Data<'_>, provenance: &Provenance) -> Markup {
    html! {
        header {
            h1 { (provenance.title()) }
            @if !provenance.question.is_empty() { p { strong { "Question. " } (provenance.question) } }
            @if !provenance.prediction.is_empty() {
                p { strong { "Prediction. " } (provenance.prediction) }
            }
            p.quiet { (provenance.line()) " " (words::trials(data)) }
            nav aria-label="Sections" {
                ul {
                    @for (id, name) in [("verdict", "Verdict"), ("cost", "Cost and gain"),
                        ("predictions", "Predictions"), ("figures", "Figures"),
                        ("evidence", "Evidence"), ("tables", "Tables"), ("provenance", "How to repeat it")] {
                        li { a href={ "#" (id) } { (name) } }
                    }
                }
            }
        }
    }
}

/// The variants, which can be switched and marked in every figure.
fn legend(variants: &[String], styles: &Styles) -> Markup {
    html! {
        div.legend role="group" aria-label="Variants: the box switches one, its name marks it in every figure" {
            @for variant in variants {
                span.item {
                    input type="checkbox" checked data-variant=(variant) aria-label={ "draw " (variant) };
                    (PreEscaped(draw::sample(variant, styles)))
                    button type="button" data-variant=(variant) aria-pressed="false" { (variant) }
                }
            }
        }
    }
}

fn verdict(data: &Data<'_>) -> Markup {
    html! {
        div.verdict { @for sentence in words::verdict(data) { p { (sentence) } } }
        @for sentence in words::warnings(data) { div class="verdict warning" { p { (sentence) } } }
        @if !data.conclusions.judgements.is_empty() { p { (words::predictions(data)) } }
    }
}

fn no_trade_off(data: &Data<'_>) -> &'static str {
    if data.only_point().is_none() {
        "This run sweeps its settings; the figures below have a panel for each."
    } else {
        "No leader was replaced in this run, so it does not say what a larger phase-1 quorum costs. An experiment with \
         a fault does, such as failover."
    }
}

/// A figure with its legend and caption.
fn shown(one: &Figure, styles: &Styles) -> Markup {
    let is_map = one.panels.iter().any(|panel| panel.x.scale == Scale::Bare);
    let is_key = |series: &&str| !is_map && !styles.is_variant(series) && is_told(series);
    let keys: Vec<&str> = one.series().into_iter().filter(is_key).collect();
    html! {
        figure id={ "figure-" (one.name) } {
            h3 { (one.title) }
            @if !keys.is_empty() {
                div.keys { @for key in keys { span { (PreEscaped(draw::sample(key, styles))) (key) } } }
            }
            div.panels {
                @for panel in &one.panels {
                    @let label = format!("{}. {}. Arrow keys step through its points.", one.title, panel.title);
                    (PreEscaped(draw::panel(panel, styles, &label)))
                }
            }
            figcaption { (one.caption) }
        }
    }
}

fn is_told(series: &str) -> bool {
    !matches!(series, "land" | "link" | "median" | "replica")
}
