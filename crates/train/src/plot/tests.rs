use super::*;

#[test]
fn the_picture_is_the_same_every_time_and_well_formed() {
    let mut plot = Plot::new("a < b & \"c\"", "step", "loss");
    plot.series.push(Series::line("one", vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 2.0)]));
    plot.series.push(Series::marked("two", vec![(0.0, 2.0), (3.0, 1.5)]));
    let svg = plot.to_svg();
    assert_eq!(svg, plot.clone().to_svg());
    assert!(svg.contains("a &lt; b &amp; &quot;c&quot;") && !svg.contains("NaN"));
    assert_eq!(svg.matches("<circle").count(), 2);
    let curve = svg.lines().find(|line| line.contains("data-series=\"one\"")).unwrap();
    let path = curve.split(" d=\"").nth(1).unwrap();
    assert_eq!(path.matches('M').count(), 2, "a value that is not finite leaves a gap: {curve}");
    assert!(svg.contains("prefers-color-scheme:dark"));
    let opened = svg.matches("<text").count();
    assert_eq!(opened, svg.matches("</text>").count());
    assert!(!plot.to_inline_svg().contains("<style"), "a page has the style sheet once");
}

#[test]
fn empty_and_unusable_data_give_a_picture_all_the_same() {
    let mut plot = Plot::new("t", "x", "y");
    assert!(plot.to_svg().contains("no data yet"));
    plot.log_y = true;
    plot.series.push(Series::marked("s", vec![(1.0, 0.0), (2.0, -1.0), (f64::INFINITY, 1.0)]));
    let svg = plot.to_svg();
    assert!(svg.contains("no data yet") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    // One point, only zeros, and a second scale over them.
    let mut plot = Plot { from_zero: true, second: Some(("bits".into(), 1.44)), ..Plot::new("t", "x", "y") };
    plot.series.push(Series::marked("s", vec![(0.0, 0.0)]));
    let svg = plot.to_svg();
    assert!(svg.contains("<circle") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn long_series_are_thinned_to_their_means() {
    let series = Series::line("s", (0..10_000).map(|i| (f64::from(i), 1.0)).collect());
    let thin = series.thinned();
    assert_eq!(thin.len(), 1000);
    assert_eq!(thin[0], (4.5, 1.0));
}

/// The heights of the texts of a class.
fn heights(svg: &str, class: &str) -> Vec<f64> {
    let found = svg.lines().filter(|l| l.contains(&format!("<text class=\"{class}")));
    found.map(|l| l.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn names_at_the_ends_do_not_overlap() {
    for second in [None, Some(("bits".to_owned(), 1.4))] {
        for count in 1..6 {
            let mut plot = Plot { second: second.clone(), ..Plot::new("t", "x", "y") };
            for i in 0..count {
                let end = 1.0 + 0.001 * f64::from(i);
                plot.series.push(Series::line(format!("curve {i}"), vec![(0.0, 5.0), (9.0, end)]));
            }
            let mut at = heights(&plot.to_svg(), "end");
            at.sort_by(f64::total_cmp);
            assert_eq!(at.len(), count as usize);
            assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 13.9), "{count}: {at:?}");
            assert!(at.iter().all(|y| (40.0..=400.0).contains(y)), "{count}: {at:?}");
        }
    }
}

#[test]
fn the_second_scale_is_the_first_times_its_factor() {
    let mut plot = Plot { second: Some(("twice".into(), 2.0)), ..Plot::new("t", "x", "y") };
    plot.series.push(Series::line("s", vec![(0.0, 0.0), (1.0, 10.0)]));
    let svg = plot.to_svg();
    let height = |label: &str, anchor_left: bool| -> f64 {
        let line = svg.lines().find(|l| {
            let x: f64 =
                l.split(" x=\"").nth(1).and_then(|r| r.split('"').next()?.parse().ok()).unwrap_or(-1.0);
            l.ends_with(&format!(">{label}</text>"))
                && x >= 0.0
                && (x < 100.0) == anchor_left
                && l.contains("muted")
        });
        line.unwrap().split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    assert_eq!(height("10", true), height("20", false), "10 at the left is 20 at the right");
}

#[test]
fn a_heat_map_has_a_cell_for_each_value() {
    let row =
        |name: &str, values: Vec<f64>| HeatRow { name: name.into(), label: name.into(), group: 0, values };
    let map = HeatMap {
        title: "<t>".into(),
        note: "share".into(),
        x_label: "step".into(),
        x: vec![0.0, 10.0, 20.0, 30.0],
        rows: vec![
            row("a", vec![f64::NAN, 0.0, 0.5, 1.0]),
            row("b", vec![f64::INFINITY, f64::NAN, 0.0, 0.0]),
        ],
        groups: vec!["all".into()],
        colour: 0,
        log: false,
        format: |v| format!("{v:.1}"),
        width: 400.0,
    };
    for log in [false, true] {
        let map = HeatMap { log, ..map.clone() };
        let svg = map.to_svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;t&gt;"), "{svg}");
        assert_eq!(cells(&svg, "a"), 3);
        assert_eq!(cells(&svg, "b"), 2);
    }
    let empty = HeatMap { rows: vec![], x: vec![], ..map.clone() };
    assert!(empty.to_svg().contains("no data yet"));
    let zeros = HeatMap { rows: vec![row("z", vec![0.0; 4])], log: true, ..map };
    assert!(!zeros.to_svg().contains("NaN") && cells(&zeros.to_svg(), "z") == 4);
}

/// Cells of a row: each is a closed subpath.
fn cells(svg: &str, name: &str) -> usize {
    let group = svg.split(&format!("data-row=\"{name}\"")).nth(1).unwrap().split("</g>").next().unwrap();
    group.split(" d=\"").skip(1).map(|d| d.split('"').next().unwrap().matches('M').count()).sum()
}
