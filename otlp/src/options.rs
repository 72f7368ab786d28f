//! The flags of traces, the same in both programs.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use http::Uri;

/// The variable with the collector's URL.
pub const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The variable with the file of certificates.
pub const CERTIFICATE_VARIABLE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
/// The variable with the share of traces.
pub const RATIO_VARIABLE: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Where traces go, and how many are kept.
#[derive(Clone, Debug, Args)]
pub struct TraceOptions {
    /// Collector that gets traces by OTLP over HTTP, such as `http://collector:4318`: they are posted to /v1/traces below it.
    /// Without it there are no traces.
    #[arg(long, env = ENDPOINT_VARIABLE, hide_env_values = true, value_name = "URL")]
    pub otlp_endpoint: Option<Endpoint>,
    /// PEM file with certificates that the collector's is checked against, besides those that the system trusts.
    #[arg(long, env = CERTIFICATE_VARIABLE, value_name = "FILE")]
    pub otlp_certificate: Option<PathBuf>,
    /// Share of the traces to keep among those that begin here, from 0 to 1. For a request with the header `traceparent`, its
    /// flag decides instead.
    #[arg(
        long,
        env = RATIO_VARIABLE,
        value_name = "SHARE",
        default_value_t = 1.0,
        value_parser = share
    )]
    pub trace_ratio: f64,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_certificate: None,
            trace_ratio: 1.0,
        }
    }
}

impl TraceOptions {
    /// The variables that give another program on another machine the same options; none without an endpoint.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let endpoint = self.endpoint().map(str::to_owned);
        let ratio = self.trace_ratio.to_string();
        let both =
            endpoint.map(|endpoint| [(ENDPOINT_VARIABLE, endpoint), (RATIO_VARIABLE, ratio)]);
        both.into_iter().flatten()
    }

    /// The URL that traces are posted to, if there are any.
    pub(crate) fn url(&self) -> Option<String> {
        let base = self.endpoint()?;
        Some(format!("{}/v1/traces", base.trim_end_matches('/')))
    }

    /// Whether the URL is not used because it has credentials, or a query, which may be some.
    pub(crate) fn has_credentials(&self) -> bool {
        matches!(self.otlp_endpoint, Some(Endpoint::WithCredentials))
    }

    fn endpoint(&self) -> Option<&str> {
        match self.otlp_endpoint.as_ref()? {
            Endpoint::None | Endpoint::WithCredentials => None,
            Endpoint::Url(url) => Some(url),
        }
    }
}

/// The URL of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An empty one is none, as OpenTelemetry has it for variables.
    None,
    /// The URL.
    Url(String),
    /// It has credentials, or a query that may be some, and is not kept: the parser's error would repeat them.
    WithCredentials,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::None);
        }
        if text.contains(['@', '?']) {
            return Ok(Self::WithCredentials);
        }
        let uri: Option<Uri> = text.parse().ok();
        let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        uri.ok_or("write a URL such as http://collector:4318")?;
        if text.contains('#') {
            return Err("write the URL without a fragment: /v1/traces is put behind it".to_owned());
        }
        Ok(Self::Url(text.to_owned()))
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1, such as 0.1".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use clap::Parser;

    use super::TraceOptions;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        traces: TraceOptions,
    }

    fn parse(arguments: &[&str]) -> Result<TraceOptions, String> {
        let words = ["program"].iter().chain(arguments);
        let parsed = Program::try_parse_from(words);
        parsed
            .map(|it| it.traces)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn traces_are_posted_below_the_endpoint() {
        for (given, url) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            (
                "https://c.example/otlp/",
                "https://c.example/otlp/v1/traces",
            ),
        ] {
            let options = parse(&["--otlp-endpoint", given]).unwrap();
            assert_eq!(options.url().as_deref(), Some(url));
        }
        assert_eq!(parse(&[]).unwrap().url(), None);
        assert_eq!(parse(&["--otlp-endpoint="]).unwrap().url(), None);
    }

    #[test]
    fn a_wrong_endpoint_is_refused_with_what_to_write() {
        for (given, told) in [
            ("collector:4318", "http://collector:4318"),
            ("ftp://collector", "http://collector:4318"),
            ("http://collector/#a", "without a fragment"),
        ] {
            let error = parse(&["--otlp-endpoint", given]).unwrap_err();
            assert!(
                error.contains(told) && error.contains("--otlp-endpoint"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_url_with_credentials_is_not_kept() {
        for given in [
            "http://me:secret@collector",
            "me:secret@collector",
            "https://collector/?key=secret",
        ] {
            let options = parse(&["--otlp-endpoint", given]).unwrap();
            assert!(options.has_credentials() && options.url().is_none());
            assert_eq!(options.variables().count(), 0);
            assert!(!format!("{options:?}").contains("secret"));
        }
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        assert!((parse(&["--trace-ratio=0.25"]).unwrap().trace_ratio - 0.25).abs() < f64::EPSILON);
        for given in ["1.5", "-1", "NaN", "some"] {
            let error = parse(&[&format!("--trace-ratio={given}")]).unwrap_err();
            assert!(error.contains("from 0 to 1"), "{error}");
        }
    }
}
