//! Flags and environment, read here and nowhere else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use boboyka_crds::quantity;
use boboyka_otlp::TraceOptions;
use clap::Parser;

/// Operates Boboyka integrations: injects sidecars, keeps strands on volumes, and gates the migration off Supabase.
///
/// Every replica answers the API server's admission calls. The replica that holds the Lease reconciles.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// Watch only this namespace; all namespaces when it is empty or not given.
    #[arg(
        long = "namespace-watched",
        env = "BOBOYKA_WATCH_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = ""
    )]
    watched: String,
    /// The operator's own namespace, which has its Lease and the ConfigMap of certificate authorities.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// The name of this replica's pod.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,
    /// Image of the sidecar, for integrations that name none.
    #[arg(long, env = "BOBOYKA_SIDECAR_IMAGE", value_name = "IMAGE")]
    pub sidecar_image: String,
    /// Image pull policy of the sidecar.
    #[arg(long, env = "BOBOYKA_SIDECAR_PULL_POLICY", value_name = "POLICY",
          default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub sidecar_pull_policy: String,
    /// Names of the Secrets, in the namespace of each pod, that are used to pull the sidecar's image.
    #[arg(
        long,
        env = "BOBOYKA_SIDECAR_PULL_SECRETS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub sidecar_pull_secrets: Vec<String>,
    /// Names of the `ConfigMap`s that may have lists of legacy projects, in the namespaces of integrations. The operator reads no
    /// others.
    #[arg(
        long = "legacy-config-map",
        env = "BOBOYKA_LEGACY_CONFIG_MAPS",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "boboyka-legacy-projects"
    )]
    pub legacy_config_maps: Vec<String>,
    /// Access mode of the strands' claims. A storage class without `ReadWriteOncePod` needs `ReadWriteOnce`; two pods of one node
    /// can then mount a volume, and the lock in the strand keeps the second one out.
    #[arg(long, env = "BOBOYKA_ACCESS_MODE", value_name = "MODE",
          default_value = "ReadWriteOncePod", value_parser = ["ReadWriteOncePod", "ReadWriteOnce"])]
    pub access_mode: String,
    /// Whether the cluster chooses the user and the group of the sidecar's container and volume, as `OpenShift` does.
    #[arg(
        long,
        env = "BOBOYKA_ASSIGNED_USER",
        value_name = "BOOL",
        default_value_t = false,
        action = clap::ArgAction::Set
    )]
    pub assigned_user: bool,
    /// Address of the webhook server, which API servers call by https.
    #[arg(
        long,
        env = "BOBOYKA_WEBHOOK_LISTEN",
        value_name = "ADDRESS",
        default_value = "[::]:8443"
    )]
    pub webhook_listen: SocketAddr,
    /// Address of the health port: /live, /ready and /metrics.
    #[arg(
        long,
        env = "BOBOYKA_OBSERVE",
        value_name = "ADDRESS",
        default_value = "[::]:8080"
    )]
    pub observe_listen: SocketAddr,
    /// Only create the Secret with the key that the operator signs with as a witness, unless it is there.
    #[arg(long)]
    pub make_witness_key: bool,
    /// File with the key that the operator signs with as a witness of the strands' logs, which may come later. Without this,
    /// the operator is no witness.
    #[arg(long, env = "BOBOYKA_WITNESS_KEY_FILE", value_name = "FILE")]
    pub witness_key_file: Option<PathBuf>,
    /// Address of the witness, which sidecars ask by http.
    #[arg(
        long,
        env = "BOBOYKA_WITNESS_LISTEN",
        value_name = "ADDRESS",
        default_value = "[::]:8081"
    )]
    pub witness_listen: SocketAddr,
    /// URL at which sidecars reach the witness; by default the Service's.
    #[arg(long, env = "BOBOYKA_WITNESS_URL", value_name = "URL")]
    pub witness_url: Option<String>,
    /// Name of the Service in front of the webhook server and of the witness. The certificate is for NAME.NAMESPACE.svc.
    #[arg(
        long,
        env = "BOBOYKA_SERVICE_NAME",
        value_name = "NAME",
        default_value = "boboyka-operator"
    )]
    pub service_name: String,
    /// Another host name or IP address of the webhook server, for the certificate; may be repeated.
    #[arg(long = "webhook-host", value_name = "HOST")]
    pub webhook_hosts: Vec<String>,
    /// Lifetime of this replica's certificate authority, such as 24h. It is renewed at half of its lifetime.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = at_least_a_second)]
    pub authority_lifetime: Duration,
    /// Seconds for which a Lease that is not renewed keeps other replicas from leading.
    #[arg(long, env = "BOBOYKA_LEASE_SECONDS", value_name = "SECONDS", default_value_t = 15,
          value_parser = clap::value_parser!(u16).range(3..=3600))]
    pub lease_seconds: u16,
    /// How long a strand that was given at admission waits for its pod, such as 60s.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = at_least_a_second)]
    pub admission_grace: Duration,
    /// How long calls are still answered after SIGTERM, such as 10s: API servers take a while to learn that this replica
    /// ends.
    #[arg(long, env = "BOBOYKA_LINGER", value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub linger: Duration,
    /// Its traces, and those of the sidecars that it adds.
    #[command(flatten)]
    pub traces: TraceOptions,
}

impl Config {
    /// The only namespace to watch, or `None` for all.
    pub fn watched_namespace(&self) -> Option<&str> {
        Some(self.watched.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// How long the Lease lasts without renewal.
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }

    /// The name under which the operator signs as a witness.
    pub fn witness_name(&self) -> String {
        format!("{}/witness", self.service_host())
    }

    /// The URL at which sidecars reach the witness.
    pub fn witness_url(&self) -> String {
        let port = self.witness_listen.port();
        let service = || format!("http://{}:{port}", self.service_host());
        self.witness_url.clone().unwrap_or_else(service)
    }

    /// The names that the serving certificate is for.
    pub fn serving_names(&self) -> Vec<String> {
        let others = self.webhook_hosts.iter().cloned();
        [self.service_host()].into_iter().chain(others).collect()
    }

    /// The host name of the Service.
    fn service_host(&self) -> String {
        format!("{}.{}.svc", self.service_name, self.namespace)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    quantity::duration(text).ok_or_else(|| "write a duration such as 90s, 10m or 24h".to_owned())
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let least = Duration::from_secs(1);
    let long_enough = duration(text).map(|duration| duration >= least)?;
    if long_enough {
        duration(text)
    } else {
        Err("write a duration of at least 1s".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[&str]) -> Result<Config, clap::Error> {
        let needed = [
            "boboyka-operator",
            "--namespace=boboyka-system",
            "--pod-name=operator-0",
            "--sidecar-image=sidecar:1",
        ];
        Config::try_parse_from(needed.iter().chain(more))
    }

    #[test]
    fn an_empty_namespace_means_all_of_them() {
        let config = parse(&["--namespace-watched="]).unwrap();
        assert_eq!(config.watched_namespace(), None);
        let config = parse(&["--namespace-watched=agents"]).unwrap();
        assert_eq!(config.watched_namespace(), Some("agents"));
    }

    #[test]
    fn the_certificate_is_for_the_service_and_for_what_is_added() {
        let config = parse(&["--webhook-host=127.0.0.1", "--webhook-host=localhost"]).unwrap();
        assert_eq!(
            config.serving_names(),
            [
                "boboyka-operator.boboyka-system.svc",
                "127.0.0.1",
                "localhost"
            ]
        );
    }

    #[test]
    fn durations_are_written_as_in_resources_and_a_lease_of_nothing_is_refused() {
        let config = parse(&["--authority-lifetime=1h30m"]).unwrap();
        assert_eq!(config.authority_lifetime, Duration::from_mins(90));
        assert!(parse(&["--authority-lifetime=soon"]).is_err());
        assert!(parse(&["--authority-lifetime=0s"]).is_err());
        assert!(parse(&["--lease-seconds=0"]).is_err());
    }
}
