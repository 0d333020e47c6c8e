//! Calls to the API, with the problem of a refused one kept.

use std::time::Duration;

use chassis::config::Env;
use chassis::secret::Secret;
use outbound::http::{HttpClient, Request};
use outbound::{HeaderName, HeaderValue, Method, StatusCode, Url};
use serde_json::Value;

use crate::error::CliError;

const DEADLINE: Duration = Duration::from_secs(30);

/// The API at `SYNCLINE_API_URL` (default `http://127.0.0.1:3000`), as the holder of `SYNCLINE_TOKEN`.
#[derive(Debug)]
pub struct Rest {
    client: HttpClient,
    base: Url,
    token: Secret,
}

impl Rest {
    /// Reads the environment.
    pub fn from_env(mut env: Env) -> Result<Self, CliError> {
        let text = env.string("SYNCLINE_API_URL", "http://127.0.0.1:3000");
        let base = Url::parse(&text);
        if base.as_ref().map_or(true, Url::cannot_be_a_base) {
            env.fault("SYNCLINE_API_URL", "is not an http(s) address; correct it");
        }
        let token = env.optional("SYNCLINE_TOKEN");
        if token.is_none() {
            env.fault("SYNCLINE_TOKEN", "is required, got nothing; set it (`syncctl token` mints one)");
        }
        env.finish()?;
        let base = base.map_err(|e| CliError::Usage(format!("SYNCLINE_API_URL: {e}")))?;
        let client = HttpClient::builder().deadline(DEADLINE).build()?;
        Ok(Self { client, base, token: Secret::from(token.unwrap_or_default()) })
    }

    /// GET.
    pub async fn get(&self, path: &[&str]) -> Result<Value, CliError> {
        self.call(Request::get(self.url(path, &[]))).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, CliError> {
        self.call(Request::new(Method::DELETE, self.url(path, &[]))).await
    }

    /// GET with parameters.
    pub async fn query(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, CliError> {
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.call(Request::get(self.url(path, &query))).await
    }

    /// Any method with a JSON body.
    pub async fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<Value, CliError> {
        self.call(Request::new(method, self.url(path, &[])).json(body)?).await
    }

    /// POST of a JSON body (or none).
    pub async fn post(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let mut request = Request::new(Method::POST, self.url(path, query));
        if let Some(body) = body {
            request = request.json(body)?;
        }
        self.call(request).await
    }

    /// POST of a JSON body that has its effect once under a key.
    pub async fn post_once(&self, path: &[&str], body: &Value, key: Option<&str>) -> Result<Value, CliError> {
        let mut request = Request::new(Method::POST, self.url(path, &[])).json(body)?;
        if let Some(key) = key {
            let value = HeaderValue::from_str(key)
                .map_err(|e| CliError::Usage(format!("the idempotency key cannot be sent: {e}")))?;
            request = request.header(HeaderName::from_static("idempotency-key"), value);
        }
        self.call(request).await
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn call(&self, request: Request) -> Result<Value, CliError> {
        let response = self.client.send(request.bearer(&self.token)?).await?;
        if response.status.is_success() {
            if response.status == StatusCode::NO_CONTENT || response.body.is_empty() {
                return Ok(Value::Null);
            }
            return Ok(response.json()?);
        }
        let problem: Value = response.json().unwrap_or(Value::Null);
        let say = |name: &str| problem[name].as_str().filter(|text| !text.is_empty());
        let detail = say("detail").or_else(|| say("title")).unwrap_or("no reason given").to_owned();
        Err(CliError::Refused { status: response.status.as_u16(), detail, problem })
    }
}
