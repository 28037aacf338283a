//! SVG as a String: a few shapes, text, and the escaping of both.
//!
//! It knows nothing of traces.

use std::fmt::{self, Write};

/// An SVG document in the making.
#[derive(Default)]
pub(super) struct Canvas {
    body: String,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pen {
    pub(super) colour: &'static str,
    pub(super) width: f64,
    /// `stroke-dasharray`; empty is solid.
    pub(super) dashes: &'static str,
}

/// How a text is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) is_bold: bool,
    pub(super) anchor: &'static str,
}

impl Canvas {
    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64), pen: Pen) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {pen}/>\n",
            Number(x1),
            Number(y1),
            Number(x2),
            Number(y2),
        ));
    }

    /// Any path that was written by hand.
    pub(super) fn path(&mut self, class: &str, path: &str, fill: &str, pen: Pen) {
        self.put(format_args!("<path class=\"{class}\" d=\"{path}\" fill=\"{fill}\" {pen}/>\n"));
    }

    /// A rectangle.
    pub(super) fn rectangle(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: &str,
        pen: Pen,
    ) {
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\" \
             {pen}/>\n",
            Number(x),
            Number(y),
            Number(width),
            Number(height),
        ));
    }

    /// A text on one line; `y` is its base line.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), font: Font, text: &str) {
        self.text_led(class, at, font, "", text);
    }

    /// A text on one line that begins with a bold `lead`.
    pub(super) fn text_led(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        font: Font,
        lead: &str,
        text: &str,
    ) {
        let weight = if font.is_bold { " font-weight=\"bold\"" } else { "" };
        let lead = match lead {
            "" => String::new(),
            lead => format!("<tspan font-weight=\"bold\">{}</tspan> ", Escaped(lead)),
        };
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" font-size=\"{}\" fill=\"{}\" \
             text-anchor=\"{}\"{weight}>{lead}{}</text>\n",
            Number(x),
            Number(y),
            Number(font.size),
            font.colour,
            font.anchor,
            Escaped(text),
        ));
    }

    /// Everything that `draw` draws, with a text that a browser shows above it.
    pub(super) fn group(&mut self, class: &str, title: &str, draw: impl FnOnce(&mut Self)) {
        self.put(format_args!("<g class=\"{class}\"><title>{}</title>\n", Escaped(title)));
        draw(self);
        self.put(format_args!("</g>\n"));
    }

    /// The document.
    pub(super) fn finish(self, (width, height): (f64, f64), title: &str) -> String {
        let (width, height) = (Number(width), Number(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"Helvetica, Arial, 'Liberation Sans', \
             'DejaVu Sans', sans-serif\" role=\"img\">\n<title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            Escaped(title),
            self.body,
        )
    }

    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        self.body.write_fmt(arguments).expect("a String takes all");
    }
}

impl Pen {
    /// No line at all.
    pub(super) const NONE: Self = Self { colour: "none", width: 0.0, dashes: "" };

    pub(super) const fn solid(colour: &'static str, width: f64) -> Self {
        Self { colour, width, dashes: "" }
    }
}

impl fmt::Display for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stroke=\"{}\"", self.colour)?;
        if *self != Self::NONE {
            write!(f, " stroke-width=\"{}\"", Number(self.width))?;
        }
        match self.dashes {
            "" => Ok(()),
            dashes => write!(f, " stroke-dasharray=\"{dashes}\""),
        }
    }
}

/// At most two decimals, so that the same picture has the same bytes; no minus zero.
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", (self.0 * 100.0).round() / 100.0 + 0.0)
    }
}

/// Text and attributes of XML 1.0.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // XML 1.0 has no way to write most of these.
                char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                    f.write_char('\u{fffd}')?;
                }
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}
