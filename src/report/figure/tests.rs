use super::*;

fn styles() -> Styles {
    Styles::new(vec!["multi".into(), "flex <1>".into()])
}

fn figure() -> Figure {
    let marks = vec![
        Mark::new(
            "multi",
            Form::Steps,
            vec![Point::at(1.0, 0.0, "a"), Point::at(3.0, 1.0, "b \"c\"")],
        ),
        Mark::new(
            "flex <1>",
            Form::Dots,
            vec![Point { x_range: Some((1.5, 2.5)), ..Point::at(2.0, 0.5, "$5 & more") }],
        ),
        Mark::new("floor", Form::Ticks, vec![Point::at(1.2, 0.4, "floor")]),
    ];
    let axes = (Axis::new("latency (ms)", Scale::Linear), Axis::new("share", Scale::Linear));
    let panel = Panel::new("us-east-1", axes.0, axes.1, marks);
    Figure::of("cdf", "Distribution", "What it shows.", vec![panel]).unwrap()
}

#[test]
fn a_figure_without_content_is_none() {
    let axes = || (Axis::new("x", Scale::Linear), Axis::new("y", Scale::Linear));
    let rule = Mark::new("", Form::Level, vec![Point::at(0.0, 0.0, "")]);
    let empty = Panel::new("a", axes().0, axes().1, vec![rule, Mark::new("b", Form::Line, vec![])]);
    assert!(empty.is_empty());
    assert_eq!(Figure::of("cdf", "", "", vec![empty]), None);
}

#[test]
fn a_panel_of_a_page_is_well_formed_and_names_its_series() {
    let svg = draw::panel(&figure().panels[0], &styles(), "a \"label\" & more");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"), "{svg}");
    assert!(svg.contains("data-series=\"flex &lt;1&gt;\""));
    assert!(svg.contains("viewBox=\"0 0 440 260\""));
    assert!(svg.contains("var(--s0)") && svg.contains("var(--s1)"));
    assert!(!svg.contains("<script") && !svg.contains("<style") && !svg.contains(" style="));
    // The words of a point arrive as they are.
    assert!(svg.contains("b \\&quot;c\\&quot;"), "{svg}");
    let opened = svg.matches("<g").count();
    assert_eq!(opened, svg.matches("</g>").count());
}

#[test]
fn a_figure_for_paper_has_its_own_colours_and_a_legend() {
    let svg = draw::svg(&figure(), &styles());
    assert!(!svg.contains("var(--"));
    for text in ["#0072b2", ">multi<", ">flex &lt;1&gt;<", ">floor<", ">latency (ms)<"] {
        assert!(svg.contains(text), "{text}");
    }
    assert_eq!(svg, draw::svg(&figure(), &styles()), "the same marks give the same bytes");
}

#[test]
fn a_figure_as_pdf_embeds_its_font() {
    let pdf = draw::pdf(&figure(), &styles()).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
    let text = String::from_utf8_lossy(&pdf);
    assert!(text.contains("/FontFile2") || text.contains("/FontFile3"));
    assert!(text.contains("DejaVuSans"));
}

#[test]
fn styles_differ_in_colour_dash_and_marker() {
    let names: Vec<String> = (0..12).map(|number| format!("v{number}")).collect();
    let styles = Styles::new(names.clone());
    let all: Vec<style::Style> = names.iter().map(|name| styles.of(name)).collect();
    for (number, one) in all.iter().enumerate() {
        assert!(!all[..number].contains(one), "v{number}");
    }
}

#[test]
fn a_heat_map_is_light_where_it_is_low() {
    let lightness = |share| {
        let ((red, green, blue), _) = style::heat(share);
        0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue)
    };
    let all: Vec<f64> = (0..=20).map(|step| lightness(f64::from(step) / 20.0)).collect();
    assert!(all.windows(2).all(|pair| pair[0] > pair[1]), "{all:?}");
}

#[test]
fn places_have_a_region_once_and_are_on_the_map() {
    for profile in ["us-east-1", "eastus", "europe-west1"] {
        assert!(places::of(profile).is_some(), "{profile}");
    }
    assert_eq!(places::of("r0"), None);
}

#[test]
fn a_mean_is_geometric_with_the_interval_of_students_t() {
    let mean = data::Mean::of_numbers(&[1.0, 10.0, 100.0]).unwrap();
    assert!((mean.value - 10.0).abs() < 1e-9);
    // The logarithms have the standard deviation ln 10; t(2) at 97.5 % is 4.302653.
    let half = 4.302_653 * std::f64::consts::LN_10 / 3.0_f64.sqrt();
    let (low, high) = mean.interval.unwrap();
    assert!(
        (low.ln() - (10.0_f64.ln() - half)).abs() < 1e-5 && (high / 10.0 - half.exp()).abs() < 1e-2
    );
    assert_eq!(data::Mean::of_numbers(&[1.0, 2.0]).unwrap().interval, None);
    assert_eq!(data::Mean::of_numbers(&[]), None);
    assert!(data::Mean::of_numbers(&[0.0, 0.0]).unwrap().value.abs() < f64::EPSILON);
    assert_eq!(data::Mean::of_numbers(&[0.0, 1.0]), None);
}

/// A trial that never recovered is the worst there is: without it the others would look better.
#[test]
fn a_mean_without_its_worst_values_is_none() {
    use crate::compare::observations::{Gap, Value};
    use crate::compare::{Series, Subject};
    use crate::measure::Quantity;
    use crate::trial::Backend;

    let series = |numbers: &[Result<f64, Gap>]| {
        let value = |number| Value { seed: 1, number, floor: None, is_busy: false };
        let values = numbers.iter().map(|number| value(*number)).enumerate().collect();
        let subject = Subject {
            backend: Backend::Sim,
            point: String::new(),
            fault: Some(0),
            client_region: None,
            operation: None,
            quantity: Quantity::Phase1,
        };
        Series { variant: "a".into(), subject, values }
    };
    let mean = |numbers: &[Result<f64, Gap>]| data::Mean::of(&series(numbers)).map(|it| it.count);
    assert_eq!(mean(&[Ok(1.0), Ok(2.0), Ok(4.0)]), Some(3));
    assert_eq!(mean(&[Ok(1.0), Err(Gap::Invalid), Ok(4.0)]), Some(2));
    for gap in [Gap::Unanswered, Gap::Absent, Gap::Overloaded] {
        assert_eq!(mean(&[Ok(1.0), Err(gap), Ok(4.0)]), None, "{gap:?}");
    }
}
