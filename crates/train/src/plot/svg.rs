//! The pieces that pictures are made of: numbers, lines, texts and one style sheet for both themes.
//!
//! A picture that stands alone carries the style sheet; a page carries it once for all its pictures. Colours are
//! written out rather than kept in CSS variables, which some viewers of SVG files do not know.

use std::fmt::Write;

/// Colours of a theme. The hues are Okabe & Ito's, told apart by colour-blind readers; the shades stand out from the
/// theme's background with a contrast of at least 3.
pub(crate) struct Theme {
    pub back: &'static str,
    pub ink: &'static str,
    pub muted: &'static str,
    pub grid: &'static str,
    pub colours: [&'static str; 6],
}

pub(crate) const LIGHT: Theme = Theme {
    back: "#ffffff",
    ink: "#1c2128",
    muted: "#5c6672",
    grid: "#e6e9ed",
    colours: ["#0072b2", "#c75000", "#008560", "#a8558a", "#946c00", "#5b5fc7"],
};
pub(crate) const DARK: Theme = Theme {
    back: "#12161c",
    ink: "#e4e8ee",
    muted: "#95a0ad",
    grid: "#262d36",
    colours: ["#56b4e9", "#f58a3c", "#2fc29a", "#e29bc6", "#e3b341", "#a3a6f5"],
};

/// Darkness of the levels of a heat map, none to full.
pub(crate) const LEVELS: [f64; 9] = [0.05, 0.14, 0.24, 0.35, 0.47, 0.6, 0.73, 0.86, 1.0];

/// The rules of the pictures for both themes.
pub(crate) fn style_sheet() -> String {
    let mut css = String::from(
        "text{font:11.5px system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif;font-variant-numeric:tabular-nums}\
         text.title{font-size:14px;font-weight:600}text.end{font-weight:600}.curve{fill:none;stroke-width:1.8;\
         stroke-linejoin:round;stroke-linecap:round}.faint{stroke-width:1;opacity:.34}.dashed{stroke-dasharray:5 4}",
    );
    for (level, opacity) in LEVELS.iter().enumerate() {
        let _ = write!(css, ".h{level}{{fill-opacity:{opacity}}}");
    }
    css.push_str(&theme_rules(&LIGHT));
    let _ = write!(css, "@media(prefers-color-scheme:dark){{{}}}", theme_rules(&DARK));
    css
}

fn theme_rules(theme: &Theme) -> String {
    let Theme { back, ink, muted, grid, colours } = theme;
    let mut css = format!(
        ".back{{fill:{back}}}text{{fill:{ink}}}text.muted{{fill:{muted}}}.grid{{stroke:{grid}}}.axis{{stroke:{muted}}}\
         text.halo{{paint-order:stroke;stroke:{back};stroke-width:4px;stroke-linejoin:round}}.row{{fill:{grid}}}"
    );
    for (index, colour) in colours.iter().enumerate() {
        let _ = write!(css, ".s{index}{{stroke:{colour}}}.f{index},text.f{index}{{fill:{colour}}}");
    }
    css
}

/// A coordinate: two decimals are finer than a pixel, and the same on every machine.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

pub(crate) fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let (x1, y1, x2, y2) = (number(from.0), number(from.1), number(to.0), number(to.1));
    let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
}

/// A text at its base line; `class` may be empty, `anchor` is `start`, `middle` or `end`.
pub(crate) fn text(svg: &mut String, class: &str, at: (f64, f64), anchor: &str, content: &str) {
    let (x, y, content) = (number(at.0), number(at.1), escape(content));
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let anchor = if anchor == "start" { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
    let _ = writeln!(svg, "<text{class} x=\"{x}\" y=\"{y}\"{anchor}>{content}</text>");
}

/// Opens a picture; `alone` gives it the style sheet and a background.
pub(crate) fn open(svg: &mut String, (width, height): (f64, f64), title: &str, alone: bool) {
    let title = escape(title);
    let (width, height) = (number(width), number(height));
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">"
    );
    if alone {
        let css = escape(&style_sheet());
        let _ = writeln!(svg, "<title>{title}</title>\n<style>{css}</style>");
        let _ = writeln!(svg, "<rect class=\"back\" width=\"{width}\" height=\"{height}\"/>");
    }
}

/// About how wide a text is: digits and small letters of the usual fonts at this size.
pub(crate) fn width_of(text: &str) -> f64 {
    6.5 * text.chars().count() as f64
}

/// For the text and the attributes of XML and HTML. Characters that neither can hold, and those that turn the
/// direction of writing, become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{FFFD}'),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFFE}' | '\u{FFFF}' => {
                out.push('\u{FFFD}');
            }
            c => out.push(c),
        }
    }
    out
}
