//! Where everything is: times to heights, round ticks, and labels that keep their distance.

use super::{Scale, Trace};
use crate::time::Time;

/// Room between the frame and the first life line, and after the last.
const EDGE: f64 = 34.0;
/// Where the axis stands: left of it are its numbers.
pub(super) const AXIS: f64 = 66.0;
/// Where the first instant is, below title, names and places.
pub(super) const TOP: f64 = 104.0;

/// The plot: one height an instant, one `x` a line.
pub(super) struct Layout {
    /// The life lines.
    pub(super) lines: Vec<f64>,
    /// The right edge.
    pub(super) right: f64,
    /// The height of the last instant.
    pub(super) bottom: f64,
    first: i128,
    last: i128,
    origin: i128,
}

impl Layout {
    /// A plot for `trace` whose instants take at least `height`.
    pub(super) fn new(trace: &Trace, height: f64) -> Self {
        let (first, last) = trace.extent().unwrap_or((trace.origin, trace.origin));
        let longest =
            trace.lines.iter().map(|line| text_width(&line.place, 11.0)).fold(0.0, f64::max);
        let pitch = (longest + 12.0).max(if trace.lines.len() <= 4 { 116.0 } else { 84.0 });
        let start = AXIS + EDGE.max(longest / 2.0 + 6.0);
        let lines: Vec<f64> =
            (0..trace.lines.len()).map(|index| start + index as f64 * pitch).collect();
        let right = lines.last().map_or(AXIS + 2.0 * EDGE, |last| last + EDGE.max(longest / 2.0));
        let (first, mut last) = (i128::from(first.0), i128::from(last.0));
        last = last.max(first + 1);
        Self { lines, right, bottom: TOP + height, first, last, origin: i128::from(trace.origin.0) }
    }

    /// The height of an instant.
    pub(super) fn y(&self, at: Time) -> f64 {
        self.height(i128::from(at.0))
    }

    /// Round instants, each with its height and its words.
    pub(super) fn ticks(&self, scale: Scale) -> Vec<(f64, String)> {
        let apart = if scale == Scale::Steps { 15.0 } else { 42.0 };
        let per_pixel = (self.last - self.first) as f64 / (self.bottom - TOP);
        let (step, exponent) = round_step(apart * per_pixel);
        let decimals = match scale {
            Scale::Steps => 0,
            Scale::Milliseconds => 6_usize.saturating_sub(exponent),
            Scale::Microseconds => 3_usize.saturating_sub(exponent),
        };
        let unit = match scale {
            Scale::Steps => 1.0,
            Scale::Milliseconds => 1e6,
            Scale::Microseconds => 1e3,
        };
        let (first, last) = (self.first - self.origin, self.last - self.origin);
        let mut tick = -(-first).div_euclid(step) * step;
        let mut ticks = Vec::new();
        while tick <= last {
            let words = format!("{:.decimals$}", tick as f64 / unit);
            ticks.push((self.height(tick + self.origin), words));
            tick += step;
        }
        ticks
    }

    fn height(&self, at: i128) -> f64 {
        let share = (at - self.first) as f64 / (self.last - self.first) as f64;
        TOP + share * (self.bottom - TOP)
    }
}

/// The smallest of 1, 2, 5, 10, 20, … that is at least `least`, and its power of ten.
fn round_step(least: f64) -> (i128, usize) {
    let mut power = 1;
    for exponent in 0.. {
        for factor in [1, 2, 5] {
            if (factor * power) as f64 >= least {
                return (factor * power, exponent);
            }
        }
        power *= 10;
    }
    unreachable!("a finite number is below some power of ten")
}

/// Tops for labels of these heights, as near to their wishes as can be, in order, without overlap,
/// and between `top` and `bottom` if they fit.
///
/// The sum of the squares of the moves is the least possible: pooling of adjacent violators.
pub(super) fn spread(wishes: &[f64], heights: &[f64], (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut above = 0.0;
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wish, height) in wishes.iter().zip(heights) {
        let mut pool = (wish - above, 1);
        above += height;
        while let Some(&(mean, count)) = pools.last()
            && mean >= pool.0
        {
            pools.pop();
            let sum = mean * count as f64 + pool.0 * pool.1 as f64;
            pool = (sum / (count + pool.1) as f64, count + pool.1);
        }
        pools.push(pool);
    }
    let lowest = (bottom - above).max(top);
    let settled = pools.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean, count));
    let mut above = 0.0;
    let place = |(mean, height): (f64, &f64)| {
        let y = mean.clamp(top, lowest) + above;
        above += height;
        y
    };
    settled.zip(heights).map(place).collect()
}

/// About how wide a text is: rather too wide, since the font is the reader's.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let em = |char: char| match char {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.34,
        'm' | 'w' | 'M' | 'W' | '→' | '%' | '@' => 0.95,
        ' ' | 'f' | 'r' | 't' | '-' | '(' | ')' | '/' => 0.42,
        'A'..='Z' => 0.72,
        char if char.is_ascii() => 0.62,
        _ => 1.0,
    };
    size * text.chars().map(em).sum::<f64>()
}
