//! The client for the API server: the pod's projected token, which the client reads again as it is renewed; outside of a
//! pod the kubeconfig. It never gives up: a token that is not there yet may come.

use boboyka_store::causes;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};

use super::backoff::Backoff;
use crate::trouble::Trouble;

/// Makes the client, however often it takes.
pub(super) async fn connect() -> Client {
    let (mut backoff, mut trouble) = (
        Backoff::default(),
        Trouble::with("read the credentials for the API server"),
    );
    loop {
        match client().await {
            Ok(client) => {
                trouble.over();
                return client;
            }
            Err(reason) => trouble.is(&reason),
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn client() -> Result<Client, String> {
    let config = match Config::incluster() {
        Ok(config) => config,
        Err(in_pod) => {
            let outside = Config::from_kubeconfig(&KubeConfigOptions::default()).await;
            outside.map_err(|error| {
                format!(
                    "no in-cluster configuration ({}) and no kubeconfig ({})",
                    causes(&in_pod),
                    causes(&error)
                )
            })?
        }
    };
    Client::try_from(config).map_err(|error| causes(&error))
}

/// Why the API server did not do it, in words that stay the same while the reason does.
pub(crate) fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} ({})", status.message, status.code);
    }
    causes(error)
}
