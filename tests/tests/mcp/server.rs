//! A real MCP server: the official SDK's, with the tools that a test names. What a tool answers is its own name.

use std::{net::SocketAddr, sync::Arc};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager},
};
use serde_json::Map;
use tokio::net::TcpListener;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Tools(Arc<[&'static str]>);

impl Server {
    /// Starts one on a free loopback port. With sessions it answers in event streams, without in JSON.
    pub(crate) async fn start(tools: &[&'static str], sessions: bool) -> Self {
        let tools = Tools(tools.into());
        let mut config = StreamableHttpServerConfig::default();
        config.legacy_session_mode = sessions;
        config.json_response = !sessions;
        // Envoy names the contract's host.
        let config = config.disable_allowed_hosts();
        let service = StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(LocalSessionManager::default()), config);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let app = axum::Router::new().fallback_service(service);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.expect("a server serves until it is dropped") });
        Self { address, serving }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        let tools = self.0.iter().map(|name| Tool::new(*name, "a tool", Map::new())).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(&self, request: CallToolRequestParams, _: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(request.name)]).into())
    }
}
