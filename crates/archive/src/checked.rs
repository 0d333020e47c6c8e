//! `Content-MD5` on what is written to S3. A bucket with object lock takes no object without a checksum; Amazon is
//! content with the signed `x-amz-checksum-sha256`, others know this older header alone.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method};
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Connections whose writes carry the header.
#[derive(Debug, Default)]
pub struct Checked(ReqwestConnector);

impl HttpConnector for Checked {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Writer(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Writer(HttpClient);

#[async_trait]
impl HttpService for Writer {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.method() == Method::PUT {
            let (mut parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            if let Ok(digest) = HeaderValue::from_str(&STANDARD.encode(Md5::digest(&bytes))) {
                parts.headers.insert("content-md5", digest);
            }
            request = HttpRequest::from_parts(parts, bytes.into());
        }
        self.0.execute(request).await
    }
}
