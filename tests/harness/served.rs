//! A server of the tests' own.

use std::net::SocketAddr;

use axum::Router;

/// Serves on a free port of this machine until the test's runtime ends; the address.
///
/// # Panics
/// There is no port.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
