//! Pictures: shapes only. Words stand beside them in the page, so that they stay readable on a phone.

use std::fmt::Write;

/// The size of a picture in its own units; the page stretches it.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;

/// One line or area of a picture.
pub(crate) struct Series<'a> {
    /// Its class in the page's style.
    pub(crate) class: &'a str,
    /// Its values, one for each slice.
    pub(crate) values: Vec<f64>,
}

/// Areas and lines above an axis of slices: `areas` are filled, `lines` are not. `marks` are places on the axis, from 0
/// to 1, at which a thin line stands; `top` is the value at the upper edge, at or above which values are cut off.
pub(crate) fn chart(
    label: &str,
    areas: &[Series<'_>],
    lines: &[Series<'_>],
    marks: &[f64],
    top: f64,
) -> String {
    let mut svg = begin(label);
    for area in areas {
        let steps = steps(&area.values, top);
        if !steps.is_empty() {
            let class = area.class;
            let _ = write!(
                svg,
                "<path class=\"area {class}\" d=\"M0 {HEIGHT}{steps}V{HEIGHT}Z\"/>"
            );
        }
    }
    for line in lines {
        let steps = steps(&line.values, top);
        if let Some(first) = line.values.first() {
            let (class, y) = (line.class, y(*first, top));
            let _ = write!(svg, "<path class=\"line {class}\" d=\"M0 {y:.1}{steps}\"/>");
        }
    }
    for mark in marks {
        let x = mark * WIDTH;
        let _ = write!(svg, "<path class=\"mark\" d=\"M{x:.1} 0V{HEIGHT}\"/>");
    }
    svg + "</svg>"
}

/// Bars, stacked: each has a value for each class, the lowest first, and a text that is shown when it is touched.
pub(crate) fn bars(label: &str, classes: &[&str], bars: &[(Vec<f64>, String)], top: f64) -> String {
    let mut svg = begin(label);
    let width = WIDTH / (bars.len().max(1) as f64);
    let gap = if bars.len() > 60 { 0.0 } else { width * 0.12 };
    for (place, (values, told)) in bars.iter().enumerate() {
        let x = place as f64 * width + gap / 2.0;
        let mut foot = HEIGHT;
        svg.push_str("<g>");
        let _ = write!(svg, "<title>{}</title>", crate::words::escaped(told));
        for (class, value) in classes.iter().zip(values) {
            // What is there can be seen.
            let least = if *value > 0.0 { 1.0 } else { 0.0 };
            let height = (value / top.max(f64::MIN_POSITIVE) * HEIGHT)
                .max(least)
                .min(foot);
            if height > 0.0 {
                foot -= height;
                let width = width - gap;
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{foot:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                );
            }
        }
        svg.push_str("</g>");
    }
    svg + "</svg>"
}

fn begin(label: &str) -> String {
    let label = crate::words::escaped(label);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{label}\">"
    )
}

/// A line that stays level in each slice.
fn steps(values: &[f64], top: f64) -> String {
    let width = WIDTH / (values.len().max(1) as f64);
    let mut path = String::new();
    let mut last = None;
    for (place, value) in values.iter().enumerate() {
        let y = y(*value, top);
        if last != Some(y) {
            let _ = write!(path, "V{y:.1}");
            last = Some(y);
        }
        let _ = write!(path, "H{:.1}", (place + 1) as f64 * width);
    }
    path
}

fn y(value: f64, top: f64) -> f64 {
    let share = (value / top.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    HEIGHT - share * HEIGHT
}
