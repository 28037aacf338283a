//! One colour, dash and marker a variant, the same in every figure of a page.
//!
//! The colours are those of Okabe and Ito (2008), which people with any kind of colour vision tell apart; dashes
//! and markers tell the variants apart in black and white.

use std::fmt::Write as _;

/// A colour by its role; what it looks like is a matter of the [`Look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Of a variant, by its number.
    Series(usize),
    /// Of text and axes.
    Ink,
    /// Of what stands behind: floors, shades.
    Muted,
    /// A shade of grey, from 0 (light) to 4 (dark).
    Grey(usize),
}

/// How a point is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A filled circle.
    Circle,
    /// A filled square.
    Square,
    /// A triangle that points up.
    Triangle,
    /// A square on its corner.
    Diamond,
    /// A triangle that points down.
    Wedge,
    /// Two crossed strokes.
    Cross,
    /// An upright stroke, for series that are drawn as strokes.
    Stroke,
    /// A square, for series that are drawn as bars.
    Box,
    /// No marker, for a line without points.
    Nothing,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Its colour.
    pub colour: Colour,
    /// The dashes of its line, as SVG has them; empty for a whole line.
    pub dashes: &'static str,
    /// The marker of its points.
    pub marker: Marker,
}

/// The styles of the series of a run.
#[derive(Clone, Debug)]
pub struct Styles {
    variants: Vec<String>,
}

/// Where a figure is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// On white paper, with the colours in the file.
    Paper,
    /// On a page, whose style sheet has the colours of the light and the dark theme.
    Page,
}

/// The colours of series on white and on dark ground: Okabe and Ito's, but for the yellow, which is too light for
/// lines on white.
pub const SERIES: [(&str, &str); 7] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#f0883e"),
    ("#009e73", "#2fc79b"),
    ("#cc79a7", "#e39ac4"),
    ("#e69f00", "#f0c04a"),
    ("#56b4e9", "#9bd3f5"),
    ("#6b6b6b", "#b5b5b5"),
];

const INK: (&str, &str) = ("#1f2328", "#e6edf3");
const MUTED: (&str, &str) = ("#767d86", "#8b949e");
const GRID: (&str, &str) = ("#e4e7eb", "#2d333b");
const GREYS: [(&str, &str); 5] = [
    ("#d7dce2", "#3a424c"),
    ("#b3bac3", "#56606c"),
    ("#8d96a1", "#77828f"),
    ("#68727e", "#9aa5b1"),
    ("#454e59", "#c1cad4"),
];

const DASHES: [&str; 5] = ["", "7 3", "2 3", "8 3 2 3", "12 4"];
const MARKERS: [Marker; 6] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Wedge,
    Marker::Cross,
];

/// What is drawn beside variants, and its style.
const OTHERS: [(&str, Style); 13] = [
    ("floor", Style { colour: Colour::Muted, dashes: "", marker: Marker::Stroke }),
    ("simulated", Style { colour: Colour::Grey(2), dashes: "2 3", marker: Marker::Diamond }),
    ("measured", Style { colour: Colour::Ink, dashes: "", marker: Marker::Circle }),
    ("queueing", Style { colour: Colour::Grey(0), dashes: "", marker: Marker::Box }),
    ("phase1", Style { colour: Colour::Grey(3), dashes: "", marker: Marker::Box }),
    ("phase2", Style { colour: Colour::Grey(1), dashes: "", marker: Marker::Box }),
    ("persist", Style { colour: Colour::Grey(2), dashes: "", marker: Marker::Box }),
    ("reply", Style { colour: Colour::Grey(4), dashes: "", marker: Marker::Box }),
    ("land", Style { colour: Colour::Grey(1), dashes: "", marker: Marker::Nothing }),
    ("replica", Style { colour: Colour::Muted, dashes: "", marker: Marker::Cross }),
    ("link", Style { colour: Colour::Series(0), dashes: "", marker: Marker::Circle }),
    ("not dominated", Style { colour: Colour::Grey(1), dashes: "", marker: Marker::Nothing }),
    ("tolerance", Style { colour: Colour::Muted, dashes: "4 3", marker: Marker::Nothing }),
];

impl Styles {
    /// Those of these variants, in the order of the experiment.
    pub const fn new(variants: Vec<String>) -> Self {
        Self { variants }
    }

    /// The style of a series: of a variant, or of what is drawn beside variants.
    pub fn of(&self, series: &str) -> Style {
        if let Some(number) = self.variants.iter().position(|variant| variant == series) {
            return Style {
                colour: Colour::Series(number % SERIES.len()),
                dashes: DASHES[number % DASHES.len()],
                marker: MARKERS[number % MARKERS.len()],
            };
        }
        let known = OTHERS.iter().find(|(name, _)| *name == series);
        let plain = Style { colour: Colour::Ink, dashes: "", marker: Marker::Circle };
        known.map_or(plain, |(_, style)| *style)
    }

    /// Whether this is a variant.
    pub fn is_variant(&self, series: &str) -> bool {
        self.variants.iter().any(|variant| variant == series)
    }
}

impl Look {
    /// A colour as SVG has it.
    pub fn colour(self, colour: Colour) -> String {
        let (name, (light, _)) = match colour {
            Colour::Series(number) => (format!("s{number}"), SERIES[number % SERIES.len()]),
            Colour::Ink => ("ink".to_owned(), INK),
            Colour::Muted => ("muted".to_owned(), MUTED),
            Colour::Grey(number) => (format!("g{number}"), GREYS[number % GREYS.len()]),
        };
        self.named(&name, light)
    }

    /// The colour of the lines of the grid.
    pub fn grid(self) -> String {
        self.named("grid", GRID.0)
    }

    fn named(self, name: &str, light: &str) -> String {
        match self {
            Self::Paper => light.to_owned(),
            Self::Page => format!("var(--{name})"),
        }
    }
}

/// The style sheet's variables for every colour: of the light theme, or of the dark one.
pub fn variables(is_dark: bool) -> String {
    let pick = |(light, dark): (&'static str, &'static str)| if is_dark { dark } else { light };
    let named = [("ink", INK), ("muted", MUTED), ("grid", GRID)];
    let mut text = String::new();
    for (name, pair) in named {
        let _ = write!(text, "--{name}:{};", pick(pair));
    }
    for (number, pair) in SERIES.into_iter().enumerate() {
        let _ = write!(text, "--s{number}:{};", pick(pair));
    }
    for (number, pair) in GREYS.into_iter().enumerate() {
        let _ = write!(text, "--g{number}:{};", pick(pair));
    }
    text
}

/// The colour of a share of a heat map and whether text on it is white: light where it is low, dark where it is
/// high, so that it can be read in black and white.
pub fn heat(share: f64) -> ((u8, u8, u8), bool) {
    // Of the scale Viridis, whose lightness falls steadily, read from its light end.
    const STOPS: [(f64, f64, f64); 6] = [
        (253.0, 231.0, 37.0),
        (122.0, 209.0, 81.0),
        (34.0, 168.0, 132.0),
        (42.0, 120.0, 142.0),
        (65.0, 68.0, 135.0),
        (68.0, 1.0, 84.0),
    ];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let after =
        STOPS.iter().enumerate().position(|(number, _)| number as f64 >= place).unwrap_or(0);
    let before = after.saturating_sub(1);
    let part = place - before as f64;
    let (low, high) = (STOPS[before], STOPS[after]);
    let mix = |low: f64, high: f64| byte(part.mul_add(high - low, low));
    ((mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2)), share > 0.45)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, which is what is wanted"
)]
fn byte(value: f64) -> u8 {
    value.round() as u8
}
