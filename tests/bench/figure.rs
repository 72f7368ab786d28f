//! A measured figure: the median of several rounds, with the least and the most.

/// A median and its spread.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        Self {
            median: values[values.len() / 2],
            least,
            most,
        }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self {
            median,
            least,
            most,
        } = self;
        write!(f, "{median:.digits$} [{least:.digits$}–{most:.digits$}]")
    }
}
