//! Plots as SVG: groups of bars, or lines, both with the range of the rounds.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::model::figure;
use super::{Band, Kind, Plot, Scale};

const SIZE: (u32, u32) = (860, 440);
/// Colours that can be told apart by everybody (Okabe and Ito's).
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(90, 90, 90),
];
/// How much of a group's room its bars take.
const GROUP: f64 = 0.8;
/// What stands in for zero on an axis of powers of ten.
const ALMOST_NOTHING: f64 = 1e-4;

/// An axis that is linear, or linear in the power of ten. Only its labels know the difference.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let values = values.filter(|value| value.is_finite());
        let high = values.clone().fold(ALMOST_NOTHING, f64::max);
        match scale {
            Scale::Linear => Self { scale, from: 0.0, to: high * 1.08 },
            Scale::Log => {
                let low = values.filter(|value| *value > 0.0).fold(high, f64::min);
                let from = low.max(ALMOST_NOTHING).log10().floor();
                Self { scale, from, to: (high.log10() + 0.1).max(from + 1.0) }
            }
        }
    }

    fn at(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(ALMOST_NOTHING).log10().max(self.from),
        }
    }

    fn label(scale: Scale, at: f64) -> String {
        match scale {
            Scale::Linear => figure(at),
            Scale::Log => figure(10f64.powf(at)),
        }
    }

    fn ticks(&self) -> Ticks {
        Ticks { from: self.from, to: self.to, scale: self.scale }
    }
}

/// The axis as plotters wants it: whole powers of ten are marked, or what is round.
#[derive(Clone)]
struct Ticks {
    from: f64,
    to: f64,
    scale: Scale,
}

impl Ranged for Ticks {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: plotters::coord::ranged1d::KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                plotters::coord::types::RangedCoordf64::from(self.from..self.to).key_points(hint)
            }
            Scale::Log => {
                (self.from.ceil() as i32..=self.to.floor() as i32).map(f64::from).collect()
            }
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Ticks {
    fn format(value: &f64) -> String {
        figure(*value)
    }

    fn format_ext(&self, value: &f64) -> String {
        Axis::label(self.scale, *value)
    }
}

/// The picture.
pub fn svg(plot: &Plot) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(plot, &area)?;
        area.present().map_err(failed)?;
    }
    Ok(text)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the plot cannot be drawn: {error}")
}

fn draw(plot: &Plot, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<()> {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let y = Axis::over(plot.y_scale, points().flat_map(|point| [point.1, point.2, point.3]));
    let bars = plot.kind == Kind::Bars;
    let x = if bars {
        Axis { scale: Scale::Linear, from: 0.0, to: plot.categories.len().max(1) as f64 }
    } else {
        Axis::over(plot.x_scale, points().map(|point| point.0))
    };
    let mut chart = ChartBuilder::on(area)
        .caption(&plot.title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(x.ticks(), y.ticks())
        .map_err(failed)?;
    let category = |at: &f64| {
        let name = plot.categories.get(at.floor() as usize);
        name.cloned().unwrap_or_default()
    };
    let label = |at: &f64| Axis::label(plot.x_scale, *at);
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(&plot.x_label).y_desc(&plot.y_label).label_style(("sans-serif", 13));
    mesh.light_line_style(TRANSPARENT).bold_line_style(RGBColor(225, 225, 225));
    if bars {
        // The names of the groups are written below, each in the middle of its own.
        mesh.disable_x_mesh().x_labels(0).x_label_formatter(&category);
    } else {
        mesh.x_label_formatter(&label);
    }
    mesh.draw().map_err(failed)?;
    for (index, series) in plot.series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let place = |point: &Band| {
            if !bars {
                return (x.at(point.0), x.at(point.0), x.at(point.0));
            }
            let width = GROUP / plot.series.len() as f64;
            let left = point.0 + (1.0 - GROUP) / 2.0 + width * index as f64;
            (left, left + width * 0.94, left + width * 0.47)
        };
        if bars {
            let boxes = series.points.iter().map(|point| {
                let (left, right, _) = place(point);
                Rectangle::new([(left, y.from), (right, y.at(point.1))], color.filled())
            });
            chart.draw_series(boxes).map_err(failed)?
        } else {
            let line = series.points.iter().map(|point| (x.at(point.0), y.at(point.1)));
            chart
                .draw_series(LineSeries::new(line, color.stroke_width(2)).point_size(3))
                .map_err(failed)?
        }
        .label(&series.name)
        .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], color.filled()));
        let ranges = series.points.iter().filter(|point| point.2 < point.3).map(|point| {
            let dark = if bars { RGBColor(40, 40, 40) } else { color };
            let (from, mid, to) = (y.at(point.2), y.at(point.1), y.at(point.3));
            ErrorBar::new_vertical(place(point).2, from, mid, to, dark.stroke_width(1), 6)
        });
        chart.draw_series(ranges).map_err(failed)?;
    }
    if bars {
        name_groups(plot, area, chart.plotting_area())?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()
        .map_err(failed)
}

fn name_groups(
    plot: &Plot,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    inner: &DrawingArea<SVGBackend<'_>, Cartesian2d<Ticks, Ticks>>,
) -> Result<()> {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    let (columns, rows) = inner.get_pixel_range();
    let style = ("sans-serif", 13).into_text_style(area).pos(Pos::new(HPos::Center, VPos::Top));
    let width = f64::from(columns.end - columns.start) / plot.categories.len().max(1) as f64;
    for (index, name) in plot.categories.iter().enumerate() {
        let middle = f64::from(columns.start) + width * (index as f64 + 0.5);
        area.draw_text(name, &style, (middle as i32, rows.end + 6)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Series;
    use super::*;

    fn plot(kind: Kind, x_scale: Scale, y_scale: Scale) -> Plot {
        let points = |factor: f64| {
            (0..3)
                .map(|n| {
                    let y = factor * 10f64.powi(n);
                    Band(
                        if kind == Kind::Bars { f64::from(n) } else { 10f64.powi(n + 3) },
                        y,
                        y * 0.9,
                        y * 1.3,
                    )
                })
                .collect()
        };
        Plot {
            file: "a.svg".into(),
            title: "Times <of> \"all\" & more".into(),
            kind,
            x_label: "seats".into(),
            x_scale,
            y_label: "ms".into(),
            y_scale,
            categories: vec!["count".into(), "list".into(), "sweep".into()],
            series: vec![
                Series { name: "no index".into(), points: points(3.0) },
                Series { name: "index & more".into(), points: points(0.2) },
            ],
        }
    }

    /// Every element that is opened is closed, in order, and no character is left raw.
    fn well_formed(text: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        for part in text.split('<').skip(1) {
            let Some((tag, words)) = part.split_once('>') else { return false };
            let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or("");
            if words
                .replace("&amp;", "")
                .replace("&lt;", "")
                .replace("&gt;", "")
                .replace("&quot;", "")
                .replace("&#x27;", "")
                .replace("&apos;", "")
                .contains('&')
            {
                return false;
            }
            if tag.starts_with('?') || tag.starts_with('!') || tag.ends_with('/') {
                continue;
            }
            if tag.starts_with('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else {
                open.push(name);
            }
        }
        open.is_empty()
    }

    #[test]
    fn pictures_of_both_kinds_are_well_formed() {
        for (kind, x, y) in [
            (Kind::Bars, Scale::Linear, Scale::Log),
            (Kind::Bars, Scale::Linear, Scale::Linear),
            (Kind::Lines, Scale::Log, Scale::Log),
            (Kind::Lines, Scale::Linear, Scale::Linear),
        ] {
            let text = svg(&plot(kind, x, y)).unwrap();
            assert!(text.starts_with("<svg") && well_formed(&text), "{text}");
            assert!(text.contains("no index") && !text.contains("NaN"), "{text}");
        }
        assert!(!well_formed("<a><b></a></b>") && !well_formed("<a>x & y</a>"));
    }

    #[test]
    fn a_picture_of_nothing_is_a_picture() {
        let empty = Plot {
            series: Vec::new(),
            categories: Vec::new(),
            ..plot(Kind::Bars, Scale::Linear, Scale::Log)
        };
        assert!(well_formed(&svg(&empty).unwrap()));
        let zero = Plot {
            series: vec![Series { name: "zero".into(), points: vec![Band(0.0, 0.0, 0.0, 0.0)] }],
            ..plot(Kind::Lines, Scale::Log, Scale::Log)
        };
        assert!(well_formed(&svg(&zero).unwrap()));
    }
}
