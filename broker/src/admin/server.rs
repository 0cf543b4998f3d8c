//! The listener of HTTP.

use std::sync::Arc;

use super::call::Ends;
use super::routes;
use crate::broker::Broker;

/// Serves HTTP on a listener until the runtime ends.
pub async fn serve(broker: Arc<Broker>, listener: std::net::TcpListener) {
    let service = routes::router(broker).into_make_service_with_connect_info::<Ends>();
    let served = async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, service).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "HTTP is not served any more");
    }
}
