//! The figures are read as a reader reads them: by their axis, their arrows and their words.

mod reader;

use super::canvas::Escaped;
use super::layout::{spread, text_width};
use super::samples::{commit, counterexample};
use super::{Fate, MarkKind, PeriodKind, Scale, Trace};
use crate::time::{Span, Time};
use reader::{Element, elements};

/// Compares with a committed file, or writes it if `UPDATE` is set.
fn check(name: &str, found: &str) {
    let path = format!("{}/src/trace/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(expected == found, "{name} is drawn otherwise: run with UPDATE=1 and look at it");
}

/// Milliseconds.
fn ms(millis: u64) -> Time {
    Time::ZERO + Span::from_millis(millis)
}

fn two() -> Trace {
    let mut trace = Trace::new("two", Scale::Milliseconds);
    trace.line("r0", "here");
    trace.line("r1", "there");
    trace
}

fn of_class<'a>(all: &'a [Element], class: &str) -> Vec<&'a Element> {
    all.iter().filter(|element| element.get("class") == class).collect()
}

#[test]
fn the_samples_are_drawn_as_they_were_looked_at() {
    check("commit.txt", &commit().text());
    check("commit.svg", &commit().svg());
    check("counterexample.txt", &counterexample().text());
    check("counterexample.svg", &counterexample().svg());
}

#[test]
fn a_table_says_equal_things_once() {
    let mut trace = Trace::new("a broadcast", Scale::Milliseconds).since(ms(1));
    for name in ["r0", "r1", "r2"] {
        trace.line(name, "");
    }
    let label = "phase2a (1.r0) slot 0: x=1";
    trace
        .message((0, 1), ms(1), Fate::Received(Time(36_100_400)), label)
        .message((0, 2), ms(1), Fate::Received(Time(36_100_400)), label)
        .message((0, 1), ms(1), Fate::Lost, label)
        .mark(1, ms(40), MarkKind::Vote, "vote durable")
        .mark(2, ms(40), MarkKind::Vote, "vote durable")
        .mark(0, Time(40_500_000), MarkKind::Chosen, "slot 0 = x=1")
        .period(0, (ms(1), ms(2)), PeriodKind::Sync, "")
        .mark(None, ms(50), MarkKind::Violation, "");
    let expected = "\
a broadcast
r0, r1, r2
    ms
 0.000  r0           sync of the disk (1.000 ms)
        r0 -> r1 r2  phase2a (1.r0) slot 0: x=1
        r0 -> r1     phase2a (1.r0) slot 0: x=1 (lost)
35.100  r1 r2 <- r0  phase2a (after 35.100 ms)
39.000  r1 r2        vote durable
39.500  r0           ** chosen: slot 0 = x=1 **
49.000               ** violation **
";
    assert_eq!(trace.text(), expected);
}

#[test]
fn an_arrival_names_the_whole_message_where_its_kind_could_be_two() {
    let mut trace = two();
    trace.message((0, 1), ms(0), Fate::Received(ms(5)), "phase2a slot 0").message(
        (0, 1),
        ms(0),
        Fate::Received(ms(6)),
        "phase2a slot 1",
    );
    assert!(trace.text().contains("r1 <- r0  phase2a slot 1 (after 6.000 ms)"), "{}", trace.text());
}

#[test]
fn what_takes_no_time_arrives_after_it_was_sent() {
    let mut trace = two();
    trace.message((0, 1), ms(3), Fate::Received(ms(3)), "request");
    let text = trace.text();
    assert!(text.find("r0 -> r1").unwrap() < text.find("r1 <- r0").unwrap(), "{text}");
}

#[test]
fn a_table_keeps_to_100_columns() {
    let mut trace = two();
    trace.title = "a long title ".repeat(20);
    let words =
        "phase1b (1.r0) from slot 0, voted ".to_owned() + &"slot 7 at (1.r0): x=1, ".repeat(30);
    trace.message((0, 1), ms(0), Fate::Received(ms(5)), words);
    for line in trace.text().lines().chain(commit().text().lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn times_before_the_origin_are_negative_and_steps_are_whole() {
    let show = |scale: Scale, at| scale.instant(Time(at), Time(1_000_000));
    assert_eq!(show(Scale::Milliseconds, 750_000), "-0.250");
    assert_eq!(show(Scale::Milliseconds, 999_900), "0.000");
    assert_eq!(show(Scale::Milliseconds, 2_000_500), "1.001");
    assert_eq!(show(Scale::Microseconds, 1_002_345), "2.345");
    assert_eq!(show(Scale::Steps, 1_000_007), "7");
}

/// The instant at a height, read from the ticks of the axis.
fn read_axis(all: &[Element]) -> impl Fn(f64) -> f64 {
    let ticks: Vec<(f64, f64)> = of_class(all, "tick")
        .iter()
        .filter(|tick| tick.name == "text")
        .map(|tick| (tick.number("y") - 4.0, tick.text.parse().unwrap()))
        .collect();
    let ((y0, t0), (y1, t1)) = (ticks[0], *ticks.last().unwrap());
    assert!(ticks.len() > 2, "{ticks:?}");
    move |y| t0 + (y - y0) * (t1 - t0) / (y1 - y0)
}

#[test]
fn arrows_are_at_the_scale_of_the_axis() {
    for (trace, unit) in [(commit(), 1e6), (counterexample(), 1.0)] {
        let all = elements(&trace.svg()).unwrap();
        let instant = read_axis(&all);
        let drawn = of_class(&all, "arrow");
        let drawn: Vec<_> = drawn.iter().filter(|arrow| arrow.name == "line").collect();
        let told = trace.messages.iter().filter(|arrow| arrow.arrival().is_some());
        let told: Vec<_> = told.filter(|arrow| arrow.from != arrow.to).collect();
        assert_eq!(drawn.len(), told.len());
        let names: Vec<f64> = of_class(&all, "name").iter().map(|name| name.number("x")).collect();
        for (line, arrow) in drawn.iter().zip(told) {
            let shown = |at: Time| (at.0 as f64 - trace.origin.0 as f64) / unit;
            let close = |attribute: &str, at: Time| {
                let read = instant(line.number(attribute));
                assert!((read - shown(at)).abs() < 0.02, "{read} for {arrow:?}");
            };
            close("y1", arrow.sent_at);
            close("y2", arrow.arrival().unwrap());
            assert!((line.number("x1") - names[arrow.from]).abs() < 5.0);
            assert!((line.number("x2") - names[arrow.to]).abs() < 5.0);
        }
    }
}

#[test]
fn a_lost_message_ends_in_a_cross_before_the_next_line() {
    let mut trace = two();
    trace.message((0, 1), ms(0), Fate::Lost, "phase2a").message((0, 1), ms(0), Fate::Lost, "x");
    trace.mark(0, ms(9), MarkKind::Crash, "");
    let all = elements(&trace.svg()).unwrap();
    let lost = of_class(&all, "lost");
    let receiver = of_class(&all, "name")[1].number("x");
    assert_eq!((lost.len(), of_class(&all, "cross").len()), (2, 2));
    assert!(lost.iter().all(|line| line.number("x2") < receiver));
    assert_ne!(lost[0].get("y2"), lost[1].get("y2"), "two stubs cover one another");
    assert!(of_class(&all, "arrow").is_empty());
}

#[test]
fn a_member_is_dashed_from_its_crash_to_its_restart() {
    let mut trace = two();
    trace.mark(1, ms(10), MarkKind::Crash, "").mark(1, ms(30), MarkKind::Restart, "");
    trace.mark(0, ms(40), MarkKind::Other, "the end");
    let all = elements(&trace.svg()).unwrap();
    let dashed = |line: &&&Element| !line.get("stroke-dasharray").is_empty();
    let lives = of_class(&all, "life");
    let down: Vec<_> = lives.iter().filter(dashed).collect();
    assert_eq!((lives.len(), down.len()), (4, 1));
    let instant = read_axis(&all);
    let ends = ["y1", "y2"].map(|end| format!("{:.1}", instant(down[0].number(end))));
    assert_eq!(ends, ["10.0", "30.0"]);
}

#[test]
fn what_a_name_or_value_says_cannot_break_the_figure() {
    let mut trace = Trace::new("<b>&\"quoted\"</b>", Scale::Steps);
    trace.line("</svg>", "a&b");
    trace.mark(0, Time(1), MarkKind::Other, "x=<script>\u{0}\u{1b}]]>");
    trace.message((0, 0), Time(1), Fate::Received(Time(2)), "<&> value");
    let svg = trace.svg();
    assert!(elements(&svg).is_ok(), "{svg}");
    assert!(!svg.contains("<script>") && !svg.contains('\u{0}') && !svg.contains('\u{1b}'));
    assert_eq!(Escaped("a<b>&\"c\"\n").to_string(), "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}");
    assert!(!trace.text().contains('\u{1b}'));
}

#[test]
fn the_reader_of_these_tests_refuses_broken_figures() {
    for broken in ["<svg><g></svg>", "<svg>a & b</svg>", "<svg x=\"1/>", "<svg><line></svg>", "<a"]
    {
        assert!(elements(broken).is_err(), "{broken}");
    }
}

#[test]
fn the_same_trace_is_the_same_bytes() {
    assert_eq!(commit().svg(), commit().svg());
    assert_eq!(counterexample().text(), counterexample().text());
}

#[test]
fn nothing_is_drawn_of_nothing() {
    let empty = Trace::new("nothing", Scale::Milliseconds);
    assert_eq!(empty.text(), "nothing\n\nnothing happened\n");
    assert!(elements(&empty.svg()).is_ok());
    assert!(elements(&two().svg()).is_ok());
    let mut instant = two();
    instant.mark(0, ms(7), MarkKind::Chosen, "slot 0 = x=1");
    assert!(elements(&instant.svg()).is_ok());
}

/// Left, top, right and bottom of a text.
fn frame(text: &Element) -> [f64; 4] {
    let size = text.number("font-size");
    let (x, y, width) = (text.number("x"), text.number("y"), text_width(&text.text, size));
    let left = match text.get("text-anchor") {
        "end" => x - width,
        "middle" => x - width / 2.0,
        _ => x,
    };
    [left, y - 0.75 * size, left + width, y + 0.22 * size]
}

/// Pairs of texts that cover one another.
fn overlaps(svg: &str) -> Vec<(String, String)> {
    let all = elements(svg).unwrap();
    let texts: Vec<_> = all.iter().filter(|element| element.name == "text").collect();
    let mut found = Vec::new();
    for (index, one) in texts.iter().enumerate() {
        let [left, top, right, bottom] = frame(one);
        for other in &texts[index + 1..] {
            let [l, t, r, b] = frame(other);
            if left < r && l < right && top < b && t < bottom {
                found.push((one.text.clone(), other.text.clone()));
            }
        }
    }
    found
}

/// Thirteen replicas on one rack, all at once: as crowded as it gets.
fn crowd() -> Trace {
    let mut trace = Trace::new("a crowd", Scale::Microseconds);
    for index in 0..13 {
        trace.line(format!("r{index}"), "rack-1");
    }
    for to in 1..13 {
        let received = Time(50_000 + to as u64 * 10);
        trace.message((0, to), Time(0), Fate::Received(received), "phase2a (1.r0) slot 0: x=1");
        trace.mark(to, received, MarkKind::Persist, "vote durable");
        trace.mark(to, received, MarkKind::Vote, format!("vote of r{to}"));
        let back = Fate::Received(Time(100_000 + to as u64 * 20));
        trace.message((to, 0), received, back, "phase2b (1.r0) slot 0");
    }
    trace
}

#[test]
fn no_text_covers_another_and_all_are_on_the_page() {
    for trace in [commit(), counterexample(), crowd()] {
        let svg = trace.svg();
        assert_eq!(overlaps(&svg), []);
        let all = elements(&svg).unwrap();
        let (width, height) = (all[0].number("width"), all[0].number("height"));
        for text in all.iter().filter(|element| element.name == "text") {
            let [left, top, right, bottom] = frame(text);
            let is_inside = left >= 0.0 && top >= 0.0 && right <= width && bottom <= height;
            assert!(is_inside, "{:?} leaves the page", text.text);
        }
    }
    let crowded = "<svg><text x=\"0\" y=\"9\" font-size=\"9\">ab</text>\
                   <text x=\"3\" y=\"12\" font-size=\"9\">cd</text></svg>";
    assert_eq!(overlaps(crowded).len(), 1, "the check must see an overlap");
}

#[test]
fn labels_move_no_more_than_they_must() {
    let page = (0.0, 100.0);
    assert_eq!(spread(&[10.0, 50.0], &[10.0, 10.0], page), [10.0, 50.0]);
    assert_eq!(spread(&[50.0, 50.0], &[10.0, 10.0], page), [45.0, 55.0]);
    assert_eq!(spread(&[0.0, 0.0, 95.0], &[10.0, 10.0, 10.0], page), [0.0, 10.0, 90.0]);
    assert_eq!(spread(&[], &[], page), [0.0; 0]);
}

#[test]
fn kinds_keep_their_colours_whatever_occurs() {
    let colour = |kinds: &[&str]| {
        let mut trace = two().with_kinds(&["phase1a", "phase2a", "reply"]);
        for kind in kinds {
            trace.message((0, 1), ms(0), Fate::Received(ms(1)), *kind);
        }
        let all = elements(&trace.svg()).unwrap();
        of_class(&all, "arrow").last().unwrap().get("stroke").to_owned()
    };
    assert_eq!(colour(&["reply"]), colour(&["phase1a", "other", "reply"]));
    assert_ne!(colour(&["reply"]), colour(&["phase1a"]));
}

#[test]
fn twelve_kinds_differ_without_colour() {
    let mut trace = two();
    for index in 0..12 {
        trace.message((0, 1), ms(index), Fate::Received(ms(index + 1)), format!("kind{index}"));
    }
    let styles = super::palette::styles(&trace);
    let mut looks: Vec<_> =
        styles.iter().map(|(_, style)| (style.pen.dashes, style.is_head_open)).collect();
    looks.sort_unstable();
    looks.dedup();
    assert_eq!(looks.len(), 12);
}

#[test]
fn a_message_between_lines_that_are_not_there_is_refused() {
    let drawn = std::panic::catch_unwind(|| {
        let mut trace = two();
        trace.message((0, 2), ms(0), Fate::Lost, "phase2a");
        trace.text()
    });
    assert!(drawn.is_err());
    let early = std::panic::catch_unwind(|| {
        let mut trace = two();
        trace.message((0, 1), ms(5), Fate::Received(ms(4)), "phase2a");
        trace.svg()
    });
    assert!(early.is_err());
}
